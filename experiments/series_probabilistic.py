r"""How sure forecasts are: distributions and quantiles, on sines of unknown phases.

    s2sjax sweep  --config=experiments/series_probabilistic.py:small \
        --workdir=sweeps/how_sure
    s2sjax report --workdir=sweeps/how_sure --group_by=model.output,model.direct \
        --metric=crps

A normal distribution and a mixture of five are fed their own draws, so that 100
trajectories say what comes later; a normal distribution and quantiles are also trained
to write the whole horizon at once (`model.direct`), where nothing is drawn. 3 seeds:
12 trials. `:small` takes 400 steps instead of 4,000. Measured in docs/numbers.md.
"""

from ml_collections import ConfigDict

from s2sjax.config import Config, base_config, parse_arg
from s2sjax.sweeps import Overrides, product, seeds

LEVELS = "0.05,0.25,0.5,0.75,0.95"


def get_config(arg: str | None = None) -> ConfigDict:
    variant = parse_arg(arg, smoke=False, small=False)

    config = base_config()
    config.task.name = "sines"
    config.task.length = 24
    config.task.horizon = 8
    config.task.num_valid = 500
    config.task.num_test = 2000

    config.model.cell = "gru"
    config.model.units = 64
    config.model.embedding = 0
    config.model.output = "gaussian"

    config.train.batch_size = 64
    config.train.steps = 4000
    config.train.learning_rate = 3e-3
    config.train.schedule = "cosine:warmup=100"
    config.train.clip_norm = 1.0
    config.train.eval_every = config.train.save_every = 1000
    config.train.metric = "crps"
    config.train.buckets = 1
    config.train.threads = 1
    config.decode.strategy = "sample:n=100"

    if variant.small:
        config.model.units = 48
        config.task.num_valid = 200
        config.task.num_test = 1000
        config.train.steps = 400
        config.train.eval_every = config.train.save_every = 200
    if variant.smoke:
        config.task.num_valid = config.task.num_test = 16
        config.model.units = 8
        config.train.steps = 10
        config.train.eval_every = config.train.save_every = 5
        config.decode.strategy = "sample:n=10"
    return config


def sweep(config: Config) -> list[Overrides]:
    at_once = {"model.direct": True, "decode.strategy": "median"}
    quantiles = {
        "model.output": f"quantile:levels={LEVELS}",
        "train.objective": "pinball",
        **at_once,
    }
    kinds: list[Overrides] = [
        {"model.output": "gaussian"},
        {"model.output": "mixture:components=5"},
        {"model.output": "gaussian", **at_once},
        quantiles,
    ]
    return product(kinds, seeds(3))
