"""The command line: parse, call, print. Imports no jax before its flags are set."""

import logging
import os
import sys
from collections.abc import Callable, Sequence

from s2sjax import __version__
from s2sjax.cli import (
    bench,
    decode,
    doctor,
    evaluate,
    export,
    flags,
    inspection,
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
    "export": export.main,
    "report": report.main,
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
    export.COMMAND,
    report.COMMAND,
    sweep.COMMAND,
    tasks.COMMAND,
    inspection.SHOW,
    inspection.DIFF,
    doctor.COMMAND,
)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command; the exit code is 0, 1 (it failed), 2 (usage), 130 or 143."""
    # Libraries' warnings are not for the people who read these lines.
    logging.getLogger("absl").setLevel(logging.ERROR)
    argv = sys.argv[1:] if argv is None else argv
    if list(argv) == ["--version"]:
        print(f"s2sjax {__version__}")
        return 0
    try:
        parsed = flags.read(DOC, COMMANDS, argv)
        if isinstance(parsed, str):
            print(parsed)
            return 0
        start.check_style()
        code = RUNS[parsed.command](parsed)
        sys.stdout.flush()
        return code
    except UsageError as error:
        return _failed(error, 2)
    except RunError as error:
        return _failed(error, 1)
    except BrokenPipeError:
        # The reader has what it wanted (`| head`); nothing more can be written.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130
    except (OSError, MemoryError) as error:
        return _failed(error, 1)
    except Exception as error:
        # The compiler's and the device's errors, out of memory among them.
        if type(error).__name__ not in ("JaxRuntimeError", "XlaRuntimeError"):
            raise
        return _failed(RuntimeError(str(error).splitlines()[0]), 1)


def _failed(error: Exception, code: int) -> int:
    print(f"s2sjax: {' '.join(str(error).split())}", file=sys.stderr)
    return code
