"""The programs of a trained model, read and run by jax and numpy alone.

    from programs import load
    model = load("FOLDER")
    model.decode([[0, 1, 2]])[0]["output"]

`s2sjax export --format=stablehlo` writes a copy of this file into the folder, beside
the programs: it imports nothing of s2sjax, so that the folder is all that is needed. On
the command line `python FOLDER/programs.py 0 1 2` prints the line of JSON of one input.
"""

import hashlib
import io
import json
import sys
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import jax
import jax.export
import numpy as np

FORMAT = 1  # of the folder
ABOUT, PARAMETERS, ENDING = "about.json", "parameters.npz", ".stablehlo"
PAD, BOS, EOS, UNK, SYMBOLS = range(5)  # the ids that are no symbols, and the first one


class CannotRun(ValueError):
    """The folder is damaged, or of other versions than these; one line says what."""


@dataclass(frozen=True)
class Programs:
    """What a folder holds; `load` gives one.

    Attributes:
      folder: where it lies.
      about: what `about.json` says: batch, width, strategy, vocabularies, and of each
        program the name, shape and dtype of all that it takes and gives.
      parameters: by name; the first argument of every program.
    """

    folder: Path
    about: dict[str, Any]
    parameters: dict[str, np.ndarray]

    def program(self, name: str) -> Any:
        """A program as a function of arrays, compiled for this device when called."""
        return self._programs[name]

    @cached_property
    def _programs(self) -> dict[str, Any]:
        return {name: self._program(name) for name in self.about["programs"]}

    def _program(self, name: str) -> Any:
        content = (self.folder / (name + ENDING)).read_bytes()
        try:
            exported = jax.export.deserialize(bytearray(content))
        except Exception as error:  # jax raises many kinds
            reason = str(error).partition("\n")[0]
            raise CannotRun(
                f"{self.folder}: jax {jax.__version__} cannot read what jax "
                f"{self.about['jax']} wrote: {reason}"
            ) from None
        return jax.jit(exported.call)

    def decode(self, sources: Sequence[Sequence[Any]]) -> list[dict[str, Any]]:
        """Decodes inputs, each a list of symbols, as the run's strategy does.

        Returns:
          For each input "output", the symbols of the best, "score", "logprob" and
          "truncated"; and "nbest", all of them, where there are several.

        Raises:
          CannotRun: an input is too long, or holds what is no symbol.
        """
        results = []
        for first, (source, lengths, count) in self._batches(sources):
            ids = np.minimum(first + np.arange(len(source)), len(sources) - 1)
            found = self.program("decode")(
                self.parameters, source, lengths, ids.astype(np.int32)
            )
            found = {name: np.asarray(leaf) for name, leaf in found.items()}
            results += [self._nbest(found, row) for row in range(count)]
        return results

    def start(self, sources: Sequence[Sequence[Any]]) -> tuple[Any, Any]:
        """What the decoder looks back at, and its first state, of one batch."""
        if len(sources) > self.about["batch"]:
            raise CannotRun(f"{len(sources)} inputs; a batch has {self.about['batch']}")
        ((_, (source, lengths, _)),) = self._batches(sources)
        memory, state = self.program("start")(self.parameters, source, lengths)
        return memory, state

    def step(self, memory: Any, state: Any, tokens: Any) -> tuple[Any, Any]:
        """One step of the decoder: the next state, and logits and what else it says.

        Args:
          memory: of `start`.
          state: of `start`, or of the step before.
          tokens: ids, [batch] int32; BOS at first.
        """
        state, said = self.program("step")(
            self.parameters, memory, state, np.asarray(tokens, np.int32)
        )
        return state, said

    def begin(self) -> tuple[Any, int]:
        """A stream of an aligned model before its first input."""
        return self.program("begin")(self.parameters), 0

    def advance(
        self, stream: tuple[Any, int], symbols: Sequence[Any]
    ) -> tuple[tuple[Any, int], list[Any]]:
        """Reads symbols on: the stream after them, and what is said of those inputs
        that have an answer by now (all but the last "lookahead")."""
        return self._advance(stream, self._encoded(symbols))

    def finish(self, stream: tuple[Any, int]) -> list[Any]:
        """What is left to be said at the end of a stream."""
        said: list[Any] = self._advance(stream, [EOS] * self.about["lookahead"])[1]
        return said

    def _advance(self, stream: tuple[Any, int], ids: list[int]) -> Any:
        (state, read), said = stream, []
        size = int(self.about["programs"]["advance"]["inputs"][1][6:-1])
        for first in range(0, len(ids), size):
            some = ids[first : first + size]
            source = np.full(size, EOS, np.int32)
            source[: len(some)] = some
            state, now = self.program("advance")(
                self.parameters, state, source, np.int32(len(some))
            )
            tokens = np.asarray(now["tokens"])[: len(some)]
            said += [self._symbol(number) for number in tokens]
        skipped = max(self.about["lookahead"] - read, 0)
        return (state, read + len(ids)), said[skipped:]

    def _batches(self, sources: Sequence[Sequence[Any]]) -> Iterator[tuple[int, Any]]:
        batch, width = self.about["batch"], self.about["width"]
        for first in range(0, len(sources), batch):
            some = sources[first : first + batch]
            tokens = np.full((batch, width), PAD, np.int32)
            lengths = np.zeros(batch, np.int32)
            for row, each in enumerate(some):
                ids = self._encoded(each)
                if len(ids) > width:
                    raise CannotRun(
                        f"input {first + row} has {len(ids)} symbols; these programs "
                        f"read {width}: export with a larger width"
                    )
                tokens[row, : len(ids)], lengths[row] = ids, len(ids)
            yield first, (tokens, lengths, len(some))

    @cached_property
    def _ids(self) -> dict[Any, int]:
        symbols = _symbols(self.about["source_vocabulary"])
        return {symbol: SYMBOLS + place for place, symbol in enumerate(symbols)}

    def _encoded(self, source: Sequence[Any]) -> list[int]:
        """As `tasks.task.encode_source` has it, of a source without features."""
        ids = [self._ids.get(symbol, UNK) for symbol in source]
        if UNK in ids and self.about["source_vocabulary"]["kind"] == "integer":
            wrong = source[ids.index(UNK)]
            first, *_, last = self._ids
            raise CannotRun(f"{wrong!r} is not among the integers {first} to {last}")
        ids = ids[::-1] if self.about["reverse_source"] else ids
        return [*ids, EOS] if self.about["source_eos"] else ids

    @cached_property
    def _targets(self) -> list[Any]:
        return _symbols(self.about["target_vocabulary"])

    def _nbest(self, found: dict[str, np.ndarray], row: int) -> dict[str, Any]:
        def one(place: int) -> dict[str, Any]:
            ids = found["tokens"][row, place][: found["lengths"][row, place]]
            return {
                "output": [self._symbol(number) for number in ids if number != EOS],
                "score": float(found["scores"][row, place]),
                "logprob": float(found["logprob"][row, place]),
                "truncated": bool(found["truncated"][row, place]),
            }

        places = np.flatnonzero(found["valid"][row]).tolist()
        best, *others = [one(place) for place in places]
        return best | {"nbest": [best, *others]} if others else best

    def _symbol(self, number: int) -> Any:
        known = SYMBOLS <= number < SYMBOLS + len(self._targets)
        return self._targets[number - SYMBOLS] if known else "<unk>"


def load(folder: str | Path) -> Programs:
    """Opens a folder of programs; all of it is compared with its hashes.

    Raises:
      CannotRun: something is missing, damaged, or of another version.
    """
    folder = Path(folder)
    about = _about(folder)
    least = jax.export.minimum_supported_calling_convention_version
    most = jax.export.maximum_supported_calling_convention_version
    if not least <= about["calling_convention"] <= most:
        raise CannotRun(
            f"{folder} was written by jax {about['jax']}, in version "
            f"{about['calling_convention']} of its convention; jax {jax.__version__} "
            f"reads {least} to {most}"
        )
    platform = jax.export.default_export_platform()
    if platform not in about["platforms"]:
        raise CannotRun(
            f"{folder} was written for {', '.join(about['platforms'])}; this is "
            f"{platform}"
        )
    content = {name: _checked(folder, name, about) for name in about["files"]}
    with np.load(io.BytesIO(content[PARAMETERS]), allow_pickle=False) as archive:
        parameters = {name: archive[name] for name in archive.files}
    return Programs(folder, about, parameters)


def _about(folder: Path) -> dict[str, Any]:
    content = _read(folder, ABOUT)
    try:
        about = json.loads(content)
        version, checksum = about["programs_version"], about.pop("crc32")
        text = json.dumps(about, sort_keys=True, separators=(",", ":"))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise CannotRun(f"{folder / ABOUT} is damaged, or of something else") from None
    if version != FORMAT:
        raise CannotRun(
            f"{folder} has programs_version {version}; this file reads {FORMAT}"
        )
    if zlib.crc32(text.encode()) != checksum:
        raise CannotRun(f"{folder / ABOUT} is damaged: its checksum is wrong")
    return dict(about)


def _checked(folder: Path, name: str, about: dict[str, Any]) -> bytes:
    content = _read(folder, name)
    if hashlib.sha256(content).hexdigest() != about["files"][name]:
        raise CannotRun(f"{folder / name} is damaged: its hash is not the one kept")
    return content


def _read(folder: Path, name: str) -> bytes:
    try:
        return (folder / name).read_bytes()
    except OSError as error:
        raise CannotRun(f"{folder / name}: {error.strerror}") from None


def _symbols(vocabulary: dict[str, Any]) -> list[Any]:
    """Those of a vocabulary; integers are kept as the first one and their count."""
    symbols = vocabulary["symbols"]
    if vocabulary["kind"] != "integer":
        return list(symbols)
    first, count = symbols
    return list(range(first, first + count))


def _main(words: Sequence[str]) -> int:
    try:
        programs = load(Path(__file__).parent)
        whole = programs.about["source_vocabulary"]["kind"] == "integer"
        (found,) = programs.decode([[int(w) for w in words] if whole else words])
    except (CannotRun, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write(json.dumps(found) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
