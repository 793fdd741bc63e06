"""What a target token counts in the loss: by its example, and by its symbol."""

import difflib
import json

import jax.numpy as jnp
import numpy as np
from jax import Array

from s2sjax.errors import UsageError
from s2sjax.models.readout import Readout
from s2sjax.tasks.vocabulary import UNKNOWN, Vocabulary
from s2sjax.types import EOS, UNK, Batch

END = "<eos>"


def symbol_weights(text: str, vocabulary: Vocabulary) -> np.ndarray | None:
    """The weight of each token id, [V] float32; None where all are 1.

    Args:
      text: `train.symbol_weights`, a JSON object; symbols that it does not name have 1.
        `<eos>` is the end of a target, and `<unk>` all that is unknown.
      vocabulary: of the targets.

    Raises:
      UsageError: a symbol that is not in the vocabulary.

    >>> symbol_weights('{"b": 2.0, "<eos>": 0.5}', Vocabulary("char", ("a", "b")))
    array([1. , 1. , 0.5, 1. , 1. , 2. ], dtype=float32)
    """
    if not text:
        return None
    if not isinstance(vocabulary, Vocabulary):
        raise UsageError(
            f"train.symbol_weights={text:.40} is of symbols; what is written is numbers"
        )
    weights = np.ones(len(vocabulary), np.float32)
    named: dict[str, int] = {str(symbol): i for symbol, i in vocabulary.index.items()}
    named |= {END: EOS, UNKNOWN: UNK}
    for symbol, weight in json.loads(text).items():
        if symbol not in named:
            near = difflib.get_close_matches(symbol, named, n=1)
            raise UsageError(
                f"train.symbol_weights names {symbol!r:.40}, which is not among "
                f"{vocabulary.described()}"
                + (f"; did you mean {near[0]!r}?" if near else "")
            )
        weights[named[symbol]] = weight
    return weights


def token_weights(
    readout: Readout, batch: Batch, by_symbol: Array | None
) -> tuple[Array, Array]:
    """What each token or number of a batch counts, [B, T] or [B, 1], of numbers
    [B, 1, 1], and what all do, [].

    What is beyond a row's length or missing has no loss, and does not count.

    Args:
      readout: what is written.
      batch: whose `weights` are those of its examples.
      by_symbol: [V] of each token id; None: 1.
    """
    if by_symbol is None:
        each = jnp.expand_dims(batch.weights, range(1, batch.target.ndim))
        return each, jnp.sum(readout.counts(batch) * batch.weights)
    real = readout.real(batch)
    each = jnp.where(real, by_symbol[batch.target] * batch.weights[:, None], 0)
    return each, jnp.sum(each)
