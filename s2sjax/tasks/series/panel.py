"""Series in order of time, and where the parts of each begin."""

from typing import NamedTuple

import numpy as np

from s2sjax.config import TaskConfig
from s2sjax.errors import UsageError
from s2sjax.tasks.series.roles import Roles
from s2sjax.tasks.series.table import Table, instant


class Panel(NamedTuple):
    """All series, one after the other in rows, each in order of time."""

    roles: Roles
    names: tuple[str, ...]  # of the I series, in the order in which they come
    bounds: np.ndarray  # [I + 1] the row with which each begins, and the end
    times: np.ndarray  # [L] datetime64[us], or float64
    numbers: np.ndarray  # [L, D] float64: targets, past and future, NaN where missing
    static: dict[str, np.ndarray]  # by name, [I] float64, or object where categories

    @property
    def series(self) -> np.ndarray:
        """Of which series each row is, [L]."""
        return np.repeat(np.arange(len(self.names)), np.diff(self.bounds))


def panel(table: Table, roles: Roles) -> Panel:
    """The series of a table.

    Rows of different series may stand among one another; those of one are in order.

    Raises:
      UsageError: a cell that cannot be, times that repeat or run backwards, or what is
        static and is not the same in all rows of a series.
    """
    names: tuple[str, ...] = ("",)
    of_row = np.zeros(len(table), np.int64)
    if roles.id:
        texts = table.texts(roles.id)
        unique, first, inverse = np.unique(
            texts.astype(str), return_index=True, return_inverse=True
        )
        rank = np.argsort(np.argsort(first))
        names = tuple(str(name) for name in unique[np.argsort(first)])
        of_row = rank[inverse]
    order = np.argsort(of_row, kind="stable")
    bounds = np.searchsorted(of_row[order], np.arange(len(names) + 1))
    numbers = np.stack([table.numbers(name) for name in roles.numbers], axis=-1)
    static = {name: _static(table, roles, name, order, bounds) for name in roles.static}
    if roles.time:
        times = table.times(roles.time)[order]
        _check_times(table, roles, times, order, bounds)
    else:
        starts = np.repeat(bounds[:-1], np.diff(bounds))
        times = (np.arange(len(order)) - starts).astype(np.float64)
    return Panel(roles, names, bounds, times, numbers[order], static)


def cuts(panel: Panel, task: TaskConfig) -> np.ndarray:
    """Where the parts of each series begin and end, as rows: [I, 4].

    Training has the rows from the first to the second, validation to the third and
    test to the fourth. A share is of the different times of all series, so that all of
    them are cut at one time; without times it is of the rows of each series.

    Raises:
      UsageError: what is neither a time nor a share, or test begins before validation.
    """
    first, end = panel.bounds[:-1], panel.bounds[1:]
    valid = _cut(panel, task, "valid_from")
    test = _cut(panel, task, "test_from")
    if (test < valid).any():
        raise UsageError(
            f"task.test_from={task.test_from} is before task.valid_from="
            f"{task.valid_from}; the test part is the last"
        )
    return np.stack([first, valid, test, end], axis=-1)


def _cut(panel: Panel, task: TaskConfig, field: str) -> np.ndarray:
    text = getattr(task, field)
    first, end = panel.bounds[:-1], panel.bounds[1:]
    share = _share(text)
    if share is not None and not panel.roles.time:
        # Rounded first: 0.7 * 10 is not quite 7 in floating point.
        return first + np.floor(np.round(share * (end - first), 6)).astype(np.int64)
    if share is not None:
        times = np.unique(panel.times)
        place = int(np.floor(np.round(share * len(times), 6)))
        at = times[min(place, len(times) - 1)]
    else:
        at = _moment(panel, text, field)
    places = [
        begin + np.searchsorted(panel.times[begin:until], at)
        for begin, until in zip(first, end, strict=True)
    ]
    return np.array(places, np.int64)


def _share(text: str) -> float | None:
    try:
        share = float(text)
    except ValueError:
        return None
    return share if 0 < share < 1 else None


def _moment(panel: Panel, text: str, field: str) -> np.generic:
    """A time as those of a panel are."""
    if panel.times.dtype.kind == "M":
        moment = instant(text)
        if moment is not None:
            return np.datetime64(moment, "us")
        what = "a time, e.g. 2024-05-31"
    else:
        try:
            return np.float64(text)
        except ValueError:
            what = "a number, as the times are" if panel.roles.time else "a step"
    raise UsageError(
        f"task.{field}={text} is neither {what}, nor a share between 0 and 1"
    )


def _check_times(
    table: Table, roles: Roles, times: np.ndarray, order: np.ndarray, bounds: np.ndarray
) -> None:
    inside = np.ones(len(times), bool)
    inside[bounds[:-1]] = False
    (wrong,) = np.nonzero((times[1:] <= times[:-1]) & inside[1:])
    if not len(wrong):
        return
    place = int(wrong[0])
    again = times[place] == times[place + 1]
    what = "stands there already" if again else f"comes after {times[place]}"
    hint = "" if roles.id else "; where a file has several series, task.id tells them"
    raise UsageError(
        f"{table.where(int(order[place + 1]), roles.time)}: {times[place + 1]} {what}; "
        f"times of a series rise{hint}"
    )


def _static(
    table: Table, roles: Roles, name: str, order: np.ndarray, bounds: np.ndarray
) -> np.ndarray:
    """What a static column has of each series, [I]."""
    if name not in roles.categories and table.are_numbers(name):
        values = table.numbers(name)[order]
        if np.isnan(values).any():
            row = int(order[np.isnan(values).argmax()])
            raise UsageError(f"{table.where(row, name)} is empty")
    else:
        values = table.texts(name)[order]
    firsts = np.repeat(values[bounds[:-1]], np.diff(bounds))
    (changed,) = np.nonzero(values != firsts)
    if len(changed):
        place = int(changed[0])
        raise UsageError(
            f"{table.where(int(order[place]), name)}: {values[place]} was "
            f"{firsts[place]} before; what is static is one of a series"
        )
    found: np.ndarray = values[bounds[:-1]]
    return found
