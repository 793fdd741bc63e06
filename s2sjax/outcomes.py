"""What became of examples: outputs beside their references, in plain arrays."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from s2sjax.types import EOS, UNK

CELLS = 2**22  # of the tables of edit distances that are filled at the same time


@dataclass(frozen=True, eq=False)
class Rows:
    """N sequences, one after another: a long one does not make the others longer.

    >>> rows = Rows.of(np.array([[4, 5, 2], [6, 2, 0]]), np.array([2, 1]))
    >>> rows.tokens.tolist(), rows.tolist(), rows.take(np.array([1])).tolist()
    ([4, 5, 6], [[4, 5], [6]], [[6]])
    """

    tokens: np.ndarray  # [sum of lengths] int32
    lengths: np.ndarray  # [N] int32

    @staticmethod
    def of(padded: np.ndarray, lengths: np.ndarray) -> "Rows":
        """From an array [N, W] whose rows go on with something else."""
        return Rows(padded[np.arange(padded.shape[1]) < lengths[:, None]], lengths)

    @staticmethod
    def from_lists(rows: "list[list[int]]") -> "Rows":
        """From lists of ids."""
        flat = [token for row in rows for token in row]
        lengths = np.array([len(row) for row in rows], np.int32)
        return Rows(np.array(flat, np.int32), lengths)

    @property
    def starts(self) -> np.ndarray:
        """Where each sequence begins, [N]."""
        return np.cumsum(self.lengths, dtype=np.int64) - self.lengths

    @property
    def positions(self) -> np.ndarray:
        """Of each token in its sequence, from 0 on, like `tokens`."""
        return np.arange(len(self.tokens)) - np.repeat(self.starts, self.lengths)

    def take(self, chosen: np.ndarray) -> "Rows":
        """The sequences of these numbers, in their order."""
        lengths = self.lengths[chosen]
        shift = np.repeat(self.starts[chosen], lengths)
        own = np.arange(len(shift)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        return Rows(self.tokens[shift + own], lengths)

    def padded(self, filler: int) -> np.ndarray:
        """An array [N, longest] whose rows go on with `filler`."""
        width = int(self.lengths.max(initial=0))
        result = np.full((len(self.lengths), width), filler, np.int64)
        result[np.arange(width) < self.lengths[:, None]] = self.tokens
        return result

    def totals(self, flat: np.ndarray) -> np.ndarray:
        """The sum over each sequence of what there is of each token, [N]."""
        total = np.concatenate([[0], np.cumsum(flat)])
        return total[self.starts + self.lengths] - total[self.starts]

    def tolist(self) -> list[list[int]]:
        """The sequences as lists."""
        parts = np.split(self.tokens, self.starts[1:]) if len(self.lengths) else []
        return [part.tolist() for part in parts]


class References(NamedTuple):
    """What the outputs of N examples could rightly be, or could be besides a target."""

    tokens: np.ndarray  # [sum of lengths] ids without EOS, one after the other
    lengths: np.ndarray  # [R] int32
    counts: np.ndarray  # [N] int32, how many of the R each example has, in their order

    @staticmethod
    def of(first: Rows, further: "References | None" = None) -> "References":
        """One of each example, and those that it has besides."""
        one = np.ones(len(first.lengths), np.int32)
        if further is None:
            return References(first.tokens, first.lengths, one)
        # Those of one example together, the first before the others.
        examples = np.arange(len(one))
        owners = np.concatenate([examples, np.repeat(examples, further.counts)])
        rows = _join((first, further.rows)).take(np.argsort(owners, kind="stable"))
        return References(rows.tokens, rows.lengths, further.counts + one)

    @staticmethod
    def joined(parts: "Sequence[References | int]") -> "References":
        """Those of one part of the examples after the other; a number stands for so
        many examples without any.

        >>> one = References(np.array([4]), np.array([1]), np.array([0, 1]))
        >>> References.joined([2, one]).counts
        array([0, 0, 0, 1])
        """
        nothing = np.zeros(0, np.int32)
        filled = (
            References(nothing, nothing, np.zeros(part, np.int32))
            if isinstance(part, int)
            else part
            for part in parts
        )
        return References(*map(_join, zip(*filled, strict=True)))

    @property
    def rows(self) -> Rows:
        """The R sequences."""
        return Rows(self.tokens, self.lengths)

    @property
    def first(self) -> Rows:
        """The first of each example, where each has one: the one that is forced."""
        return self.rows.take(np.cumsum(self.counts) - self.counts)

    @property
    def further(self) -> "References":
        """All but the first of each example, where each has one."""
        starts = np.cumsum(self.counts) - self.counts
        rows = self.rows.take(np.delete(np.arange(len(self.lengths)), starts))
        return References(rows.tokens, rows.lengths, self.counts - 1)

    def taken(self, examples: np.ndarray) -> "References | None":
        """Those of examples [n] alone; None where they have none.

        >>> counts = np.array([1, 0, 2])
        >>> three = References(np.arange(4, 9), np.array([2, 0, 3]), counts)
        >>> three.taken(np.array([2, 1]))
        References(tokens=array([6, 7, 8]), lengths=array([0, 3]), counts=array([2, 0]))
        """
        # The numbers of an example's sequences are a row of theirs.
        every = Rows(np.arange(len(self.lengths)), self.counts).take(examples)
        if not len(every.tokens):
            return None
        rows = self.rows.take(every.tokens)
        return References(rows.tokens, rows.lengths, every.lengths)

    def by_example(self) -> list[list[list[int]]]:
        """As lists: of each example its sequences."""
        rows = iter(self.rows.tolist())
        return [[next(rows) for _ in range(count)] for count in self.counts.tolist()]


class Outcomes(NamedTuple):
    """What became of N examples; arrays of numpy. `of` makes one of padded arrays."""

    output: Rows  # symbols without EOS, free-running
    truncated: np.ndarray  # [N] bool
    target: Rows  # symbols without EOS, of the reference nearest to the output
    edits: np.ndarray  # [N] int32, edit distance between the symbols
    scores: np.ndarray  # [N] float32, of the hypotheses
    log_probs: np.ndarray  # [N] float32, of the hypotheses, in nats, EOS included
    nll: np.ndarray  # [N] float32, nats, of the first reference, EOS included
    forced: np.ndarray  # bool, whether a token of the first reference, its end
    # included, would have been chosen when forced; of all examples, one after another
    ends: np.ndarray  # [N] int32, tokens that end an output: EOS, or 0 of a model that
    # writes none
    references: References  # all of them, `target` one of each

    @classmethod
    def of(
        cls,
        output: np.ndarray,
        output_lengths: np.ndarray,
        truncated: np.ndarray,
        target: np.ndarray,
        target_lengths: np.ndarray,
        edits: np.ndarray,
        scores: np.ndarray,
        log_probs: np.ndarray,
        nll: np.ndarray,
        forced: np.ndarray,
        ends: np.ndarray | None = None,
    ) -> "Outcomes":
        """Outcomes of outputs [N, U] and of one reference each, [N, T].

        Their lengths are without EOS; `forced` is [N, T] bool, their ends included,
        which are EOS unless `ends` [N] says otherwise.
        """
        if ends is None:
            ends = np.ones(len(target_lengths), np.int32)
        wanted = Rows.of(target, target_lengths)
        right = Rows.of(forced, target_lengths + ends).tokens
        return cls(
            *(Rows.of(output, output_lengths), truncated, wanted, edits),
            *(scores, log_probs, nll, right, ends),
            References.of(wanted),
        )

    @property
    def output_lengths(self) -> np.ndarray:
        """Symbols without EOS, [N]."""
        return self.output.lengths

    @property
    def target_lengths(self) -> np.ndarray:
        """Symbols without EOS, [N]."""
        return self.target.lengths

    @property
    def forced_lengths(self) -> np.ndarray:
        """Tokens that were forced, their end included, [N]."""
        return self.references.first.lengths + self.ends

    @property
    def forced_correct(self) -> np.ndarray:
        """Tokens right when forced, their end included, [N]."""
        return Rows(self.forced, self.forced_lengths).totals(self.forced)


def concatenate(parts: list[Outcomes]) -> Outcomes:
    """Joins outcomes."""
    return Outcomes(*map(_join, zip(*parts, strict=True)))


def _join(columns: tuple[Any, ...]) -> Any:
    if isinstance(columns[0], Rows):
        lengths = np.concatenate([rows.lengths for rows in columns])
        return Rows(np.concatenate([rows.tokens for rows in columns]), lengths)
    if isinstance(columns[0], References):
        return References(*map(_join, zip(*columns, strict=True)))
    return np.concatenate(columns)


def with_further(outcomes: Outcomes, further: References) -> Outcomes:
    """Outcomes whose examples have more references than the one they were made with.

    The target of each becomes the reference that is nearest to its output, the first
    of several.

    Args:
      outcomes: of N examples, each with one reference.
      further: the others.
    """
    references = References.of(outcomes.target, further)
    owners = np.repeat(np.arange(len(references.counts)), references.counts)
    edits = np.zeros(len(owners), outcomes.edits.dtype)
    is_first = np.diff(owners, prepend=-1) > 0
    edits[is_first] = outcomes.edits
    others = outcomes.output.take(owners[~is_first])
    edits[~is_first] = distances(others, further.rows)
    chosen = nearest(edits, references.counts)
    return outcomes._replace(
        target=references.rows.take(chosen), edits=edits[chosen], references=references
    )


def nearest(edits: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """For each example the place of its reference with fewest edits, or the first such.

    >>> nearest(np.array([3, 1, 1, 2]), np.array([3, 1])).tolist()
    [1, 3]
    """
    owners = np.repeat(np.arange(len(counts)), counts)
    order = np.lexsort((edits, owners))  # stable: of equal ones the first stays first
    return order[np.cumsum(counts) - counts]


def distances(output: Rows, target: Rows) -> np.ndarray:
    """Edit distances of pairs of sequences, [N]; see `decoding.similarity.edits`.

    An unknown symbol in a target equals nothing, not even an unknown one. All pairs are
    taken at once, those of like lengths together, so that few cells are padding.
    """
    found = np.zeros(len(output.lengths), np.int32)
    order = np.lexsort((output.lengths, target.lengths))
    area = (output.lengths + 1).astype(np.int64) * (target.lengths + 1)
    for part in np.split(order, _cuts(area[order])):
        found[part] = _distances(output.take(part), target.take(part))
    return found


def _cuts(area: np.ndarray) -> list[int]:
    """Where to cut so that the parts have about `CELLS` cells each."""
    return (np.flatnonzero(np.diff(np.cumsum(area) // CELLS)) + 1).tolist()


def _distances(output: Rows, target: Rows) -> np.ndarray:
    written, wanted = output.padded(-2), target.padded(-1)
    wanted = np.where(wanted == UNK, -1, wanted)
    columns = np.arange(wanted.shape[1] + 1)
    row = np.broadcast_to(columns, (len(wanted), len(columns)))
    for place in range(written.shape[1]):
        replaced = row[:, :-1] + (wanted != written[:, place, None])
        best = np.concatenate(
            [row[:, :1] + 1, np.minimum(row[:, 1:] + 1, replaced)], axis=1
        )
        new = np.minimum.accumulate(best - columns, axis=1) + columns
        row = np.where(place < output.lengths[:, None], new, row)
    return np.take_along_axis(row, target.lengths[:, None].astype(np.int64), 1)[:, 0]


def is_exact(outcomes: Outcomes) -> np.ndarray:
    """Which outputs ended by themselves and are a reference, [N] bool."""
    return (outcomes.edits == 0) & ~outcomes.truncated


def written(output: Rows, target: Rows) -> np.ndarray:
    """What stands in each output at each position of its target, EOS past its end.

    Shapes: -> [sum of target lengths], like `target.tokens`.
    """
    positions = target.positions
    within = positions < np.repeat(output.lengths, target.lengths)
    places = np.repeat(output.starts, target.lengths) + positions
    came = np.full_like(target.tokens, EOS)
    came[within] = output.tokens[places[within]]
    return came


def correct_positions(output: Rows, target: Rows) -> np.ndarray:
    """Which target positions hold the right symbol, bool, like `target.tokens`.

    An unknown symbol in a reference is never right: nobody knows what it was.
    """
    wanted = target.tokens
    return (written(output, target) == wanted) & (wanted != UNK)
