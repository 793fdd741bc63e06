"""Vocabularies: which id stands for which symbol, and how text becomes symbols."""

import functools
import hashlib
import json
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NotRequired, TypedDict

from s2sjax import json_objects
from s2sjax.errors import UsageError
from s2sjax.tasks import levels
from s2sjax.tasks.levels import UNKNOWN, Feature, Level, Symbol
from s2sjax.types import BOS, EOS, PAD, SYMBOLS, UNK

LARGEST = 10_000_000  # vocabulary of integers that is kept
# Unicode's normal forms.
FORMS: dict[str, tuple[Literal["NFC", "NFD", "NFKC", "NFKD"], str]] = {
    "nfc": ("NFC", "composed"),
    "nfd": ("NFD", "decomposed"),
    "nfkc": ("NFKC", "compatible composed"),
    "nfkd": ("NFKD", "compatible decomposed"),
}


class _Kept(TypedDict):
    kind: Literal["integer", "char", "grapheme", "word", "space", "subword"]
    symbols: list[Any]
    punctuation: NotRequired[bool]  # false of words that are set apart by spaces alone
    normal_form: NotRequired[Literal["nfc", "nfd", "nfkc", "nfkd"]]
    lowercase: NotRequired[bool]
    model: NotRequired[str]  # SHA-256 of the one that cuts subwords
    features: NotRequired[list[str]]


@dataclass(frozen=True)
class Vocabulary:
    """The symbols of one side of a task; `symbols[i]` has the id `SYMBOLS + i`.

    After them come the ids of features, first that of all which are unknown. They stand
    before the text of a source, and a vocabulary of outputs has none.

    Attributes:
      kind: what a symbol is, the name of a level: "integer" (consecutive ones), "char",
        "grapheme", "word", "space" or "subword".
      symbols: in the order of their ids.
      normal_form: the one that texts are brought into first, e.g. "nfc".
      lowercase: whether they are brought into lower case.
      model: of subwords, the bytes of their model.
      features: the tags that sources have, in the order of their ids.

    >>> vocabulary = Vocabulary.integers(1, 50)
    >>> vocabulary.encode([1, 50, 51])
    ([4, 53, 3], [51])
    >>> vocabulary.decode([1, 53, 4, 2, 7])
    [50, 1]
    """

    kind: str
    symbols: tuple[Symbol, ...]
    normal_form: str | None = None
    lowercase: bool = False
    model: bytes = field(default=b"", repr=False)
    features: tuple[str, ...] = ()

    @staticmethod
    def integers(first: int, count: int) -> "Vocabulary":
        """The integers `first` to `first + count - 1`."""
        return Vocabulary("integer", tuple(range(first, first + count)))

    def __len__(self) -> int:
        """How many ids there are: the special ones, the symbols and the features."""
        return SYMBOLS + len(self._all)

    @functools.cached_property
    def _all(self) -> tuple[Symbol, ...]:
        unknown = (UNKNOWN,) if self.features else ()
        return *self.symbols, *map(Feature, (*unknown, *self.features))

    @functools.cached_property
    def index(self) -> dict[Symbol, int]:
        """The id of each symbol."""
        return {symbol: SYMBOLS + i for i, symbol in enumerate(self._all)}

    def encode(self, symbols: Iterable[Symbol]) -> tuple[list[int], list[Symbol]]:
        """The ids, `UNK` for unknown symbols, and each unknown symbol once.

        Features that are unknown have an id of their own, where there are features.

        >>> Vocabulary("char", ("a",), features=("V",)).encode([Feature("X"), "a", "b"])
        ([5, 4, 3], [Feature(name='X'), 'b'])
        """
        ids, unknown = [], {}
        for symbol in symbols:
            known = not isinstance(symbol, bool) and isinstance(symbol, Symbol)
            if known and symbol in self.index:
                ids.append(self.index[symbol])
                continue
            unknown[str(symbol)] = symbol
            is_feature = isinstance(symbol, Feature)
            ids.append(self.index.get(Feature(UNKNOWN), UNK) if is_feature else UNK)
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
            symbols.append(self._all[number - SYMBOLS] if known else UNKNOWN)
        return symbols

    @functools.cached_property
    def level(self) -> Level:
        """What takes its texts apart."""
        return levels.level(self.kind, self.model)

    def formed(self, text: str) -> str:
        """A text as it is taken apart: in the normal form, and in lower case if so.

        >>> Vocabulary("char", (), "nfkc", lowercase=True).formed("ﬁX ™")
        'fix tm'
        """
        text = normalised(text, self.normal_form)
        return normalised(text.lower(), self.normal_form) if self.lowercase else text

    def split(self, text: str) -> list[Symbol]:
        """The symbols of a text.

        Raises:
          UsageError: something that is no integer, where symbols are integers.

        >>> Vocabulary("word", ()).split("J'ai faim, Tom !")
        ["J'ai", 'faim', ',', 'Tom', '!']
        """
        try:
            return self.level.split(self.formed(text))
        except ValueError:
            raise UsageError(
                f"'{text}' is not a sequence of integers; symbols are "
                f"{self.described()}"
            ) from None

    def join(self, symbols: Sequence[Symbol]) -> str:
        """The text of some symbols: words and integers with single spaces between.

        Features stand before it.

        >>> Vocabulary("char", (), features=("V",)).join([Feature("V"), "a", "b"])
        '[V] ab'
        """
        features = [str(each) for each in symbols if isinstance(each, Feature)]
        text = self.level.join([s for s in symbols if not isinstance(s, Feature)])
        return " ".join([*features, text]) if features else text

    def described(self) -> str:
        """The symbols in a few words, for messages."""
        if self.kind == "integer":
            return f"the integers {self.symbols[0]} to {self.symbols[-1]}"
        if self.kind == "char" and len(self.symbols) <= 30:
            return f"the characters {self.join(self.symbols)}"
        place = "model" if self.model else "training part"
        return f"the {len(self.symbols)} {self.level.noun} of the {place}"

    def to_json(self) -> str:
        """A JSON object; integers are kept as their range."""
        symbols = list(self.symbols)
        if self.kind == "integer":
            symbols = [*symbols[:1], len(symbols)]
        record: dict[str, Any] = {"kind": self.kind, "symbols": symbols}
        if self.normal_form is not None:
            record["normal_form"] = self.normal_form
        if self.lowercase:
            record["lowercase"] = True
        if self.model:
            record["model"] = _sha256(self.model)
        if self.features:
            record["features"] = list(self.features)
        return json.dumps(record)

    @staticmethod
    def from_json(text: str | bytes, model: bytes = b"") -> "Vocabulary":
        """The vocabulary that `to_json` wrote.

        Args:
          text: the JSON.
          model: of subwords, their model.

        Raises:
          UsageError: it is none, or of another model.

        >>> one = Vocabulary("char", tuple("aé!"))
        >>> Vocabulary.from_json(one.to_json()) == one
        True
        """
        try:
            record = json_objects.checked(json_objects.loads(text), _Kept)
            symbols, kind = record["symbols"], record["kind"]
            is_integer = kind == "integer"
            if is_integer and not (len(symbols) == 2 and 0 < symbols[1] <= LARGEST):
                raise ValueError("symbols is not a first integer and a count")
            json_objects.checked(symbols, list[int] if is_integer else list[str])
            if record.get("model") != _sha256(model):
                raise ValueError("its subwords are those of another model")
        except (TypeError, ValueError) as error:
            raise UsageError(f"a run's vocabulary is damaged: {error}") from None
        if is_integer:
            return Vocabulary.integers(*symbols)
        if kind == "word" and not record.get("punctuation", True):
            kind = "space"
        return Vocabulary(
            kind,
            tuple(symbols),
            record.get("normal_form"),
            record.get("lowercase", False),
            model,
            tuple(record.get("features", ())),
        )


def symbols_of(where: str, given: Any, vocabulary: Vocabulary) -> list[Symbol]:
    """The symbols of a text, or of a list of symbols.

    Raises:
      UsageError: it is neither, or a text that the vocabulary cannot split.
    """
    kind = int if vocabulary.kind == "integer" else str
    given = given.tolist() if hasattr(given, "tolist") else given
    if isinstance(given, str):
        try:
            return vocabulary.split(given)
        except UsageError as error:
            raise UsageError(f"{where}: {error}") from None
    if isinstance(given, Sequence) and all(type(symbol) is kind for symbol in given):
        return list(given)
    raise UsageError(
        f"{where} is {given!r:.60}; it is a text or a list of "
        f"{'integers' if kind is int else 'symbols'}"
    )


def normalised(text: str, form: str | None) -> str:
    """A text in a Unicode normal form, one of `FORMS`; None leaves it as it is."""
    return text if form is None else unicodedata.normalize(FORMS[form][0], text)


def _sha256(model: bytes) -> str | None:
    return hashlib.sha256(model).hexdigest() if model else None
