"""What a strategy wrote for every example, and what should have been written."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from s2sjax import outcomes
from s2sjax.benchmark.examples import Chunk
from s2sjax.benchmark.timing import Implementation, decode_all
from s2sjax.inference.batches import Passed, unwatched
from s2sjax.inference.system import System, force
from s2sjax.types import Hypotheses


class Outputs(NamedTuple):
    """The n-best lists of all E examples; arrays of numpy."""

    tokens: np.ndarray  # [E, N, T] int32
    lengths: np.ndarray  # [E, N] int32, EOS counted
    valid: np.ndarray  # [E, N] bool
    truncated: np.ndarray  # [E, N] bool
    log_probs: np.ndarray  # [E, N] float32, under the model
    proved: np.ndarray | None  # [E, N] bool, where the search says whether it is exact

    def same(self, place: int, tokens: np.ndarray) -> bool:
        """Whether the best output of an example has these tokens, padding aside."""
        ours = self.tokens[place, 0]
        width = max(len(ours), len(tokens))
        return bool(
            np.array_equal(
                np.pad(ours, (0, width - len(ours))),
                np.pad(tokens, (0, width - len(tokens))),
            )
        )


class References(NamedTuple):
    """The right outputs of all E examples; arrays of numpy."""

    source: np.ndarray  # [E, S] int32
    tokens: np.ndarray  # [E, T] int32
    lengths: np.ndarray  # [E] int32, EOS counted
    log_probs: np.ndarray  # [E] float32, under the model
    further: outcomes.References | None = None  # that are right too


def outputs(
    implementation: Implementation, chunks: Sequence[Chunk], passed: Passed = unwatched
) -> Outputs:
    """Decodes all examples, once; `passed` is told how many batches are done."""
    hypotheses: list[Hypotheses] = decode_all(implementation, chunks, passed)

    def column(pick: Any) -> np.ndarray:
        return _in_order([pick(each) for each in hypotheses], chunks)

    return Outputs(
        column(lambda each: each.tokens),
        column(lambda each: each.lengths),
        column(lambda each: each.valid),
        column(lambda each: each.truncated),
        column(lambda each: each.aux["logprob"]),
        column(lambda each: each.aux["proved"])
        if "proved" in hypotheses[0].aux
        else None,
    )


def references(
    system: System,
    chunks: Sequence[Chunk],
    further: outcomes.References | None = None,
) -> References:
    """What stands in the data, and how probable it is to the model."""
    forced = [np.asarray(force(system, chunk.batch).log_probs) for chunk in chunks]
    batches = [chunk.batch for chunk in chunks]
    return References(
        _in_order([np.asarray(batch.source) for batch in batches], chunks),
        _in_order([np.asarray(batch.target) for batch in batches], chunks),
        _in_order([np.asarray(batch.target_lengths) for batch in batches], chunks),
        _in_order([each.sum(axis=1) for each in forced], chunks),
        further,
    )


def _in_order(parts: Sequence[np.ndarray], chunks: Sequence[Chunk]) -> np.ndarray:
    """Rows of all batches by example, the last axis padded to the widest."""
    width = max(part.shape[-1] for part in parts)
    rows: dict[int, np.ndarray] = {}
    for part, chunk in zip(parts, chunks, strict=True):
        if part.ndim > 1:
            missing = (0, width - part.shape[-1])
            part = np.pad(part, [*((0, 0),) * (part.ndim - 1), missing])
        for row in range(chunk.examples):
            rows[int(chunk.places[row])] = part[row]
    return np.stack([rows[place] for place in range(len(rows))])
