"""Hashes of sources, held against sets of tuples."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from s2sjax.tasks import unseen

ROWS = st.lists(st.lists(st.integers(0, 5), max_size=5), min_size=1, max_size=30)


@given(ROWS, ROWS)
def test_share_is_that_of_plain_sets(
    known: list[list[int]], asked: list[list[int]]
) -> None:
    inside = {tuple(row) for row in known}
    expected = np.mean([tuple(row) not in inside for row in asked])
    assert unseen.share_outside(unseen.of_rows(known), asked) == expected


@given(ROWS)
def test_padding_does_not_matter(rows: list[list[int]]) -> None:
    lengths = np.array([len(row) for row in rows])
    wide = np.full((len(rows), 9), 3, np.uint8)
    for number, row in enumerate(rows):
        wide[number, : len(row)] = row
    np.testing.assert_array_equal(
        unseen.fingerprints(wide, lengths), unseen.of_rows(rows)
    )


def test_all_short_rows_have_hashes_of_their_own() -> None:
    values = np.arange(60**3)
    rows = np.stack([values // 60**p % 60 for p in range(3)], 1)
    lengths = np.full(len(rows), 3)
    assert len(np.unique(unseen.fingerprints(rows, lengths))) == len(rows)
