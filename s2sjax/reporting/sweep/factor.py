"""A field that a sweep varies, as levels in an order that people expect."""

import dataclasses
import itertools
import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from s2sjax.reporting.formats import number
from s2sjax.reporting.sweep.table import SEED, SweepTable

MOST_LEVELS = 24  # of a numeric field; with more, its values are put into bins
BINS = 6


@dataclasses.dataclass(frozen=True)
class Factor:
    """Levels of a field, lowest first, and the level of every trial.

    Attributes:
      codes: for each trial of the table, the index of its level.
      numeric: whether the levels have an order of their own.
      binned: whether a level is a range of values; the bins hold about as many
        trials each.
    """

    field: str
    labels: tuple[str, ...]
    codes: tuple[int, ...]
    numeric: bool
    binned: bool = False

    @property
    def name(self) -> str:
        """The field without its group.

        >>> Factor("task.length", ("8",), (0,), True).name
        'length'
        >>> Factor("task.name", ("copy",), (0,), False).name
        'task'
        """
        group, _, name = self.field.rpartition(".")
        return group if group and name == "name" else name


def factor(table: SweepTable, field: str) -> Factor:
    """The levels of a field: numbers by value, then texts; unset is `none`.

    Numbers that were drawn at random, nearly all different, are put into bins.
    """
    values = [trial.overrides.get(field) for trial in table.trials]
    order = {key: None for key in sorted(map(_key, values))}
    numeric = all(key[0] == 1 for key in order)
    alone = table.varying() == [field]
    if numeric and field != SEED and _scattered(len(order), len(values), alone):
        return _binned(field, np.array(values, float))
    place = {key: code for code, key in enumerate(order)}
    texts = {_key(value): level_label(value) for value in values}
    return Factor(
        field,
        tuple(texts[key] for key in order),
        tuple(place[_key(value)] for value in values),
        numeric,
    )


def factors(table: SweepTable, fields: Sequence[str]) -> list[Factor]:
    """`factor` of each."""
    return [factor(table, field) for field in fields]


def level_label(value: Any) -> str:
    """A value of a field on an axis.

    >>> [level_label(v) for v in (None, True, 0.001, 1000, "lstm", "", [1])]
    ['none', 'true', '0.001', '1,000', 'lstm', "''", '[1]']
    """
    if value is None or isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return number(value, 6) if abs(value) >= 1e-3 or value == 0 else f"{value:g}"
    if isinstance(value, str):
        return value or "''"
    return json.dumps(value)


def _key(value: Any) -> tuple[int, float, str]:
    if value is None:
        return (0, 0.0, "")
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if is_number and math.isfinite(value):
        return (1, float(value), "")
    return (2, 0.0, json.dumps(value))


def _scattered(levels: int, trials: int, alone: bool) -> bool:
    """Whether the values are many, or no grid: hardly two trials share one."""
    return levels > MOST_LEVELS or (not alone and levels > BINS and levels > trials / 2)


def _binned(field: str, values: np.ndarray) -> Factor:
    edges = np.quantile(values, np.linspace(0, 1, BINS + 1), method="nearest")
    edges = np.unique(edges)
    codes = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, len(edges) - 2)
    labels = _ranges(edges, 2)
    if len(set(labels)) < len(labels):
        labels = _ranges(edges, 6)
    return Factor(field, tuple(labels), tuple(map(int, codes)), True, binned=True)


def _ranges(edges: np.ndarray, digits: int) -> list[str]:
    whole = bool((edges == np.round(edges)).all())
    ends = [f"{edge:g}" if whole else f"{edge:.{digits}g}" for edge in edges]
    return [f"{low}–{high}" for low, high in itertools.pairwise(ends)]
