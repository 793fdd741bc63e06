"""Metrics as per-example sums and counts, divided once.

Free-running numbers (`exact`, `token_accuracy`, `edit_distance`) compare what a model
wrote by itself with the reference. Teacher-forced ones (`nll`,
`forced_token_accuracy`) have other names. Denominators count reference tokens, so that
a short output cannot raise a score.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from s2sjax.types import EOS, UNK


def edit_distance(
    source: Array, source_lengths: Array, target: Array, target_lengths: Array
) -> Array:
    """Levenshtein distances between rows, in insertions, deletions, substitutions.

        d[i, j] = min(d[i-1, j] + 1, d[i, j-1] + 1, d[i-1, j-1] + [s_i != t_j])

    A row of d is computed at once: the insertions along it are a running minimum of
    d[i, j] - j.

    Shapes: [B, S], [B], [B, T], [B] -> [B] int32.
    """
    return jax.vmap(_edit_distance)(source, source_lengths, target, target_lengths)


def _edit_distance(source: Array, n: Array, target: Array, m: Array) -> Array:
    columns = jnp.arange(target.shape[0] + 1)

    def row(above: Array, symbol_and_index: tuple[Array, Array]) -> tuple[Array, None]:
        symbol, index = symbol_and_index
        replaced = above[:-1] + (target != symbol)
        best = jnp.minimum(above[1:] + 1, replaced)
        best = jnp.concatenate([above[:1] + 1, best])
        best = lax.cummin(best - columns) + columns
        return jnp.where(index < n, best, above), None

    last, _ = lax.scan(row, columns, (source, jnp.arange(source.shape[0])))
    return last[m]


@dataclass(frozen=True, eq=False)
class Rows:
    """N sequences, one after another: a long one does not make the others longer.

    >>> rows = Rows.of(np.array([[4, 5, 2], [6, 2, 0]]), np.array([2, 1]))
    >>> rows.tokens.tolist(), rows.tolist()
    ([4, 5, 6], [[4, 5], [6]])
    """

    tokens: np.ndarray  # [sum of lengths] int32
    lengths: np.ndarray  # [N] int32

    @staticmethod
    def of(padded: np.ndarray, lengths: np.ndarray) -> "Rows":
        """From an array [N, W] whose rows go on with something else."""
        return Rows(padded[np.arange(padded.shape[1]) < lengths[:, None]], lengths)

    @property
    def starts(self) -> np.ndarray:
        """Where each sequence begins, [N]."""
        return np.cumsum(self.lengths, dtype=np.int64) - self.lengths

    def tolist(self) -> list[list[int]]:
        """The sequences as lists."""
        parts = np.split(self.tokens, self.starts[1:]) if len(self.lengths) else []
        return [part.tolist() for part in parts]


class Outcomes(NamedTuple):
    """What became of N examples; arrays of numpy. `of` makes one of padded arrays."""

    output: Rows  # symbols without EOS, free-running
    truncated: np.ndarray  # [N] bool
    target: Rows  # symbols without EOS
    edits: np.ndarray  # [N] int32, edit distance between the symbols
    scores: np.ndarray  # [N] float32, of the hypotheses
    log_probs: np.ndarray  # [N] float32, of the hypotheses, in nats, EOS included
    nll: np.ndarray  # [N] float32, nats, teacher-forced, EOS included
    forced_correct: np.ndarray  # [N] int32, tokens right when forced, EOS included

    @classmethod
    def of(
        cls,
        output: np.ndarray,
        output_lengths: np.ndarray,
        truncated: np.ndarray,
        target: np.ndarray,
        target_lengths: np.ndarray,
        *numbers: np.ndarray,
    ) -> "Outcomes":
        """Outcomes of outputs [N, U] and targets [N, T] of such lengths without EOS.

        `numbers` are the others, in their order.
        """
        return cls(
            Rows.of(output, output_lengths),
            truncated,
            Rows.of(target, target_lengths),
            *numbers,
        )

    @property
    def output_lengths(self) -> np.ndarray:
        """Symbols without EOS, [N]."""
        return self.output.lengths

    @property
    def target_lengths(self) -> np.ndarray:
        """Symbols without EOS, [N]."""
        return self.target.lengths


def concatenate(parts: list[Outcomes]) -> Outcomes:
    """Joins outcomes."""

    def join(columns: tuple[Any, ...]) -> Any:
        if isinstance(columns[0], Rows):
            return Rows(
                np.concatenate([rows.tokens for rows in columns]),
                np.concatenate([rows.lengths for rows in columns]),
            )
        return np.concatenate(columns)

    return Outcomes(*map(join, zip(*parts, strict=True)))


def is_exact(outcomes: Outcomes) -> np.ndarray:
    """Which outputs ended by themselves and are the reference, [N] bool."""
    return (outcomes.edits == 0) & ~outcomes.truncated


def written(outcomes: Outcomes) -> np.ndarray:
    """What stands in each output at each position of its target, EOS past its end.

    Shapes: -> [sum of target lengths], like `outcomes.target.tokens`.
    """
    output, target = outcomes.output, outcomes.target
    positions = _positions(target)
    within = positions < np.repeat(output.lengths, target.lengths)
    places = np.repeat(output.starts, target.lengths) + positions
    came = np.full_like(target.tokens, EOS)
    came[within] = output.tokens[places[within]]
    return came


def _positions(rows: Rows) -> np.ndarray:
    """Of each token in its sequence, from 0 on, like `rows.tokens`."""
    return np.arange(len(rows.tokens)) - np.repeat(rows.starts, rows.lengths)


def correct_positions(outcomes: Outcomes) -> np.ndarray:
    """Which target positions hold the right symbol, bool, like `target.tokens`.

    An unknown symbol in a reference is never right: nobody knows what it was.
    """
    wanted = outcomes.target.tokens
    return (written(outcomes) == wanted) & (wanted != UNK)


def summary(outcomes: Outcomes) -> dict[str, Any]:
    """The headline numbers; see the module for what each counts.

    `exact` is the share of outputs that end by themselves and equal the reference.
    `token_accuracy` compares position by position and `edit_distance` counts edits,
    both over reference symbols without EOS. `nll` (nats) and `forced_token_accuracy`
    are teacher-forced, over reference tokens with EOS.
    """
    examples = len(outcomes.edits)
    correct = correct_positions(outcomes)
    symbols = max(int(outcomes.target_lengths.sum()), 1)
    tokens = max(int(outcomes.target_lengths.sum()) + examples, 1)
    return {
        "examples": examples,
        "exact": float(is_exact(outcomes).sum() / max(examples, 1)),
        "token_accuracy": float(correct.sum() / symbols),
        "edit_distance": float(outcomes.edits.sum() / symbols),
        "nll": float(outcomes.nll.astype(np.float64).sum() / tokens),
        "forced_token_accuracy": float(outcomes.forced_correct.sum() / tokens),
        "truncated": float(outcomes.truncated.sum() / max(examples, 1)),
    }


def by_length(outcomes: Outcomes) -> dict[str, dict[str, float]]:
    """Exact match and count for each target length (symbols without EOS)."""
    exact = is_exact(outcomes)
    return {
        str(length): {
            "count": int((outcomes.target_lengths == length).sum()),
            "exact": float(exact[outcomes.target_lengths == length].mean()),
        }
        for length in np.unique(outcomes.target_lengths)
    }


def by_position(outcomes: Outcomes) -> dict[str, dict[str, float]]:
    """Count and free-running accuracy of each position of the references, from 1 on.

    A position past the end of an output is wrong; EOS is no position.
    """
    positions = _positions(outcomes.target)
    counts = np.bincount(positions)
    right = np.bincount(positions[correct_positions(outcomes)], minlength=len(counts))
    return {
        str(position): {"count": int(count), "accuracy": int(correct) / int(count)}
        for position, (count, correct) in enumerate(
            zip(counts, right, strict=True), start=1
        )
    }


def by_symbol(outcomes: Outcomes) -> dict[int, dict[str, float]]:
    """Count and free-running accuracy of each reference symbol, by token id."""
    wanted = outcomes.target.tokens
    size = int(wanted.max(initial=0)) + 1
    counts = np.bincount(wanted, minlength=size)
    right = np.bincount(wanted[correct_positions(outcomes)], minlength=size)
    return {
        int(token): {
            "count": int(counts[token]),
            "accuracy": float(right[token] / counts[token]),
        }
        for token in np.nonzero(counts)[0]
        if token != EOS
    }


def confusion(outcomes: Outcomes) -> dict[int, dict[int, int]]:
    """How often each reference symbol came out as which, position by position.

    Token id -> written token id -> count. A position past the output's end counts as
    EOS.
    """
    table: dict[int, dict[int, int]] = {}
    pairs, counts = np.unique(
        np.stack([outcomes.target.tokens, written(outcomes)]),
        axis=1,
        return_counts=True,
    )
    for (token, came), count in zip(pairs.T, counts, strict=True):
        table.setdefault(int(token), {})[int(came)] = int(count)
    return table
