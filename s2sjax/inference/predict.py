"""What a trained model makes of inputs: batches in, n-best lists out, order kept."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from s2sjax.errors import UsageError
from s2sjax.inference.batches import Passed, each_batch, unwatched
from s2sjax.inference.system import (
    Constraints,
    System,
    batch_rows,
    decode,
    encode,
    force,
    output_lengths,
    symbol_lengths,
)
from s2sjax.types import EOS, PAD, Batch

Result = TypeVar("Result")


class Wish(NamedTuple):
    """An input, and what must and must not stand in its output; all token ids."""

    source: Sequence[int]
    prefix: Sequence[int] = ()
    banned: Sequence[int] = ()
    required: Sequence[Sequence[int]] = ()


class Hypothesis(NamedTuple):
    """One output of an n-best list."""

    output: list[int]  # token ids, EOS left out
    score: float  # the strategy's
    logprob: float  # in nats, EOS included
    truncated: bool  # cut at its limit: no EOS
    more: dict[str, float]  # what the strategy says besides, e.g. "inclusion"
    attention: np.ndarray | None  # [T, S], EOS's row last unless truncated
    states: dict[str, np.ndarray] | None = None  # [T, D] each, which wrote the tokens
    token_logprobs: np.ndarray | None = None  # [T] in nats, as `attention` has its rows


class EncodedSource(NamedTuple):
    """What the encoder makes of one input."""

    memory: np.ndarray  # [S, C], its outputs
    states: list[list[list[np.ndarray]]]  # per layer, direction and part, [D]


def predict(
    system: System,
    wishes: Sequence[Wish],
    *,
    attention: bool = False,
    states: bool = False,
    passed: Passed = unwatched,
) -> list[list[Hypothesis]]:
    """An n-best list for every input, best first; `passed` is told how far it is.

    With `attention` and `states`, hypotheses have theirs.

    Inputs are decoded in batches, of one compiled program per width. A batch is filled
    up to the configured size (or to the power of two that holds all inputs, or fewer
    where inputs are long), and sources are padded to powers of two.

    Raises:
      UsageError: an input whose wishes cannot be met.
    """
    _check(system, wishes)
    vocabulary = system.models[0].target
    shape = _Shape.of(wishes)

    def of_batch(batch: Batch, rows: Sequence[Wish]) -> list[list[Hypothesis]]:
        constraints = shape.constraints(rows, len(batch.ids), vocabulary)
        found = decode(
            system,
            batch.source,
            batch.source_lengths,
            batch.ids,
            constraints,
            per_token=attention or states,
            states=states,
        )
        written = np.asarray(symbol_lengths(found))
        found = jax.tree.map(np.asarray, found)
        return [
            _hypotheses(found, written, row, len(wish.source), attention=attention)
            for row, wish in enumerate(rows)
        ]

    sources = [wish.source for wish in wishes]
    return _in_batches(system, wishes, sources, of_batch, passed=passed)


def with_token_logprobs(
    system: System,
    wishes: Sequence[Wish],
    found: Sequence[Sequence[Hypothesis]],
    passed: Passed = unwatched,
) -> list[list[Hypothesis]]:
    """What `predict` found, with the log-probability of each token under the model.

    They add up to `logprob`, within rounding.
    """
    pairs = [
        (wish.source, hypothesis.output)
        for wish, nbest in zip(wishes, found, strict=True)
        for hypothesis in nbest
    ]
    scored = iter(score(system, pairs, passed))

    def told(hypothesis: Hypothesis) -> Hypothesis:
        tokens = next(scored)
        return hypothesis._replace(
            token_logprobs=tokens[:-1] if hypothesis.truncated else tokens
        )

    return [[told(hypothesis) for hypothesis in nbest] for nbest in found]


def encode_sources(
    system: System, sources: Sequence[Sequence[int]]
) -> list[EncodedSource]:
    """What the first model's encoder makes of every input."""

    def of_batch(batch: Batch, rows: Sequence[Any]) -> list[EncodedSource]:
        encoded = jax.tree.map(
            np.asarray, encode(system, batch.source, batch.source_lengths)
        )
        return [
            EncodedSource(
                encoded.memory[row, : len(source)],
                [
                    [[part[row] for part in state] for state in directions]
                    for directions in encoded.states
                ],
            )
            for row, source in enumerate(rows)
        ]

    return _in_batches(system, sources, sources, of_batch)


def score(
    system: System,
    pairs: Sequence[tuple[Sequence[int], Sequence[int]]],
    passed: Passed = unwatched,
) -> list[np.ndarray]:
    """The log-probability of each token of given outputs, EOS last, for every pair.

    Args:
      system: the models.
      pairs: token ids of sources and outputs, EOS left out.
      passed: is told how far it is.

    Returns:
      [output length + 1] float32 for each, in nats.
    """

    def of_batch(batch: Batch, rows: Sequence[Any]) -> list[np.ndarray]:
        forced = np.asarray(force(system, batch).log_probs)
        return [forced[row, : len(pair[1]) + 1] for row, pair in enumerate(rows)]

    sources = [source for source, _ in pairs]
    targets = [[*target, EOS] for _, target in pairs]
    return _in_batches(system, pairs, sources, of_batch, targets, passed)


def _in_batches(
    system: System,
    items: Sequence[Any],
    sources: Sequence[Sequence[int]],
    of_batch: Callable[[Batch, Sequence[Any]], list[Result]],
    targets: Sequence[Sequence[int]] | None = None,
    passed: Passed = unwatched,
) -> list[Result]:
    """`of_batch` of all items, in batches of one shape each; order kept."""
    found: dict[int, Result] = {}

    def waiting() -> None:
        passed(len(found), len(items))

    waiting()
    shapes = [
        (
            _power_of_two(max(len(source), 8)),
            _power_of_two(max(len(targets[place]), 8)) if targets else 1,
        )
        for place, source in enumerate(sources)
    ]
    for shape in sorted(set(shapes)):
        # By length, since a batch takes as many steps as its longest output; the
        # longest first, so that the cores end at about the same time.
        places = sorted(
            (place for place, its in enumerate(shapes) if its == shape),
            key=lambda place: -len(sources[place]),
        )

        size = min(
            batch_rows(system.config.decode, *shape, len(places)),
            _power_of_two(len(items)),
        )

        def of_chunk(
            chosen: Sequence[int],
            shape: tuple[int, int] = shape,
            size: int = size,
        ) -> list[Result]:
            source, lengths = _padded([sources[i] for i in chosen], size, shape[0])
            target, target_lengths = _padded(
                [targets[i] if targets else () for i in chosen], size, shape[1]
            )
            ids = np.zeros(size, np.int32)
            ids[: len(chosen)] = chosen
            weights = (np.arange(size) < len(chosen)).astype(np.float32)
            arrays = (source, lengths, target, target_lengths, ids, weights)
            batch = Batch(*map(jnp.asarray, arrays))
            return of_batch(batch, [items[i] for i in chosen])

        chunks = [places[i : i + size] for i in range(0, len(places), size)]
        computed = each_batch(of_chunk, chunks, waiting)
        for chosen, results in zip(chunks, computed, strict=True):
            found |= zip(chosen, results, strict=True)
            passed(len(found), len(items))
    return [found[place] for place in range(len(items))]


class _Shape(NamedTuple):
    """How much room the wishes of all inputs need; 0 where nobody has such a wish."""

    prefix: int
    banned: int
    phrases: int
    phrase: int

    @classmethod
    def of(cls, wishes: Sequence[Wish]) -> "_Shape":
        phrases = [phrase for wish in wishes for phrase in wish.required]
        return cls(
            max((len(wish.prefix) for wish in wishes), default=0),
            max((len(wish.banned) for wish in wishes), default=0),
            max((len(wish.required) for wish in wishes), default=0),
            max((len(phrase) for phrase in phrases), default=0),
        )

    def constraints(
        self, rows: Sequence[Wish], size: int, vocabulary: int
    ) -> Constraints:
        """The wishes of a batch as arrays; None where no input has such a wish."""
        prefixes = banned = required = None
        if self.prefix:
            prefixes, _ = _padded([wish.prefix for wish in rows], size, self.prefix)
        if self.banned:
            banned = np.zeros((size, vocabulary), bool)
            for row, wish in enumerate(rows):
                banned[row, list(wish.banned)] = True
        if self.phrases:
            required = np.full((size, self.phrases, self.phrase), PAD, np.int32)
            for row, wish in enumerate(rows):
                for place, phrase in enumerate(wish.required):
                    required[row, place, : len(phrase)] = phrase
        return Constraints(
            *(
                None if wish is None else jnp.asarray(wish)
                for wish in (prefixes, banned, required)
            )
        )


def _check(system: System, wishes: Sequence[Wish]) -> None:
    longest = max((len(wish.source) for wish in wishes), default=0)
    most = output_lengths(system.config.decode, longest).most
    for number, wish in enumerate(wishes, start=1):
        room = most[len(wish.source)]
        if len(wish.prefix) >= room:
            raise UsageError(
                f"input {number}: a prefix of {len(wish.prefix)} symbols leaves no "
                f"room: the output has at most {room} tokens, its end counted"
            )
        for phrase in wish.required:
            if len(phrase) >= room:
                raise UsageError(
                    f"input {number}: a required phrase of {len(phrase)} symbols does "
                    f"not fit: the output has at most {room} tokens, its end counted"
                )


def _hypotheses(
    found: Any, written: np.ndarray, row: int, source_length: int, *, attention: bool
) -> list[Hypothesis]:
    weights = found.aux.get("attention") if attention else None
    states = {n: leaf for n, leaf in found.aux.items() if n.startswith("decoder_")}
    return [
        Hypothesis(
            found.tokens[row, place, : written[row, place]].tolist(),
            float(found.scores[row, place]),
            float(found.aux["logprob"][row, place]),
            bool(found.truncated[row, place]),
            {
                name: float(leaf[row, place])
                for name, leaf in found.aux.items()
                if leaf.ndim == 2 and name != "logprob"
            },
            None
            if weights is None
            else weights[row, place, : found.lengths[row, place], :source_length],
            {
                name: leaf[row, place, : found.lengths[row, place]]
                for name, leaf in states.items()
            }
            or None,
        )
        for place in range(found.valid.shape[1])
        if found.valid[row, place]
    ]


def _padded(
    rows: Sequence[Sequence[int]], size: int, width: int
) -> tuple[np.ndarray, np.ndarray]:
    """Rows in an array [size, width], and their lengths."""
    padded = np.full((size, width), PAD, np.int32)
    lengths = np.zeros(size, np.int32)
    for place, row in enumerate(rows):
        padded[place, : len(row)] = row
        lengths[place] = len(row)
    return padded, lengths


def _power_of_two(number: int) -> int:
    return 1 << max(number - 1, 0).bit_length()
