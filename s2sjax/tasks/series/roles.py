"""Which column of a file is what: the fields of a config that name columns."""

from typing import NamedTuple

from s2sjax.config import TaskConfig
from s2sjax.errors import UsageError

CATEGORY = ":category"  # after the name of a static column of numbers that are names


class Roles(NamedTuple):
    """The columns of each role, in the order of a row."""

    targets: tuple[str, ...]
    past: tuple[str, ...] = ()
    future: tuple[str, ...] = ()
    static: tuple[str, ...] = ()
    categories: frozenset[str] = frozenset()  # static ones, whatever stands in them
    id: str = ""
    time: str = ""

    @property
    def numbers(self) -> tuple[str, ...]:
        """The columns of numbers at each step."""
        return (*self.targets, *self.past, *self.future)

    @property
    def every(self) -> tuple[str, ...]:
        """All columns that are read."""
        return (*self.numbers, *self.static, *filter(None, (self.id, self.time)))


def roles(task: TaskConfig) -> Roles:
    """The roles that a config gives to columns.

    Raises:
      UsageError: no column is a target, or one is named twice or in two roles.
    """
    named = {
        field: _names(getattr(task, field))
        for field in ("targets", "past", "future", "static")
    }
    categories = {
        name.removesuffix(CATEGORY)
        for name in named["static"]
        if name.endswith(CATEGORY)
    }
    named["static"] = tuple(name.removesuffix(CATEGORY) for name in named["static"])
    if not named["targets"]:
        raise UsageError(
            "task.targets is not set; it names the columns that are forecast, e.g. "
            "task.targets=sales"
        )
    fields = [(field, name) for field, names in named.items() for name in names]
    fields += [(f, getattr(task, f)) for f in ("id", "time") if getattr(task, f)]
    role: dict[str, str] = {}
    for field, name in fields:
        other = role.setdefault(name, field)
        if other != field:
            raise UsageError(
                f"task.{other} and task.{field} both name column {name}; a column has "
                f"one role"
            )
        if fields.count((field, name)) > 1:
            raise UsageError(f"task.{field} names column {name} twice")
    return Roles(**named, categories=frozenset(categories), id=task.id, time=task.time)


def _names(text: str) -> tuple[str, ...]:
    return tuple(name for part in text.split(",") if (name := part.strip()))
