"""Words that texts have in several Unicode normal forms, found in two passes."""

import unicodedata
from collections.abc import Iterable, Iterator
from typing import Final

from s2sjax.tasks.vocabulary import Vocabulary

# What people see as one word can be several strings, of composed letters (NFC) or of
# letters and marks (NFD); those that look the same in every font are equal in NFC.
CANONICAL: Final = "NFC"


class Mixture:
    """Looks for words that stand in texts in more than one form.

    The first pass notes the words that are not canonical, the second looks for the
    canonical ones among all, so that most words of most texts are never kept.

    >>> mixture = Mixture()
    >>> texts = ["préféré", "pre\u0301fe\u0301re\u0301"]
    >>> mixture.first(texts), mixture.second(texts), sorted(mixture.words)
    (None, None, ['préféré'])
    """

    def __init__(self) -> None:
        self.words: set[str] = set()  # in the canonical form
        self._forms: dict[str, str] = {}  # of a word, another than the canonical one
        self._split = Vocabulary("word", ()).split

    @property
    def undecided(self) -> bool:
        """Whether there are words that the second pass can find in another form."""
        return bool(self._forms.keys() - self.words)

    def first(self, texts: Iterable[str]) -> None:
        """Takes in some texts in the first pass."""
        for word in self._words(texts, canonical=False):
            canonical = unicodedata.normalize(CANONICAL, word)
            if canonical != word and self._forms.setdefault(canonical, word) != word:
                self.words.add(canonical)

    def second(self, texts: Iterable[str]) -> None:
        """Takes in the same texts in the second pass."""
        if self._forms:
            self.words.update(self._forms.keys() & self._words(texts, canonical=True))

    def _words(self, texts: Iterable[str], *, canonical: bool) -> Iterator[str]:
        for text in texts:
            if canonical or not unicodedata.is_normalized(CANONICAL, text):
                yield from map(str, self._split(text))
