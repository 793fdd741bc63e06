"""JSON objects on the disk: written with a checksum, read with the fields they need.

What a run or a sweep keeps about itself may come from elsewhere or be damaged. What
is read here has the types that its reader counts on, or is refused in one line; so is
what another format of s2sjax wrote. Imports no jax.
"""

import dataclasses
import json
import math
import os
import types
import typing
import zlib
from collections.abc import Mapping
from typing import Any, TypeVar

from s2sjax.errors import UsageError

FORMAT_VERSION = 3  # of all that a run, a sweep or exported parameters keep
VERSION = "format_version"  # the field that has it
CHECKSUM = "crc32"  # the field of an object that covers all others
DEEPEST = 50  # objects and lists in one another
_DIGITS = 18  # of a whole number; more are read as a float

T = TypeVar("T")

_CALLED: dict[Any, str] = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "a text",
    list: "a list",
    dict: "an object",
    types.NoneType: "null",
}


def encode(fields: Mapping[str, Any], *, indent: int | None = 1) -> str:
    """The fields as JSON with their checksum, and a newline.

    Args:
      fields: finite JSON, without a field `CHECKSUM`.
      indent: of nested values; None: all on one line.

    >>> print(encode({"a": 1}, indent=None), end="")
    {"a": 1, "crc32": 1444654255}
    """
    plain = loads(json.dumps(fields, allow_nan=False))  # as it will be read
    whole = {**fields, CHECKSUM: _checksum(plain)}
    return json.dumps(whole, indent=indent, allow_nan=False) + "\n"


def decode(text: str | bytes, kind: type[T]) -> T:
    """The object that `encode` wrote, with the fields of `kind`.

    Raises:
      ValueError: it is not JSON, was changed, or `checked` refuses it.

    >>> decode('{"a": 1, "crc32": 1444654255}', dict)
    {'a': 1}
    """
    return _opened(loads(text), kind)


def read(path: str | os.PathLike[str], kind: type[T], *, plain: bool = False) -> T:
    """The object of a file.

    Args:
      path: of the file.
      kind: the fields that it has at least.
      plain: whether it has no checksum.

    Raises:
      OtherFormat: another format of s2sjax wrote it.
      UsageError: it cannot be read, or is not such an object.
    """
    try:
        with open(path, "rb") as file:
            value = loads(file.read())
        if isinstance(value, dict):
            check_version(str(path), value.get(VERSION))
        return checked(value, kind) if plain else _opened(value, kind)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise UsageError(f"{path} is damaged: {error}") from None


class OtherFormat(UsageError):
    """A file is of another format than this s2sjax reads."""


def check_version(what: str, version: Any) -> None:
    """Refuses another version than this one; what is no number is none.

    Raises:
      OtherFormat: it is older or newer.
    """
    if type(version) is not int or version == FORMAT_VERSION:
        return
    remedy = "train it again, or use the s2sjax that wrote it"
    raise OtherFormat(
        f"{what} has {VERSION} {version}; this s2sjax reads {FORMAT_VERSION}: "
        f"{remedy if version < FORMAT_VERSION else 'install a newer one'}"
    )


def loads(text: str | bytes) -> Any:
    """The value of a JSON text, of numbers that are finite.

    A whole number too long for 64 bits is read as a float.

    Raises:
      ValueError: it is not JSON, or nested too deeply.
    """
    try:
        value = json.loads(
            text, parse_int=_whole, parse_float=_finite, parse_constant=_finite
        )
    except UnicodeDecodeError:
        raise ValueError("not text in UTF-8") from None
    except RecursionError:
        raise ValueError("nested too deeply") from None
    level = [value]
    for _ in range(DEEPEST):
        level = [inner for outer in level for inner in _items(outer)]
        if not level:
            return value
    raise ValueError("nested too deeply")


def checked(value: Any, kind: type[T]) -> T:
    """`value`, which is of a type as annotations write it.

    The types: bool, int, float (whole numbers too), str, None, Any; lists and dicts,
    of something or not; unions and literals; and typed dicts, which may have other
    fields than those that they name.

    Raises:
      ValueError: it is of another; the message names the place.

    >>> checked({"sizes": [1, "2"]}, dict[str, list[int]])
    Traceback (most recent call last):
    ValueError: sizes[1] is "2", not a whole number
    """
    _check(value, kind, "it")
    return typing.cast(T, value)


def built(value: Any, kind: type[T]) -> T:
    """The dataclass of an object's fields; a field that it has not is left out.

    Raises:
      ValueError: `value` is no object, or a field is missing or of another type.
    """
    _check(value, kind, "it")
    names = [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type]
    return kind(**{name: value[name] for name in names if name in value})


def _opened(value: Any, kind: type[T]) -> T:
    """A value that was read, without its checksum, which must be right."""
    if not isinstance(value, dict):
        return checked(value, kind)
    fields = {name: inner for name, inner in value.items() if name != CHECKSUM}
    if CHECKSUM not in value:
        raise ValueError("its checksum is missing")
    if value[CHECKSUM] != _checksum(fields):
        raise ValueError("its checksum is wrong")
    return checked(fields, kind)


def _check(value: Any, kind: Any, name: str) -> None:
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    inside = "" if name == "it" else f"{name}."
    if kind is Any:
        return
    if origin in (typing.Union, types.UnionType):
        if value is not None or types.NoneType not in parts:
            options = [part for part in parts if part is not types.NoneType]
            plain = [typing.get_origin(part) or part for part in options]
            fits = [o for o, p in zip(options, plain, strict=True) if _is(value, p)]
            if fits or len(options) == 1:
                _check(value, (fits or options)[0], name)
            else:
                raise _wrong(value, " or ".join(_CALLED[p] for p in plain), name)
    elif origin is typing.Literal:
        if not any(value == part and type(value) is type(part) for part in parts):
            raise _wrong(value, f"one of {', '.join(map(str, parts))}", name)
    elif typing.is_typeddict(kind) or dataclasses.is_dataclass(kind):
        if not isinstance(value, dict):
            raise _wrong(value, _CALLED[dict], name)
        hints = typing.get_type_hints(kind)
        for field in _required(kind):
            if field not in value:
                raise ValueError(f"{inside}{field} is missing")
        for field, hint in hints.items():
            if field in value:
                _check(value[field], hint, f"{inside}{field}")
    elif not _is(value, origin or kind):
        raise _wrong(value, _CALLED[origin or kind], name)
    elif origin is list:
        for place, item in enumerate(value):
            _check(item, parts[0], f"{name}[{place}]")
    elif origin is dict:
        for field, item in value.items():
            _check(item, parts[1], f"{inside}{field}")


def _is(value: Any, kind: Any) -> bool:
    if kind is float:
        kind = int | float
    is_bool = isinstance(value, bool)
    return isinstance(value, kind) and (kind is bool or not is_bool)


def _required(kind: Any) -> list[str]:
    if dataclasses.is_dataclass(kind):
        missing = dataclasses.MISSING
        return [
            field.name
            for field in dataclasses.fields(kind)
            if field.default is missing and field.default_factory is missing
        ]
    return sorted(kind.__required_keys__)


def _wrong(value: Any, wanted: str, name: str) -> ValueError:
    text = json.dumps(value)
    short = text if len(text) <= 40 else f"{text[:40]}..."
    return ValueError(f"{name} is {short}, not {wanted}")


def _items(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _whole(text: str) -> int | float:
    return int(text) if len(text) <= _DIGITS else _finite(text)


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:20]} is no finite number")
    return number


def _checksum(fields: Mapping[str, Any]) -> int:
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return zlib.crc32(text.encode())
