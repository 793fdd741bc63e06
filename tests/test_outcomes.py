"""Outcomes with several references against loops in Python."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from s2sjax import metrics, outcomes
from s2sjax.outcomes import References, Rows, concatenate, with_further
from s2sjax.types import UNK
from tests import oracles
from tests.test_metrics import outcomes as of_cases

rows = st.lists(st.integers(4, 6), max_size=6).map(tuple)
examples = st.lists(
    st.tuples(rows, st.lists(rows, min_size=1, max_size=4), st.booleans()),
    min_size=1,
    max_size=6,
)


def judged(cases):
    """Outcomes of (output, references, truncated): the first reference is forced."""
    found = of_cases([(o, some[0], cut) for o, some, cut in cases], width=7)
    rows = Rows.from_lists([list(row) for _, some, _ in cases for row in some[1:]])
    counts = np.array([len(some) - 1 for _, some, _ in cases], np.int32)
    return with_further(found, References(rows.tokens, rows.lengths, counts))


@given(st.lists(st.tuples(rows, rows), max_size=9), st.sampled_from([1, 20, 10**6]))
@settings(max_examples=60, deadline=None)
def test_distances_are_those_of_levenshtein_however_they_are_cut(pairs, cells):
    kept, outcomes.CELLS = outcomes.CELLS, cells
    try:
        sides = [Rows.from_lists([list(p[side]) for p in pairs]) for side in (0, 1)]
        found = outcomes.distances(*sides)
    finally:
        outcomes.CELLS = kept
    assert found.tolist() == [oracles.edit_distance(*pair) for pair in pairs]


def test_an_unknown_symbol_equals_nothing():
    same = Rows.from_lists([[UNK, 5]])
    assert outcomes.distances(same, same).tolist() == [1]


@given(examples)
@settings(max_examples=60, deadline=None)
def test_an_output_is_held_to_the_nearest_of_its_references(cases):
    found = judged(cases)
    for place, (output, some, cut) in enumerate(cases):
        edits = [oracles.edit_distance(output, row) for row in some]
        assert found.edits[place] == min(edits)
        nearest = some[edits.index(min(edits))]
        assert found.target.tolist()[place] == list(nearest)
        is_right = output in some and not cut
        assert outcomes.is_exact(found)[place] == is_right
    assert found.references.by_example() == [
        [list(row) for row in some] for _, some, _ in cases
    ]
    assert found.references.first.tolist() == [list(some[0]) for _, some, _ in cases]


@given(examples)
@settings(max_examples=30, deadline=None)
def test_parts_join_and_examples_are_taken(cases):
    whole, alone = judged(cases), [judged([case]) for case in cases]
    joined = concatenate(alone)
    assert joined.references.by_example() == whole.references.by_example()
    some = np.arange(len(cases))[::-2]
    assert whole.references.taken(some).by_example() == [
        [list(row) for row in cases[place][1]] for place in some
    ]
    for name in ("exact", "edit_distance", "exposure_bias", "forced_token_accuracy"):
        each = metrics.METRICS[name]
        assert each.mean(joined) == each.mean(whole), name


@given(examples)
@settings(max_examples=60, deadline=None)
def test_what_forcing_gains_is_counted_on_the_reference_that_is_forced(cases):
    found = judged(cases)
    forced = free = symbols = 0
    for output, (first, *_), _ in cases:
        symbols += len(first)
        forced += sum(place != 1 for place in range(len(first)))  # as the fixture says
        free += sum(a == b for a, b in zip(output, first, strict=False))
    wanted = (forced - free) / max(symbols, 1)
    assert metrics.summary(found)["exposure_bias"] == wanted
    table = metrics.exposure_by_position(found)
    assert sum(row["count"] for row in table.values()) == symbols
    gained = sum(row["count"] * (row["forced"] - row["free"]) for row in table.values())
    np.testing.assert_allclose(gained, wanted * symbols, atol=1e-9)


def test_lists_of_outputs_done_by_hand():
    cases = [
        ((4, 5), [(4, 5), (6,)], False),
        ((4, 5), [(5,), (6, 6, 6)], False),  # the first is nearer
        ((6,), [(4, 4), (6,)], False),  # the second is right
        ((4, 5), [(4, 6, 6)], False),
    ]
    found = metrics.summary(judged(cases))
    assert found["exact"] == 2 / 4 and found["sequence_error"] == 2 / 4
    assert found["edit_distance"] == found["per"] == (0 + 1 + 0 + 2) / (2 + 1 + 1 + 3)
    assert found["before_error"] == (1 + 0 + 1 + 1 / 3) / 4
    assert found["distinct"] == 2 / 4 and found["most_frequent"] == 3 / 4
    # (6,) is right for two of four, and nothing is right for more.
    assert found["above_constant"] == 2 / 4 - 2 / 4
    # 4 is right twice of two, 5 once of two (it stands second), 6 once of three.
    accuracies = {4: 2 / 2, 5: 1 / 2, 6: 1 / 3}
    assert found["macro_accuracy"] == sum(accuracies.values()) / 3


def test_what_comes_before_an_error_of_nothing():
    empty = [((), [()], False), ((4,), [()], False), ((), [(4,)], False)]
    assert metrics.summary(judged(empty))["before_error"] == 1 / 3


def test_groups_of_examples_are_counted_by_themselves():
    cases = [((4,), [(4,)], False), ((4,), [(5,)], False), ((5,), [(5,)], False)]
    found = metrics.by_group(judged(cases), [["V", "PST"], ["V"], ["N", "V", "V"]])
    assert found == {
        "V": {"count": 3, "exact": 2 / 3},
        "PST": {"count": 1, "exact": 1.0},
        "N": {"count": 1, "exact": 1.0},
    }
    assert next(iter(found)) == "V"  # the largest
    lengths = np.array([9, 9, 10])
    assert metrics.by_length(judged(cases), lengths) == {
        "9": {"count": 2, "exact": 0.5},
        "10": {"count": 1, "exact": 1.0},
    }
