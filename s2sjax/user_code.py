"""The only place that executes a user's file: a config, a task or another kind.

What that code prints goes to standard error, so that standard output holds results
alone. Whatever it raises becomes a `UsageError` of one line with its file and line; an
interruption from the keyboard stays one. Imports no jax.
"""

import contextlib
import functools
import sys
import traceback
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from s2sjax import places
from s2sjax.errors import UsageError

Result = TypeVar("Result")


def load(field: str, path: str, name: str) -> Callable[..., Any]:
    """The function or class `name` of a file; the same one while its bytes are.

    Args:
      field: of the config that names the file, for messages.
      path: of the file.
      name: in it.

    Raises:
      UsageError: the file cannot be read, raises, or has no such name.
    """
    return _loaded(read(field, path), path, name)


@functools.cache
def _loaded(content: bytes, path: str, name: str) -> Callable[..., Any]:
    return named(execute(content, path, "user_code"), path, name)


def read(field: str, path: str) -> bytes:
    """The bytes of a file.

    Raises:
      UsageError: it cannot be read.
    """
    file = Path(path).expanduser()
    try:
        return file.read_bytes()
    except FileNotFoundError:
        near = places.hint(file)
        raise UsageError(f"{field}: {path} does not exist{near}") from None
    except (OSError, ValueError) as error:
        raise UsageError(f"{field}: {path}: {error}") from None


def named(module: types.ModuleType, path: str, name: str) -> Callable[..., Any]:
    """What a module calls `name`.

    Raises:
      UsageError: it has no such function or class (with those that it has).
    """
    function = vars(module).get(name)
    if not callable(function):
        own = [
            each
            for each, value in vars(module).items()
            if not each.startswith("_")
            and (type(value) is types.FunctionType or isinstance(value, type))
            and value.__module__ == module.__name__
        ]
        listed = ", ".join(own) or "none"
        raise UsageError(f"{path} has no function '{name}' (it has: {listed})")
    return function


def execute(content: bytes, path: str, name: str) -> types.ModuleType:
    """The module that a file makes, which is put nowhere else.

    Args:
      content: of the file.
      path: where it is, for messages.
      name: of the module.

    Raises:
      UsageError: whatever goes wrong in it.
    """
    module = types.ModuleType(name)
    module.__file__ = path
    call(path, lambda: exec(compile(content, path, "exec"), module.__dict__))
    return module


def call(path: str, function: Callable[[], Result], what: str = "") -> Result:
    """What a function of a user's file returns.

    Work on what it returns belongs into `function` as well: an iterator, a number or
    a name of the user's own class runs code of the user's when it is looked at.

    Args:
      path: of the file.
      function: calls it.
      what: the call in words, for messages.

    Raises:
      UsageError: `FILE:LINE: exception`, or, where it raised one, `FILE: message`.
    """
    try:
        with contextlib.redirect_stdout(sys.stderr):
            return function()
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None
    except BaseException as error:
        if type(error) is KeyboardInterrupt:
            raise
        raise UsageError(_message(path, error, what)) from None


def _message(path: str, error: BaseException, what: str) -> str:
    lines = [
        line
        for frame, line in traceback.walk_tb(error.__traceback__)
        if frame.f_code.co_filename == path
    ]
    if isinstance(error, SyntaxError) and error.filename == path:
        lines.append(error.lineno or 1)
    where = f"{path}:{lines[-1]}" if lines else path
    raised = f"{what} raised {type(error).__name__}" if what else type(error).__name__
    return f"{where}: {raised}: {_first_line(error)}".removesuffix(": ")


def _first_line(error: BaseException) -> str:
    try:
        text = error.msg if isinstance(error, SyntaxError) else str(error)
        return (text.strip().strip('"').splitlines() or [""])[0]
    except BaseException as failed:  # of a `__str__` of the user's own
        if type(failed) is KeyboardInterrupt:
            raise
        return ""
