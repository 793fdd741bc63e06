"""Dropout masks belong to their example."""

import jax
import numpy as np
import pytest

from s2sjax.models.dropout import scales

keys = jax.vmap(jax.random.key)(np.arange(40, dtype=np.uint32))
draw = jax.jit(scales, static_argnums=(1, 3))
WIDE = (50, 4)


@pytest.fixture(scope="module")
def wide():
    return np.asarray(draw(keys, "somewhere", np.float32(0.3), WIDE))


def test_a_factor_is_0_or_the_inverse_of_what_is_kept(wide):
    assert wide.dtype == np.float32
    kept = wide != 0
    np.testing.assert_allclose(wide[kept], 1 / 0.7, rtol=1e-6)
    trials = wide.size
    spread = (0.3 * 0.7 / trials) ** 0.5
    assert abs(kept.mean() - 0.7) < 5 * spread
    assert abs(wide.mean() - 1) < 5 * spread / 0.7


def test_every_example_step_and_unit_is_drawn_by_itself(wide):
    dropped = wide == 0
    spread = (0.3 * 0.7) ** 0.5
    for axis in range(3):
        others = tuple({0, 1, 2} - {axis})
        count = dropped.size // dropped.shape[axis]
        shares = dropped.mean(axis=others)
        assert np.abs(shares - 0.3).max() < 5 * spread / count**0.5
    for left, right in ((0, 1), (2, 3)):
        assert (dropped[:, :, left] != dropped[:, :, right]).any()
        assert (dropped[left] != dropped[right]).any()
        assert (dropped[:, left] != dropped[:, right]).any()


def test_a_shorter_example_has_the_beginning_of_the_mask(wide):
    short = draw(keys, "somewhere", np.float32(0.3), (20, 4))
    np.testing.assert_array_equal(short, wide[:, :20])


def test_neighbours_do_not_change_a_mask(wide):
    alone = draw(keys[7:9], "somewhere", np.float32(0.3), WIDE)
    np.testing.assert_array_equal(alone, wide[7:9])


def test_another_name_is_another_mask(wide):
    other = draw(keys, "elsewhere", np.float32(0.3), WIDE)
    assert ((other == 0) != (wide == 0)).mean() > 0.3


def test_nothing_is_dropped_at_rate_0():
    factors = draw(keys, "somewhere", np.float32(0), WIDE)
    np.testing.assert_array_equal(factors, np.ones((40, *WIDE)))


def test_a_higher_rate_drops_more_of_the_same(wide):
    more = np.asarray(draw(keys, "somewhere", np.float32(0.6), WIDE))
    assert (more[wide == 0] == 0).all()
    assert (more == 0).sum() > (wide == 0).sum()
