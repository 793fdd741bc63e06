"""What is timed: something that decodes batches, and our own way to."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import jax

from s2sjax.benchmark.compilations import counted
from s2sjax.benchmark.examples import Chunk
from s2sjax.training.batches import Passed, at_once, unwatched
from s2sjax.training.predictor import System, decode
from s2sjax.types import Hypotheses


class Contender(Protocol):
    """What decodes a batch, with everything that is read of it on the host."""

    @property
    def at_once(self) -> int:
        """How many batches it decodes at the same time, from as many threads."""

    def decode(self, chunk: Chunk) -> Any:
        """The outputs of a batch; when it returns, there is nothing left to wait for.

        A chunk is one of those that the contender was made for.
        """


def together(
    contender: Contender, chunks: Sequence[Chunk], passed: Passed = unwatched
) -> list[Any]:
    """What a contender decodes, as many batches at the same time as it takes.

    The widest begin, as in `prediction`, so that the cores end at about the same time.
    `passed` is told how many batches are done.
    """
    found: dict[int, Any] = {}
    passed(0, len(chunks))
    if contender.at_once == 1:
        for place, chunk in enumerate(chunks):
            found[place] = contender.decode(chunk)
            passed(len(found), len(chunks))
        return list(found.values())
    order = sorted(range(len(chunks)), key=lambda at: -chunks[at].batch.source.shape[1])
    with ThreadPoolExecutor(contender.at_once) as pool:
        decoded = pool.map(contender.decode, [chunks[place] for place in order])
        for place, each in zip(order, decoded, strict=True):
            found[place] = each
            passed(len(found), len(chunks))
    return [found[place] for place in range(len(chunks))]


class Ours:
    """A strategy compiled ahead: one program for each shape, which cannot recompile.

    Attributes:
      at_once: how many batches `s2sjax eval` decodes at the same time.
      programs: the compiled programs by the shape of the sources.
      compilations: how often the compiler was asked for them.
      compile_seconds: tracing and compiling all of them.
      temporary_mib: the largest program's memory beside arguments and outputs; None
        where the compiler does not tell.
    """

    def __init__(self, system: System, chunks: Sequence[Chunk]):
        self._system = system
        self.at_once = at_once()
        self.programs: dict[tuple[int, ...], Any] = {}
        begin = time.perf_counter()
        with counted() as compilations:
            for chunk in chunks:
                shape = chunk.batch.source.shape
                if shape not in self.programs:
                    lowered = decode.lower(system, *_arguments(chunk))
                    self.programs[shape] = lowered.compile()
        self.compilations = compilations.count
        self.compile_seconds = time.perf_counter() - begin
        told = [program.memory_analysis() for program in self.programs.values()]
        self.temporary_mib = (
            None
            if None in told
            else max(each.temp_size_in_bytes for each in told) / 2**20
        )

    def decode(self, chunk: Chunk) -> Hypotheses:
        """The n-best lists of a batch, arrays of numpy."""
        program = self.programs[chunk.batch.source.shape]
        return jax.device_get(program(self._system, *_arguments(chunk)))


def _arguments(chunk: Chunk) -> tuple[Any, ...]:
    batch = chunk.batch
    return batch.source, batch.source_lengths, batch.ids
