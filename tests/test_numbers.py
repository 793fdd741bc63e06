"""Every number that a person can give has two ends: beyond them there is one line.

Specs, fields and flags are found in their tables, so that a new one is tried as well.
"""

import dataclasses
import inspect
from pathlib import Path

import pytest

from s2sjax import cli, config, experiment, spec
from s2sjax.cli import bench, flags
from s2sjax.config import TrainConfig
from s2sjax.decoding.base import Rules
from s2sjax.decoding.strategies import STRATEGIES, decoding, entry
from s2sjax.errors import UsageError
from s2sjax.sweeps import backends, optuna_specs
from s2sjax.training import feeding, objectives, optimizer

DIGITS = "9" * 5000
ENDLESS = ("nan", "inf", "-inf", "1e400", DIGITS, f"-{DIGITS}")
LARGE = ("2147483648", "4294967296", "9223372036854775808", "1e30", "9" * 400)
SMALL = ("-1", "-2147483649", "-1e30", "0", "1", "0.5", "2147483647")


def schedules(text):
    return optimizer.schedule(TrainConfig(schedule=text), 10)


def optimizers(text):
    return optimizer.optimizer(TrainConfig(optimizer=text), 0.1)


def fed(text):
    return feeding.feeding(TrainConfig(feeding=text))


def grown(text):
    return feeding.feeding(TrainConfig(feeding="argmax", feeding_schedule=text))


def backend_table():
    return backends._makers(Path(), None, "", print)


SPECS = {
    "decode": (
        decoding,
        lambda: {name: entry(each) for name, each in STRATEGIES.items()},
        [f.name for f in dataclasses.fields(Rules)],
    ),
    "schedule": (schedules, lambda: optimizer.SCHEDULES, []),
    "optimizer": (optimizers, lambda: optimizer.OPTIMIZERS, []),
    "objective": (objectives.objective, lambda: objectives.OBJECTIVES, []),
    "feeding": (fed, lambda: feeding.FEEDINGS, []),
    "feeding_schedule": (grown, lambda: feeding.FEEDING_SCHEDULES, []),
    "backend": (backends.name, backend_table, []),
}


def refused(call, *arguments):
    """Whether a call is refused, which it must be in a line; nothing else may fail."""
    try:
        call(*arguments)
    except UsageError as error:
        assert "\n" not in str(error)
        return True
    return False


def numbers(table, also):
    """(name, argument, whether it is a whole number) of all specs of a table."""
    for name, function in table.items():
        for parameter in inspect.signature(function).parameters.values():
            kind = spec._kind(parameter)
            if parameter.name != "learning_rate" and kind in (int, float):
                yield name, parameter.name, kind is int
        for field in also:
            yield name, field, field.endswith(("extra", "repeat"))


@pytest.mark.parametrize("which", SPECS)
def test_numbers_of_specs(which):
    call, table, also = SPECS[which]
    found = list(numbers(table(), also))
    assert found
    for name, argument, is_whole in found:
        for text in (*ENDLESS, *LARGE, *SMALL):
            is_refused = refused(call, f"{name}:{argument}={text}")
            if text in ENDLESS or (is_whole and text in LARGE):
                assert is_refused, f"{name}:{argument}={text[:20]}"


@pytest.mark.parametrize(
    ("make", "names"),
    [
        (optuna_specs.make_sampler, ("tpe:seed", "tpe:startup", "random:seed")),
        (
            optuna_specs.make_pruner,
            ("asha:first", "asha:factor", "hyperband:factor", "median:startup"),
        ),
    ],
)
def test_numbers_of_searches(make, names):
    pytest.importorskip("optuna")
    for name in names:
        for text in (*ENDLESS, *LARGE, "-1", "-2147483649"):
            assert refused(make, f"{name}={text}"), f"{name}={text[:20]}"


def test_numbers_of_fields():
    for name, field in config.fields().items():
        if field.type not in (int, float):
            continue
        least, most = field.metadata["least"], field.metadata["most"]
        assert least is not None and most is not None, f"{name} lacks an end"
        for text in (*ENDLESS, *LARGE):
            is_refused = refused(overridden, name, text)
            assert is_refused or float(text) <= most, f"{name}={text[:20]}"
        for value in (least, most):
            assert config.checked(field, value) == value
        for value in (float("nan"), 10**5000, -(10**5000), 10**400, 2**63, 2**64):
            is_refused = refused(config.checked, field, value)
            assert is_refused or least <= value <= most, name


def overridden(name, text):
    edited = config.base_config()
    edited.train.steps = 3
    experiment.override(edited, {name: text})
    config.resolve(edited)


def test_numbers_of_flags():
    tried = 0
    for command in cli.COMMANDS:
        needed = [f"--{flag.name}=x" for flag in command.flags if flag.required]
        for flag in command.flags:
            if flag.type is int:
                tried += 1
                for text in (*ENDLESS, *LARGE):
                    words = [*needed, f"--{flag.name}={text}"]
                    assert refused(flags.parse, command, words), words
    assert tried > 8


@pytest.mark.parametrize("text", [*ENDLESS, *LARGE, "0", "-1", "1.5", "²"])
def test_batch_sizes(text):
    assert refused(bench._batch_sizes, f"1,{text}")


def test_numbers_inside_their_ends_are_taken():
    decoding("sample:seed=2147483647,n=1000000,top_k=2147483647,temperature=0")
    decoding("greedy:no_repeat=1000000,min_ratio=0,max_ratio=1000,max_extra=1000000")
    decoding("exact:size=1,budget=1000000,capacity=1000000,alpha=-10")
    assert not refused(backends.name, "slurm:partition=20250101000,minutes=1")
    assert not refused(schedules, "cosine:warmup=2147483647,final=1")
