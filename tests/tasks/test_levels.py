"""Levels: what is taken apart joins again in every script; counting and encoding."""

import io
import itertools
import re
import unicodedata
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from s2sjax import tasks
from s2sjax.config import Config, TaskConfig
from s2sjax.errors import UsageError
from s2sjax.inference.text_scores import text_scores
from s2sjax.tasks import sides
from s2sjax.tasks.coding import Coding
from s2sjax.tasks.levels import LEVELS, UNKNOWN, Feature, Subwords
from s2sjax.tasks.vocabulary import Vocabulary
from s2sjax.types import SYMBOLS, UNK

TEXTS = {
    "Latin": "J'ai  faim, Tom ! 3,5 peut-être…",
    "combining accents": "pre\u0301fe\u0301re\u0301 n\u0303 o\u0308\u0301",
    "Devanagari": "मैं पानी चाहिए। क्‍ष न्‌य",
    "Bengali": "আমি বাংলায় গান গাই।",
    "Tamil": "நான் தமிழ் பேசுகிறேன்.",
    "Arabic": "مُحَمَّدٌ رَسُولُ اللهِ، ١٫٥",
    "Hebrew": 'שָׁלוֹם עֲלֵיכֶם צה"ל',
    "Burmese": "မြန်မာစာ ရေးသည်။",
    "Khmer": "ភាសាខ្មែរ\u200bល្អ។",
    "Thai": "ที่นี่ กินข้าว",
    "Korean": "안녕하세요 \u1112\u1161\u11ab",
    "Chinese": "我喜欢。 これはペン",
    "emoji": "👨‍👩‍👧 🏽👍🏽 🇫🇷🇩🇪 1️⃣ ❤️",
}
ALPHABET = "".join(TEXTS.values()) + "\t\u00a0\u202f\u3000\r\n"


def as_read(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize("kind", ["char", "grapheme"])
@given(text=st.text() | st.text(alphabet=ALPHABET))
def test_characters_join_to_the_text(kind: str, text: str) -> None:
    level = LEVELS[kind]
    assert level.join(level.split(text)) == text


@given(text=st.text() | st.text(alphabet=ALPHABET))
def test_what_stands_between_blanks_joins_to_the_text_with_single_ones(
    text: str,
) -> None:
    level = LEVELS["space"]
    assert level.join(level.split(text)) == as_read(text)


@given(text=st.text() | st.text(alphabet=ALPHABET))
def test_words_lose_nothing_and_split_the_same_again(text: str) -> None:
    level = LEVELS["word"]
    words = level.split(text)
    assert "".join(map(str, words)) == "".join(text.split())
    assert level.split(level.join(words)) == words


@pytest.mark.parametrize(
    "text", ["J'ai faim, Tom ! 3,5 % et 1.000 (non).", "Peut-être: oui; non?"]
)
def test_bleu_sees_no_difference_between_words_joined_and_the_text(text: str) -> None:
    # Of signs beyond ASCII it makes no words; both sides are joined alike there.
    level = LEVELS["word"]
    assert text_scores([level.join(level.split(text))], [[text]])["bleu"] == 100


@pytest.mark.parametrize("name", TEXTS)
def test_marks_stay_with_what_they_mark(name: str) -> None:
    symbols = LEVELS["grapheme"].split(TEXTS[name])
    assert not [s for s in symbols if unicodedata.category(str(s)[0]) in ("Mn", "Me")]
    for symbol in LEVELS["word"].split(TEXTS[name]):
        # Myanmar's and Khmer's words are dictionary matter.
        first = unicodedata.category(str(symbol)[0])
        assert first not in ("Mn", "Me") or name in ("Burmese", "Khmer")


def test_graphemes_are_what_a_reader_sees() -> None:
    split = LEVELS["grapheme"].split
    assert split("e\u0301a") == ["e\u0301", "a"]
    assert split("👨‍👩‍👧🇫🇷🇩🇪1️⃣") == ["👨‍👩‍👧", "🇫🇷", "🇩🇪", "1️⃣"]
    assert split("a\r\nb") == ["a", "\r\n", "b"]
    assert len(split("नमस्ते")) < len("नमस्ते")


# --- many texts at once


def counted(vocabulary: Vocabulary, texts: list[str], least: int) -> list[str]:
    """The symbols by a plain count."""
    counts = Counter(s for text in texts for s in map(str, vocabulary.split(text)))
    seen = [symbol for symbol, count in counts.items() if count >= least]
    return sorted(seen, key=lambda symbol: (-counts[symbol], symbol))


@pytest.mark.parametrize("kind", ["char", "grapheme", "word", "space"])
@given(data=st.data())
def test_arrays_count_and_encode_as_one_by_one(kind: str, data: st.DataObject) -> None:
    like = Vocabulary(
        kind,
        (),
        data.draw(st.sampled_from([None, "nfc", "nfkc"])),
        lowercase=data.draw(st.booleans()),
    )
    text = st.text(st.sampled_from("ab É\u0301,.'\u00a0के👍🏽I"), max_size=12)
    pieces = data.draw(st.lists(st.lists(text, max_size=4), min_size=1, max_size=3))
    texts = list(itertools.chain.from_iterable(pieces))
    training = np.array(data.draw(st.tuples(*[st.booleans()] * len(texts))), bool)
    least, most = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 9))
    coding = Coding(like)
    lengths = [coding.read(piece) for piece in pieces]
    assert np.concatenate(lengths).tolist() == [len(like.split(t)) for t in texts]
    vocabulary = coding.vocabulary(training, least, most)
    chosen = [text for text, wanted in zip(texts, training, strict=True) if wanted]
    assert list(vocabulary.symbols) == counted(like, chosen, least)[:most]
    encoded = coding.encoded(vocabulary)
    one_by_one = [vocabulary.encode(vocabulary.split(text))[0] for text in texts]
    assert encoded.tokens.tolist() == [*itertools.chain.from_iterable(one_by_one)]
    assert encoded.lengths.tolist() == [len(row) for row in one_by_one]


@given(data=st.data())
def test_features_stand_before_the_text(data: st.DataObject) -> None:
    tags = st.lists(st.sampled_from(["V", "N", "a", "PST"]), max_size=3).map(tuple)
    rows = data.draw(st.lists(st.tuples(st.text("ab", max_size=3), tags), min_size=1))
    training = np.arange(len(rows)) % 2 == 0
    coding = Coding(Vocabulary("char", ()))
    lengths = coding.read([text for text, _ in rows], [each for _, each in rows])
    assert lengths.tolist() == [len(text) + len(each) for text, each in rows]
    vocabulary = coding.vocabulary(training)
    seen = Counter(tag for _, each in rows[::2] for tag in each)
    assert sorted(vocabulary.features) == sorted(seen)
    encoded = coding.encoded(vocabulary)
    whole = [[*map(Feature, each), *text] for text, each in rows]
    ids = [vocabulary.encode(row)[0] for row in whole]
    assert encoded.tokens.tolist() == [*itertools.chain.from_iterable(ids)]
    unknown = sum(tag not in seen for _, each in rows[1::2] for tag in each)
    assert coding.strange(vocabulary, ~training) == unknown
    # A tag is no letter, and none of them is an id that text has.
    text_ids = {number for text, _ in rows for number in vocabulary.encode(text)[0]}
    last = SYMBOLS + len(vocabulary.symbols)
    assert max(text_ids, default=0) < last
    assert Vocabulary.from_json(vocabulary.to_json()) == vocabulary
    for row, numbers in zip(whole[::2], ids[::2], strict=True):
        assert vocabulary.decode(numbers) == row


def test_both_sides_can_have_one_vocabulary() -> None:
    source, target = (Coding(Vocabulary("char", ())) for _ in range(2))
    source.read(["ab", "xx"], [("V",), ()])
    target.read(["bbc", "y"])
    training = np.array([True, False])
    one = source.vocabulary(training, 1, 2, beside=target)
    other = target.vocabulary(training, 1, 2, beside=source)
    assert one.symbols == other.symbols == ("b", "a")
    assert one.features == ("V",) and not other.features
    # What an output can hold are the first of the ids of a source.
    assert list(one.index.values())[:2] == list(other.index.values())


# --- what a config asks for


def asked(**fields: Any) -> tuple[Vocabulary, Vocabulary]:
    return sides.asked(TaskConfig(name="text", **fields))


def test_a_side_has_its_own_level_or_that_of_both() -> None:
    source, target = asked(level="word", target_level="space", lowercase=True)
    assert (source.kind, target.kind) == ("word", "space")
    assert source.split("Où ça?") == ["où", "ça", "?"]
    source, target = asked(source_level="word", graphemes=True)
    assert (source.kind, target.kind) == ("word", "grapheme")


def test_a_file_has_the_symbols_in_its_order(tmp_path: Path) -> None:
    letters, words = tmp_path / "letters.txt", tmp_path / "words.txt"
    letters.write_bytes("b\r\na\r\n \r\né\r\n".encode())
    words.write_text("le\nchat\n.")
    source, target = asked(vocabulary=str(letters))
    assert source.symbols == target.symbols == ("b", "a", " ", "é")
    source, target = asked(
        source_level="word", source_vocabulary=str(words), target_vocabulary=None
    )
    assert source.symbols == ("le", "chat", ".") and not target.symbols
    coding = Coding(source)
    coding.read(["le chien .", "chat"])
    vocabulary = coding.vocabulary(np.ones(2, bool))
    assert vocabulary is not None and vocabulary.symbols == source.symbols
    assert coding.encoded(vocabulary).tokens.tolist() == [4, UNK, 6, 5]


@pytest.mark.parametrize(
    ("content", "fields", "told"),
    [
        ("a\nb\na\n", {}, r"v\.txt:3: 'a' stands in line 1 already"),
        ("a\n\nb\n", {}, r"v\.txt:2: '' is read as nothing; a line is one symbol"),
        ("ab\n", {}, r"v\.txt:1: 'ab' is read as 'a', 'b'"),
        ("x\nNew York\n", {"level": "space"}, r"v\.txt:2: 'New York' is read as 'New'"),
        ("A\n", {"lowercase": True}, r"v\.txt:1: 'A' is read as 'a'"),
        ("e\u0301\n", {"graphemes": True, "normalise": "nfc"}, r"is read as 'é'"),
        (b"\xff", {}, r"v\.txt is not UTF-8: byte 0"),
        ("a\n", {"min_count": 2}, "task.min_count=2 means nothing where all symbols"),
        ("a\n", {"max_vocabulary": 2}, "task.max_vocabulary=2 means nothing where all"),
        (None, {}, r"task.vocabulary: .*v\.txt: No such file"),
        ("x\n", {"level": "word", "graphemes": True}, "task.graphemes=true means no"),
    ],
)
def test_what_a_file_of_symbols_cannot_be(
    tmp_path: Path, content: Any, fields: dict[str, Any], told: str
) -> None:
    path = tmp_path / "v.txt"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UsageError, match=told) as error:
        asked(vocabulary=str(path), **fields)
    assert "\n" not in str(error.value)


# --- subwords


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of 120 pieces, of which some are whole words."""
    sentencepiece = pytest.importorskip("sentencepiece")
    words = ["the", "cat", "sat", "on", "die", "Katze", "saß", "auf", "der", "Matte"]
    lines = [" ".join(words[i % 10 : i % 10 + 5]) + f" {i}!" for i in range(400)]
    path = tmp_path_factory.mktemp("subwords") / "small.model"
    with path.open("wb") as file:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(lines),
            model_writer=file,
            vocab_size=70,
            hard_vocab_limit=False,
            minloglevel=2,
        )
    return path


def test_subwords_join_to_the_text_as_the_model_reads_it(model: Path) -> None:
    level = Subwords(model.read_bytes())
    for text in ("the cat sat on 12!", "die Katze  saß auf der Matte", "", "a  b"):
        assert level.join(level.split(text)) == as_read(text)
    pieces = level.split("the cat")
    assert level.join([*pieces, UNKNOWN, *pieces]) == f"the cat{UNKNOWN} the cat"
    assert level.join([UNKNOWN]) == UNKNOWN


def test_subwords_are_those_of_the_model(model: Path) -> None:
    vocabulary, target = asked(
        source_level=f"subword:{model}", target_level="char", min_count=2
    )
    assert vocabulary.kind == "subword" and target.kind == "char"
    level = Subwords(vocabulary.model)
    assert vocabulary.symbols == level.pieces()
    assert not {"<s>", "</s>", UNKNOWN} & set(vocabulary.symbols)
    texts = ["the cat Ω saß", "12 Katze", ""]
    coding = Coding(vocabulary)
    lengths = coding.read(texts)
    encoded = coding.encoded(coding.vocabulary(np.ones(3, bool)))
    ids = [vocabulary.encode(vocabulary.split(text))[0] for text in texts]
    assert encoded.tokens.tolist() == [*itertools.chain.from_iterable(ids)]
    assert lengths.tolist() == list(map(len, ids)) and UNK in ids[0]
    again = Vocabulary.from_json(vocabulary.to_json(), vocabulary.model)
    assert again == vocabulary
    with pytest.raises(UsageError, match="its subwords are those of another model"):
        Vocabulary.from_json(vocabulary.to_json())


def test_what_subwords_cannot_be(model: Path, tmp_path: Path) -> None:
    none = tmp_path / "none.model"
    none.write_bytes(b"no model")
    with pytest.raises(UsageError, match=r"level=subword:.*none.model: it is no model"):
        asked(level=f"subword:{none}")
    with pytest.raises(UsageError, match="means nothing to subwords; their model has"):
        asked(level=f"subword:{model}", vocabulary=str(none))
    with pytest.raises(UsageError, match=r"task.level: .*gone.model: No such file"):
        asked(level=f"subword:{tmp_path / 'gone.model'}")
    with pytest.raises(UsageError, match="min_count=2 means nothing where all symbols"):
        asked(level=f"subword:{model}", min_count=2)


def test_a_run_of_subwords_needs_no_model(model: Path, tmp_path: Path) -> None:
    mine, pairs = tmp_path / "mine.model", tmp_path / "pairs.tsv"
    mine.write_bytes(model.read_bytes())
    pairs.write_text("".join(f"the cat {i}\tdie Katze {i}!\n" for i in range(40)))
    task = TaskConfig("text", path=str(pairs), level=f"subword:{mine}")
    made = tasks.create(Config(task=task), tmp_path / "data")
    mine.unlink()
    for found in (
        tasks.create(Config(task=task), tmp_path / "data"),
        tasks.load(Config(task=task), tmp_path / "data"),
    ):
        vocabulary = found.target_vocabulary
        assert vocabulary == made.target_vocabulary
        ids, unknown = vocabulary.encode(vocabulary.split("die Katze 3!"))
        assert not unknown and vocabulary.join(vocabulary.decode(ids)) == "die Katze 3!"
    with pytest.raises(UsageError, match=r"task.level: .*mine.model: No such file"):
        tasks.check(Config(task=task))


def test_another_model_than_that_of_the_run_is_refused(
    model: Path, tmp_path: Path
) -> None:
    sentencepiece = pytest.importorskip("sentencepiece")
    task = TaskConfig(name="text", level=f"subword:{model}")
    kept = sides.asked(task)
    sides.check(task, kept)
    found = sides.kept(sides.files(*kept))
    assert found == kept
    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["ab ba"] * 20),
        model_writer=written,
        vocab_size=6,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    other = tmp_path / "other.model"
    other.write_bytes(written.getvalue())
    count = len(Subwords(written.getvalue()).pieces())
    told = f"it has {count} subwords, that one {len(kept[0].symbols)}; bring"
    with pytest.raises(UsageError, match=re.escape(told)):
        sides.check(TaskConfig(name="text", level=f"subword:{other}"), kept)
    other.unlink()  # the run has its own
    sides.check(TaskConfig(name="text", level=f"subword:{other}"), kept)
