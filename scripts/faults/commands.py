"""Runs commands of s2sjax for the campaign: in a process each, or inside a worker."""

import contextlib
import dataclasses
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]  # of the repository
PATIENCE = 300.0  # seconds that a command may take, on a machine that is busy
GRACE = 120.0  # that it may take to end once it is asked to
# XLA reads its flags once: the worker's are the same whichever command comes first.
WORKER_FLAGS = "--xla_cpu_multi_thread_eigen=false "
WORKER_FLAGS += "--xla_force_host_platform_device_count=1"


@dataclasses.dataclass(frozen=True)
class Done:
    """How a command ended."""

    argv: tuple[str, ...]
    code: int  # minus the signal that killed it
    out: str
    err: str
    seconds: float
    hung: bool = False  # it did not end, and was killed
    asked: bool = False  # it was asked to end (SIGTERM), as it took too long

    @property
    def tail(self) -> str:
        """The last lines of what it said."""
        said = [*self.out.splitlines()[-5:], *self.err.splitlines()[-25:]]
        return "\n".join(line[:400] for line in said)


class Commands:
    """Starts commands, all with one cache of compiled programs.

    Args:
      work: a folder of the campaign's own; the cache and the hook are kept there.
      module: whose `__main__` is run; another than s2sjax's, to try the campaign.
    """

    def __init__(self, work: Path, module: str = "s2sjax"):
        self.module = module
        self._hook = work / "hook"
        self._hook.mkdir(parents=True, exist_ok=True)
        text = (HERE / "hook.py").read_text(encoding="utf-8")
        (self._hook / "sitecustomize.py").write_text(text, encoding="utf-8")
        self._cache = work / "compiled"
        self._cache.mkdir(mode=0o700, exist_ok=True)
        self._said = work / "said"
        self._said.mkdir(exist_ok=True)
        self._worker: subprocess.Popen[str] | None = None
        self._answered = 0

    def environ(self, *, keeps: bool = True, **more: str) -> dict[str, str]:
        """The environment of a command; `keeps`: it may add compiled programs.

        One that is killed must not, for it would leave half of them behind.
        """
        inherited = {
            name: value
            for name, value in os.environ.items()
            if name not in ("S2SJAX_FAILPOINT", "PYTHONIOENCODING", "FAULTS")
        }
        path = [str(self._hook), str(ROOT), os.environ.get("PYTHONPATH", "")]
        return inherited | {
            "PYTHONPATH": os.pathsep.join(filter(None, path)),
            "PYTHONDONTWRITEBYTECODE": "1",
            "JAX_PLATFORMS": "cpu",
            "JAX_COMPILATION_CACHE_DIR": str(self._cache),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0" if keeps else "1e9",
            "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
            "FAULTS": "{}",
            **more,
        }

    def start(
        self,
        argv: Sequence[str],
        cwd: Path,
        *,
        hook: Mapping[str, Any] | None = None,
        failpoint: str = "",
        keeps: bool = False,
        environ: Mapping[str, str] | None = None,
        closed: bool = False,
        **popen: Any,
    ) -> "Process":
        """A command in a process of its own.

        Args:
          argv: what follows `s2sjax`.
          cwd: its current folder.
          hook: what `hook` is to do.
          failpoint: a value of S2SJAX_FAILPOINT.
          keeps: whether it may add compiled programs.
          environ: more of its environment.
          closed: whether its standard output is closed.
          popen: for `subprocess.Popen`.
        """
        given = {"FAULTS": json.dumps(hook or {})} | dict(environ or {})
        if failpoint:
            given["S2SJAX_FAILPOINT"] = failpoint
        words = [sys.executable, "-m", self.module, *argv]
        if closed:
            words = ["sh", "-c", 'exec "$@" >&-', "sh", *words]
        return Process(words, argv, cwd, self.environ(keeps=keeps, **given), popen)

    def alone(self, argv: Sequence[str], cwd: Path, **rest: Any) -> Done:
        """The end of a command in a process of its own; see `start`."""
        patience = rest.pop("patience", PATIENCE)
        return self.start(argv, cwd, **rest).wait(patience)

    def inside(
        self, argv: Sequence[str], cwd: Path, *, patience: float = PATIENCE
    ) -> Done:
        """The end of a command inside the worker, which is begun where there is none.

        One that takes longer than `patience` is asked to end, and then killed.
        """
        begun = time.monotonic()
        worker = self._worker or self._begin()
        assert worker.stdin is not None and worker.stdout is not None
        for name in ("out", "err"):
            (self._said / name).write_text("")
        request = {"argv": list(argv), "cwd": str(cwd)}
        asked = hung = False
        with contextlib.suppress(BrokenPipeError):
            worker.stdin.write(json.dumps(request) + "\n")
            worker.stdin.flush()
        if not _readable(worker.stdout, patience):
            asked = True
            worker.terminate()
            if not _readable(worker.stdout, GRACE):
                hung = True
                worker.send_signal(signal.SIGUSR1)
                time.sleep(1.0)
                worker.kill()
        answer = "" if hung else worker.stdout.readline()
        code = json.loads(answer)["code"] if answer else worker.wait()
        out, err = (_read(self._said / name) for name in ("out", "err"))
        if not answer:
            err += _read(self._said / "stacks")
        self._answered += 1
        if not answer or asked or self._answered % 150 == 0:
            self.close()  # what compiled programs hold is never given back
        seconds = time.monotonic() - begun
        return Done(tuple(argv), code, out, err, seconds, hung, asked)

    def close(self) -> None:
        """Ends the worker; the next command begins another."""
        if self._worker is not None:
            self._worker.kill()
            self._worker.communicate()
            self._worker = None

    def _begin(self) -> "subprocess.Popen[str]":
        words = [sys.executable, "-P", str(HERE / "worker.py"), self.module]
        flags = f"{os.environ.get('XLA_FLAGS', '')} {WORKER_FLAGS}"
        limits = json.dumps({"limits": {"AS": 6 << 30}})
        self._worker = subprocess.Popen(
            [*words, str(self._said)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=self.environ(FAULTS=limits, XLA_FLAGS=flags.strip()),
            text=True,
            start_new_session=True,
        )
        return self._worker


class Process:
    """A command that runs; what it says goes to two files."""

    def __init__(
        self,
        words: Sequence[str],
        argv: Sequence[str],
        cwd: Path,
        environ: Mapping[str, str],
        popen: Mapping[str, Any],
    ):
        self._argv, self._begun = tuple(argv), time.monotonic()
        self._out, self._err = (cwd.parent / f"{cwd.name}.{n}" for n in ("out", "err"))
        with open(self._out, "wb") as out, open(self._err, "wb") as err:
            streams = {"stdout": out, "stderr": err} | dict(popen)
            self.popen = subprocess.Popen(
                words,
                cwd=cwd,
                env=dict(environ),
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                **streams,
            )

    def wait_for(self, moment: Callable[[], bool], patience: float = PATIENCE) -> bool:
        """Whether a moment came before the process ended."""
        end = time.monotonic() + patience
        while self.popen.poll() is None and time.monotonic() < end:
            if moment():
                return True
            time.sleep(0.01)
        return False

    def has_spoken(self) -> bool:
        """Whether anything was written to standard output."""
        return self._out.stat().st_size > 0

    def wait(self, patience: float = PATIENCE) -> Done:
        """How it ended; one that takes too long is asked to, then killed."""
        asked = hung = False
        try:
            code = self.popen.wait(patience)
        except subprocess.TimeoutExpired:
            asked = True
            self.popen.terminate()
            try:
                code = self.popen.wait(GRACE)
            except subprocess.TimeoutExpired:
                hung = True
                self.popen.send_signal(signal.SIGUSR1)
                time.sleep(1.0)
                self.popen.kill()
                code = self.popen.wait()
        said = _read(self._out), _read(self._err)
        seconds = time.monotonic() - self._begun
        return Done(self._argv, code, *said, seconds, hung, asked)


def descendants(case: Path) -> list[int]:
    """The processes that the commands of a case have started, and the commands."""
    found, marker = [], f"FAULTS_CASE={case}\0".encode()
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if marker in (folder / "environ").read_bytes():
                found.append(int(folder.name))
    return found


def _readable(stream: Any, seconds: float) -> bool:
    return bool(select.select([stream], [], [], seconds)[0])


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape")
    except FileNotFoundError:
        return ""
