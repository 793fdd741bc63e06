"""SCAN: commands to actions, and what a network makes of new combinations.

    s2sjax sweep --config=experiments/scan.py:small,data=DIR --workdir=sweeps/scan
    s2sjax train --config=experiments/scan.py:published,split=jump,data=DIR \
        --workdir=runs/scan_jump

Lake and Baroni, "Generalization without systematicity" (ICML 2018); DIR is a checkout
of their data (github.com/brendenlake/SCAN). `split` is simple, length, turn_left or
jump, or p1, p2 or p4, of which 1, 2 and 4 % of all commands are training: the test
commands of those three are all others, which `scripts/scan_sizes.py` writes.

`:published` is what the paper found best overall: two LSTM layers of 200 without
attention, dropout 0.5, 100,000 presentations one by one, drawn with replacement, Adam
1e-3, clipped at 5, half of them with the decoder's own outputs. Embeddings are 200
wide as well, as the code that theirs grew from has it; the paper does not say.
Otherwise than there 5 % of the training commands, by a hash, choose the best
checkpoint; of the bare `jump` and `turn left` all copies stay in training. Published,
mean of 5 runs, exact match: simple 99.7 %, length 13.8, turn left 90.0, jump 0.08; 1,
2 and 4 % of commands: about 5, 54 and 93.

`:small` has the same model and as many presentations, 32 at a time, at a rate of 2e-3
that falls to nothing. Of pilots on the simple split, by validation commands alone: 8 at
a time at 1e-3 came to 91.2 % of them, 32 to 91.8, both from below 80 % and back a few
times; with the falling rate 16 at a time (from 1e-3) came to 95.9 and 32 to 96.3. An
output may have 60 actions: with the default of twice the source and ten, most of the
length split could not be written.

What came of it, seed by seed, with minutes, is in docs/reproductions.md.
"""

from ml_collections import ConfigDict

from s2sjax.config import Config, base_config, parse_arg
from s2sjax.errors import unknown
from s2sjax.sweeps import Overrides, product, seeds

# The training commands of each split, and those of its test, under the folder of data.
SPLITS = {
    "simple": "simple_split/tasks_{}_simple.txt",
    "length": "length_split/tasks_{}_length.txt",
    "turn_left": "add_prim_split/tasks_{}_addprim_turn_left.txt",
    "jump": "add_prim_split/tasks_{}_addprim_jump.txt",
    "p1": "simple_split/size_variations/tasks_{}_simple_p1.txt",
    "p2": "simple_split/size_variations/tasks_{}_simple_p2.txt",
    "p4": "simple_split/size_variations/tasks_{}_simple_p4.txt",
}
PRESENTATIONS = 100_000


def get_config(arg: str | None = None) -> ConfigDict:
    variant = parse_arg(
        arg,
        smoke=False,
        small=False,
        published=False,
        split="simple",
        data="SCAN",
        presentations=PRESENTATIONS,
    )
    if variant.split not in SPLITS:
        raise unknown("split", variant.split, SPLITS)

    config = base_config()
    config.task.name = "text"
    config.task.level = "space"
    config.task.update(_files(variant.data, variant.split))
    config.task.valid_share = 0.05
    config.task.sampling = "replacement"

    config.model.cell = "lstm"
    config.model.layers = 2
    config.model.units = 200
    config.model.embedding = 200
    config.model.dropout_embedding = 0.5
    config.model.dropout_output = 0.5

    config.train.batch_size = 32 if variant.small else 1
    config.train.steps = variant.presentations // config.train.batch_size
    config.train.learning_rate = 1e-3
    if variant.small:
        config.train.learning_rate = 2e-3
        config.train.schedule = "cosine:warmup=100"
    config.train.clip_norm = 5.0
    config.train.feeding = "argmax"
    config.train.feeding_probability = 0.5
    config.train.feeding_unit = "sequence"
    config.train.eval_every = config.train.save_every = max(1, config.train.steps // 20)
    config.train.threads = 1

    config.decode.length_ratio = 0.0
    config.decode.length_extra = 60

    if variant.smoke:
        config.model.units = config.model.embedding = 8
        config.train.batch_size = 8
        config.train.steps = 4
        config.train.eval_every = config.train.save_every = 4
    return config


def sweep(config: Config) -> list[Overrides]:
    """Three seeds of each of the splits."""
    data = _data(config)
    files = [_files(data, split) for split in SPLITS]
    return product(
        [{f"task.{name}": file for name, file in each.items()} for each in files],
        seeds(3),
    )


def _data(config: Config) -> str:
    """The folder of data, from the file that a config trains on."""
    for pattern in SPLITS.values():
        ending = "/" + pattern.format("train")
        if config.task.train.endswith(ending):
            return config.task.train.removesuffix(ending)
    return "SCAN"


def _files(data: str, split: str) -> dict[str, str]:
    return {name: f"{data}/{SPLITS[split].format(name)}" for name in ("train", "test")}
