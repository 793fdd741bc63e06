"""Metrics as per-example sums and counts, divided once.

Free-running numbers (`exact`, `token_accuracy`, `edit_distance`) compare what a model
wrote by itself with the reference. Teacher-forced ones (`nll`,
`forced_token_accuracy`) have other names. Denominators count reference tokens, so that
a short output cannot raise a score.
"""

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


class Outcomes(NamedTuple):
    """What became of N examples; arrays of numpy."""

    output: np.ndarray  # [N, U] int32, free-running, EOS and PAD after the symbols
    output_lengths: np.ndarray  # [N] int32, symbols without EOS
    truncated: np.ndarray  # [N] bool
    target: np.ndarray  # [N, T] int32
    target_lengths: np.ndarray  # [N] int32, symbols without EOS
    edits: np.ndarray  # [N] int32, edit distance between the symbols
    scores: np.ndarray  # [N] float32, of the hypotheses
    nll: np.ndarray  # [N] float32, nats, teacher-forced, EOS included
    forced_correct: np.ndarray  # [N] int32, tokens right when forced, EOS included


def concatenate(parts: list[Outcomes]) -> Outcomes:
    """Joins outcomes of different widths."""

    def join(name: str) -> np.ndarray:
        arrays = [getattr(part, name) for part in parts]
        if arrays[0].ndim == 1:
            return np.concatenate(arrays)
        width = max(a.shape[1] for a in arrays)
        padded = [np.pad(a, ((0, 0), (0, width - a.shape[1]))) for a in arrays]
        return np.concatenate(padded)

    return Outcomes(*(join(name) for name in Outcomes._fields))


def is_exact(outcomes: Outcomes) -> np.ndarray:
    """Which outputs ended by themselves and are the reference, [N] bool."""
    return (outcomes.edits == 0) & ~outcomes.truncated


def correct_positions(outcomes: Outcomes) -> tuple[np.ndarray, np.ndarray]:
    """Which target positions hold the right symbol, and which are real, [N, T].

    An unknown symbol in a reference is never right: nobody knows what it was.
    """
    target = outcomes.target
    real = np.arange(target.shape[1])[None] < outcomes.target_lengths[:, None]
    output = np.full_like(target, -1)
    width = min(target.shape[1], outcomes.output.shape[1])
    output[:, :width] = outcomes.output[:, :width]
    written = np.arange(target.shape[1])[None] < outcomes.output_lengths[:, None]
    return (output == target) & (target != UNK) & real & written, real


def summary(outcomes: Outcomes) -> dict[str, Any]:
    """The headline numbers; see the module for what each counts.

    `exact` is the share of outputs that end by themselves and equal the reference.
    `token_accuracy` compares position by position and `edit_distance` counts edits,
    both over reference symbols without EOS. `nll` (nats) and `forced_token_accuracy`
    are teacher-forced, over reference tokens with EOS.
    """
    examples = len(outcomes.edits)
    correct, _ = correct_positions(outcomes)
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


def by_symbol(outcomes: Outcomes) -> dict[int, dict[str, float]]:
    """Count and free-running accuracy of each reference symbol, by token id."""
    correct, real = correct_positions(outcomes)
    size = int(outcomes.target.max(initial=0)) + 1
    counts = np.bincount(outcomes.target[real], minlength=size)
    right = np.bincount(outcomes.target[correct], minlength=size)
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
    _, real = correct_positions(outcomes)
    width = outcomes.target.shape[1]
    output = np.full_like(outcomes.target, EOS)
    shared = min(width, outcomes.output.shape[1])
    output[:, :shared] = outcomes.output[:, :shared]
    written = np.arange(width)[None] < outcomes.output_lengths[:, None]
    output = np.where(written, output, EOS)
    table: dict[int, dict[int, int]] = {}
    pairs, counts = np.unique(
        np.stack([outcomes.target[real], output[real]]), axis=1, return_counts=True
    )
    for (token, came), count in zip(pairs.T, counts, strict=True):
        table.setdefault(int(token), {})[int(came)] = int(count)
    return table
