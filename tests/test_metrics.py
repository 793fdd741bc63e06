"""Metrics against definitions in Python, and by cases done by hand."""

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s2sjax import metrics
from s2sjax.decoding.similarity import edits
from s2sjax.errors import UsageError
from s2sjax.outcomes import Outcomes, concatenate
from s2sjax.types import EOS, PAD, UNK
from tests import oracles

WIDTH = 7
rows = st.lists(st.integers(4, 6), max_size=WIDTH)
distances = jax.jit(jax.vmap(edits))


def padded(row, width, filler=PAD):
    return np.array(row + [filler] * (width - len(row)), np.int32)


@given(st.lists(st.tuples(rows, rows), min_size=16, max_size=16), st.integers(0, 9))
@settings(max_examples=40, deadline=None)
def test_edit_distance_is_that_of_levenshtein(pairs, filler):
    one, other = (
        np.stack([padded(pair[side], WIDTH, filler) for pair in pairs])
        for side in (0, 1)
    )
    lengths = [np.array([len(pair[side]) for pair in pairs]) for side in (0, 1)]
    expected = [oracles.edit_distance(a, b) for a, b in pairs]
    found = distances(one, lengths[0], other, lengths[1])
    assert found.tolist() == expected


def test_edit_distances_done_by_hand():
    cases = [
        ("kitten", "sitting", 3),
        ("", "abc", 3),
        ("abc", "", 3),
        ("", "", 0),
        ("abc", "abc", 0),
        ("abc", "bc", 1),
        ("abcd", "dabc", 2),
    ]
    ids = [[[ord(c) for c in text] for text in case[:2]] for case in cases]
    one, other = (np.stack([padded(row[s], 8) for row in ids]) for s in (0, 1))
    lengths = [np.array([len(row[s]) for row in ids]) for s in (0, 1)]
    found = distances(one, lengths[0], other, lengths[1])
    assert found.tolist() == [case[2] for case in cases]


def outcomes(cases, width=6, filler=9, rows=None):
    """Outcomes of (output, reference, truncated) in symbols, padded with `filler`."""
    columns = {
        "output": [
            padded([*o, *[EOS][: not cut]], width, filler) for o, _, cut in cases
        ],
        "output_lengths": [len(output) for output, _, _ in cases],
        "truncated": [cut for _, _, cut in cases],
        "target": [padded([*target, EOS], width, filler) for _, target, _ in cases],
        "target_lengths": [len(target) for _, target, _ in cases],
        "edits": [oracles.edit_distance(o, tuple(t)) for o, t, _ in cases],
        "scores": np.linspace(-2, -1, len(cases)),
        "log_probs": np.linspace(-4, -2, len(cases)),
        "nll": np.linspace(1, 2, len(cases)),
        "forced": np.ones((len(cases), width), bool) & (np.arange(width) != 1),
    }
    return Outcomes.of(*(np.array(column)[:rows] for column in columns.values()))


CASES = [
    ((4, 5, 6), (4, 5, 6), False),  # right
    ((4, 5, 6), (4, 5, 6), True),  # right so far, and never ended
    ((4, 5), (4, 5, 6), False),  # too short
    ((4, 5, 6, 4), (4, 5), False),  # too long
    ((5, 4), (4, 5), False),  # every position wrong
    ((), (6,), False),  # nothing
    ((), (), False),  # nothing, rightly
    ((7,), (), False),  # something where there is nothing
]


def test_a_summary_done_by_hand():
    found = metrics.summary(outcomes(CASES))
    symbols, tokens = 14, 14 + 8
    assert found["examples"] == 8
    assert found["exact"] == 2 / 8
    assert found["token_accuracy"] == (3 + 3 + 2 + 2 + 0 + 0) / symbols
    assert found["edit_distance"] == (0 + 0 + 1 + 2 + 2 + 1 + 0 + 1) / symbols
    np.testing.assert_allclose(found["nll"], 12 / tokens)
    seconds = 6  # tokens at the second place, the only ones wrong when forced
    assert found["forced_token_accuracy"] == (tokens - seconds) / tokens
    assert found["truncated"] == 1 / 8


def test_a_summary_of_nothing_is_finite():
    found = metrics.summary(outcomes([((), (), False)]))
    assert found["exact"] == 1 and found["token_accuracy"] == 0
    empty = outcomes(CASES, rows=0)
    assert metrics.summary(empty)["examples"] == 0
    assert all(np.isfinite(value) for value in metrics.summary(empty).values())


def test_neither_width_nor_content_of_padding_matters():
    tables = [metrics.summary, metrics.by_length, metrics.by_symbol, metrics.confusion]
    for table in tables:
        plain = table(outcomes(CASES))
        assert table(outcomes(CASES, width=11)) == plain
        assert table(outcomes(CASES, filler=4)) == plain


def test_outcomes_of_different_widths_join():
    parts = [outcomes(CASES[:3], width=5), outcomes(CASES[3:], width=8)]
    joined = concatenate(parts)
    assert joined.output.tolist() == [list(output) for output, _, _ in CASES]
    assert joined.target.tolist() == [list(target) for _, target, _ in CASES]
    assert joined.output.tokens.size == joined.output_lengths.sum()  # no padding
    assert metrics.summary(joined)["exact"] == metrics.summary(outcomes(CASES))["exact"]
    assert metrics.by_symbol(joined) == metrics.by_symbol(outcomes(CASES))


def test_by_length_done_by_hand():
    found = metrics.by_length(outcomes(CASES))
    assert found == {
        "0": {"count": 2, "exact": 0.5},
        "1": {"count": 1, "exact": 0.0},
        "2": {"count": 2, "exact": 0.0},
        "3": {"count": 3, "exact": 1 / 3},
    }


def test_confusion_done_by_hand():
    assert metrics.confusion(outcomes(CASES)) == {
        4: {4: 4, 5: 1},
        5: {5: 4, 4: 1},
        6: {6: 2, EOS: 2},
    }


@given(st.lists(st.tuples(rows, rows, st.booleans()), min_size=1, max_size=8))
@settings(max_examples=60, deadline=None)
def test_the_tables_agree_with_the_summary(cases):
    found = outcomes([(tuple(o), tuple(t), c) for o, t, c in cases], width=WIDTH + 1)
    headline = metrics.summary(found)
    by_length, by_symbol = metrics.by_length(found), metrics.by_symbol(found)
    table = metrics.confusion(found)
    exact = sum(row["count"] * row["exact"] for row in by_length.values())
    np.testing.assert_allclose(exact, headline["exact"] * headline["examples"])
    assert sum(row["count"] for row in by_length.values()) == len(cases)
    symbols = int(found.target_lengths.sum())
    assert sum(row["count"] for row in by_symbol.values()) == symbols
    right = sum(row["count"] * row["accuracy"] for row in by_symbol.values())
    np.testing.assert_allclose(right, headline["token_accuracy"] * max(symbols, 1))
    assert set(table) == set(by_symbol)
    for token, row in table.items():
        assert sum(row.values()) == by_symbol[token]["count"]
        accuracy = row.get(token, 0) / by_symbol[token]["count"]
        np.testing.assert_allclose(accuracy, by_symbol[token]["accuracy"])


@given(st.lists(st.tuples(rows, rows), min_size=1, max_size=6))
@settings(max_examples=40, deadline=None)
def test_dropping_the_end_of_an_output_never_raises_a_score(pairs):
    full = [(tuple(o), tuple(t), False) for o, t in pairs]
    cut = [(output[:-1], target, True) for output, target, _ in full]
    longer, shorter = (
        metrics.summary(outcomes(cases, width=WIDTH + 1)) for cases in (full, cut)
    )
    assert shorter["token_accuracy"] <= longer["token_accuracy"]
    assert shorter["exact"] <= longer["exact"]


def test_macro_f1_done_by_hand():
    cases = [((4,), (4,), False)] * 3 + [((5,), (4,), False), ((4,), (5,), False)]
    found = metrics.summary(outcomes([*cases, ((6,), (5,), False)]))
    # Of 4: 3 right, 4 wanted and 4 written; of 5: none right; 6 is wanted nowhere.
    assert found["macro_f1"] == (2 * 3 / (4 + 4) + 0) / 2


def test_calibration_done_by_hand():
    cases = [((4,), (4,), False), ((4,), (5,), False), ((5,), (5,), False)]
    sure = np.log(np.array([0.95, 0.92, 0.3]))
    found = outcomes(cases)._replace(log_probs=sure)
    first, second = metrics.reliability(found)
    assert (first["least"], first["most"], first["count"]) == (0.2, 0.3, 1)
    assert (second["least"], second["count"], second["exact"]) == (0.9, 2, 0.5)
    np.testing.assert_allclose(second["confidence"], (0.95 + 0.92) / 2)
    error = (1 * (1 - 0.3) + 2 * abs(0.5 - 0.935)) / 3
    np.testing.assert_allclose(metrics.summary(found)["calibration_error"], error)


def test_an_unknown_reference_symbol_is_never_written_right():
    found = metrics.summary(outcomes([((UNK, 5), (UNK, 5), False)]))
    assert found["token_accuracy"] == 0.5


def test_each_example_adds_its_own_to_a_metric():
    whole = outcomes(CASES)
    for name, each in metrics.METRICS.items():
        if each.counts is None:
            continue
        columns = each.counts(whole)
        assert all(len(column) == len(CASES) for column in columns), name
        for place, case in enumerate(CASES):
            alone = each.counts(outcomes([case]))
            if name != "nll":  # drawn by place
                assert [c[place] for c in columns] == [c[0] for c in alone], name
        assert metrics.summary(whole)[name] == each.mean(whole)


def test_what_is_known_of_a_metric():
    assert all(each.most == 1 for each in metrics.METRICS.values() if each.share)
    found = metrics.headlines({"exact": 1, "split": "test", "wer": 0.5}, "wer")
    assert found == {"exact": 1, "wer": 0.5}
    chosen = ["exact", "nll", "edit_distance", "bleu", "truncated"]
    assert [metrics.metric(name).better for name in chosen] == [
        *("max", "min", "min", "max", "min")
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("exactly", "did you mean 'exact'"),
        ("exact:of=1", "takes no argument 'of'"),
        ("loss", "unknown train.metric 'loss'"),  # of training, not of an evaluation
        ("", "is not a spec"),
    ],
)
def test_what_cannot_be_is_refused_in_a_line(text, said):
    with pytest.raises(UsageError, match=said) as caught:
        metrics.check(text)
    assert "\n" not in str(caught.value)
