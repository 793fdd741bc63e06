"""One field of a config: its dotted name, its type, and what it takes."""

import dataclasses
import difflib
import functools
import math
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any

from s2sjax.errors import UsageError, unknown
from s2sjax.foreign import shown
from s2sjax.schema import Config

_KINDS = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "a text",
}


@dataclasses.dataclass(frozen=True)
class Field:
    """One line of `s2sjax config show`."""

    path: str  # dotted, e.g. "model.units"
    type: type
    optional: bool
    default: Any
    metadata: typing.Mapping[str, Any]

    @property
    def possible(self) -> str:
        """What the field takes, in words.

        >>> fields()["model.units"].possible
        'a whole number from 1 to 1000000'
        """
        kind = _KINDS[self.type]
        least, most = self.metadata["least"], self.metadata["most"]
        if self.metadata["choices"]:
            none = ("none",) if self.optional else ()
            return "one of " + ", ".join((*self.metadata["choices"], *none))
        if least is not None:
            kind = f"{kind} from {least} to {most}"
        return f"{kind}, or none" if self.optional else kind


@functools.cache
def fields() -> Mapping[str, Field]:
    """All fields of the schema by dotted path, in order; nobody can change them."""
    return types.MappingProxyType({field.path: field for field in _fields(Config, "")})


def coerced(field: Field, value: Any) -> Any:
    """`value` in the field's type where that loses nothing, else as it is.

    >>> coerced(fields()["model.units"], 1e2), coerced(fields()["model.units"], 0.5)
    (100, 0.5)
    """
    if isinstance(value, bool):
        return value
    if field.type is float and isinstance(value, int | float):
        try:
            return float(value)
        except OverflowError:
            return math.inf
    if field.type is int and isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def checked(field: Field, value: Any) -> Any:
    """`value` as the field takes it.

    Raises:
      UsageError: it does not; the message names the field and what it takes.
    """
    if value is None:
        if field.optional:
            return None
        raise UsageError(f"{field.path} is not set; it takes {field.possible}")
    value = coerced(field, value)
    if type(value) is not field.type:
        raise UsageError(f"{field.path}={shown(value)} is not {field.possible}")
    least, most = field.metadata["least"], field.metadata["most"]
    choices = field.metadata["choices"]
    if choices and value not in choices:
        raise unknown(field.path, str(value), choices)
    # Written so that NaN, which is in no order, is refused.
    if least is not None and not least <= value <= most:
        raise UsageError(f"{field.path}={shown(value)} is not {field.possible}")
    return value


def written(value: Any) -> str:
    """A value as the command line takes it, before a shell's quotation.

    >>> written(None), written(True), written(0.5)
    ('none', 'true', '0.5')
    """
    is_word = value is None or isinstance(value, bool)
    return str(value).lower() if is_word else str(value)


def unknown_field(path: str) -> UsageError:
    """The error for a dotted name that is not in the schema, with the nearest one.

    >>> print(unknown_field("model.unit"))
    unknown field 'model.unit'; did you mean 'model.units'?
    """
    near = named_field(path) or near_field(path)
    hint = f"did you mean '{near}'?" if near else "`s2sjax config show` lists them"
    return UsageError(f"unknown field '{path}'; {hint}")


def named_field(path: str) -> str:
    """The field that a name stands for without its group, or by its initials.

    >>> named_field("units"), named_field("lr"), named_field("model.learning_rate")
    ('model.units', 'train.learning_rate', 'train.learning_rate')
    """
    last = path.rpartition(".")[2]
    by_last = _by_last()
    initials = [
        name
        for name in by_last
        if "_" in name and last == "".join(word[:1] for word in name.split("_"))
    ]
    return _first(path, [last] if last in by_last else initials)


def near_field(path: str) -> str:
    """The field whose name is nearest to one that is not in the schema."""
    last = path.rpartition(".")[2]
    matches = difflib.get_close_matches(last, _by_last(), n=2)
    matches = matches or [name for name in _by_last() if name in last.split("_")]
    return _first(path, matches or [n for n in _by_last() if last in n.split("_")])


def _by_last() -> dict[str, list[str]]:
    """The fields by their name without a group."""
    by_last: dict[str, list[str]] = {}
    for name in fields():
        by_last.setdefault(name.rpartition(".")[2], []).append(name)
    return by_last


def _first(path: str, matches: Sequence[str]) -> str:
    near = [name for match in matches for name in _by_last()[match]]
    # Of equally near names, the one in the group that was asked for.
    near.sort(key=lambda name: name.rpartition(".")[0] != path.rpartition(".")[0])
    return near[0] if near else ""


def _fields(cls: type, prefix: str) -> typing.Iterator[Field]:
    hints = typing.get_type_hints(cls)
    for item in dataclasses.fields(cls):
        path, hint = prefix + item.name, hints[item.name]
        if dataclasses.is_dataclass(hint):
            yield from _fields(typing.cast(type, hint), path + ".")
            continue
        options = [t for t in typing.get_args(hint) if t is not type(None)]
        yield Field(
            path,
            options[0] if options else hint,
            bool(options),
            item.default,
            item.metadata,
        )
