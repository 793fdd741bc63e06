"""The errors that a person can act on: wrong usage, and a run that failed."""

import contextlib
import difflib
import errno
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType


class UsageError(ValueError):
    """The request cannot be carried out as asked; nothing was started. Exit code 2.

    A message is one line that names the argument, what came and what is possible;
    several are what was found wrong at once.
    """

    def __str__(self) -> str:
        return "; ".join(map(str, self.args))


class Problems:
    """What is wrong in several places, told at once: each is tried in a `with`.

    >>> problems = Problems()
    >>> with problems:
    ...     raise UsageError("one")
    >>> with problems:
    ...     raise UsageError("another")
    >>> problems.tell()
    Traceback (most recent call last):
    s2sjax.errors.UsageError: one; another
    """

    def __init__(self) -> None:
        self._found: dict[str, None] = {}

    @property
    def found(self) -> tuple[str, ...]:
        """The lines so far."""
        return tuple(self._found)

    def tell(self) -> None:
        """Raises what was found, if anything was."""
        if self._found:
            raise UsageError(*self._found)

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        if isinstance(error, UsageError):
            self._found |= dict.fromkeys(error.args)
        return isinstance(error, UsageError)


class RunError(RuntimeError):
    """A run that had started failed: a full disk, a non-finite loss. Exit code 1."""


@contextlib.contextmanager
def writing(what: str, error: type[Exception] | None = None) -> Iterator[None]:
    """Makes `what: reason` of an OSError.

    Args:
      what: the argument that names the file, or what cannot be done.
      error: of which kind it is; None: as `cannot_write` has it.

    >>> with writing("out=a"):
    ...     raise OSError(errno.EACCES, "Permission denied")
    Traceback (most recent call last):
    s2sjax.errors.UsageError: out=a: Permission denied
    """
    try:
        yield
    except OSError as reason:
        if error is not None:
            raise error(f"{what}: {reason.strerror}") from None
        raise cannot_write(what, reason) from None


def cannot_write(argument: str, error: OSError) -> Exception:
    """The error for a file that could not be written: a full disk is no misuse.

    >>> cannot_write("out=a", OSError(errno.ENOSPC, "No space left on device"))
    RunError('out=a: No space left on device')
    """
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    return (RunError if full else UsageError)(f"{argument}: {error.strerror}")


def unknown(
    kind: str,
    name: str,
    known: Iterable[str],
    written: Callable[[str], str] = str,
) -> UsageError:
    """The error for a name that is not in a table, with the nearest one that is.

    `written` says how names are written, e.g. with dashes, which make none nearer.

    >>> print(unknown("cell", "lsmt", ["gru", "lstm"]))
    unknown cell 'lsmt'; did you mean 'lstm'? (one of: gru, lstm)
    """
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"; did you mean '{written(near[0])}'?" if near else ""
    listed = ", ".join(map(written, names))
    return UsageError(f"unknown {kind} '{written(name)}'{hint} (one of: {listed})")
