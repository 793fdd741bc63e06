"""Runs commands inside one process, so that a case costs no start and no compiling.

    python scripts/worker.py MODULE FOLDER

Reads a JSON object a line from standard input, {"argv": [..], "cwd": ".."}, runs
`MODULE.__main__.main(argv)` with standard output and error going to FOLDER/out and
FOLDER/err, and answers {"code": ..} on what was standard output. What a process of its
own would print on an error that nobody caught is printed here, too.
"""

import faulthandler
import importlib
import io
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def output_to(folder: Path) -> Iterator[None]:
    """Standard output and error, of C++ too, go to two new files."""
    for number, name in ((1, "out"), (2, "err")):
        file = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(file, number)
        os.close(file)
    streams = [
        io.TextIOWrapper(
            open(number, "wb", closefd=False),  # noqa: SIM115
            encoding="utf-8",
            errors=errors,
            line_buffering=number == 2,
        )
        for number, errors in ((1, "strict"), (2, "backslashreplace"))
    ]
    sys.stdout, sys.stderr = streams
    try:
        yield
    finally:
        for stream in streams:
            with suppress(ValueError):  # the command closed it
                stream.flush()


def run(main: Callable[[Sequence[str]], int], argv: Sequence[str], folder: Path) -> int:
    """The exit code that a process of its own would have."""
    before, path = dict(os.environ), list(sys.path)
    sys.argv = ["s2sjax", *argv]
    try:
        with output_to(folder):
            try:
                return int(main(argv))
            except SystemExit as end:
                return end.code if isinstance(end.code, int) else int(bool(end.code))
            except BaseException:
                traceback.print_exc()
                return 1
    finally:
        os.environ.clear()
        os.environ.update(before)
        sys.path[:] = path


def main() -> None:
    """Answers until standard input ends."""
    module, folder = sys.argv[1], Path(sys.argv[2])
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    stacks = open(folder / "stacks", "w", encoding="utf-8")  # noqa: SIM115
    faulthandler.register(signal.SIGUSR1, file=stacks, all_threads=True)
    faulthandler.enable(stacks)
    command = importlib.import_module(f"{module}.__main__").main
    requests = os.fdopen(os.dup(0), encoding="utf-8")
    empty = os.open(os.devnull, os.O_RDONLY)
    os.dup2(empty, 0)
    for line in requests:
        request = json.loads(line)
        os.chdir(request["cwd"])
        code = run(command, request["argv"], folder)
        answers.write(json.dumps({"code": code}) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
