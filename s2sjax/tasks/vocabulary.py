"""Vocabularies: which id stands for which symbol, and how text becomes symbols."""

import functools
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypedDict

from s2sjax import json_objects
from s2sjax.errors import UsageError
from s2sjax.types import BOS, EOS, PAD, SYMBOLS, UNK

Symbol = int | str

LARGEST = 10_000_000  # vocabulary of integers that is kept
KINDS = ("integer", "char", "word")
UNKNOWN = "<unk>"  # how people see an UNK

# A number with its decimal marks, a word with inner apostrophes and hyphens (j'ai,
# aujourd'hui, peut-être) and combining accents, or one other sign. White space of
# every kind, the narrow no-break space before a French "!" too, only separates.
_LETTERS = r"\w[\w\u0300-\u036f]*"
_WORDS = re.compile(rf"\d+(?:[.,]\d+)+|{_LETTERS}(?:['’\-]{_LETTERS})*|[^\w\s]")


class _Kept(TypedDict):
    kind: Literal["integer", "char", "word"]
    symbols: list[Any]
    punctuation: bool


@dataclass(frozen=True)
class Vocabulary:
    """The symbols of one side of a task; `symbols[i]` has the id `SYMBOLS + i`.

    `kind` is "integer" (consecutive integers), "char" or "word". `punctuation` says
    whether `split` separates punctuation from words, or splits at white space only.

    >>> vocabulary = Vocabulary.integers(1, 50)
    >>> vocabulary.encode([1, 50, 51])
    ([4, 53, 3], [51])
    >>> vocabulary.decode([1, 53, 4, 2, 7])
    [50, 1]
    """

    kind: str
    symbols: tuple[Symbol, ...]
    punctuation: bool = False

    @staticmethod
    def integers(first: int, count: int) -> "Vocabulary":
        """The integers `first` to `first + count - 1`."""
        return Vocabulary("integer", tuple(range(first, first + count)))

    def __len__(self) -> int:
        """How many ids there are: the special ones and the symbols."""
        return SYMBOLS + len(self.symbols)

    @functools.cached_property
    def index(self) -> dict[Symbol, int]:
        """The id of each symbol."""
        return {symbol: SYMBOLS + i for i, symbol in enumerate(self.symbols)}

    def encode(self, symbols: Iterable[Symbol]) -> tuple[list[int], list[Symbol]]:
        """The ids, `UNK` for unknown symbols, and each unknown symbol once."""
        ids, unknown = [], {}
        for symbol in symbols:
            known = not isinstance(symbol, bool) and isinstance(symbol, int | str)
            number = self.index.get(symbol, UNK) if known else UNK
            if number == UNK:
                unknown[str(symbol)] = symbol
            ids.append(number)
        return ids, list(unknown.values())

    def encode_known(self, symbols: Iterable[Symbol]) -> list[int]:
        """The ids.

        Raises:
          UsageError: a symbol that is not in the vocabulary, by name.

        >>> Vocabulary.integers(0, 10).encode_known([10])
        Traceback (most recent call last):
        s2sjax.errors.UsageError: symbol 10 is not among the integers 0 to 9
        """
        ids, unknown = self.encode(symbols)
        if unknown:
            listed = ", ".join(map(str, unknown))
            many = len(unknown) > 1
            raise UsageError(
                f"symbol{'s' * many} {listed} {'are' if many else 'is'} not among "
                f"{self.described()}"
            )
        return ids

    def decode(self, ids: Iterable[int]) -> list[Symbol]:
        """The symbols up to the first EOS, without PAD and BOS."""
        symbols: list[Symbol] = []
        for number in map(int, ids):
            if number == EOS:
                break
            if number in (PAD, BOS):
                continue
            known = SYMBOLS <= number < len(self)
            symbols.append(self.symbols[number - SYMBOLS] if known else UNKNOWN)
        return symbols

    def split(self, text: str) -> list[Symbol]:
        """The symbols of a text.

        Raises:
          UsageError: something that is no integer, where symbols are integers.

        >>> Vocabulary("word", (), punctuation=True).split("J'ai faim, Tom !")
        ["J'ai", 'faim', ',', 'Tom', '!']
        >>> Vocabulary.integers(0, 10).split("3 1, 2")
        [3, 1, 2]
        """
        if self.kind == "char":
            return list(text)
        if self.kind == "word":
            found: list[Symbol] = []
            found.extend(_WORDS.findall(text) if self.punctuation else text.split())
            return found
        try:
            return [int(part) for part in re.split(r"[\s,]+", text) if part]
        except ValueError:
            raise UsageError(
                f"'{text}' is not a sequence of integers; symbols are "
                f"{self.described()}"
            ) from None

    def join(self, symbols: Sequence[Symbol]) -> str:
        """The text of some symbols: words and integers with single spaces between."""
        return ("" if self.kind == "char" else " ").join(map(str, symbols))

    def described(self) -> str:
        """The symbols in a few words, for messages."""
        if self.kind == "integer":
            return f"the integers {self.symbols[0]} to {self.symbols[-1]}"
        if self.kind == "char" and len(self.symbols) <= 30:
            return f"the characters {self.join(self.symbols)}"
        return f"the {len(self.symbols)} {self.kind}s of the training part"

    def to_json(self) -> str:
        """A JSON object; integers are kept as their range."""
        symbols = list(self.symbols)
        if self.kind == "integer":
            symbols = [*symbols[:1], len(symbols)]
        return json.dumps(
            {"kind": self.kind, "symbols": symbols, "punctuation": self.punctuation}
        )

    @staticmethod
    def from_json(text: str | bytes) -> "Vocabulary":
        """The vocabulary that `to_json` wrote.

        Raises:
          UsageError: it is none.

        >>> one = Vocabulary("char", tuple("aé!"))
        >>> Vocabulary.from_json(one.to_json()) == one
        True
        """
        try:
            kept = json_objects.checked(json_objects.loads(text), _Kept)
            symbols, is_integer = kept["symbols"], kept["kind"] == "integer"
            if is_integer and not (len(symbols) == 2 and 0 < symbols[1] <= LARGEST):
                raise ValueError("symbols is not a first integer and a count")
            json_objects.checked(symbols, list[int] if is_integer else list[str])
        except (TypeError, ValueError) as error:
            raise UsageError(f"a run's vocabulary is damaged: {error}") from None
        if is_integer:
            return Vocabulary.integers(*symbols)
        return Vocabulary(kept["kind"], tuple(symbols), kept["punctuation"])
