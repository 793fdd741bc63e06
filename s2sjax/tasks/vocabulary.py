"""Vocabularies: which id stands for which symbol, and how text becomes symbols."""

import functools
import json
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NotRequired, TypedDict

import regex

from s2sjax import json_objects
from s2sjax.errors import UsageError
from s2sjax.types import BOS, EOS, PAD, SYMBOLS, UNK

Symbol = int | str

LARGEST = 10_000_000  # vocabulary of integers that is kept
KINDS = ("integer", "char", "word")
UNKNOWN = "<unk>"  # how people see an UNK
# Unicode's normal forms.
FORMS: dict[str, tuple[Literal["NFC", "NFD", "NFKC", "NFKD"], str]] = {
    "nfc": ("NFC", "composed"),
    "nfd": ("NFD", "decomposed"),
    "nfkc": ("NFKC", "compatible composed"),
    "nfkd": ("NFKD", "compatible decomposed"),
}

# What no white space separates is taken apart at Unicode's default word boundaries
# (UAX 29), where `regex` has its `\b` with the flag WORD; marks stay with their
# letters. As BLEU has it, stops and colons are signs of their own, within words too;
# and inner apostrophes and hyphens separate nothing (aujourd'hui, peut-être).
_LETTER = r"[\w\p{No}]"
_JOINED = r"[\p{WB=Extend}\p{WB=Format}\p{WB=ZWJ}\p{WB=RI}\p{ExtPict}]"
_WORDS = regex.compile(
    rf"""
    \d+(?:[.,]\d+)+\p{{M}}*  # a number with its decimal marks
  | {_LETTER}(?:\B[^.,:;]|['’\-]{_LETTER}|\p{{No}})*  # a word
  | .(?:\B{_JOINED})*  # a sign, with marks, or several that are shown as one
    """,
    regex.DOTALL | regex.VERBOSE | regex.VERSION1 | regex.WORD,
)

# Scripts that write no blanks between words, as a `regex` knows their letters. Where
# words begin only a dictionary says; the default boundaries are those of syllables.
_UNSPACED = {
    "Burmese": r"\p{Myanmar}",
    "Chinese or Japanese": r"[\p{Han}\p{Hiragana}\p{Katakana}]",
    "Khmer": r"\p{Khmer}",
    "Lao": r"\p{Lao}",
    "Thai": r"\p{Thai}",
}


class _Kept(TypedDict):
    kind: Literal["integer", "char", "word"]
    symbols: list[Any]
    punctuation: bool
    normal_form: NotRequired[Literal["nfc", "nfd", "nfkc", "nfkd"]]


@dataclass(frozen=True)
class Vocabulary:
    """The symbols of one side of a task; `symbols[i]` has the id `SYMBOLS + i`.

    `kind` is "integer" (consecutive integers), "char" or "word". `punctuation` says
    whether `split` separates punctuation from words, or splits at white space only;
    `normal_form` is the one that it brings texts into first, e.g. "nfc".

    >>> vocabulary = Vocabulary.integers(1, 50)
    >>> vocabulary.encode([1, 50, 51])
    ([4, 53, 3], [51])
    >>> vocabulary.decode([1, 53, 4, 2, 7])
    [50, 1]
    """

    kind: str
    symbols: tuple[Symbol, ...]
    punctuation: bool = False
    normal_form: str | None = None

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

    def encode_known(self, symbols: Sequence[Symbol]) -> list[int]:
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
                f"{self.described()}{self.known_form(symbols)}"
            )
        return ids

    def known_form(self, symbols: Sequence[Symbol]) -> str:
        """What to add where unknown symbols are known in another normal form.

        >>> Vocabulary("char", tuple("té")).known_form("e\\u0301").split(":")[0]
        '; in composed form (NFC) it is known'
        """
        if self.kind == "integer":
            return ""
        ids, unknown = self.encode(symbols)
        for form, (short, name) in FORMS.items():
            text = normalised(self.join(symbols), form)
            if self.encode(self.split(text))[0].count(UNK) >= ids.count(UNK):
                continue
            words = [s for s in unknown if normalised(str(s), form) in self.index]
            what = ", ".join(map(repr, words)) or "it"
            return (
                f"; in {name} form ({short}) {what} {'are' if words[1:] else 'is'} "
                f"known: normalise the text, or train with task.normalise="
                f"{'nfkc' if 'k' in form else 'nfc'}"
            )
        return ""

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
        >>> Vocabulary("word", (), punctuation=True).split("मैं पानी चाहिए।")
        ['मैं', 'पानी', 'चाहिए', '।']
        >>> Vocabulary.integers(0, 10).split("3 1, 2")
        [3, 1, 2]
        """
        text = normalised(text, self.normal_form)
        if self.kind == "char":
            return list(text)
        if self.kind == "word":
            symbols: list[Symbol] = []
            for part in text.split():
                symbols.extend(_words(part) if self.punctuation else (part,))
            return symbols
        try:
            return [int(part) for part in re.split(r"[\s,]+", text) if part]
        except ValueError:
            raise UsageError(
                f"'{text}' is not a sequence of integers; symbols are "
                f"{self.described()}"
            ) from None

    def unspaced(self) -> list[str]:
        """The scripts without blanks that a tenth or more of the words are of."""
        if self.kind != "word" or not self.punctuation:
            return []
        words = [str(symbol) for symbol in self.symbols]
        return [
            name
            for name, letter in _UNSPACED.items()
            if 10 * sum(bool(regex.match(letter, w)) for w in words) > len(words)
        ]

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
        record = {
            "kind": self.kind,
            "symbols": symbols,
            "punctuation": self.punctuation,
        }
        if self.normal_form is not None:
            record["normal_form"] = self.normal_form
        return json.dumps(record)

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
            record = json_objects.checked(json_objects.loads(text), _Kept)
            symbols, is_integer = record["symbols"], record["kind"] == "integer"
            if is_integer and not (len(symbols) == 2 and 0 < symbols[1] <= LARGEST):
                raise ValueError("symbols is not a first integer and a count")
            json_objects.checked(symbols, list[int] if is_integer else list[str])
        except (TypeError, ValueError) as error:
            raise UsageError(f"a run's vocabulary is damaged: {error}") from None
        if is_integer:
            return Vocabulary.integers(*symbols)
        return Vocabulary(
            record["kind"],
            tuple(symbols),
            record["punctuation"],
            record.get("normal_form"),
        )


def normalised(text: str, form: str | None) -> str:
    """A text in a Unicode normal form, one of `FORMS`; None leaves it as it is."""
    return text if form is None else unicodedata.normalize(FORMS[form][0], text)


@functools.lru_cache(maxsize=1 << 16)
def _words(part: str) -> tuple[str, ...]:
    # White space of every kind, the narrow no-break space before a French "!" too,
    # separates before, so that most parts come again and again.
    return tuple(_WORDS.findall(part))
