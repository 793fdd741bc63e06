"""The ways of other platforms are run here on the CPU: all of them give the same."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from s2sjax import platforms


def drawn(size, count, width=3, seed=0):
    random = np.random.default_rng(seed)
    ids = random.integers(0, size, count).astype(np.int32)
    return random.normal(size=(count, width)).astype(np.float32), ids


@pytest.mark.parametrize("way", ["_by_row", "_by_product", "_by_sorting"])
@pytest.mark.parametrize(("size", "count"), [(5, 40), (50, 7), (1, 6), (3, 1), (9, 64)])
def test_rows_are_summed_by_id_in_every_way(way, size, count):
    rows, ids = drawn(size, count)
    wanted = np.zeros((size, rows.shape[1]))
    np.add.at(wanted, ids, rows.astype(np.float64))
    found = jax.jit(getattr(platforms, way), static_argnums=0)(size, rows, ids)
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    assert (found[~np.isin(np.arange(size), ids)] == 0).all()


def test_sums_by_sorting_do_not_reach_into_the_next_id():
    """As differences of running sums would: 1e8 + 1 - 1e8 is 0 in float32."""
    rows = np.array([[1e8], [1.0], [2.0]], np.float32)
    found = platforms._by_sorting(3, rows, np.int32([0, 1, 1]))
    assert found[:, 0].tolist() == [1e8, 3.0, 0.0]


@pytest.mark.parametrize("shape", [(6,), (2, 3)])
def test_the_gradient_of_rows_is_that_of_indexing(shape):
    table, ids = drawn(4, 8)[0], drawn(8, 6)[1].reshape(shape)
    weights = drawn(4, 6, seed=1)[0].reshape(*shape, 3)

    def loss(read):
        return lambda table: jnp.sum(jnp.sin(read(table, ids)) * weights)

    found = jax.jit(jax.value_and_grad(loss(platforms.rows)))(table)
    wanted = jax.jit(jax.value_and_grad(loss(lambda table, ids: table[ids])))(table)
    for a, b in zip(found, wanted, strict=True):
        assert np.asarray(a).tobytes() == np.asarray(b).tobytes()


def test_rows_of_replicas_are_those_of_each():
    tables = np.stack([drawn(4, 5, seed=seed)[0] for seed in range(3)])
    ids = np.stack([drawn(5, 6, seed=seed)[1] for seed in range(3)])

    def gradient(table, ids):
        return jax.grad(lambda table: jnp.sum(platforms.rows(table, ids) ** 2))(table)

    found = jax.jit(jax.vmap(gradient))(tables, ids)
    for each, table, own in zip(found, tables, ids, strict=True):
        np.testing.assert_allclose(each, gradient(table, own), rtol=1e-6)


@pytest.mark.parametrize(
    ("size", "wanted"), [(1024, "dot_general"), (1025, "stablehlo.sort")]
)
def test_a_large_vocabulary_is_sorted(size, wanted):
    rows, ids = drawn(4, 8)
    summed = jax.jit(platforms.summed, static_argnums=2)
    text = summed.trace(rows, ids, size).lower(lowering_platforms=("cuda",)).as_text()
    assert wanted in text


def test_choices_are_made_by_the_platform():
    def chosen(x):
        return platforms.settled(x), platforms.total(x, 0), platforms.total(x, -1)

    traced = jax.jit(chosen).trace(np.ones((3, 2), np.float32))
    texts = {
        name: traced.lower(lowering_platforms=(name,)).as_text()
        for name in ("cpu", "cuda", "tpu")
    }
    for name, text in texts.items():
        assert ("optimization_barrier" in text) == (name == "cpu")
        assert text.count("dot_general") == (2 if name == "cpu" else 0)
        assert text.count("stablehlo.reduce(") == (0 if name == "cpu" else 2)


def test_totals_are_sums():
    x = drawn(4, 8)[0]
    for axis in (0, -1):
        found = jax.jit(platforms.total, static_argnums=1)(x, axis)
        np.testing.assert_allclose(found, x.astype(np.float64).sum(axis), rtol=1e-5)
