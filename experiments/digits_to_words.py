"""The digits 1 to 9 to their English names, character by character.

    s2sjax train --config=experiments/digits_to_words.py --workdir=runs/digits_to_words

Nine pairs, which are training, validation and test data alike: the smallest run there
is. Measured: all nine right after 4 s of training on two busy CPU cores.
"""

from ml_collections import ConfigDict

from s2sjax.config import base_config, parse_arg


def get_config(arg: str | None = None) -> ConfigDict:
    variant = parse_arg(arg, smoke=False)

    config = base_config()
    config.task.name = "digits_to_words"

    config.model.cell = "gru"
    config.model.units = 64
    config.model.embedding = 16

    config.train.batch_size = 9
    config.train.steps = 400
    config.train.learning_rate = 1e-2
    config.train.schedule = "cosine"
    config.train.clip_norm = 1.0
    config.train.log_every = 50
    config.train.eval_every = 200
    config.train.save_every = 200
    config.train.buckets = 1
    config.train.threads = 1
    config.decode.batch_size = 9

    if variant.smoke:
        config.model.units = 8
        config.train.steps = 10
        config.train.eval_every = config.train.save_every = 5
    return config
