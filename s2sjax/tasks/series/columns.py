"""From columns to the numbers that enter: shifts, scales, masks and categories.

All of it is made from training rows alone.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from s2sjax.errors import UsageError
from s2sjax.tasks.series.panel import Panel

MOST_CATEGORIES = 1000  # of a static column: each is a number that is read at each step
WINDOW_MEAN = "window_mean"

T = TypeVar("T")


@dataclass(frozen=True)
class Column:
    """What a column of numbers enters as: (number - shift) / scale."""

    name: str
    shift: float
    scale: float
    masked: bool = False  # whether a mask says where it is missing


@dataclass(frozen=True)
class Static:
    """A static column: a number, or one of some categories, which is a 1 of its own.

    A category that is not among them is zeros.
    """

    name: str
    shift: float = 0.0
    scale: float = 1.0
    categories: tuple[str, ...] = ()  # empty: a number

    @property
    def names(self) -> tuple[str, ...]:
        """Of the numbers that it is."""
        if not self.categories:
            return (self.name,)
        return tuple(f"{self.name}={category}" for category in self.categories)


@dataclass(frozen=True)
class Columns:
    """All columns of a file, as they enter."""

    targets: tuple[Column, ...]
    past: tuple[Column, ...] = ()
    future: tuple[Column, ...] = ()
    static: tuple[Static, ...] = ()
    scaling: str = "none"

    @property
    def numbers(self) -> tuple[Column, ...]:
        """The columns of numbers at each step, in the order of `Panel.numbers`."""
        return (*self.targets, *self.past, *self.future)

    @property
    def read(self) -> tuple[str, ...]:
        """The names of what stands in a row of a source."""
        return (*with_masks(self.numbers), *self._static_names)

    @property
    def known(self) -> tuple[str, ...]:
        """The names of what is known ahead of a step."""
        return (*with_masks(self.future), *self._static_names)

    @property
    def scales(self) -> tuple[tuple[float, float], ...]:
        """Shift and scale of what stands in a row of a source; of masks 0 and 1."""
        masks = sum(column.masked for column in self.numbers)
        return (
            *((column.shift, column.scale) for column in self.numbers),
            *((0.0, 1.0) for _ in range(masks)),
            *((s.shift, s.scale) for s in self.static for _ in s.names),
        )

    @property
    def _static_names(self) -> tuple[str, ...]:
        return tuple(name for column in self.static for name in column.names)

    def scaled(self, panel: Panel) -> np.ndarray:
        """The numbers of each row, -> [L, D] float32, NaN where missing."""
        shift = np.array([column.shift for column in self.numbers])
        scale = np.array([column.scale for column in self.numbers])
        return ((panel.numbers - shift) / scale).astype(np.float32)

    def static_of(self, panel: Panel) -> np.ndarray:
        """What is static of each series, -> [I, E] float32."""
        parts = [np.zeros((len(panel.names), 0))]
        for column in self.static:
            values = panel.static[column.name]
            if column.categories:
                known = np.array(column.categories, object)
                parts.append(values[:, None] == known)
            else:
                parts.append((values[:, None] - column.shift) / column.scale)
        return np.concatenate(parts, axis=1).astype(np.float32)

    def unknown(self, panel: Panel) -> list[tuple[str, str, int]]:
        """Categories that training has not: column, category, and how many series."""
        found = []
        for column in self.static:
            if not column.categories:
                continue
            values = panel.static[column.name].astype(str)
            new, counts = np.unique(
                values[~np.isin(values, column.categories)], return_counts=True
            )
            rows = zip(new.tolist(), counts.tolist(), strict=True)
            found += [(column.name, category, count) for category, count in rows]
        return found


def fit(panel: Panel, training: np.ndarray, scaling: str) -> Columns:
    """How the columns of a panel enter.

        none         x
        standard     (x - mean) / deviation, of the training rows
        minmax       (x - least) / (most - least), likewise
        window_mean  of a target x over the mean |x| that was observed in its window's
                     context, 1 where all are 0 (Salinas et al. 2017, DeepAR); all
                     else as of standard

    What does not change in training keeps its scale. A mask stands beside a column that
    is missing somewhere in training.

    Args:
      panel: all rows.
      training: [L] bool, which of them are training's.
      scaling: one of those names.

    Raises:
      UsageError: a target without a number in training, or one that does not change
        there while its scale would divide.
    """
    roles = panel.roles
    of_targets = "none" if scaling == WINDOW_MEAN else scaling
    of_others = "standard" if scaling == WINDOW_MEAN else scaling

    def column(name: str, kind: str) -> Column:
        values = panel.numbers[training, roles.numbers.index(name)]
        masked = bool(np.isnan(values).any())
        return Column(name, *scaler(values[~np.isnan(values)], kind), masked)

    for name in roles.targets:
        check_target(
            name, panel.numbers[training, roles.numbers.index(name)], of_targets
        )
    seen = np.unique(panel.series[training])
    return Columns(
        tuple(column(name, of_targets) for name in roles.targets),
        tuple(column(name, of_others) for name in roles.past),
        tuple(column(name, of_others) for name in roles.future),
        tuple(
            _fitted_static(name, panel.static[name][seen], of_others)
            for name in roles.static
        ),
        scaling,
    )


def check_target(name: str, values: np.ndarray, scaling: str) -> None:
    """Whether a target [n] of training can be scaled.

    Raises:
      UsageError: there is no number, or one alone while its scale would divide.
    """
    values = values[~np.isnan(values)]
    if not len(values):
        raise UsageError(f"column {name} has no number in the training part")
    if scaling != "none" and values.min() == values.max():
        raise UsageError(
            f"column {name} is {values[0]:g} all through the training part, so that "
            f"task.scaling={scaling} would divide by 0; use none or window_mean, or "
            f"leave it out of task.targets"
        )


def from_json(kept: dict[str, Any]) -> Columns:
    """What `dataclasses.asdict` made of them."""
    rows: dict[str, Any] = {
        name: tuple(record(Static if name == "static" else Column, row) for row in own)
        for name, own in kept.items()
        if name != "scaling"
    }
    return Columns(**rows, scaling=kept["scaling"])


def record(kind: Callable[..., T], row: dict[str, Any]) -> T:
    """A frozen record as JSON has it, whose lists are tuples."""
    return kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in row.items()})


def with_masks(columns: Sequence[Column]) -> tuple[str, ...]:
    """The names of columns as they enter, then those of their masks."""
    masks = [f"{column.name} is there" for column in columns if column.masked]
    return (*(column.name for column in columns), *masks)


def scaler(values: np.ndarray, kind: str) -> tuple[float, float]:
    """Shift and scale of numbers [n], of which there may be none; see `fit`."""
    if kind == "none" or not len(values):
        return 0.0, 1.0
    least, most = float(values.min()), float(values.max())
    if least == most:
        return least, 1.0
    if kind == "minmax":
        return least, most - least
    return float(values.mean()), float(values.std())


def _fitted_static(name: str, values: np.ndarray, kind: str) -> Static:
    if values.dtype != object:
        return Static(name, *scaler(values, kind))
    categories = tuple(sorted(set(values.tolist())))
    if len(categories) > MOST_CATEGORIES:
        raise UsageError(
            f"task.static: column {name} has {len(categories)} categories; at most "
            f"{MOST_CATEGORIES} can be read"
        )
    return Static(name, categories=categories)
