"""Which factor goes where in a picture: across, down, and one panel for each rest."""

from collections.abc import Sequence
from typing import NamedTuple

from s2sjax.reporting.factor import Factor
from s2sjax.reporting.formats import cut, printable
from s2sjax.reporting.groups import Estimate, groups
from s2sjax.reporting.sweep_table import SweepTable

PREFERRED = ("task.length", "task.cardinality")  # across, down


class Arrangement(NamedTuple):
    """Axes and panels; an axis without a factor has one level."""

    across: Factor | None
    down: Factor | None
    rest: tuple[Factor, ...]


class Cell(NamedTuple):
    """What is in one place of a heat map."""

    estimate: Estimate
    statuses: tuple[str, ...]  # of all its trials


class Panel(NamedTuple):
    """A heat map: cells by (level down, level across); places without trials lack."""

    title: tuple[str, ...]  # a part for each remaining factor
    cells: dict[tuple[int, int], Cell]


def arrange(factors: Sequence[Factor]) -> Arrangement:
    """Length across and cardinality down, or the two with the most levels.

    >>> lengths = Factor("task.length", ("5", "10"), (0, 1), True)
    >>> cells = Factor("model.cell", ("gru", "lstm", "rnn"), (0, 1), False)
    >>> [axis.field for axis in arrange([cells, lengths])[:2]]
    ['task.length', 'model.cell']
    """

    def rank(factor: Factor) -> tuple[int, int]:
        preferred = factor.field in PREFERRED
        return (
            PREFERRED.index(factor.field) if preferred else len(PREFERRED),
            -len(factor.labels),
        )

    ordered = sorted(factors, key=rank)
    axes = [*ordered[:2], None, None]
    rest = tuple(factor for factor in factors if factor not in ordered[:2])
    return Arrangement(axes[0], axes[1], rest)


def panels(table: SweepTable, arrangement: Arrangement, metric: str) -> list[Panel]:
    """The heat maps, one per combination of the remaining factors' levels."""
    across, down, rest = arrangement
    axes = [axis for axis in (down, across) if axis is not None]
    found: dict[tuple[int, ...], dict[tuple[int, int], Cell]] = {}
    for group in groups(table, [*rest, *axes], metric):
        key, place = group.levels[: len(rest)], list(group.levels[len(rest) :])
        row = place.pop(0) if down is not None else 0
        column = place.pop(0) if across is not None else 0
        statuses = tuple(table.trials[trial].status for trial in group.trials)
        found.setdefault(key, {})[row, column] = Cell(group.estimate, statuses)
    return [Panel(panel_title(rest, key), cells) for key, cells in found.items()]


def panel_title(factors: Sequence[Factor], levels: Sequence[int]) -> tuple[str, ...]:
    """The levels of a panel in words.

    >>> panel_title([Factor("model.cell", ("gru", "lstm"), (0, 1), False)], [1])
    ('cell = lstm',)
    """
    return tuple(
        f"{factor.name} = {factor.labels[level]}"
        for factor, level in zip(factors, levels, strict=True)
    )


def joined(parts: Sequence[str]) -> str:
    """The parts of a title; a line may end between them, and not within one.

    >>> joined(["cell = lstm", "layers = 2"])
    'cell\xa0=\xa0lstm, layers\xa0=\xa02'
    """
    return ", ".join(cut(printable(part), 60).replace(" ", "\xa0") for part in parts)
