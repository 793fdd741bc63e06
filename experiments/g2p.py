"""Letters to phonemes: how English words are pronounced, from CMUdict.

    s2sjax sweep --config=experiments/g2p.py:small --config.task.path=DIR \
        --workdir=sweeps/g2p

DIR holds train, valid and test, lines of word, tab and phonemes with blanks between,
without stress; a word with several pronunciations has several lines. In validation
and test they are one example with several references, and a word is right if its
output is any of them: its word error rate, as this field calls it, is 1 - exact.

`:published` is cmusphinx/g2p-seq2seq's "LSTM" of 2 x 64 (which is a GRU: `use_lstm`
is False and never set), as far as its code says: embeddings as wide as the state, an
encoder in one direction, additive attention, SGD at 0.5 clipped at 5, batches of 64,
no dropout, validation every 200 steps, and an end after 35 of them without
improvement. Its rate falls by 1 % whenever the loss exceeds those of the last three;
here it stays. Published on "CMUdict latest", greedy: 39.6 % of words wrong with 2 x
64, 31.1 with 2 x 512. Which words were its test cannot be known; here it is 12,596 by
the same rule in the file's order.

`:small` has the same model with Adam, whose rate falls to nothing within 8 epochs.

What came of it, seed by seed, with minutes, is in docs/reproductions.md.
"""

from ml_collections import ConfigDict

from s2sjax.config import Config, base_config, parse_arg
from s2sjax.sweeps import Overrides, seeds


def get_config(arg: str | None = None) -> ConfigDict:
    variant = parse_arg(arg, smoke=False, small=False, published=False, units=64)

    config = base_config()
    config.task.name = "text"
    config.task.source_level = "char"
    config.task.target_level = "space"

    config.model.cell = "gru"
    config.model.layers = 2
    config.model.units = variant.units
    config.model.embedding = variant.units
    config.model.attention = "bahdanau"

    config.train.batch_size = 64
    config.train.clip_norm = 5.0
    config.train.threads = 1
    if variant.small:
        config.train.epochs = 8
        config.train.learning_rate = 3e-3
        config.train.schedule = "cosine:warmup=200"
        config.train.eval_every = config.train.save_every = 1000
    else:
        config.train.epochs = 100
        config.train.optimizer = "sgd"
        config.train.learning_rate = 0.5
        config.train.eval_every = config.train.save_every = 200
        config.train.patience = 35

    if variant.smoke:
        config.model.units = config.model.embedding = 8
        config.train.epochs = None
        config.train.steps = 4
        config.train.eval_every = config.train.save_every = 4
    return config


def sweep(config: Config) -> list[Overrides]:
    """Three seeds, which `s2sjax eval` also takes together."""
    return seeds(3)
