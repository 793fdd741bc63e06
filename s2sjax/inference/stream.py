"""Sequences that are read input after input, each answered at once.

What is kept of what was read are the states of an aligned model of one direction, so
that a stream may be longer than any memory.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from s2sjax import environment
from s2sjax.config import Config
from s2sjax.decoding.base import log_probs
from s2sjax.decoding.ensemble import COMBINATIONS
from s2sjax.errors import UsageError
from s2sjax.inference.load import Trained
from s2sjax.inference.system import System
from s2sjax.models.base import States
from s2sjax.models.labeller import Aligned
from s2sjax.models.seq2seq import apply
from s2sjax.tasks.task import encode_source
from s2sjax.tasks.vocabulary import Symbol, symbols_of
from s2sjax.types import EOS, Numbers

CHUNK = 64  # inputs that one call of the program takes, at the most


class Said(NamedTuple):
    """What is said at each input of a chunk; zeros beyond those that it has."""

    tokens: Array  # [CHUNK] int32, the most probable
    log_probs: Array  # [CHUNK] float32, of them, in nats


class Answer(NamedTuple):
    """What is said of one input."""

    symbol: Symbol
    logprob: float  # in nats


def check(config: Config) -> None:
    """Refuses a model that cannot answer before it has read everything.

    Raises:
      UsageError: it has a decoder, is of one answer, or reads backwards too.
    """
    model = config.model
    if model.architecture != "aligned":
        raise UsageError(
            f"model.architecture={model.architecture} answers when it has read a whole "
            f"source; a stream is answered input by input, by aligned"
        )
    if model.bidirectional:
        raise UsageError(
            "model.bidirectional=true reads from the end of a source too, which a "
            "stream does not have; train with false, and model.lookahead=N for what "
            "comes after"
        )


def check_symbols(what: str, system: System) -> None:
    """Refuses numbers on either side, for what takes symbols.

    Raises:
      UsageError: the model reads or writes them.
    """
    sides = {"reads": system.models[0].source, "writes": system.models[0].target}
    for verb, side in sides.items():
        if isinstance(side, Numbers):
            raise UsageError(f"{what} is of symbols; this model {verb} numbers")


def streams(config: Config) -> bool:
    """Whether a model can."""
    model = config.model
    return model.architecture == "aligned" and not model.bidirectional


def start(system: System) -> tuple[States, ...]:
    """The states of all models before the first input of one sequence."""
    return tuple(model.start(1) for model in _aligned(system))


@jax.jit
def advance(
    system: System, states: tuple[States, ...], source: Array, count: Array
) -> tuple[tuple[States, ...], Said]:
    """Reads `count` inputs of one sequence on, those of `source` [CHUNK].

    One input after another, of one sequence, in one program for all: a product of more
    rows at once may round otherwise, by how many there are and by which of them it is.
    So neither how a sequence is cut nor what is read beside it changes a bit.
    """

    def body(place: Array, carry: Any) -> Any:
        states, said = carry
        states, logits = _step(system, states, source[place][None, None])
        each = log_probs(logits[0, 0])
        now = Said(jnp.argmax(each).astype(jnp.int32), jnp.max(each))
        return states, jax.tree.map(
            lambda all_, one: all_.at[place].set(one), said, now
        )

    empty = Said(jnp.zeros(CHUNK, jnp.int32), jnp.zeros(CHUNK))
    return lax.fori_loop(0, count, body, (states, empty))


def _step(
    system: System, states: tuple[States, ...], x: Array
) -> tuple[tuple[States, ...], Array]:
    """One input [1, 1] of all models: the next states, and logits [1, 1, V]."""
    one = jnp.ones(1, jnp.int32)
    new, logits = zip(
        *(
            apply(model, params, before, x, one, method="advance")
            for model, params, before in zip(
                system.models, system.params, states, strict=True
            )
        ),
        strict=True,
    )
    if not logits[1:]:
        return new, logits[0]
    combine = COMBINATIONS[system.config.decode.ensemble]
    return new, combine(jnp.stack([log_probs(each) for each in logits]))


def _aligned(system: System) -> Sequence[Aligned]:
    models = []
    for model in system.models:
        assert isinstance(model, Aligned)
        models.append(model)
    return models


class Row(NamedTuple):
    """One of the sequences, as far as it was read."""

    states: tuple[States, ...]
    read: int = 0  # inputs


@dataclasses.dataclass(frozen=True, repr=False)
class Stream:
    """Sequences as far as they were read; `Run.stream` gives one at their beginnings.

    It is a record: reading on gives another one, and this one can be read on again.

    Attributes:
      trained: the run, or several that answer together.
      rows: the sequences.
      say: is told of symbols that are not known.
    """

    trained: Trained
    rows: tuple[Row, ...]
    say: Callable[[str], None]

    @classmethod
    def of(cls, trained: Trained, batch: int, say: Callable[[str], None]) -> "Stream":
        """The beginnings of `batch` sequences.

        Raises:
          UsageError: the model cannot answer input by input; see `check`.
        """
        check(trained.config)
        check_symbols("stream", trained.system)
        return cls(trained, (Row(start(trained.system)),) * batch, say)

    def __repr__(self) -> str:
        read = ", ".join(str(row.read) for row in self.rows)
        return f"Stream({self.trained.path}: {read} inputs read)"

    def step(self, x: Any) -> tuple["Stream", Any]:
        """Reads on.

        Args:
          x: the next symbol, or some of them, a list or a text. Of a stream of several
            sequences a list of such, one for each; they need not be equally many.

        Returns:
          The stream after them, and a list with an `Answer` for each input, of several
          sequences a list of lists. With `model.lookahead=N` an input is answered by
          the N-th after it: the first N have no answer yet.

        Raises:
          UsageError: symbols outside an integer vocabulary, or another number of rows.
        """
        if len(self.rows) == 1:
            rows, where = [x], ["x"]
        else:
            rows, where = list(x), [f"x[{place}]" for place in range(len(self.rows))]
            if len(rows) != len(self.rows):
                raise UsageError(
                    f"x has {len(rows)} rows; this stream is of {len(self.rows)}"
                )
        ids = [self._ids(*each) for each in zip(where, rows, strict=True)]
        return self._read(ids)

    def finish(self) -> tuple["Stream", Any]:
        """Ends the sequences: what is left to be said of them, as `step` has it.

        The stream that comes back is at the beginning of others.
        """
        ahead = self.trained.config.model.lookahead
        _, said = self._read([[EOS] * ahead] * len(self.rows))
        begun = Row(start(self.trained.system))
        return dataclasses.replace(self, rows=(begun,) * len(self.rows)), said

    def _ids(self, where: str, x: Any) -> list[int]:
        task = self.trained.task
        given = [x] if isinstance(x, int) and not isinstance(x, bool) else x
        symbols = symbols_of(where, given, task.source_vocabulary)
        ids, strange = encode_source(task, symbols)
        if strange:
            listed = ", ".join(map(repr, strange))
            self.say(f"not in the vocabulary, read as unknown: {listed}")
        return ids

    def _read(self, ids: Sequence[Sequence[int]]) -> tuple["Stream", Any]:
        with environment.precision(self.trained.config.train.precision):
            pairs = [self._read_row(*each) for each in zip(self.rows, ids, strict=True)]
        rows, said = zip(*pairs, strict=True)
        stream = dataclasses.replace(self, rows=rows)
        return stream, list(said) if len(said) > 1 else said[0]

    def _read_row(self, row: Row, ids: Sequence[int]) -> tuple[Row, list[Answer]]:
        states, read = row
        target, said = self.trained.task.target_vocabulary, list[Answer]()
        skipped = max(self.trained.config.model.lookahead - read, 0)
        for first in range(0, len(ids), CHUNK):
            some = ids[first : first + CHUNK]
            source = np.full(CHUNK, EOS, np.int32)
            source[: len(some)] = some
            states, now = advance(
                self.trained.system, states, source, np.int32(len(some))
            )
            tokens, numbers = (np.asarray(leaf)[: len(some)].tolist() for leaf in now)
            said += map(Answer, target.decode(tokens), numbers)
        return Row(states, read + len(ids)), said[skipped:]
