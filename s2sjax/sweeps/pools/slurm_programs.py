"""The programs of Slurm, run beside a launcher that never waits for them."""

import math
import os
import subprocess
import tempfile
import time
from collections.abc import Mapping
from typing import IO, NamedTuple

from s2sjax.errors import RunError

ANSWER_SECONDS = 8.0  # that a program may take
ASK_SECONDS = 10.0  # between two questions to squeue
WAIT_SECONDS = 2.0  # for an answer, where one is waited for

_ENDED = (
    *("CANCELLED", "TIMEOUT", "PREEMPTED", "NODE_FAIL", "OUT_OF_MEMORY", "DEADLINE"),
    "BOOT_FAIL",
)


class Answer(NamedTuple):
    """What a program printed."""

    output: str
    error: str  # its last words, where it failed


class Call:
    """A program that runs beside us, and is ended where it takes too long.

    Raises:
      RunError: it cannot be started.
    """

    def __init__(self, *words: str, text: str = "", limit: float = ANSWER_SECONDS):
        self._words, self._limit, self._begun = words, limit, time.monotonic()
        self._files = given, self._output, self._errors = _file(), _file(), _file()
        given.write(text.encode())
        given.seek(0)
        try:
            self._process = subprocess.Popen(
                words,
                stdin=given,
                stdout=self._output,
                stderr=self._errors,
                env=_environ(os.environ),
                start_new_session=True,  # Ctrl-C is for the launcher
            )
        except OSError as error:
            self._close_files()
            raise RunError(f"cannot start {words[0]}: {error.strerror}") from None

    @property
    def seconds(self) -> float:
        """How long it has taken so far."""
        return time.monotonic() - self._begun

    def answer(self) -> Answer | None:
        """What it printed, once it has ended; to be asked for until then."""
        code = self._process.poll()
        if code is None and self.seconds < self._limit:
            return None
        output, errors = _text(self._output), _text(self._errors)
        self.close()
        if code is None:
            return Answer("", f"{self._words[0]} has no answer in {self._limit:g} s")
        said = (errors.strip() or f"{self._words[0]} failed").splitlines()[-1]
        for word in ("error: ", "allocation failure: ", "submission failed: "):
            said = said.rpartition(word)[2]
        return Answer(output, said if code else "")

    def wait(self) -> Answer:
        """What it printed; waits for that."""
        while (answer := self.answer()) is None:
            time.sleep(0.02)
        return answer

    def close(self) -> None:
        """Ends it."""
        self._process.kill()
        self._process.wait()
        self._close_files()

    def _close_files(self) -> None:
        for file in self._files:
            file.close()


def _environ(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment of a launcher, without what belongs to a job that it is in.

    >>> _environ({"SLURM_JOB_ID": "7", "SLURM_CPUS_PER_TASK": "2", "SLURM_CONF": "c"})
    {'SLURM_CONF': 'c'}
    """
    kept = dict(environ)
    if "SLURM_JOB_ID" in environ:
        for name in environ:
            if name.startswith(("SLURM_", "SRUN_")) and name != "SLURM_CONF":
                del kept[name]
    return kept


def _file() -> IO[bytes]:
    """One without a name: a pipe that nobody reads would be full one day."""
    return tempfile.TemporaryFile()


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode(errors="replace")


class Row(NamedTuple):
    """What squeue says of a job; nothing where it does not know it."""

    state: str = ""
    code: int = 0
    limit: float = math.inf  # seconds
    host: str = ""
    partition: str = ""
    reason: str = ""

    @property
    def waits(self) -> bool:
        """Whether it waits for a node."""
        return self.state in ("PENDING", "CONFIGURING")

    @property
    def is_over(self) -> bool:
        """Whether nothing of it runs or will run."""
        return self.is_plain or self.state in _ENDED

    @property
    def is_plain(self) -> bool:
        """Whether it is over, and nothing is said of what Slurm did to it."""
        return self.state in ("COMPLETED", "FAILED", "")


class Squeue:
    """What squeue said of all jobs of this user, a few seconds ago at most."""

    FIELDS = {"JobID": 20, "State": 20, "exit_code": 12, "TimeLimit": 16}
    FIELDS |= {"BatchHost": 64, "Partition": 64, "Reason": 200}

    def __init__(self) -> None:
        self._call: Call | None = None
        self._rows: dict[str, Row] | None = None
        self._asked = self._known = -math.inf  # monotonic
        self._ask_at = 0.0
        self.silence = ""  # why nothing new is known

    def row(self, number: str, since: float = -math.inf) -> Row | None:
        """Of a job; None where nothing was said since then, on the monotonic clock."""
        if self._rows is None or self._known <= since:
            return None
        return self._rows.get(number, Row())

    def hurry(self) -> None:
        """Asks within a second."""
        self._ask_at = min(self._ask_at, self._asked + 1.0)

    def turn(self, is_needed: bool) -> None:
        """Takes an answer, or asks where it is time to."""
        if self._call is not None:
            self._take()
        elif is_needed and time.monotonic() >= self._ask_at:
            self._ask()

    def wait(self) -> None:
        """Asks and waits for the answer a moment, unless that was just done."""
        if time.monotonic() - self._asked < ASK_SECONDS:
            return
        self.close()
        self._ask()
        while self._call is not None and self._call.seconds < WAIT_SECONDS:
            time.sleep(0.02)
            self._take()

    def close(self) -> None:
        """Wants no answer any more."""
        if self._call is not None:
            self._call.close()
            self._call = None

    def _ask(self) -> None:
        self._asked = time.monotonic()
        self._ask_at = self._asked + ASK_SECONDS
        fields = ",".join(f"{name}:{width}" for name, width in self.FIELDS.items())
        words = ("--noheader", f"--user={os.getuid()}", "--states=all")
        self._call = Call("squeue", *words, f"--Format={fields}")

    def _take(self) -> None:
        answer = self._call.answer() if self._call is not None else None
        if answer is None:
            return
        self._call, self.silence = None, answer.error
        if not answer.error:
            self._rows = dict(map(self._parsed, answer.output.splitlines()))
            self._known = self._asked

    def _parsed(self, line: str) -> tuple[str, Row]:
        texts, start = [], 0
        for width in self.FIELDS.values():
            texts.append(line[start : start + width].strip())
            start += width
        number, state, status, limit, *others = texts
        code = int(status) >> 8 if status.isdecimal() else 0
        return number, Row(state, code, _seconds(limit), *others)


def _seconds(text: str) -> float:
    """A time as Slurm writes it; infinity where it is none.

    >>> _seconds("1-02:00:00"), _seconds("1:30"), _seconds("UNLIMITED")
    (93600.0, 90.0, inf)
    """
    days, _, clock = text.rpartition("-")
    parts = clock.split(":")
    if not all(part.isdecimal() for part in (*parts, days or "0")):
        return math.inf
    seconds = 86400.0 * int(days or 0)
    return seconds + sum(60**i * int(part) for i, part in enumerate(reversed(parts)))
