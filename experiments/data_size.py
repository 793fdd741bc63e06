"""How much data reversing ten integers takes.

    s2sjax sweep  --config=experiments/data_size.py --workdir=sweeps/data_size
    s2sjax report --workdir=sweeps/data_size --group_by=task.num_train

Training sets of 31 to 64,000 examples, doubled each time, with the same number of
steps for each, 3 seeds: 36 trials. `--sweep=sweep,units` crosses them with three sizes
of model. `:small` is what `docs/sweeps.md` shows: 2,000 steps instead of 4,000.
"""

from ml_collections import ConfigDict

from s2sjax.config import Config, base_config, parse_arg
from s2sjax.sweeps import Overrides, grid, product, seeds


def get_config(arg: str | None = None) -> ConfigDict:
    variant = parse_arg(arg, smoke=False, small=False)

    config = base_config()
    config.task.name = "reversed"
    config.task.length = 10
    config.task.cardinality = 10
    config.task.num_train = 64_000
    config.task.num_test = 1000

    config.model.cell = "lstm"
    config.model.units = 32
    config.model.embedding = 20
    config.model.attention = "bahdanau"

    config.train.batch_size = 64
    config.train.steps = 4000
    config.train.learning_rate = 5e-3
    config.train.schedule = "cosine:warmup=200"
    config.train.clip_norm = 1.0
    config.train.eval_every = config.train.save_every = 500
    config.train.threads = 1

    if variant.small:
        config.train.steps = 2000
    if variant.smoke:
        config.task.num_train = 500
        config.task.num_valid = config.task.num_test = 32
        config.model.units = 8
        config.train.steps = 10
        config.train.eval_every = config.train.save_every = 5
    return config


def sweep(config: Config) -> list[Overrides]:
    sizes = [int(1000 * 2.0**doubled) for doubled in range(-5, 7)]
    return product(
        grid({"task.num_train": [n for n in sizes if n <= config.task.num_train]}),
        seeds(3),
    )


def sweep_units(config: Config) -> list[Overrides]:
    return grid({"model.units": [config.model.units * n for n in (1, 2, 4)]})
