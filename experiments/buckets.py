"""Whether sorting a stored set into buckets of length costs quality.

    python scripts/number_words.py > numbers.tsv
    s2sjax sweep  --config=experiments/buckets.py:number_words \
        --config.task.path=numbers.tsv --workdir=sweeps/buckets
    s2sjax report --workdir=sweeps/buckets --group_by=train.buckets,train.bucket_run

One bucket, four whose batches are shuffled one by one, and four with up to four batches
of one bucket in a row; 5 seeds each: 15 trials. The variants name the
data that `task.path` holds: `number_words` of scripts/number_words.py, `fra_eng` the
pairs of the Keras tutorial by word, `reverse` JoeyNMT's task. Rates are constant and
epochs few, since that is where an order shows. Measured in docs/training.md.
"""

from ml_collections import ConfigDict

from s2sjax.config import Config, base_config, parse_arg
from s2sjax.sweeps import Overrides, product, seeds


def get_config(arg: str | None = None) -> ConfigDict:
    variant = parse_arg(
        arg, number_words=False, fra_eng=False, reverse=False, smoke=False
    )

    config = base_config()
    config.task.name = "text"
    config.task.level = "word"

    config.model.cell = "gru"
    config.model.units = 64
    config.model.embedding = 32
    config.model.bidirectional = True
    config.model.attention = "bahdanau"
    config.model.bridge = "dense"

    config.train.batch_size = 32
    config.train.epochs = 6
    config.train.learning_rate = 3e-3
    config.train.clip_norm = 1.0
    config.train.threads = 1

    if variant.fra_eng:
        config.task.min_count = 2
        config.train.batch_size = 64
        config.train.epochs = 4
        config.train.metric = "nll"
    if variant.reverse:
        config.train.epochs = 2
    if variant.smoke:
        config.model.units = 8
        config.train.epochs = None
        config.train.steps = 4
        config.train.eval_every = config.train.save_every = 4
    return config


def sweep(config: Config) -> list[Overrides]:
    layouts = [
        {"train.buckets": 1, "train.bucket_run": 1},
        {"train.buckets": 4, "train.bucket_run": 1},
        {"train.buckets": 4, "train.bucket_run": 4},
    ]
    return product(layouts, seeds(5))
