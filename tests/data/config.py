"""The experiments that `make.py` keeps."""

from s2sjax.config import base_config
from s2sjax.sweeps import grid


def get_config(arg=None):
    config = base_config()
    config.model.units = config.model.embedding = 4
    config.model.cell, config.model.attention = "gru", "bahdanau:units=4"
    config.train.batch_size, config.train.steps, config.train.threads = 4, 8, 1
    config.train.log_every = config.train.eval_every = config.train.save_every = 4
    config.train.learning_rate, config.train.metric = 0.03, "nll"
    config.train.samples = 2
    config.decode.batch_size = 8
    if arg == "text":
        config.task.name, config.task.path = "text", "pairs.tsv"
        config.train.objective = "mine.py:mine"
    else:
        config.task.length, config.task.min_length, config.task.cardinality = 3, 1, 4
        config.task.num_train, config.task.num_valid, config.task.num_test = 24, 8, 8
    return config


def sweep(config):
    return grid({"train.learning_rate": (1e-2, 3e-2)})
