"""Vocabularies: round trips, unknown symbols, words and their punctuation."""

import dataclasses
import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s2sjax.errors import UsageError
from s2sjax.tasks.levels import unspaced
from s2sjax.tasks.vocabulary import UNKNOWN, Vocabulary
from s2sjax.types import BOS, EOS, PAD, SYMBOLS, UNK

SHARED = Path(__file__).parents[3] / "shared" / "data"


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


ALPHABETS = {
    "European": "aZéßñж'’-., 12!?²½:\u00a0\u202f\t\u0301\u0327",
    "Hindi": "कमपरतनी\u093f\u0902\u094d\u093c।॥ १\u200d\u200c",
    "Bengali": "আমবগতী\u09bf\u09cd\u09be\u0982। ১",
    "Tamil": "நதமழபச\u0bbf\u0bcd\u0bbe\u0bc7 .",
    "Burmese": "မနစကင\u103c\u103a\u102c\u1031\u1038 ။",
    "Khmer": "ភសខមរល\u17b6\u17d2\u17c2 ។\u200b",
    "Thai": "สวดคนท\u0e31\u0e35\u0e38\u0e48ๆ ฯ",
    "Arabic": "محمدرسول\u064e\u064f\u0651\u064b،؟ ١٫",
    "Hebrew": "שלוםצה\u05b8\u05c1\"'״-: ",
    "Chinese, Japanese, Korean": "我喜欢。これはペンー안녕 ",
    "pictures": "👨👩👧\u200d\ufe0f🏽🇫🇷🇩1\u20e3! a",
}


@pytest.mark.parametrize("name", ALPHABETS)
@given(data=st.data())
def test_words_split_the_same_after_joining(name: str, data: st.DataObject) -> None:
    text = data.draw(st.text(alphabet=ALPHABETS[name]))
    vocabulary = Vocabulary("word", ())
    words = vocabulary.split(text)
    assert vocabulary.split(vocabulary.join(words)) == words
    kept = "".join(map(str, words))
    # Nothing but white space is lost.
    assert kept == "".join(text.split())


SENTENCES = [
    "Tu as peut-être raison , aujourd'hui .",
    "मैं पानी चाहिए ।",
    "আমি বাংলায় গান গাই ।",
    "நான் தமிழ் பேசுகிறேன் .",
    "مُحَمَّدٌ رَسُولُ اللهِ",
    'שָׁלוֹם עֲלֵיכֶם צה"ל',
    "Je pre\u0301fe\u0301re l'e\u0301te\u0301",
    "e\u0301'x क्‍ष न्‌य 안녕하세요 세계 1️⃣",
]


@pytest.mark.parametrize("text", SENTENCES)
def test_words_of_a_sentence_join_to_it(text: str) -> None:
    vocabulary = Vocabulary("word", ())
    assert vocabulary.split(text) == text.split(" ")
    assert vocabulary.join(vocabulary.split(text)) == text


@pytest.mark.parametrize(
    ("text", "words", "script"),
    [
        ("မြန်မာစာ", "မြ န် မာ စာ", "Burmese"),
        ("ភាសាខ្មែរ", "ភា សា ខ្ មែ រ", "Khmer"),
        ("ที่นี่", "ที่ นี่", "Thai"),
        ("ສະບາຍດີ", "ສ ະ ບ າ ຍ ດີ", "Lao"),
        ("我喜欢。", "我 喜 欢 。", "Chinese or Japanese"),
    ],
)
def test_scripts_without_blanks_are_named(text: str, words: str, script: str) -> None:
    found = Vocabulary("word", ()).split(text)
    assert " ".join(map(str, found)) == words
    assert unspaced(found) == [script]
    # Not where they are rare.
    assert not unspaced([*found, *map(str, range(100))])


def test_english_and_french_words_are_what_they_were() -> None:
    path = SHARED / "tatoeba_fra_eng" / "fra_first10000.tsv"
    if not path.exists():
        pytest.skip(f"{path} is not here")
    letters = r"\w[\w\u0300-\u036f]*"
    before = re.compile(rf"\d+(?:[.,]\d+)+|{letters}(?:['’\-]{letters})*|[^\w\s]")
    split = Vocabulary("word", ()).split
    texts = re.split("[\t\n]", path.read_text("utf-8"))
    # One in 20,001: the other single quotation mark is an apostrophe too.
    assert [text for text in texts if split(text) != before.findall(text)] == [
        "J‘aime celui-ci."
    ]
    assert split("J‘aime celui-ci.") == ["J‘aime", "celui-ci", "."]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Run!", ["Run", "!"]),
        ("Cours\u202f!", ["Cours", "!"]),
        ("Aujourd'hui, j’ai 3,5 ans.", ["Aujourd'hui", ",", "j’ai", "3,5", "ans", "."]),
        ("Peut-être « oui »…", ["Peut-être", "«", "oui", "»", "…"]),
        (
            "Mr. X: e.g. 5 a.m.",
            ["Mr", ".", "X", ":", "e", ".", "g", ".", "5", "a", ".", "m", "."],
        ),
        ("50 m² à 3:30", ["50", "m²", "à", "3", ":", "30"]),
        ("", []),
    ],
)
def test_words(text: str, words: list[str]) -> None:
    assert Vocabulary("word", ()).split(text) == words


def test_what_stands_between_blanks_is_taken_as_it_is() -> None:
    assert Vocabulary("space", ()).split("IN: a,b  c") == ["IN:", "a,b", "c"]


def test_words_of_parallel_files_were_split_at_blanks() -> None:
    kept = {"kind": "word", "symbols": ["a,b", "."], "punctuation": False}
    assert Vocabulary.from_json(json.dumps(kept)) == Vocabulary("space", ("a,b", "."))
    kept["punctuation"] = True
    assert Vocabulary.from_json(json.dumps(kept)).kind == "word"


def test_unknown_symbols_are_named_once() -> None:
    vocabulary = Vocabulary("char", ("a",))
    assert vocabulary.encode("abcb") == ([4, UNK, UNK, UNK], ["b", "c"])
    assert vocabulary.decode([UNK, 4, 99]) == [UNKNOWN, "a", UNKNOWN]


COMPOSED = "; in composed form (NFC) {} known: normalise the text, or train with "


@pytest.mark.parametrize(
    ("kind", "known", "text", "said"),
    [
        (
            "word",
            "préféré été",
            "x pre\u0301fe\u0301re\u0301",
            "'pre\u0301fe\u0301re\u0301' is",
        ),
        ("char", "préféré", "pre\u0301fe\u0301re\u0301 x", "it is"),
        ("word", "pre\u0301 x", "pré x", ""),
        ("char", "Zoe naive u", "Zoë naïve ü", ""),
        ("word", "pré", "nothing", ""),
        ("word", "pré", "pré", ""),
    ],
)
def test_what_is_known_in_another_form_is_said(
    kind: str, known: str, text: str, said: str
) -> None:
    plain = Vocabulary(kind, ())
    vocabulary = Vocabulary(kind, tuple(plain.split(known)))
    hint = vocabulary.known_form(vocabulary.split(text))
    if said:
        assert hint == COMPOSED.format(said) + "task.normalise=nfc"
        with pytest.raises(UsageError, match=re.escape(hint)):
            vocabulary.encode_known(vocabulary.split(text))
    else:
        assert "(NFC)" not in hint and (kind == "word" or not hint)
    # A vocabulary of that form knows it at once.
    composed = dataclasses.replace(vocabulary, normal_form="nfc")
    assert Vocabulary.from_json(composed.to_json()) == composed
    assert not composed.known_form(composed.split(text))


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
