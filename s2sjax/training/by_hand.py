"""What a training loop of one's own needs: lists of ids as a batch, and its loss."""

import operator
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from s2sjax.errors import UsageError
from s2sjax.models.architectures import Model
from s2sjax.models.seq2seq import apply
from s2sjax.models.sides import vocabulary
from s2sjax.training import objectives
from s2sjax.training.objectives import Objective
from s2sjax.training.objectives.weights import token_weights
from s2sjax.types import EOS, PAD, UNK, Batch


def batch(
    sources: Sequence[Sequence[int]],
    targets: Sequence[Sequence[int]],
    *,
    model: Model | None = None,
    first: int = 0,
) -> Batch:
    """Lists of token ids as a batch: padded, targets ended by EOS, rows numbered.

    Args:
      sources: rows of ids, without EOS; a row may be empty.
      targets: as many rows of ids, without EOS, which is added and counted.
      model: whose vocabularies the ids must be of; None: not checked.
      first: the number of the first row, which seeds what is random in it.

    Returns:
      Arrays [B, S], [B], [B, T], [B], [B], [B]; see `Batch`.

    Raises:
      UsageError: unequally many rows, none, or an id that cannot be.

    >>> made = batch([[4, 5, 6], [7]], [[6, 5, 4], [7]])
    >>> made.target.tolist(), made.target_lengths.tolist()
    ([[6, 5, 4, 2], [7, 2, 0, 0]], [4, 2])
    """
    sizes: tuple[int | None, int | None] = (None, None)
    if model is not None:
        sizes = vocabulary(model.source), vocabulary(model.target)
    rows = [_rows("sources", sources, sizes[0]), _rows("targets", targets, sizes[1])]
    if len(rows[0]) != len(rows[1]):
        raise UsageError(f"sources has {len(rows[0])} rows and targets {len(rows[1])}")
    if not rows[0]:
        raise UsageError("sources is empty; a batch has a row at least")
    source, source_lengths = _padded(rows[0])
    target, target_lengths = _padded([[*row, EOS] for row in rows[1]])
    ids = np.arange(first, first + len(rows[0]), dtype=np.int32)
    ones = np.ones(len(ids), np.float32)
    arrays = (source, source_lengths, target, target_lengths, ids, ones)
    return Batch(*map(jnp.asarray, arrays))


def loss(
    params: Any, model: Model, batch: Batch, objective: str | Objective = "nll"
) -> Array:
    """An objective, teacher-forced and without dropout: its mean over the targets.

        sum_bt w_b loss_bt / sum_b w_b T_b

    for T_b tokens, EOS counted, and w_b = `batch.weights`: a row of weight 0 does not
    count. Differentiable in `params`.

    Args:
      params: of the model.
      model: that reads the sources.
      batch: from `batch`.
      objective: a spec, e.g. `label_smoothing:epsilon=0.1` or `FILE.py:name`, or a
        function `objective(output, batch) -> [B, T]`, in nats for each token.

    Returns:
      [] float32, in nats per token.

    Raises:
      UsageError: what is no batch, an unknown objective, or one that returns no loss
        for each token.

    >>> import jax
    >>> from s2sjax import ModelConfig, Seq2Seq
    >>> model = Seq2Seq(ModelConfig(units=8), source=14, target=14)
    >>> params = model.init(jax.random.key(0))
    >>> pair = batch([[4, 5]], [[5, 4]])
    >>> smoothed = loss(params, model, pair, "label_smoothing:epsilon=0.1")
    >>> bool(loss(params, model, pair) == nll(params, model, pair) != smoothed)
    True
    """
    if not isinstance(batch, Batch):
        raise UsageError(f"batch is of {type(batch).__name__}; s2s.batch makes one")
    if isinstance(objective, str):
        objective = objectives.objective(objective, model.readout.kind)
    readout = model.readout
    inputs = readout.gold(batch)
    output = apply(model, params, batch.source, batch.source_lengths, inputs)
    weights, counted = token_weights(readout, batch, None)
    total = jnp.sum(objectives.losses(objective, readout, output, batch) * weights)
    return total / jnp.where(counted > 0, counted, 1)


def nll(params: Any, model: Model, batch: Batch) -> Array:
    """The negative log-likelihood of the targets, per token, in nats; see `loss`.

        - sum_bt log p(y_bt | y_b1 .. y_b,t-1, x_b) / (number of tokens, EOS counted)

    >>> import jax
    >>> from s2sjax import ModelConfig, Seq2Seq
    >>> model = Seq2Seq(ModelConfig(units=8), source=14, target=14)
    >>> params, pair = model.init(jax.random.key(0)), batch([[4, 5]], [[5, 4]])
    >>> value, grads = jax.value_and_grad(nll)(params, model, pair)
    >>> bool(value > 0)
    True
    """
    return loss(params, model, batch)


def _rows(name: str, rows: Any, size: int | None) -> list[list[int]]:
    """Rows of ids, checked: whole numbers that are symbols, below `size`."""
    try:
        listed = [[operator.index(each) for each in row] for row in rows]
    except TypeError:
        raise UsageError(
            f"{name} is no list of rows of whole numbers, e.g. [[4, 5, 6], [7]]"
        ) from None
    for number, row in enumerate(listed):
        for each in row:
            if each < UNK or (size is not None and each >= size):
                most = " and more" if size is None else f" to {size - 1}"
                raise UsageError(
                    f"{name}[{number}] holds {each}; ids of symbols are {UNK}{most}, "
                    f"and batch() adds padding and EOS itself"
                )
    return listed


def _padded(rows: Sequence[Sequence[int]]) -> tuple[np.ndarray, np.ndarray]:
    """Rows in an array as wide as the longest (1 at least), and their lengths."""
    lengths = np.array([len(row) for row in rows], np.int32)
    padded = np.full((len(rows), max([1, *map(len, rows)])), PAD, np.int32)
    for place, row in enumerate(rows):
        padded[place, : len(row)] = row
    return padded, lengths
