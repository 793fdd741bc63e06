"""A user's function from a list of integers to another, called with care."""

import operator
import types
from collections.abc import Callable
from pathlib import Path

import numpy as np

from s2sjax import user_code
from s2sjax.errors import UsageError
from s2sjax.foreign import shown
from s2sjax.spec import LARGEST

Pattern = Callable[[list[int]], list[int]]


def read(path: Path) -> bytes:
    """The bytes of the file.

    Raises:
      UsageError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise UsageError(f"task.name: the file {path} does not exist") from None
    except OSError as error:
        raise UsageError(f"task.name: {path}: {error.strerror}") from None


def function_of(content: bytes, path: str, name: str) -> Pattern:
    """Executes the file and wraps its function `name`, so that errors are one line.

    Raises:
      UsageError: the file raises, or has no such function. The wrapped function
        raises it where the function raises, or returns anything but integers.
    """
    module = user_code.execute(content, path, "user_pattern")
    function = getattr(module, name, None)
    if not callable(function):
        functions = [
            each
            for each, value in vars(module).items()
            if type(value) is types.FunctionType and not each.startswith("_")
        ]
        listed = ", ".join(functions) or "none"
        raise UsageError(f"{path} has no function '{name}' (it has: {listed})")

    def call(source: list[int]) -> list[int]:
        what = f"{name}({shown(source)})"
        given = list(source)
        return user_code.call(path, lambda: _target(function(given), what), what)

    return call


def check_repeatable(
    call: Pattern,
    sources: list[list[int]],
    targets: list[list[int]],
    path: Path,
    name: str,
) -> None:
    """Raises UsageError where a second call gives another target."""
    for source, target in list(zip(sources, targets, strict=True))[:100]:
        if call(source) != target:
            raise UsageError(
                f"{path}: {name}({shown(source)}) returned two different targets; a "
                "pattern gives the same target each time"
            )


def _target(result: object, what: str) -> list[int]:
    """What a pattern returned, as plain integers that an id can stand for."""
    if not isinstance(result, list | tuple):
        raise UsageError(f"{what} returned {shown(result)}, not a list of integers")
    return [_integer(value, result, what) for value in result]


def _integer(value: object, result: object, what: str) -> int:
    try:
        if isinstance(value, bool | np.bool_):
            raise TypeError
        number = int(operator.index(value))  # type: ignore[arg-type]
    except TypeError:
        raise UsageError(
            f"{what} returned {shown(result)}; {shown(value)} is not an integer"
        ) from None
    if abs(number) > LARGEST:
        raise UsageError(f"{what} returned {shown(number)}, which is beyond {LARGEST}")
    return number
