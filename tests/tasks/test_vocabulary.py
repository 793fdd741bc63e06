"""Vocabularies: round trips, unknown symbols, words and their punctuation."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s2sjax.errors import UsageError
from s2sjax.tasks.vocabulary import UNKNOWN, Vocabulary
from s2sjax.types import BOS, EOS, PAD, SYMBOLS, UNK


@given(st.integers(-50, 50), st.integers(1, 60), st.data())
def test_integers_round_trip(first: int, count: int, data: st.DataObject) -> None:
    vocabulary = Vocabulary.integers(first, count)
    symbols = data.draw(st.lists(st.integers(first, first + count - 1)))
    ids, unknown = vocabulary.encode(symbols)
    assert ids == [symbol - first + SYMBOLS for symbol in symbols]
    assert not unknown
    assert vocabulary.decode([BOS, *ids, EOS, SYMBOLS, PAD]) == symbols
    assert vocabulary.split(vocabulary.join(symbols)) == symbols
    assert len(vocabulary) == SYMBOLS + count
    assert Vocabulary.from_json(vocabulary.to_json()) == vocabulary


@given(st.text(), st.sets(st.characters(exclude_categories=["Cs"]), max_size=8))
def test_characters_round_trip(text: str, inside: set[str]) -> None:
    vocabulary = Vocabulary("char", tuple(sorted(inside)))
    symbols = vocabulary.split(text)
    ids, unknown = vocabulary.encode(symbols)
    assert set(unknown) == set(text) - inside
    assert vocabulary.join(symbols) == text
    shown = [symbol if symbol in inside else UNKNOWN for symbol in symbols]
    assert vocabulary.decode(ids) == shown
    assert Vocabulary.from_json(vocabulary.to_json()) == vocabulary


@given(st.text(alphabet="aZé'’-., 12!?\u00a0\u202f\t\u0301"))
def test_words_split_the_same_after_joining(text: str) -> None:
    vocabulary = Vocabulary("word", (), punctuation=True)
    words = vocabulary.split(text)
    assert vocabulary.split(vocabulary.join(words)) == words
    kept = "".join(map(str, words))
    # Nothing but white space is lost.
    assert kept == "".join(text.split())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Run!", ["Run", "!"]),
        ("Cours\u202f!", ["Cours", "!"]),
        ("Aujourd'hui, j’ai 3,5 ans.", ["Aujourd'hui", ",", "j’ai", "3,5", "ans", "."]),
        ("Peut-être « oui »…", ["Peut-être", "«", "oui", "»", "…"]),
        ("", []),
    ],
)
def test_words(text: str, words: list[str]) -> None:
    assert Vocabulary("word", (), punctuation=True).split(text) == words


def test_parallel_words_are_split_at_spaces_only() -> None:
    assert Vocabulary("word", ()).split("IN: a,b  c") == ["IN:", "a,b", "c"]


def test_unknown_symbols_are_named_once() -> None:
    vocabulary = Vocabulary("char", ("a",))
    assert vocabulary.encode("abcb") == ([4, UNK, UNK, UNK], ["b", "c"])
    assert vocabulary.decode([UNK, 4, 99]) == [UNKNOWN, "a", UNKNOWN]


@pytest.mark.parametrize("wrong", [0, 51, -1, "7", True, 1.5, None])
def test_integers_outside_are_refused(wrong: object) -> None:
    with pytest.raises(UsageError, match="is not among the integers 1 to 50"):
        Vocabulary.integers(1, 50).encode_known([3, wrong])  # type: ignore[list-item]


def test_text_that_is_no_integer_is_refused() -> None:
    with pytest.raises(UsageError, match="'1 x' is not a sequence of integers"):
        Vocabulary.integers(1, 50).split("1 x")


def test_negative_integers_are_symbols() -> None:
    vocabulary = Vocabulary.integers(-3, 5)
    assert vocabulary.encode(vocabulary.split("-3 0 1")) == ([4, 7, 8], [])
