"""The command line: parse, call, print. Imports no jax before its flags are set."""

import contextlib
import logging
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import NoReturn

from s2sjax import __version__
from s2sjax.cli import (
    bench,
    compare,
    data,
    decode,
    doctor,
    evaluate,
    export,
    flags,
    inspection,
    printing,
    report,
    score,
    start,
    sweep,
    tasks,
    train,
)
from s2sjax.cli.flags import Parsed
from s2sjax.errors import RunError, UsageError

DOC = "s2sjax: recurrent sequence-to-sequence models, from a config to a result."
RUNS: dict[str, Callable[[Parsed], int]] = {
    "train": train.main,
    "eval": evaluate.main,
    "decode": decode.main,
    "score": score.main,
    "bench": bench.main,
    "compare": compare.main,
    "export": export.main,
    "report": report.main,
    "data": data.main,
    "sweep": sweep.main,
    "tasks": tasks.main,
    "config show": inspection.show,
    "config diff": inspection.diff,
    "doctor": doctor.main,
}
COMMANDS = (
    train.COMMAND,
    evaluate.COMMAND,
    decode.COMMAND,
    score.COMMAND,
    bench.COMMAND,
    compare.COMMAND,
    export.COMMAND,
    report.COMMAND,
    sweep.COMMAND,
    data.COMMAND,
    tasks.COMMAND,
    inspection.SHOW,
    inspection.DIFF,
    doctor.COMMAND,
)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command; the exit code is 0, 1 (it failed), 2 (usage), 130 or 143.

    A process of several that train a run exits with 75 where another is lost.
    """
    from s2sjax.reporting.screen import write_codes

    # Where a shell has closed one (`>&-`), Python has none.
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115 (to the end)
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115
    write_codes(sys.stdout)
    # What libraries log is not for the people who read these lines: warnings, and
    # tracebacks of errors that come to us as well.
    for name in ("absl", "asyncio"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    # A program that was half written is compiled again.
    warnings.filterwarnings("ignore", "Error (read|writ)ing persistent compilation")
    argv = sys.argv[1:] if argv is None else argv
    parsed: Parsed | str | None = None
    if list(argv) == ["--version"]:
        printing.line(f"s2sjax {__version__}")
        return 0
    try:
        parsed = flags.read(DOC, COMMANDS, argv)
        if isinstance(parsed, str):
            printing.lines(parsed.splitlines())
            return 0
        printing.warn(parsed.notes)
        start.check_style()
        code = _run(parsed)
        sys.stdout.flush()
        return code
    except UsageError as error:
        return _failed(error, 2, parsed)
    except RunError as error:
        return _failed(error, 1, parsed)
    except BrokenPipeError:
        # The reader has what it wanted (`| head`); nothing more can be written.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130
    except (OSError, MemoryError) as error:
        return _failed(error, 1)


def entry() -> NoReturn:
    """The command as a process of its own.

    One that has failed ends at once: after a failed save a thread of Orbax may wait
    for ever, and Python would wait for the thread.
    """
    code = main()
    if code == 1:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os._exit(code)
    sys.exit(code)


def _run(parsed: Parsed) -> int:
    """Runs a command; the compiler's and the device's errors are those of the run."""
    try:
        return RUNS[parsed.command.name](parsed)
    except Exception as error:
        text, is_memory = str(error), isinstance(error, MemoryError)
        if type(error).__name__ in ("JaxRuntimeError", "XlaRuntimeError"):
            is_memory = "RESOURCE_EXHAUSTED" in text or "Out of memory" in text
        elif not is_memory:
            raise
        message = (text.splitlines() or [type(error).__name__])[0]
        lower = parsed.command.memory
        if is_memory and lower:
            message = f"out of memory; lower {lower} ({message})"
        raise RunError(message) from None


def _failed(error: Exception, code: int, parsed: Parsed | str | None = None) -> int:
    messages = error.args if isinstance(error, UsageError) else [error]
    lines = map(str, messages)
    if isinstance(parsed, Parsed):
        lines = map(parsed.in_flags, lines)
    printing.warn([f"s2sjax: {each}" for each in lines])
    return code
