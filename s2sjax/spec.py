"""Specs: a name with arguments on one line, `beam:size=10,alpha=1.0`.

The same form names a decoding strategy, an optimiser and a schedule, on the command
line and in a config, and needs no shell quoting. `beam(size=10, alpha=1.0)` is
accepted too.
"""

import functools
import inspect
import math
import re
import typing
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from s2sjax import user_code
from s2sjax.errors import UsageError, unknown

LARGEST = 2**31 - 1  # the int32 of compiled code
_LARGEST_FLOAT = 3.4e38  # its float32
_FORM = re.compile(
    r"\s*(?:(?P<file>.+\.py):)?(?P<name>[A-Za-z_]\w*)\s*(?::(.*)|\((.*)\)\s*)?",
    re.DOTALL,
)
# Between arguments; one before a number goes on with a list of numbers.
_COMMA = re.compile(r",(?!\s*[-+.\d][-+.\deE]*\s*(?:,|$))")


@dataclass(frozen=True)
class Spec:
    """A parsed spec: `name` and its arguments in the order they came.

    Where there is a `file`, of Python and of a user's own, the name is one in it.
    """

    name: str
    arguments: tuple[tuple[str, Any], ...] = ()
    file: str = ""

    def __str__(self) -> str:
        name = f"{self.file}:{self.name}" if self.file else self.name
        listed = ",".join(f"{key}={_written(value)}" for key, value in self.arguments)
        return f"{name}:{listed}" if listed else name

    def split(self, names: Collection[str]) -> tuple["Spec", "Spec"]:
        """The spec without these arguments, and the spec with them alone."""
        rest = tuple(pair for pair in self.arguments if pair[0] not in names)
        these = tuple(pair for pair in self.arguments if pair[0] in names)
        return Spec(self.name, rest, self.file), Spec(self.name, these)


def parse(text: str) -> Spec:
    """Parses a spec.

    Values are numbers, true, false or words; anything that is not a number or a
    boolean stays a string, and so do several numbers, `levels=0.1,0.5,0.9`.
    `FILE.py:name:key=value` names what is in a file.

    Raises:
      UsageError: the text is not a name with `key=value` arguments.

    >>> parse("beam:size=10,alpha=1.0")
    Spec(name='beam', arguments=(('size', 10), ('alpha', 1.0)), file='')
    >>> parse("beam(size=10, alpha=1.0)") == parse("beam:size=10,alpha=1.0")
    True
    """
    form = _FORM.fullmatch(text)
    if form is None:
        raise UsageError(
            f"'{text}' is not a spec; write a name with arguments, e.g. "
            "beam:size=10,alpha=1.0"
        )
    listed = form[3] if form[3] is not None else form[4] or ""
    arguments: dict[str, Any] = {}
    for item in filter(None, map(str.strip, _COMMA.split(listed))):
        key, equals, value = (part.strip() for part in item.partition("="))
        if not equals or not key.isidentifier() or not value:
            raise UsageError(
                f"'{item}' in '{text}' is not an argument; write key=value"
            )
        if key in arguments:
            raise UsageError(f"'{key}' is given twice in '{text}'")
        arguments[key] = _value(value)
    return Spec(form["name"], tuple(arguments.items()), form["file"] or "")


def find(
    kind: str, text: str | Spec, table: Mapping[str, Callable[..., Any]]
) -> Callable[..., Any]:
    """The function that a spec names: in `table`, or in a file of a user's own.

    Raises:
      UsageError: an unknown name (with the nearest one), or a file that is not there,
        raises, or has no such name.
    """
    parsed = parse(text) if isinstance(text, str) else text
    if parsed.file:
        return user_code.load(kind, parsed.file, parsed.name)
    if parsed.name not in table:
        raise unknown(kind, parsed.name, table)
    return table[parsed.name]


def call(
    kind: str,
    text: str | Spec,
    table: Mapping[str, Callable[..., Any]],
    *positional: Any,
) -> Any:
    """Calls the function that a spec names with the spec's arguments.

    Raises:
      UsageError: as `find` and `apply`.

    >>> call("shape", "square:side=2", {"square": lambda *, side: side * side})
    4
    """
    parsed = parse(text) if isinstance(text, str) else text
    function = find(kind, parsed, table)
    return apply(kind, parsed, function, *positional)


def apply(
    kind: str,
    parsed: Spec,
    function: Callable[..., Any],
    *positional: Any,
    also: Collection[str] = (),
    hidden: Collection[str] = (),
) -> Any:
    """Calls the function that `find` has found with the spec's arguments.

    Only parameters with a number, boolean or string as default (or None, or nothing)
    can be given; `positional` fills the first ones, and those that are `hidden` are not
    a spec's to give. `also` names arguments that the caller takes itself, for the hint
    at the nearest name. Numbers fit what is compiled: an int32 or a float32.

    Raises:
      UsageError: an unknown argument (with the nearest one), a missing one, or one of
        the wrong type; or whatever a user's function raises.
    """
    parameters = list(inspect.signature(function).parameters.values())
    accepted = {
        p.name: p
        for p in parameters[len(positional) :]
        if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)
        and p.name not in hidden
        and (p.default in (None, p.empty) or isinstance(p.default, int | float | str))
    }
    given: dict[str, Any] = {}
    for key, value in parsed.arguments:
        if key not in accepted:
            known = {*accepted, *also}
            if not known:
                raise UsageError(f"{kind} '{parsed.name}' takes no argument '{key}'")
            raise unknown(f"argument of {kind} '{parsed.name}'", key, known)
        given[key] = _like(_kind(accepted[key]), value, f"{kind} '{parsed}': {key}")
    for name, parameter in accepted.items():
        if parameter.default is inspect.Parameter.empty and name not in given:
            raise UsageError(f"{kind} '{parsed}' needs the argument '{name}'")
    made = functools.partial(function, *positional, **given)
    if parsed.file:
        return user_code.call(parsed.file, made, f"{kind}: {parsed.name}")
    try:
        return made()
    except (ValueError, ArithmeticError) as error:  # ours, or what a library says
        raise UsageError(f"{kind} '{parsed}': {error}") from None


def tried(kind: str, text: str, attempt: Callable[[], Any]) -> None:
    """Makes an attempt with what a spec names; where that is in a file of a user's own,
    whatever it raises is one line.

    Raises:
      UsageError: what the attempt, or the user's code in it, raises.
    """
    parsed = parse(text)
    if parsed.file:
        find(kind, parsed, {})  # a file that is not there says so without its place
        user_code.call(parsed.file, attempt, f"{kind}: {parsed.name}")
    else:
        attempt()


def between(name: str, value: float, least: float, most: float) -> None:
    """Checks a number that an argument gave.

    Raises:
      UsageError: it is smaller than the least, larger than the most, or not a number.

    >>> between("size", 0, 1, 10)
    Traceback (most recent call last):
    s2sjax.errors.UsageError: size=0 is not a number from 1 to 10
    """
    if not least <= value <= most:
        raise UsageError(f"{name}={value} is not a number from {least} to {most}")


def _kind(parameter: inspect.Parameter) -> type | None:
    """What a parameter takes: the one type of its annotation, or that of its default;
    None where neither says it.
    """
    annotated = typing.get_args(parameter.annotation) or (parameter.annotation,)
    kinds = [kind for kind in annotated if kind is not type(None)]
    if len(kinds) == 1 and kinds[0] in (bool, int, float, str):
        return typing.cast(type, kinds[0])
    default = type(parameter.default)
    return default if default in (bool, int, float, str) else None


def _like(kind: type | None, value: Any, what: str) -> Any:
    """`value` as this kind, where that loses nothing."""
    if kind is str:
        return _written(value)
    if kind is bool and not isinstance(value, bool):
        raise UsageError(f"{what}={value} is not true or false")
    if isinstance(value, bool | str):
        if kind in (int, float):
            raise UsageError(f"{what}={_written(value)} is not a number")
        return value
    if isinstance(value, float) and not math.isfinite(value):
        raise UsageError(f"{what}={value} is not a finite number")
    most = _LARGEST_FLOAT if (kind or type(value)) is float else LARGEST
    if abs(value) > most:
        raise UsageError(f"{what}={value} is beyond {most}")
    if kind is int and value != int(value):
        raise UsageError(f"{what}={value} is not a whole number")
    return value if kind is None else kind(value)


def _value(text: str) -> bool | int | float | str:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for convert in (int, float):
        try:
            return convert(text)
        except ValueError:
            continue
    return text


def _written(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
