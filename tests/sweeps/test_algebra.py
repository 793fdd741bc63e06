"""The algebra of sweeps against itertools, and random draws against their promises."""

import itertools
import math
import subprocess
import sys

import hypothesis
import hypothesis.strategies as st
import pytest

from s2sjax import sweeps
from s2sjax.errors import UsageError

COLUMNS = st.dictionaries(
    st.sampled_from(["seed", "task.length", "model.units", "train.steps"]),
    st.lists(st.integers(), max_size=4),
    min_size=1,
    max_size=4,
)


@hypothesis.given(COLUMNS)
def test_grid_is_every_combination_in_order(columns):
    trials = sweeps.grid(columns)
    wanted = itertools.product(*columns.values())
    assert [tuple(trial.values()) for trial in trials] == list(wanted)
    assert all(list(trial) == list(columns) for trial in trials)
    assert trials == sweeps.product(*(sweeps.grid({k: v}) for k, v in columns.items()))


@hypothesis.given(st.lists(st.tuples(st.integers(), st.integers()), min_size=1))
def test_zip_goes_in_step(pairs):
    one, other = map(list, zip(*pairs, strict=True))
    trials = sweeps.zip({"task.length": one}, seed=other)
    assert [(t["task.length"], t["seed"]) for t in trials] == pairs


def test_chain_and_product_take_generators():
    units = ({"model.units": units} for units in (8, 16))
    trials = sweeps.product(units, sweeps.chain(sweeps.seeds(1), sweeps.seeds(2, 5)))
    assert [(t["model.units"], t["seed"]) for t in trials] == [
        *((8, 0), (8, 5), (8, 6)),
        *((16, 0), (16, 5), (16, 6)),
    ]


def test_trials_are_plain_and_their_own():
    trials = sweeps.product(sweeps.seeds(2), sweeps.grid({"model.units": (1, 2)}))
    trials[0]["seed"] = 99
    assert [trial["seed"] for trial in trials] == [99, 0, 1, 1]
    assert all(type(trial) is dict for trial in trials)


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (lambda: sweeps.grid({"task.name": "sorted"}), "task.name='sorted' is not a"),
        (lambda: sweeps.grid(seed=3), "seed=3 is not a list"),
        (lambda: sweeps.zip({"a.b": (1, 2)}, seed=(1,)), "a.b 2, seed 1"),
        (
            lambda: sweeps.product(sweeps.seeds(1), sweeps.seeds(1)),
            "seed is set by two",
        ),
        (lambda: sweeps.uniform(2, 1), "lower end first"),
        (lambda: sweeps.uniform(0, math.inf), "lower end first"),
        (lambda: sweeps.log_uniform(0, 1), "above 0"),
        (lambda: sweeps.choice(), "empty"),
        (lambda: sweeps.draws(1, {"seed": 3}), "seed=3 is not uniform"),
    ],
)
def test_what_cannot_be_is_one_line(build, said):
    with pytest.raises(UsageError, match=said) as told:
        build()
    assert "\n" not in str(told.value)


SPACE = {
    "train.learning_rate": sweeps.log_uniform(1e-4, 1e-1),
    "model.dropout_output": sweeps.uniform(0.0, 0.5),
    "model.units": sweeps.log_uniform(2, 16),
    "task.length": sweeps.uniform(5, 7),
    "model.cell": sweeps.choice("gru", "lstm"),
}


def test_draws_depend_on_the_field_the_seed_and_the_number_alone():
    some = sweeps.draws(20, SPACE, seed=3)
    assert some == sweeps.draws(30, SPACE, seed=3)[:20]
    assert some != sweeps.draws(20, SPACE, seed=4)
    alone = sweeps.draws(20, {"model.units": SPACE["model.units"]}, seed=3)
    assert [t["model.units"] for t in some] == [t["model.units"] for t in alone]


def test_draws_are_spread_as_they_say():
    trials = sweeps.draws(3000, SPACE)
    columns = {name: [trial[name] for trial in trials] for name in SPACE}
    rates = columns["train.learning_rate"]
    assert min(rates) >= 1e-4 and max(rates) <= 1e-1
    # Each of the three factors of ten holds a third: 5 deviations are 0.043.
    for decade in (1e-4, 1e-3, 1e-2):
        share = sum(decade <= rate < 10 * decade for rate in rates) / len(rates)
        assert abs(share - 1 / 3) < 0.045
    assert abs(sum(columns["model.dropout_output"]) / len(trials) - 0.25) < 0.02
    assert set(columns["model.cell"]) == {"gru", "lstm"}
    lengths = columns["task.length"]
    assert all(abs(lengths.count(n) / 3000 - 1 / 3) < 0.045 for n in (5, 6, 7))
    units = columns["model.units"]
    assert {type(number) for number in units + lengths} == {int}
    width = math.log(16.5 / 1.5)
    for number in range(2, 17):
        wanted = math.log((number + 0.5) / (number - 0.5)) / width
        assert abs(units.count(number) / 3000 - wanted) < 0.04


def test_config_files_can_import_it_without_jax():
    code = "import sys; import s2sjax.sweeps; print('jax' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "False\n", done.stderr
