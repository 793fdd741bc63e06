"""BLEU, chrF, TER and word error rate against sacrebleu and what is known of them."""

import math

import pytest
import sacrebleu
from hypothesis import given
from hypothesis import strategies as st

from s2sjax.inference.text_scores import of_tokens, text_scores, word_error_rate
from s2sjax.tasks import Vocabulary
from s2sjax.types import EOS, SYMBOLS, UNK
from tests import oracles

A, B, C = range(SYMBOLS, SYMBOLS + 3)
WORDS = Vocabulary("word", ("a", "b", "c"))


@pytest.mark.parametrize(
    "text", ["7", "3 2 1", "0 1 2 3 4 5 6 7 8 9", "Sois gentil !", "été"]
)
def test_equal_texts_score_a_hundred(text):
    assert text_scores([text] * 3, [[text]] * 3) == {"bleu": 100.0, "chrf": 100.0}


def test_different_texts_score_nothing():
    scores = text_scores(["a b c d e"] * 9, [["v w x y z"]] * 9)
    assert scores["bleu"] < 10 and scores["chrf"] == 0


def test_bleu_is_the_geometric_mean_of_precisions():
    # One token of six is wrong, in the middle: 5 of 6, 3 of 5, 1 of 4 and 0 of 3
    # n-grams are right; the exponential smoothing makes the 0 a half.
    precisions = [5 / 6, 3 / 5, 1 / 4, 1 / 2 / 3]
    expected = 100 * math.exp(sum(map(math.log, precisions)) / 4)
    scores = text_scores(["1 2 3 0 5 6"], [["1 2 3 4 5 6"]])
    assert scores["bleu"] == pytest.approx(expected)


def test_short_outputs_for_long_targets_are_scored_as_published():
    outputs, targets = ["1 2 3"] * 4, ["1 2 3 4 5"] * 4
    published = sacrebleu.corpus_bleu(outputs, [targets]).score
    found = text_scores(outputs, [[target] for target in targets])
    assert found["bleu"] == pytest.approx(published)


def test_it_is_quiet(caplog, capsys):
    text_scores(["a ."] * 120, [["a ."]] * 120)
    assert not caplog.records and capsys.readouterr() == ("", "")


def test_nothing_to_score():
    assert text_scores([], []) == {"bleu": 0.0, "chrf": 0.0}
    assert text_scores([""], [[""]])["bleu"] == 0.0
    with pytest.raises(ValueError, match="1 outputs for 2 references"):
        text_scores(["a"], [["a"], ["b"]])


TEXTS = st.lists(st.sampled_from("ab"), max_size=6).map(" ".join)


@given(st.lists(st.tuples(TEXTS, TEXTS), max_size=5))
def test_the_word_error_rate_is_edits_over_words(pairs):
    split = [(tuple(one.split()), tuple(other.split())) for one, other in pairs]
    edits = sum(oracles.edit_distance(*words) for words in split)
    words = max(sum(len(target) for _, target in split), 1)
    rate = word_error_rate([one for one, _ in pairs], [[other] for _, other in pairs])
    assert rate == edits / words


def test_words_of_characters_and_words_that_are_symbols():
    # A wrong letter is a wrong word; a letter for a blank is two words for one.
    char = Vocabulary("char", tuple("ab "))
    rows = [char.encode(text)[0] for text in ("aa bb a", "aa bb", "aabb")]
    targets = [[char.encode(text)[0]] for text in ("ab bb a", "aa bb", "aa bb")]
    assert of_tokens(char, rows, targets)["wer"] == (1 + 0 + 2) / 7
    assert of_tokens(WORDS, [[A, B, C]], [[[A, UNK, C]]])["wer"] == pytest.approx(1 / 3)


def test_text_is_scored_and_integers_are_not():
    written = [[A, B, EOS, 0], [A, C, EOS, 0], [EOS, 0, 0, 0], [A, B, 0, 0]]
    targets = [[[A, B, EOS]]] * 4
    scores = of_tokens(WORDS, written, targets)
    texts = (["a b", "a c", "", "a b"], [["a b"]] * 4)
    assert scores == {**text_scores(*texts), "wer": 3 / 8}
    assert 0 < scores["bleu"] < 100
    assert of_tokens(Vocabulary.integers(0, 3), written, targets) == {}


def test_an_unknown_symbol_in_a_target_matches_nothing():
    rows = [[A, UNK, B, EOS]] * 4
    assert of_tokens(WORDS, rows, [[row] for row in rows])["chrf"] < 100


SENTENCES = ["the cat sat on the mat .", "a cat sat on mats", "no", ""]
REFERENCES = [
    ["the cat is on the mat .", "there is a cat on the mat ."],
    ["a cat sat on a mat"],
    ["yes", "not at all", "no"],
    ["nothing"],
]


def test_several_references_are_scored_as_published():
    streams = [
        [own[place] if place < len(own) else None for own in REFERENCES]
        for place in range(3)
    ]
    found = text_scores(SENTENCES, REFERENCES, ("bleu", "chrf", "ter"))
    for name, published in (
        ("bleu", sacrebleu.corpus_bleu(SENTENCES, streams).score),
        ("chrf", sacrebleu.corpus_chrf(SENTENCES, streams).score),
        ("ter", sacrebleu.corpus_ter(SENTENCES, streams).score),
    ):
        assert found[name] == pytest.approx(published), name
    first = text_scores(SENTENCES, [own[:1] for own in REFERENCES], tuple(found))
    assert first["bleu"] < found["bleu"] and first["ter"] > found["ter"] > 0


def test_words_are_held_to_the_nearest_reference():
    # "is" for "sat"; "a" is missing and "mats" for "mat"; the third; nothing is.
    edits, words = 1 + 2 + 0 + 1, 7 + 6 + 1 + 1
    assert word_error_rate(SENTENCES, REFERENCES) == edits / words
    # Of equally near ones the first.
    assert word_error_rate(["a"], [["b", "a c"]]) == 1
    assert word_error_rate(["a"], [["a c", "b"]]) == 1 / 2
    with pytest.raises(ValueError, match="1 outputs for 0 references"):
        word_error_rate(["a"], [])
