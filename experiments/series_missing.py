"""Forecasts where much is missing: 0, 30 and 60 % of the numbers are not there.

    python scripts/missing.py series
    s2sjax sweep  --config=experiments/series_missing.py:small --workdir=sweeps/missing
    s2sjax report --workdir=sweeps/missing --group_by=task.path --metric=mae

The script writes 20 series of 400 steps, a daily and a weekly wave with noise of
deviation 0.3, three times, with that much left out at random. What is read is 0 and a
mark where nothing is; a missing target has no loss and no part in a metric, and the
model's own mean is fed in its place. 3 seeds: 9 trials. `:small` takes 500 steps
instead of 4,000. Measured in docs/numbers.md.
"""

from ml_collections import ConfigDict

from s2sjax.config import Config, base_config, parse_arg
from s2sjax.sweeps import Overrides, product, seeds

SHARES = (0, 30, 60)  # percent


def get_config(arg: str | None = None) -> ConfigDict:
    variant = parse_arg(arg, smoke=False, small=False)

    config = base_config()
    config.task.name = "series"
    config.task.path = "series/missing_0.csv"
    config.task.targets = "value"
    config.task.id = "id"
    config.task.context = 48
    config.task.horizon = 12
    config.task.season = 24

    config.model.cell = "gru"
    config.model.units = 64
    config.model.embedding = 0
    config.model.attention = "bahdanau"
    config.model.output = "gaussian"

    config.train.batch_size = 64
    config.train.steps = 4000
    config.train.learning_rate = 3e-3
    config.train.schedule = "cosine:warmup=100"
    config.train.clip_norm = 1.0
    config.train.eval_every = config.train.save_every = 1000
    config.train.metric = "mae"
    config.train.buckets = 1
    config.train.threads = 1
    config.decode.strategy = "mean"

    if variant.small:
        config.model.units = 32
        config.task.stride = 3
        config.train.steps = 500
        config.train.eval_every = config.train.save_every = 250
    if variant.smoke:
        config.task.context = 12
        config.task.horizon = 4
        config.model.units = 8
        config.train.steps = 10
        config.train.eval_every = config.train.save_every = 5
    return config


def sweep(config: Config) -> list[Overrides]:
    start, _, _ = config.task.path.rpartition("_")
    files: list[Overrides] = [{"task.path": f"{start}_{share}.csv"} for share in SHARES]
    return product(files, seeds(3))
