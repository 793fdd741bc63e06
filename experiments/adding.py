r"""The adding problem: two marked numbers of a long sequence, far apart, are added.

    s2sjax sweep  --config=experiments/adding.py:small --workdir=sweeps/adding
    s2sjax report --workdir=sweeps/adding --group_by=model.cell,task.length \
        --metric=rmse

(Hochreiter and Schmidhuber 1997, section 5.4.) Who always says 1 has an RMSE of
0.408, the root of 1/6. Lengths of 100, 200 and 400 by four cells, 3 seeds: 36 trials.
`:small` has lengths of 25, 50 and 100, takes 1,500 steps instead of 10,000, and reads
with 32 units instead of 128. Measured in docs/numbers.md.
"""

from ml_collections import ConfigDict

from s2sjax.config import Config, base_config, parse_arg
from s2sjax.sweeps import Overrides, product, seeds

CELLS = ("lstm", "gru", "rnn", "mingru")
LENGTHS = {False: (100, 200, 400), True: (25, 50, 100)}  # of what is small


def get_config(arg: str | None = None) -> ConfigDict:
    variant = parse_arg(arg, smoke=False, small=False)

    config = base_config()
    config.task.name = "adding"
    config.task.length = 100
    config.task.num_valid = 500
    config.task.num_test = 2000

    config.model.cell = "lstm"
    config.model.units = 128
    config.model.embedding = 0
    config.model.output = "point"

    config.train.batch_size = 64
    config.train.steps = 10_000
    config.train.objective = "mse"
    config.train.learning_rate = 3e-3
    config.train.schedule = "cosine:warmup=100"
    config.train.clip_norm = 1.0
    config.train.eval_every = config.train.save_every = 1000
    config.train.metric = "rmse"
    config.train.buckets = 1
    config.train.threads = 1
    config.decode.strategy = "mean"

    if variant.small:
        config.task.length = 25
        config.model.units = 32
        config.train.steps = 1500
        config.train.eval_every = config.train.save_every = 500
    if variant.smoke:
        config.task.length = 10
        config.task.num_valid = config.task.num_test = 16
        config.model.units = 8
        config.train.steps = 10
        config.train.eval_every = config.train.save_every = 5
    return config


def sweep(config: Config) -> list[Overrides]:
    lengths = LENGTHS[config.task.length < min(LENGTHS[False])]
    return product(
        [{"model.cell": cell} for cell in CELLS],
        [{"task.length": length} for length in lengths],
        seeds(3),
    )
