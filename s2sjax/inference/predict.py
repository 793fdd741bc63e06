"""Inference on inputs of one's own: queries in, n-best lists out, in the same order."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from s2sjax.errors import UsageError
from s2sjax.inference.batches import (
    Chunk,
    Passed,
    chunks,
    each_batch,
    padded,
    unwatched,
)
from s2sjax.inference.system import (
    System,
    batch_rows,
    code,
    decode,
    encode,
    force,
    output_lengths,
    symbol_lengths,
)
from s2sjax.models.labeller import Labeller
from s2sjax.models.sides import vocabulary
from s2sjax.tasks.levels import Feature
from s2sjax.tasks.task import Task, encode_source
from s2sjax.types import EOS, PAD, Batch

Result = TypeVar("Result")


class Query(NamedTuple):
    """An input, and what is asked of its output.

    All are symbols, as a person gives them, or token ids, as `encoded` returns them.
    """

    source: Sequence[Any]
    output: Sequence[Any] | None = None  # the one that is to be scored
    prefix: Sequence[Any] = ()  # how the output begins
    required: Sequence[Sequence[Any]] = ()  # phrases that stand in it
    banned: Sequence[Any] = ()  # symbols that do not
    where: str = ""  # it comes from, for messages, e.g. "--from_file=a.jsonl:3"
    features: Sequence[str] = ()  # tags beside the source; ids hold them already


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
    code: np.ndarray | None  # [latent], where there is such a bottleneck


def encoded(
    query: Query, task: Task, warn: Callable[[str], None] = lambda line: None
) -> Query:
    """A query of symbols in token ids.

    Args:
      query: what a person gives.
      task: whose symbols they are.
      warn: takes a line that names symbols of a text that are not known.

    Raises:
      UsageError: an unknown symbol where they are integers, or in a constraint;
        or constraints that contradict each other.
    """
    target = task.target_vocabulary
    try:
        source, strange = encode_source(task, query.source, query.features)
        tags = [symbol for symbol in strange if isinstance(symbol, Feature)]
        if len(strange) > len(tags):
            hint = task.source_vocabulary.known_form(list(query.source))
            listed = _listed(strange[len(tags) :])
            warn(f"not in the vocabulary, read as unknown: {listed}{hint}")
        if tags:
            listed = ", ".join(tag.name for tag in tags)
            warn(f"features that training had not, read as an unknown one: {listed}")
        output = None
        if query.output is not None:
            output, strange = target.encode(query.output)
            if strange and target.kind == "integer":
                raise UsageError(
                    f"'output' holds {', '.join(map(str, strange))}; symbols are "
                    f"{target.described()}"
                )
            if strange:
                warn(f"not in the vocabulary, scored as unknown: {_listed(strange)}")
        for symbol in (*query.prefix, *sum(map(tuple, query.required), ())):
            if symbol in query.banned:
                raise UsageError(f"{symbol!r} is banned and asked for as well")
        return Query(
            source,
            output,
            target.encode_known(query.prefix),
            [target.encode_known(phrase) for phrase in query.required],
            target.encode_known(query.banned),
            query.where,
        )
    except UsageError as error:
        raise UsageError(f"{query.where}: {error}" if query.where else error) from None


def predict(
    system: System,
    queries: Sequence[Query],
    *,
    attention: bool = False,
    states: bool = False,
    width: int = 0,
    passed: Passed = unwatched,
) -> list[list[Hypothesis]]:
    """An n-best list for every query, best first; `passed` is told how far it is.

    With `attention` and `states`, hypotheses have theirs. Queries are of token ids.

    Inputs are decoded in batches, of one compiled program per width. A batch is filled
    up to the configured size (or to the power of two that holds all inputs, or fewer
    where inputs are long), and sources are padded to powers of two, to `width` at
    least.

    Raises:
      UsageError: a query whose constraints cannot be met.
    """
    _check(system, queries)
    constraints = _Constraints.of(queries, vocabulary(system.models[0].target))

    def of_batch(batch: Batch, rows: Sequence[Query]) -> list[list[Hypothesis]]:
        hypotheses = decode(
            system,
            batch.source,
            batch.source_lengths,
            batch.ids,
            **constraints.arrays(rows, len(batch.ids)),
            per_token=attention or states,
            states=states,
        )
        lengths = np.asarray(symbol_lengths(hypotheses))
        hypotheses = jax.tree.map(np.asarray, hypotheses)
        return [
            _nbest(hypotheses, lengths, row, len(query.source), attention=attention)
            for row, query in enumerate(rows)
        ]

    return _in_batches(system, queries, of_batch, passed, width)


def with_token_logprobs(
    system: System,
    queries: Sequence[Query],
    nbests: Sequence[Sequence[Hypothesis]],
    passed: Passed = unwatched,
) -> list[list[Hypothesis]]:
    """What `predict` found, with the log-probability of each token under the model.

    They add up to `logprob`, within rounding.
    """
    written = [
        Query(query.source, hypothesis.output)
        for query, nbest in zip(queries, nbests, strict=True)
        for hypothesis in nbest
    ]
    scored = iter(score(system, written, passed))

    def with_tokens(hypothesis: Hypothesis) -> Hypothesis:
        tokens = next(scored)
        return hypothesis._replace(
            token_logprobs=tokens[:-1] if hypothesis.truncated else tokens
        )

    return [[with_tokens(hypothesis) for hypothesis in nbest] for nbest in nbests]


def encode_sources(
    system: System, sources: Sequence[Sequence[int]]
) -> list[EncodedSource]:
    """What the first model's encoder makes of every input."""

    def of_batch(batch: Batch, rows: Sequence[Query]) -> list[EncodedSource]:
        encoded = encode(system, batch.source, batch.source_lengths)
        codes = None
        if system.config.model.latent:
            codes = np.asarray(code(system, encoded))
        encoded = jax.tree.map(np.asarray, encoded)
        return [
            EncodedSource(
                encoded.memory[row, : len(query.source)],
                [
                    [[part[row] for part in state] for state in directions]
                    for directions in encoded.states
                ],
                None if codes is None else codes[row],
            )
            for row, query in enumerate(rows)
        ]

    return _in_batches(system, [Query(source) for source in sources], of_batch)


def score(
    system: System, queries: Sequence[Query], passed: Passed = unwatched
) -> list[np.ndarray]:
    """The log-probability of each token of given outputs, their end last, for every
    query; of models without a decoder there is no end.

    Args:
      system: the models.
      queries: token ids of sources and outputs, EOS left out.
      passed: is told how far it is.

    Returns:
      [output length + 1] float32 for each, in nats.

    Raises:
      UsageError: an output of another length than the models' outputs have.
    """
    if not system.ends:
        _check_outputs(system, queries)

    def of_batch(batch: Batch, rows: Sequence[Query]) -> list[np.ndarray]:
        forced = np.asarray(force(system, batch).log_probs)
        return [
            forced[row, : len(query.output or ()) + system.ends]
            for row, query in enumerate(rows)
        ]

    return _in_batches(system, queries, of_batch, passed)


def _in_batches(
    system: System,
    queries: Sequence[Query],
    of_batch: Callable[[Batch, Sequence[Query]], list[Result]],
    passed: Passed = unwatched,
    width: int = 0,
) -> list[Result]:
    """`of_batch` of all queries, in batches of one shape each; order is restored."""
    results: dict[int, Result] = {}

    def waiting() -> None:
        passed(len(results), len(queries))

    waiting()
    by_shape: dict[tuple[int, int], list[int]] = {}
    for place, query in enumerate(queries):
        target = 1 if query.output is None else max(len(query.output) + 1, 8)
        shape = _power_of_two(max(len(query.source), width, 8)), _power_of_two(target)
        by_shape.setdefault(shape, []).append(place)

    def of_chunk(shape: tuple[int, int], chunk: Chunk) -> list[Result]:
        rows = [queries[place] for place in chunk.rows[: chunk.examples]]
        size = len(chunk.rows)
        arrays = (
            *padded([query.source for query in rows], size, shape[0]),
            *padded([_target(query) for query in rows], size, shape[1]),
            np.maximum(chunk.rows, 0),
            (chunk.rows >= 0).astype(np.float32),
        )
        return of_batch(Batch(*map(jnp.asarray, arrays)), rows)

    for shape, places in sorted(by_shape.items()):
        # By length, since a batch takes as many steps as its longest output; the
        # longest first, so that the cores end at about the same time.
        places.sort(key=lambda place: -len(queries[place].source))
        rows = batch_rows(system.config.decode, *shape, len(places))
        cut = chunks(places, min(rows, _power_of_two(len(queries))))
        computed = each_batch(partial(of_chunk, shape), cut, waiting)
        for chunk, each in zip(cut, computed, strict=True):
            results |= zip(chunk.rows[: chunk.examples].tolist(), each, strict=True)
            passed(len(results), len(queries))
    return [results[place] for place in range(len(queries))]


def _target(query: Query) -> Sequence[int]:
    return () if query.output is None else [*query.output, EOS]


class _Constraints(NamedTuple):
    """How much room the constraints of all queries need; 0 where nobody has such."""

    vocabulary: int
    prefix: int
    banned: int
    phrases: int
    phrase: int

    @classmethod
    def of(cls, queries: Sequence[Query], vocabulary: int) -> "_Constraints":
        phrases = [phrase for query in queries for phrase in query.required]
        return cls(
            vocabulary,
            max((len(query.prefix) for query in queries), default=0),
            max((len(query.banned) for query in queries), default=0),
            max((len(query.required) for query in queries), default=0),
            max((len(phrase) for phrase in phrases), default=0),
        )

    def arrays(self, rows: Sequence[Query], size: int) -> dict[str, jax.Array]:
        """Those of a batch, as `Request` has them."""
        constraints = {}
        if self.prefix:
            prefixes = [query.prefix for query in rows]
            constraints["prefixes"], _ = padded(prefixes, size, self.prefix)
        if self.banned:
            constraints["banned"] = np.zeros((size, self.vocabulary), bool)
            for row, query in enumerate(rows):
                constraints["banned"][row, list(query.banned)] = True
        if self.phrases:
            shape = size, self.phrases, self.phrase
            constraints["required"] = np.full(shape, PAD, np.int32)
            for row, query in enumerate(rows):
                for place, phrase in enumerate(query.required):
                    constraints["required"][row, place, : len(phrase)] = phrase
        return {name: jnp.asarray(array) for name, array in constraints.items()}


def _check_outputs(system: System, queries: Sequence[Query]) -> None:
    model = system.models[0]
    assert isinstance(model, Labeller)
    for number, query in enumerate(queries, start=1):
        wanted, came = model.outputs(len(query.source)), len(query.output or ())
        if came != wanted:
            raise UsageError(
                f"{query.where or f'input {number}'}: an output of {came} symbols; "
                f"model.architecture={model.config.architecture} says {wanted} of a "
                f"source of {len(query.source)}"
            )


def _check(system: System, queries: Sequence[Query]) -> None:
    if not system.ends:
        for number, query in enumerate(queries, start=1):
            for name in ("prefix", "required", "banned"):
                if getattr(query, name):
                    raise UsageError(
                        f"{query.where or f'input {number}'}: '{name}' is for a "
                        f"decoder, which model.architecture="
                        f"{system.config.model.architecture} does not have"
                    )
        return
    longest = max((len(query.source) for query in queries), default=0)
    most = output_lengths(system.config.decode, longest).most
    for number, query in enumerate(queries, start=1):
        room = most[len(query.source)]
        if len(query.prefix) >= room:
            raise UsageError(
                f"input {number}: a prefix of {len(query.prefix)} symbols leaves no "
                f"room: the output has at most {room} tokens, its end counted"
            )
        for phrase in query.required:
            if len(phrase) >= room:
                raise UsageError(
                    f"input {number}: a required phrase of {len(phrase)} symbols does "
                    f"not fit: the output has at most {room} tokens, its end counted"
                )


def _nbest(
    hypotheses: Any,
    symbols: np.ndarray,
    row: int,
    source_length: int,
    *,
    attention: bool,
) -> list[Hypothesis]:
    """Those of one row of `Hypotheses`, of numpy; `symbols` [B, N]: without EOS."""

    def one(place: int) -> Hypothesis:
        at, length = (row, place), hypotheses.lengths[row, place]
        return Hypothesis(
            hypotheses.tokens[at][: symbols[at]].tolist(),
            float(hypotheses.scores[at]),
            float(hypotheses.aux["logprob"][at]),
            bool(hypotheses.truncated[at]),
            {
                name: float(leaf[at])
                for name, leaf in hypotheses.aux.items()
                if leaf.ndim == 2 and name != "logprob"
            },
            hypotheses.aux["attention"][at][:length, :source_length]
            if attention and "attention" in hypotheses.aux
            else None,
            {
                name: leaf[at][:length]
                for name, leaf in hypotheses.aux.items()
                if name.startswith("decoder_")
            }
            or None,
        )

    return [one(place) for place in np.flatnonzero(hypotheses.valid[row]).tolist()]


def _listed(symbols: Sequence[Any]) -> str:
    return ", ".join(map(repr, symbols))


def _power_of_two(number: int) -> int:
    return 1 << max(number - 1, 0).bit_length()
