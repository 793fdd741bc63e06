"""The flags of several processes are checked before anything starts."""

import types

import pytest

from s2sjax.cli import train
from s2sjax.errors import UsageError


def values(**given):
    names = {flag.name: flag.default for flag in train.FLAGS}
    return types.SimpleNamespace(**names | given)


WHOLE = {
    "multihost": True,
    "coordinator": "127.0.0.1:1234",
    "process_id": 1,
    "processes": 2,
}


BEATS = {"multihost": True, "heartbeat": 60}


@pytest.mark.parametrize(
    "given", [{}, {"multihost": True}, BEATS, WHOLE, WHOLE | BEATS]
)
def test_all_or_none_are_possible(given):
    train.check(values(**given))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            WHOLE | {"multihost": False},
            "--process_id=1 --processes=2: give --multihost",
        ),
        ({"heartbeat": 60}, "--heartbeat=60: give --multihost"),
        ({"multihost": True, "process_id": 0}, "--process_id=0 is not enough"),
        (BEATS | {"process_id": 0}, "--process_id=0 is not enough"),
        (WHOLE | {"processes": None}, "is not enough; give --coordinator=HOST:PORT"),
        (WHOLE | {"process_id": 2}, "--process_id=2 is not below --processes=2"),
        (WHOLE | {"coordinator": "node"}, "--coordinator=node is not HOST:PORT"),
        (WHOLE | {"coordinator": "node:0"}, "--coordinator=node:0 is not HOST:PORT"),
        (WHOLE | {"coordinator": ":1"}, "--coordinator=:1 is not HOST:PORT"),
    ],
)
def test_what_does_not_fit_is_one_line(given, said):
    with pytest.raises(UsageError, match=said) as caught:
        train.check(values(**given))
    assert "\n" not in str(caught.value)
