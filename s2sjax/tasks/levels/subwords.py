"""Pieces of words are symbols, by a model of SentencePiece's."""

import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from s2sjax.errors import UsageError
from s2sjax.tasks.levels.base import UNKNOWN, Numbers, Symbol

_BLANK = "\u2581"  # begins the pieces that a blank stands before


@dataclass(frozen=True)
class Subwords:
    """Pieces as a model cuts them; joining is its detokenisation.

    The model brings texts into a form of its own (mostly NFKC, with single blanks),
    and that is what comes back.

    Attributes:
      model: the bytes of a `.model` file.
    """

    model: bytes = field(repr=False)

    kind = "subword"
    noun = "subwords"

    @functools.cached_property
    def _processor(self) -> Any:
        try:
            import sentencepiece
        except ImportError:
            raise UsageError(
                "subwords need sentencepiece: pip install 's2sjax[subword]'"
            ) from None
        try:
            return sentencepiece.SentencePieceProcessor(model_proto=self.model)
        except RuntimeError:
            raise UsageError("it is no model of SentencePiece's") from None

    def pieces(self) -> tuple[str, ...]:
        """All pieces that a text can have, in the order of the model."""
        its = self._processor
        return tuple(
            its.id_to_piece(number)
            for number in range(its.get_piece_size())
            if not (
                its.is_control(number)
                or its.is_unknown(number)
                or its.is_unused(number)
            )
        )

    def split(self, text: str) -> list[Symbol]:
        return list(self._processor.encode(text, out_type=str))

    def join(self, symbols: Sequence[Symbol]) -> str:
        text = ""
        for unknown, run in itertools.groupby(map(str, symbols), UNKNOWN.__eq__):
            pieces = list(run)
            if text and pieces[0].startswith(_BLANK):
                text += " "  # which is left out where a text begins
            text += "".join(pieces) if unknown else self._processor.decode(pieces)
        return text

    def numbering(self) -> "Pieces":
        return Pieces(self._processor)


class Pieces:
    """The numbers that a model gives to its pieces."""

    def __init__(self, processor: Any) -> None:
        self._processor = processor

    def of(self, texts: Sequence[str]) -> Numbers:
        rows = self._processor.encode(list(texts), out_type=int)
        lengths = np.fromiter(map(len, rows), np.int32, len(rows))
        flat = itertools.chain.from_iterable(rows)
        return Numbers(np.fromiter(flat, np.int32, int(lengths.sum())), lengths)

    def numbers(self, symbols: Sequence[Symbol]) -> np.ndarray:
        its = self._processor
        return np.array([its.piece_to_id(str(piece)) for piece in symbols], np.int64)

    def symbols(self, numbers: Sequence[int]) -> list[str]:
        return [self._processor.id_to_piece(number) for number in numbers]
