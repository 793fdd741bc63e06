"""How far a model can reverse and sort, by length and by number of symbols.

    s2sjax sweep  --config=experiments/length_cardinality.py --workdir=sweeps/lengths
    s2sjax report --workdir=sweeps/lengths --group_by=task.length,task.cardinality

Lengths to 40 and cardinalities to 200, `reversed` and `sorted`, with and without
attention, 3 seeds: 144 trials of one LSTM 64. The config holds the largest length and
cardinality, and the sweep goes up to them, so that `:smoke` has the smallest ones.
`:small` is what `docs/sweeps.md` shows: an LSTM 32, 1,500 steps instead of 2,000,
lengths to 20 and cardinalities to 50: 72 trials.
"""

from ml_collections import ConfigDict

from s2sjax.config import Config, base_config, parse_arg
from s2sjax.sweeps import Overrides, grid, product, seeds


def get_config(arg: str | None = None) -> ConfigDict:
    variant = parse_arg(arg, smoke=False, small=False)

    config = base_config()
    config.task.name = "reversed"
    config.task.length = 40
    config.task.cardinality = 200
    config.task.num_test = 1000

    config.model.cell = "lstm"
    config.model.units = 64
    config.model.embedding = 32
    config.model.attention = "bahdanau"

    config.train.batch_size = 64
    config.train.steps = 2000
    config.train.learning_rate = 5e-3
    config.train.schedule = "cosine:warmup=100"
    config.train.clip_norm = 1.0
    config.train.eval_every = config.train.save_every = 500
    config.train.threads = 1

    if variant.small:
        config.task.length = 20
        config.task.cardinality = 50
        config.model.units = 32
        config.train.steps = 1500
    if variant.smoke:
        config.task.length = 5
        config.task.cardinality = 10
        config.task.num_valid = config.task.num_test = 32
        config.model.units = 8
        config.train.steps = 10
        config.train.eval_every = config.train.save_every = 5
    return config


def sweep(config: Config) -> list[Overrides]:
    lengths = [n for n in (5, 10, 20, 40) if n <= config.task.length]
    cardinalities = [n for n in (10, 50, 200) if n <= config.task.cardinality]
    return product(
        grid(
            {
                "task.name": ("reversed", "sorted"),
                "model.attention": ("none", "bahdanau"),
                "task.length": lengths,
                "task.cardinality": cardinalities,
            }
        ),
        seeds(3),
    )
