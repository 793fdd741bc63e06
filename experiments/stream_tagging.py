r"""Symbols tagged as they are read: sequences too long to be held, and without an end.

    s2sjax train  --config=experiments/stream_tagging.py:small --workdir=runs/stream
    s2sjax decode --workdir=runs/stream --stream < symbols.txt

A symbol from 6 on is a mark; each input is tagged with the last mark that was read, the
first symbol before there is one. So there is something to be kept for as long as no
mark comes, over the edges of windows too: training goes through sequences of 2,000
symbols in windows of 50 (`train.tbptt`), at whose edges the states go on and the
gradients do not.

`:small` takes 1,200 steps instead of 8,000, on sequences of 1,000 symbols.

Measured with it: all of the test sequences are right, after 28 seconds on two busy
cores, and so are all tags of a stream of a million symbols, said in 64 seconds and
277 MB (10,000: 314 MB).
"""

from ml_collections import ConfigDict

from s2sjax.config import base_config, parse_arg

MARK = 6


def last_mark(source: list[int]) -> list[int]:
    """At each place the last symbol from `MARK` on, 0 before there is one."""
    tags, last = [], 0
    for symbol in source:
        last = symbol if symbol >= MARK else last
        tags.append(last)
    return tags


def get_config(arg: str | None = None) -> ConfigDict:
    variant = parse_arg(arg, smoke=False, small=False)

    config = base_config()
    config.task.name = f"{__file__}:last_mark"
    config.task.length = 2000
    config.task.cardinality = 8
    config.task.num_train = 800
    config.task.num_valid = config.task.num_test = 20

    config.model.architecture = "aligned"
    config.model.cell = "gru"
    config.model.units = 16
    config.model.embedding = 8

    config.train.tbptt = 50
    config.train.batch_size = 16
    config.train.steps = 8000
    config.train.learning_rate = 1e-2
    config.train.schedule = "cosine:warmup=100"
    config.train.clip_norm = 1.0
    config.train.eval_every = config.train.save_every = 1000
    config.train.log_every = 500
    config.train.metric = "token_accuracy"
    config.train.samples = 0
    config.train.buckets = 1
    config.train.threads = 1

    if variant.small:
        config.task.length = 1000
        config.train.steps = 1200
        config.train.log_every = config.train.eval_every = config.train.save_every = 400
    if variant.smoke:
        config.task.length = 40
        config.train.tbptt = 8
        config.model.units = 8
        config.task.num_train = 32
        config.train.steps = 10
        config.train.eval_every = config.train.save_every = 5
    return config
