"""Whole models against a float64 model in numpy, and their two paths against each
other, with and without dropout, with padding of any width and content."""

from functools import partial

import jax
import numpy as np
import pytest

from s2sjax.types import BOS, EOS, PAD
from tests import oracles

NOTHING = (np.float32(0), np.float32(0), np.float32(0))
SOME = (np.float32(0.3), np.float32(0.2), np.float32(0.4))
close = partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5)


def numpy_outputs(small, params, source, lengths, gold, rates=NOTHING):
    """Logits and attention [B, T, S] by the oracle, each example without padding."""
    logits, attention = [], []
    for row, length in enumerate(lengths):
        factors = None
        if rates != NOTHING:
            factors = small.dropout_of(int(small.seeds[row]), rates, source.shape[1])
        model = oracles.Model(small.config, params, factors)
        scores, weights = model.forced(source[row, :length], gold[row])
        logits.append(scores)
        if weights[0] is not None:
            padding = (0, source.shape[1] - length)
            attention.append([np.pad(looked, padding) for looked in weights])
    return np.array(logits), np.array(attention)


@pytest.fixture(scope="module")
def result(small):
    """Both paths at dropout 0 and at some, computed once for a model."""
    given = small.inputs()
    return {
        rates: small.run(small.params, *given, small.seeds, rates)
        for rates in (NOTHING, SOME)
    }


@pytest.mark.parametrize("rates", [NOTHING, SOME], ids=["plain", "dropout"])
def test_a_model_is_the_float64_model_in_numpy(small, result, rates):
    source, lengths, gold, _ = small.inputs()
    output, _ = result[rates]["forced"]
    logits, attention = numpy_outputs(small, small.params, source, lengths, gold, rates)
    close(output.logits, logits)
    if small.config.attention != "none":
        close(output.aux["attention"], attention)


@pytest.mark.parametrize("rates", [NOTHING, SOME], ids=["plain", "dropout"])
def test_the_three_paths_are_one_function(result, rates):
    forced = result[rates]["forced"]
    for path in ("stepped", "free"):
        other = result[rates][path]
        assert jax.tree.structure(forced) == jax.tree.structure(other)
        pairs = zip(jax.tree.leaves(forced), jax.tree.leaves(other), strict=True)
        for a, b in pairs:
            close(a, b, err_msg=path)


def test_dropout_changes_what_is_said(result):
    plain, dropped = (result[rates]["forced"][0].logits for rates in (NOTHING, SOME))
    assert np.abs(plain - dropped)[..., EOS:].max() > 0.01


@pytest.mark.parametrize("rates", [NOTHING, SOME], ids=["plain", "dropout"])
def test_a_gradient_is_the_slope_of_the_numpy_model(small, result, rates):
    source, lengths, gold, weights = small.inputs()
    _, gradient = result[rates]["forced"]
    leaves, structure = jax.tree.flatten(small.params)
    random = np.random.default_rng(5)
    direction = [random.normal(size=leaf.shape) for leaf in leaves]
    sums = []
    for shift in (1e-5, -1e-5):
        moved = [
            leaf.astype(np.float64) + shift * step
            for leaf, step in zip(leaves, direction, strict=True)
        ]
        logits, attention = numpy_outputs(
            small, structure.unflatten(moved), source, lengths, gold, rates
        )
        total = np.sum((weights["logits"] * logits)[..., EOS:])
        if attention.size:
            total += np.sum(weights["attention"] * attention)
        sums.append(total)
    slope = sum(
        np.sum(np.asarray(leaf, np.float64) * step)
        for leaf, step in zip(jax.tree.leaves(gradient), direction, strict=True)
    )
    np.testing.assert_allclose(slope, (sums[0] - sums[1]) / 2e-5, rtol=2e-4, atol=1e-4)


def test_every_parameter_that_can_matter_has_a_gradient(small, result):
    _, gradient = result[NOTHING]["forced"]
    for path, leaf in jax.tree_util.tree_leaves_with_path(gradient):
        assert np.isfinite(leaf).all(), path
        name = jax.tree_util.keystr(path)
        # Without an attention, a `zero` bridge would leave the encoder without one.
        if "query_kernel" not in name and "bias']" not in name:
            assert np.abs(leaf).max() > 0, path


def test_pad_and_bos_can_never_be_emitted(result):
    for path in ("forced", "stepped", "free"):
        logits = np.asarray(result[NOTHING][path][0].logits)
        assert (logits[..., [PAD, BOS]] == -np.inf).all()
        assert np.isfinite(logits[..., EOS:]).all()


def test_the_content_of_padding_changes_not_a_bit(small, result):
    source, lengths, gold, weights = small.inputs()
    other = source.copy()
    padding = np.arange(source.shape[1])[None] >= lengths[:, None]
    other[padding] = (source[padding] + 1) % 7
    assert (other != source).sum() == padding.sum() > 0
    again = small.run(small.params, other, lengths, gold, weights, small.seeds, SOME)
    for a, b in zip(jax.tree.leaves(again), jax.tree.leaves(result[SOME]), strict=True):
        np.testing.assert_array_equal(a, b)


def test_attention_is_a_distribution_over_real_symbols(small, result):
    if small.config.attention == "none":
        return
    _, lengths, _, _ = small.inputs()
    attention = np.asarray(result[NOTHING]["forced"][0].aux["attention"])
    for row, length in enumerate(lengths):
        assert (attention[row, :, length:] == 0).all()
        assert (attention[row, :, :length] > 0).all()
        close(attention[row].sum(axis=-1), float(length > 0))


def test_the_width_of_padding_changes_nothing(small, result):
    source, lengths, gold, _ = small.inputs()
    wide = np.pad(source, ((0, 0), (0, 7)), constant_values=6)
    read = jax.jit(
        lambda params, *given: (
            small.model.apply({"params": params}, *given),
            small.model.apply({"params": params}, *given[:2], method="encode").states,
        ),
        compiler_options={"xla_backend_optimization_level": 0},
    )
    output, states = read(small.params, wide, lengths, gold)
    narrow, _ = result[NOTHING]["forced"]
    np.testing.assert_allclose(output.logits, narrow.logits, rtol=1e-6, atol=1e-6)
    if "attention" in output.aux:
        attention = np.asarray(output.aux["attention"])
        assert (attention[..., source.shape[1] :] == 0).all()
        np.testing.assert_allclose(
            attention[..., : source.shape[1]], narrow.aux["attention"], atol=1e-6
        )
    for row, length in enumerate(lengths):
        oracle = oracles.Model(small.config, small.params)
        _, expected = oracle.encode(source[row, :length])
        for layer, sides in zip(states, expected, strict=True):
            for side, state in zip(layer, sides, strict=True):
                for part, value in zip(side, state, strict=True):
                    close(part[row], value)
