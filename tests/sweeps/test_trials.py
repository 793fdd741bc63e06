"""What a config file's sweeps become, and what is said where they cannot."""

import numpy as np
import pytest

from s2sjax import config as configs
from s2sjax.errors import UsageError
from s2sjax.sweeps import choice, uniform
from s2sjax.sweeps import trials as definition
from s2sjax.sweeps import trials as trial
from s2sjax.sweeps.batched import grouping

FILE = """
from s2sjax.config import base_config, parse_arg
from s2sjax.sweeps import grid, product, seeds

def get_config(arg=None):
    config = base_config()
    config.train.steps = 4 if parse_arg(arg, smoke=False).smoke else 400
    return config

def sweep(config):
    return grid({"train.steps": (config.train.steps, 2 * config.train.steps)})

def sweep_units(config):
    for units in (8, 16):
        yield {"model.units": units, "model.embedding": units // 2}

def sweep_seeds(config):
    return seeds(3)

def sweep_nothing(config):
    return []

def sweep_both(config):
    return product(seeds(1), seeds(1))

def sweep_text(config):
    return ["seed=1"]

def sweep_broken(config):
    return config.model.unit
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "file.py"
    path.write_text(FILE)
    return str(path)


def define(file, names=(), **changes):
    base = configs.resolve({"train": {"steps": 5}, **changes})
    return definition.define(file, base, names)


def refused(build, *arguments):
    with pytest.raises(UsageError) as told:
        build(*arguments)
    assert "\n" not in str(told.value)
    return str(told.value)


def test_the_largest_trial_of_a_space_stands_for_it():
    base = configs.resolve({"task": {"min_length": 6}, "train": {"steps": 5}})
    space = {
        "model.units": uniform(4, 64),
        "task.cardinality": choice(5, 50, 10),
        "model.cell": choice("gru", "lstm"),
    }
    largest = definition.largest(base, space)
    assert largest.overrides == {"model.units": 64, "task.cardinality": 50}
    # A length below the shortest cannot be; the base can.
    too_short = definition.largest(base, {"task.length": uniform(4, 5)})
    assert too_short.config == base


def test_a_sweep_receives_the_resolved_config(file):
    assert [t.config.train.steps for t in define(file)] == [5, 10]


def test_several_sweeps_are_multiplied(file):
    trials = define(file, ["units", "seeds"])
    found = [(t.config.model.units, t.config.seed, t.index) for t in trials]
    assert found == [(u, s, 3 * i + s) for i, u in enumerate((8, 16)) for s in range(3)]
    assert trials[4].overrides == {"model.units": 16, "model.embedding": 8, "seed": 1}
    assert len(define(file, ["sweep", "seeds"])) == 6
    base = configs.resolve({"train": {"steps": 5}})
    assert len(definition.define(file, base, ["seeds"], 2)) == 2


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["unit"], "did you mean 'units'?"),
        (["nothing"], "'nothing' yields no trial"),
        (["units", "units"], "is chosen twice"),
        (["both"], "seed is set by two of the sweeps"),
        (["text"], "sweep_text yields 'seed=1' as trial 0, not a dict"),
        (["broken"], "has no attribute 'unit'"),
    ],
)
def test_a_sweep_that_cannot_be_is_one_line(file, names, said):
    assert said in refused(define, file, names)


def test_a_file_without_sweeps_or_with_none_to_choose(tmp_path):
    path = tmp_path / "file.py"
    path.write_text("from s2sjax.sweeps import seeds as sweep\n")
    assert "has no sweep; write" in refused(define, str(path))
    path.write_text("def sweep_a(config): ...\ndef sweep_b(config): ...\n")
    assert "sweep=NAME,... (one of: a, b)" in refused(define, str(path))


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ({"model.unit": 8}, "unknown field 'model.unit'; did you mean 'model.units'?"),
        ({"model": {"units": 8}}, "unknown field 'model'"),
        ({3: 8}, "unknown field '3'"),
        ({"model.units": "8"}, "model.units='8' is not a whole number"),
        ({"model.units": 0}, "model.units=0 is not a whole number from 1"),
        ({"train.precision": "hihgest"}, "did you mean 'highest'?"),
        ({"seed": True}, "seed=True is not"),
        ({"train.learning_rate": float("nan")}, "train.learning_rate=nan"),
        ({"task.min_length": 11}, "task.min_length=11 is above task.length=10"),
        ({"seed": 3}, "it is the same run as trial 3"),
    ],
)
def test_trial_17_is_named(base, overrides, said):
    sweep = [{"seed": number} for number in range(17)] + [overrides, {"seed": 18}]
    message = refused(definition.resolve, base, sweep)
    assert message.startswith("trial 17 ") or message.startswith("trial 17: ")
    assert said in message


def test_what_is_wrong_with_several_trials_is_told_at_once(base):
    """Each thing for its first trial, and no more of them than one reads."""
    sweep = [{"seed": 1}, {"seed": -1, "model.unit": 8}, {"seed": -1}, {"seed": -2}]
    with pytest.raises(UsageError) as caught:
        definition.resolve(base, sweep)
    seed, unit, other = caught.value.args
    assert seed.startswith("trial 1: seed=-1 is not")
    assert unit.startswith("trial 1: unknown field 'model.unit'")
    assert other.startswith("trial 3: seed=-2 is not")
    with pytest.raises(UsageError) as caught:
        definition.resolve(base, [{"seed": -number} for number in range(1, 20)])
    assert len(caught.value.args) == 11
    assert caught.value.args[-1] == "and 9 more like these"


def test_no_trial_at_all(base):
    assert refused(definition.resolve, base, []) == "the sweep yields no trial"


def test_numbers_of_numpy_are_numbers(base):
    rates = [{"train.learning_rate": rate} for rate in np.logspace(-4, -2, 3)]
    units = [{"model.units": units} for units in np.array([8, 16])]
    for each in definition.resolve(base, rates + units):
        (value,) = each.overrides.values()
        assert type(value) in (int, float)


def test_what_an_override_unsets(base):
    (each,) = definition.resolve(base, [{"train.steps": None, "train.epochs": 2}])
    assert (each.config.train.steps, each.config.train.epochs) == (None, 2)


def test_names_need_no_quoting_and_tell_trials_apart(base):
    sweep = [
        {"train.optimizer": f"adam:b1=0.9,b2={0.9 + place / 1000}", "seed": 1}
        for place in range(20)
    ]
    names = [each.name for each in definition.resolve(base, sweep)]
    assert len(set(names)) == 20
    assert (
        trial.slug({"task.name": "a b/../" + "x" * 300})[:20] == "task.name=a_b_.._xxx"
    )
    assert all(len(name) < 128 for name in names)


def test_groups_differ_in_numbers_alone(base):
    sweep = [
        {"seed": 1},
        {"train.learning_rate": 0.5},
        {"model.units": 8},
        {"task.length": 4, "task.min_length": 2, "task.cardinality": 3},
        {"task.num_train": 100},
        {"task.num_train": 200},
        {"train.feeding": "argmax"},
        {"train.feeding": "argmax", "train.feeding_probability": 0.5},
        {"model.dropout_state": 0.5, "model.dropout_output": 0.1},
        {"train.objective": "label_smoothing"},
        {"train.objective": "label_smoothing", "seed": 3},
        {"train.feeding": "argmax", "train.feeding_unit": "batch"},
        {"train.steps": None, "train.epochs": 1, "task.num_train": 100},
        {"train.steps": None, "train.epochs": 1, "task.num_train": 200},
        {"train.steps": None, "train.epochs": 1, "task.num_train": 200, "seed": 1},
    ]
    trials = definition.resolve(base, sweep)
    found = grouping.group(trials)
    indices = [[each.index for each in group.trials] for group in found]
    assert indices == [
        *([0, 1, 3], [2], [4, 5], [6, 7], [8], [9, 10], [11], [12], [13, 14])
    ]
    assert found[2].varying() == ["task.num_train"]
    assert found[0].widest.task.length == 10


def test_a_trials_choice_wins_over_the_base():
    base = configs.resolve({"train": {"epochs": 3}})
    (trial,) = definition.resolve(base, [{"train.steps": 5}])
    assert (trial.config.train.steps, trial.config.train.epochs) == (5, None)
    # The trial's command may have the base's own `--config.train.epochs=3` before it.
    assert trial.overrides == {"train.steps": 5, "train.epochs": None}
    with pytest.raises(UsageError, match="both came"):
        definition.resolve(base, [{"train.steps": 5, "train.epochs": 2}])
