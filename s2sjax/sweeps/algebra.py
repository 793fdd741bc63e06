"""Lists of trials out of lists of values: all combinations, in step, one after another.

A trial is a flat dict from dotted field to value, and a sweep is a list of them:
plain data, which ordinary Python may build, filter and join as well.
"""

import builtins
import itertools
from collections.abc import Iterable, Mapping
from typing import Any

from s2sjax.errors import UsageError

Overrides = dict[str, Any]


def grid(
    fields: Mapping[str, Iterable[Any]] | None = None, /, **more: Iterable[Any]
) -> list[Overrides]:
    """All combinations of the values of some fields; the last one varies fastest.

    Args:
      fields: values by dotted name.
      more: values of fields whose names have no dot.

    Raises:
      UsageError: a field's values are no list.

    >>> for trial in grid({"task.length": (5, 10)}, seed=range(2)):
    ...     print(trial)
    {'task.length': 5, 'seed': 0}
    {'task.length': 5, 'seed': 1}
    {'task.length': 10, 'seed': 0}
    {'task.length': 10, 'seed': 1}
    """
    columns = _columns("grid", fields, more)
    return [
        dict(builtins.zip(columns, values, strict=True))
        for values in itertools.product(*columns.values())
    ]


def zip(
    fields: Mapping[str, Iterable[Any]] | None = None, /, **more: Iterable[Any]
) -> list[Overrides]:
    """The values of some fields in step: the first ones, the second ones, and so on.

    Raises:
      UsageError: lists of different lengths.

    >>> zip({"task.length": (5, 10), "train.steps": (500, 1000)})
    [{'task.length': 5, 'train.steps': 500}, {'task.length': 10, 'train.steps': 1000}]
    """
    columns = _columns("zip", fields, more)
    if len({len(column) for column in columns.values()}) > 1:
        lengths = ", ".join(f"{name} {len(c)}" for name, c in columns.items())
        raise UsageError(f"zip: the lists are not of one length: {lengths}")
    return [
        dict(builtins.zip(columns, values, strict=True))
        for values in builtins.zip(*columns.values(), strict=True)
    ]


def product(*sweeps: Iterable[Overrides]) -> list[Overrides]:
    """Every trial of each sweep with every trial of the others.

    Raises:
      UsageError: two of the sweeps set the same field.

    >>> product(grid({"model.units": (8, 16)}), seeds(1))
    [{'model.units': 8, 'seed': 0}, {'model.units': 16, 'seed': 0}]
    """
    return [_joined(trials) for trials in itertools.product(*sweeps)]


def chain(*sweeps: Iterable[Overrides]) -> list[Overrides]:
    """The trials of one sweep after those of another.

    >>> chain(seeds(1), grid({"model.units": (8,)}))
    [{'seed': 0}, {'model.units': 8}]
    """
    return list(itertools.chain(*sweeps))


def seeds(count: int, first: int = 0) -> list[Overrides]:
    """Repetitions that differ in nothing but the seed.

    >>> seeds(2)
    [{'seed': 0}, {'seed': 1}]
    """
    return grid(seed=range(first, first + count))


def _columns(
    what: str, fields: Mapping[str, Iterable[Any]] | None, more: Mapping[str, Any]
) -> dict[str, list[Any]]:
    columns = {**(fields or {}), **more}
    for name, values in columns.items():
        if isinstance(values, str) or not isinstance(values, Iterable):
            raise UsageError(
                f"{what}: {name}={values!r} is not a list of values; write "
                f"({values!r},) for a single one"
            )
    return {name: list(values) for name, values in columns.items()}


def _joined(trials: Iterable[Overrides]) -> Overrides:
    joined: Overrides = {}
    for trial in trials:
        twice = joined.keys() & trial.keys()
        if twice:
            raise UsageError(f"product: {min(twice)} is set by two of the sweeps")
        joined |= trial
    return joined
