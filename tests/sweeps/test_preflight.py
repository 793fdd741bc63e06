"""Costs against formulas by hand, and the shipped sweeps."""

import dataclasses
import pathlib

import jax
import jax.numpy as jnp
import pytest
from jax import lax

from s2sjax import config as configs
from s2sjax import experiment
from s2sjax.errors import UsageError
from s2sjax.sweeps import preflight
from s2sjax.sweeps import trials as definition
from s2sjax.sweeps.batched import grouping
from s2sjax.sweeps.batched.grouping import group

EXPERIMENTS = pathlib.Path(__file__).parents[2] / "experiments"
B, S, U, E, C = 8, 5, 6, 3, 4
V, T = C + 4, S + 1  # PAD, BOS, EOS and UNK; EOS


def config(**model):
    return configs.resolve(
        {
            "task": {"length": S, "cardinality": C},
            "model": {"units": U, "embedding": E, **model},
            "train": {"batch_size": B, "steps": 4},
        }
    )


@pytest.mark.parametrize(("cell", "gates"), [("lstm", 4), ("gru", 3), ("rnn", 1)])
def test_flops_and_parameters_of_a_plain_model(cell, gates):
    found = preflight.estimate(config(cell=cell))
    recurrence, table = U * gates * U, V * E * gates * U
    forward = B * (S * recurrence + T * (recurrence + U * V)) + 2 * table
    assert found.step_flops == 3 * 2 * forward
    least = 2 * (V * E + E * gates * U + recurrence + gates * U) + U * V
    assert least <= found.parameters <= least + 2 * gates * U + V
    assert found.steps == 4
    # Parameters, gradients and Adam's two moments are there at once.
    assert found.memory > 4 * 4 * found.parameters


def test_attention_pays_for_keys_queries_and_contexts():
    plain, attending = (
        preflight.estimate(config(attention=a)) for a in ("none", "bahdanau")
    )
    keys, query, read = B * S * U * U, B * T * U * U, 2 * B * T * S * U
    assert attending.step_flops - plain.step_flops > 3 * 2 * (keys + query + read)
    assert attending.memory > plain.memory


@pytest.mark.parametrize(
    "model", [{"cell": "gru"}, {"attention": "bahdanau", "layers": 2}]
)
def test_costs_of_a_sweep_are_those_of_its_tasks(model, monkeypatch):
    """Counted at six sizes, and between them on the polynomial through those."""
    counted = []
    count = preflight.step_flops
    monkeypatch.setattr(
        preflight, "step_flops", lambda *a: counted.append(a) or count(*a)
    )
    sizes = [(length, C * k) for length in range(3, 12) for k in (2, 3, 4)]
    flops = grouping.step_flops(config(**model), sizes)
    for length, cardinality in ((3, 2 * C), (6, 3 * C), (11, 4 * C)):
        its = config(**model)
        task = dataclasses.replace(its.task, length=length, cardinality=cardinality)
        found = preflight.estimate(dataclasses.replace(its, task=task)).step_flops
        assert flops((length, cardinality)) == pytest.approx(found)
    assert len(counted) == 6


def test_products_are_counted_wherever_they_are():
    w = jnp.ones((3, 3))

    def body(carry, x):
        return lax.cond(carry[0] > 0, lambda c: c @ w, lambda c: c, carry), x @ w

    def function(xs):
        return jax.jit(lambda xs: lax.scan(body, jnp.ones(3), xs))(xs)

    assert preflight.product_flops(jax.make_jaxpr(function)(jnp.ones((7, 2, 3)))) == (
        7 * (2 * 3 * 3 + 2 * 2 * 3 * 3)
    )


@pytest.mark.parametrize("variant", ["", ":smoke"])
@pytest.mark.parametrize(
    "name", ["data_size", "length_cardinality", "length_generalisation"]
)
def test_the_sweeps_that_ship(name, variant):
    text = f"{EXPERIMENTS / name}.py{variant}"
    trials = definition.define(text, experiment.load_config(text))
    preflight.check(trials)
    assert 1 < len(group(trials)) <= len(trials) or name == "data_size"
    assert len(trials) <= 18 if variant else len(trials) >= 18
    assert {trial.config.seed for trial in trials} == {0, 1, 2}


def test_what_a_trial_names_is_tried(base):
    sweep = [{"seed": 1}, {"train.schedule": "cosin"}]
    with pytest.raises(UsageError, match=r"^trial 1: .*cosine"):
        preflight.check(definition.resolve(base, sweep))
    sweep = [{"train.metric": "wer"}, {"train.metric": "chrf"}]
    with pytest.raises(UsageError, match=r"^trial 1: train.metric=chrf is of texts"):
        preflight.check(definition.resolve(base, sweep))
    sweep = [{"seed": 1}, {"task.name": "missing.py:function"}]
    with pytest.raises(UsageError, match=r"^trial 1: .*missing\.py"):
        preflight.check(definition.resolve(base, sweep))
