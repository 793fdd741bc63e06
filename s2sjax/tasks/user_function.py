"""A user's function from a list of integers to another, called with care."""

import operator
import traceback
import types
from collections.abc import Callable
from pathlib import Path

import numpy as np

from s2sjax.errors import UsageError

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
    module = types.ModuleType("user_pattern")
    module.__file__ = path
    try:
        exec(compile(content, path, "exec"), module.__dict__)
    except (Exception, SystemExit) as error:
        raise UsageError(f"{path} cannot be run: {_told(error, path)}") from None
    function = getattr(module, name, None)
    if not callable(function):
        functions = [
            each
            for each, value in vars(module).items()
            if isinstance(value, types.FunctionType) and not each.startswith("_")
        ]
        listed = ", ".join(functions) or "none"
        raise UsageError(f"{path} has no function '{name}' (it has: {listed})")

    def call(source: list[int]) -> list[int]:
        try:
            result = function(list(source))
        except (Exception, SystemExit) as error:
            raise UsageError(
                f"{path}:{name}({source}) raised {_told(error, path)}"
            ) from None
        if not isinstance(result, list | tuple):
            raise UsageError(
                f"{path}:{name}({source}) returned {_short(result)}, not a list of "
                "integers"
            )
        return [_integer(value, f"{path}:{name}({source})", result) for value in result]

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
                f"{path}:{name}({source}) returned two different targets; a pattern "
                "gives the same target each time"
            )


def _integer(value: object, what: str, result: object) -> int:
    try:
        if isinstance(value, bool | np.bool_):
            raise TypeError
        return operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise UsageError(
            f"{what} returned {_short(result)}; {_short(value)} is not an integer"
        ) from None


def _told(error: BaseException, path: str) -> str:
    text = " ".join(str(error).split())
    lines = [
        frame.lineno
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename == path
    ]
    where = f" in line {lines[-1]}" if lines else ""
    return f"{type(error).__name__}: {text}{where}" if text else type(error).__name__


def _short(value: object) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else text[:57] + "..."
