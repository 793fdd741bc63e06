"""BLEU and chrF against what is known of them."""

import math

import pytest
import sacrebleu

from s2sjax.reporting.text_scores import text_scores


@pytest.mark.parametrize(
    "text", ["7", "3 2 1", "0 1 2 3 4 5 6 7 8 9", "Sois gentil !", "été"]
)
def test_equal_texts_score_a_hundred(text):
    assert text_scores([text] * 3, [text] * 3) == {"bleu": 100.0, "chrf": 100.0}


def test_different_texts_score_nothing():
    scores = text_scores(["a b c d e"] * 9, ["v w x y z"] * 9)
    assert scores["bleu"] < 10 and scores["chrf"] == 0


def test_bleu_is_the_geometric_mean_of_precisions():
    # One token of six is wrong, in the middle: 5 of 6, 3 of 5, 1 of 4 and 0 of 3
    # n-grams are right; the exponential smoothing makes the 0 a half.
    precisions = [5 / 6, 3 / 5, 1 / 4, 1 / 2 / 3]
    expected = 100 * math.exp(sum(map(math.log, precisions)) / 4)
    scores = text_scores(["1 2 3 0 5 6"], ["1 2 3 4 5 6"])
    assert scores["bleu"] == pytest.approx(expected)


def test_short_outputs_for_long_targets_are_scored_as_published():
    outputs, targets = ["1 2 3"] * 4, ["1 2 3 4 5"] * 4
    published = sacrebleu.corpus_bleu(outputs, [targets]).score
    assert text_scores(outputs, targets)["bleu"] == pytest.approx(published)


def test_it_is_quiet(caplog, capsys):
    text_scores(["a ."] * 120, ["a ."] * 120)
    assert not caplog.records and capsys.readouterr() == ("", "")


def test_nothing_to_score():
    assert text_scores([], []) == {"bleu": 0.0, "chrf": 0.0}
    assert text_scores([""], [""])["bleu"] == 0.0
    with pytest.raises(ValueError, match="1 outputs for 2 targets"):
        text_scores(["a"], ["a", "b"])
