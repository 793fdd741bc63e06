"""`train` and `sweep`: kills, signals, full disks, limits, and outputs that fail.

Each case runs a command, disturbs it once or more, and runs it again undisturbed: it
must end where the undisturbed one ends.
"""

import contextlib
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from faults import examples
from faults.case import (
    Case,
    Fault,
    Workshop,
    check,
    check_same,
    check_untouched,
    ending,
    state,
    trials_of,
)
from faults.commands import HERE, ROOT, Done, Process, descendants

NOBODY = 65534
NO_MEMORY = ("failed to map segment", "cannot allocate memory", "start new thread")
ERRORS = ("ENOSPC", "EDQUOT", "EIO", "EACCES", "EROFS", "EMFILE")

# A disturbance takes (the kind's undisturbed times, its draw) and gives its name and
# what it does to the command; what it does gives the command's end.
Disturb = Callable[[Sequence[str], Path], Done]


class Kills:
    """The kind, for the commands of one sort.

    Args:
      shop: where cases run.
      commands: the commands that are disturbed, by name, the most frequent first.
      again: what is added to the last, undisturbed command.
      searches: of commands that choose what they train, those that train it all.
    """

    def __init__(
        self,
        shop: Workshop,
        commands: dict[str, list[str]],
        again: Sequence[str] = (),
        searches: Mapping[str, list[str]] | None = None,
    ):
        self._searches = searches or {}
        self.shop, self._commands, self._again = shop, commands, list(again)
        self._endings: dict[str, dict[str, str]] = {}
        self._failpoints = failpoints()

    def case(self, draw: random.Random, number: int) -> Case:
        """See `case.Kind`."""
        names = list(self._commands)
        name = draw.choices(names, weights=range(len(names), 0, -1))[0]
        sort = list(DISTURBANCES)[number % len(DISTURBANCES)]
        rounds = [
            DISTURBANCES[sort](self, name, draw) for _ in range(draw.choice((1, 1, 2)))
        ]
        said = ", then ".join(words for words, _ in rounds)

        def run(folder: Path) -> str:
            return self._run(name, [disturb for _, disturb in rounds], folder)

        return Case(sort, f"{name}: {said}", run)

    def _run(self, name: str, rounds: Sequence[Disturb], folder: Path) -> str:
        self._reference(name)
        argv, outcome, before = self._commands[name], "undisturbed", state(folder)
        try:
            for disturb in rounds:
                there = (folder / "run").exists()
                done = disturb(argv, folder)
                if done.code == -signal.SIGKILL and not done.hung:
                    outcome = "killed"
                else:
                    ended = check(done)
                    outcome = ended if ended != "done" else outcome
                if not there:
                    check_untouched(before, folder, done)
            searches = name in self._searches
            again = argv if searches else [*argv, *self._again]
            done = self._start(again, folder).wait()
            check(done)
            if searches and done.code == 1:
                # A search proposes, and never tries again what a disturbance failed.
                again = [argv[0], "--workdir=run", *self._again]
                done = self._start(again, folder).wait()
                check(done)
            if done.code:
                raise Fault(f"undisturbed again it ends with code {done.code}", done)
            self._compare(name, ending(folder / "run"), done)
        finally:
            left = descendants(folder)
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        if left:
            raise Fault(f"{len(left)} processes were left behind", done)
        return outcome

    def _reference(self, name: str) -> dict[str, str]:
        if name not in self._endings:
            searches = name in self._searches
            found = self.shop.made(*self._made(name))
            self._endings[name] = ending(found / ("all/run" if searches else "run"))
        return self._endings[name]

    def _compare(self, name: str, found: dict[str, str], done: Done) -> None:
        wanted = self._reference(name)
        if name in self._searches:
            # What is proposed after a kill is another draw; each trial is as alone.
            there, found = trials_of(wanted), trials_of(found)
            wanted = {each: there[each] for each in found if each in there}
        check_same(found, wanted, done)

    def seconds(self, name: str) -> float:
        """What the undisturbed command takes, its programs compiled."""
        return float((self.shop.made(*self._made(name)) / "seconds").read_text())

    def changes(self, name: str) -> int:
        """How often the undisturbed command changes what is on the disk."""
        return int((self.shop.made(*self._made(name)) / "changes").read_text())

    def _made(self, name: str) -> tuple[str, Callable[[Path], None]]:
        commands, argv = self.shop.commands, self._commands[name]

        def make(folder: Path) -> None:
            once = folder / "once"
            once.mkdir()
            examples.by_process(commands, argv)(once)  # compiles
            hook = {"under": str(folder), "count": str(folder / "changes")}
            done = commands.alone(argv, folder, hook=hook)
            if check(done) != "done":
                raise Fault("an undisturbed command did not end well", done)
            (folder / "seconds").write_text(str(done.seconds))
            if name in self._searches:
                (folder / "all").mkdir()
                whole = examples.by_process(commands, self._searches[name])
                whole(folder / "all")

        return f"undisturbed-{argv[0]}-{name}", make

    # The disturbances. Each draws all that it needs at once, and gives its name.

    def at_a_moment(self, name: str, draw: random.Random) -> tuple[str, Disturb]:
        """SIGKILL after a share of the time that the command takes."""
        share = draw.uniform(0.1, 1.05)

        def disturb(argv: Sequence[str], folder: Path) -> Done:
            process = self._start(argv, folder)
            end = time.monotonic() + share * self.seconds(name)
            if not process.wait_for(lambda: time.monotonic() > end):
                return process.wait()
            process.popen.kill()
            return process.wait()

        return f"SIGKILL at {share:.0%} of its time", disturb

    def at_a_failpoint(self, name: str, draw: random.Random) -> tuple[str, Disturb]:
        """SIGKILL at a place that the sources name."""
        point = f"{draw.choice(self._failpoints)}:kill:{draw.randint(1, 6)}"
        return f"failpoint {point}", self._with(failpoint=point)

    def at_a_change(self, name: str, draw: random.Random) -> tuple[str, Disturb]:
        """SIGKILL just before a file is opened for writing, renamed or removed."""
        share = draw.random()

        def disturb(argv: Sequence[str], folder: Path) -> Done:
            at = 1 + int(share * self.changes(name))
            return self._hooked(argv, folder, at=at, action="kill")

        return f"SIGKILL before the change at {share:.1%}", disturb

    def signalled(self, name: str, draw: random.Random) -> tuple[str, Disturb]:
        """SIGTERM or SIGINT, and perhaps a second one, once it has begun to speak."""
        number = draw.choice((signal.SIGTERM, signal.SIGINT))
        share, twice = draw.uniform(0.0, 0.7), draw.random() < 0.2

        def disturb(argv: Sequence[str], folder: Path) -> Done:
            process = self._start(argv, folder)
            if process.wait_for(process.has_spoken):
                end = time.monotonic() + share * self.seconds(name)
                process.wait_for(lambda: time.monotonic() > end)
                for _ in range(1 + twice):
                    process.popen.send_signal(number)
                    time.sleep(0.2 * twice)
            done = process.wait()
            # Before it listens to signals, and when it has ended, they kill it.
            return _as_killed(done) if done.code == -number else done

        return f"{number.name}{' twice' * twice} at {share:.0%}", disturb

    def full(self, name: str, draw: random.Random) -> tuple[str, Disturb]:
        """No space left, where a failpoint or a change of the disk is."""
        if draw.random() < 0.5:
            point = f"{draw.choice(self._failpoints)}:full:{draw.randint(1, 6)}"
            return f"failpoint {point}", self._with(failpoint=point)
        return self._error(name, draw, ERRORS[:2])

    def refused(self, name: str, draw: random.Random) -> tuple[str, Disturb]:
        """An operation on a file that the system refuses, once."""
        return self._error(name, draw, ERRORS)

    def _error(
        self, name: str, draw: random.Random, errors: Sequence[str]
    ) -> tuple[str, Disturb]:
        error, share = draw.choice(errors), draw.random()
        reads = error not in ("ENOSPC", "EDQUOT", "EROFS") and draw.random() < 0.5

        def disturb(argv: Sequence[str], folder: Path) -> Done:
            at = 1 + int(share * (1 + 2 * reads) * self.changes(name))
            return self._hooked(argv, folder, at=at, action=error, reads=reads)

        what = "opening or change" if reads else "change"
        return f"{error} at the {what} at {share:.1%}", disturb

    def limited(self, name: str, draw: random.Random) -> tuple[str, Disturb]:
        """Files, descriptors or memory end."""
        resource, value = draw.choice(
            (
                ("FSIZE", int(10 ** draw.uniform(3.5, 5))),
                ("NOFILE", draw.randint(8, 60)),
                ("AS", int(draw.uniform(1.2, 2.4) * 2**30)),
            )
        )
        disturb = self._with(hook={"limits": {resource: value}})

        def patient(argv: Sequence[str], folder: Path) -> Done:
            done = disturb(argv, folder)
            # Without memory for a library's own code it gives up: as good as a kill.
            died = done.code in (-signal.SIGABRT, -signal.SIGSEGV, -signal.SIGBUS)
            if resource == "AS" and (died or any(n in done.err for n in NO_MEMORY)):
                return _as_killed(done)
            return done

        return f"RLIMIT_{resource}={value}", patient

    def denied(self, name: str, draw: random.Random) -> tuple[str, Disturb]:
        """A folder that one may not write, as somebody who is not root."""
        inside = draw.random() < 0.5

        def disturb(argv: Sequence[str], folder: Path) -> Done:
            run = folder / "run"
            rest: dict[str, Any] = {}
            if os.getuid() == 0 and _is_open_to_all(folder):
                rest = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
                rest["environ"] = {"HOME": str(folder), "MPLCONFIGDIR": str(folder)}
            barred = run if inside and run.is_dir() else folder
            mode = barred.stat().st_mode
            barred.chmod(0o555)
            try:
                return self._start(argv, folder, **rest).wait()
            finally:
                barred.chmod(mode)

        return f"no permission to write {'the run' * inside or 'beside it'}", disturb

    def unheard(self, name: str, draw: random.Random) -> tuple[str, Disturb]:
        """An output that is closed, full, cut off, or takes only ASCII."""
        how = draw.choice(("closed", "full", "cut", "ascii"))
        size = draw.randint(0, 400)

        def disturb(argv: Sequence[str], folder: Path) -> Done:
            if how == "ascii":
                environ = {"PYTHONIOENCODING": "ascii", "LC_ALL": "C"}
                return self._start(argv, folder, environ=environ).wait()
            if how == "full":
                with open("/dev/full", "wb") as full:
                    return self._start(argv, folder, stdout=full).wait()
            if how == "closed":
                return self._start(argv, folder, closed=True).wait()
            process = self._start(argv, folder, stdout=subprocess.PIPE)
            assert process.popen.stdout is not None
            process.popen.stdout.read(size)
            process.popen.stdout.close()
            return process.wait()

        said = {"cut": f"cut off after {size} bytes", "ascii": "of ASCII alone"}
        return f"a standard output that is {said.get(how, how)}", disturb

    def orphaned(self, name: str, draw: random.Random) -> tuple[str, Disturb]:
        """SIGKILL to a process that the command has started, or to all at once."""
        share, everyone = draw.uniform(0.2, 0.9), draw.random() < 0.5

        def disturb(argv: Sequence[str], folder: Path) -> Done:
            process = self._start(argv, folder)
            end = time.monotonic() + share * self.seconds(name)
            process.wait_for(lambda: time.monotonic() > end)
            mine = process.popen.pid
            workers = [pid for pid in descendants(folder) if pid != mine]
            for pid in [mine, *workers] if everyone else workers or [mine]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            return process.wait()

        whom = "to all of its processes" if everyone else "to its workers"
        return f"SIGKILL {whom} at {share:.0%} of its time", disturb

    def _start(self, argv: Sequence[str], folder: Path, **rest: Any) -> Process:
        environ = {"FAULTS_CASE": str(folder), **rest.pop("environ", {})}
        return self.shop.commands.start(argv, folder, environ=environ, **rest)

    def _with(self, **rest: Any) -> Disturb:
        return lambda argv, folder: self._start(argv, folder, **rest).wait()

    def _hooked(self, argv: Sequence[str], folder: Path, **hook: Any) -> Done:
        # Once: of a sweep's workers the first to come there.
        once = folder.parent / f"{folder.name}.once"
        once.unlink(missing_ok=True)
        settings = {"under": str(folder), "once": str(once), **hook}
        return self._start(argv, folder, hook=settings).wait()


DISTURBANCES: Mapping[
    str, Callable[[Kills, str, random.Random], tuple[str, Disturb]]
] = {
    "kill at a moment": Kills.at_a_moment,
    "kill at a failpoint": Kills.at_a_failpoint,
    "kill at a change": Kills.at_a_change,
    "signal": Kills.signalled,
    "full disk": Kills.full,
    "error of a file": Kills.refused,
    "kill of all or of workers": Kills.orphaned,
    "limit": Kills.limited,
    "no permission": Kills.denied,
    "output": Kills.unheard,
}


def of_train(shop: Workshop) -> Kills:
    """The kind `train`."""
    names = ("integers", "attention", "words")
    return Kills(shop, {name: examples.train(shop.work, name) for name in names})


def of_sweep(shop: Workshop) -> Kills:
    """The kind `sweep`."""
    commands = {name: examples.sweep(shop.work, name) for name in examples.SWEEPS}
    searches = {
        name: examples.searched(shop.work, name)
        for name, words in examples.SWEEPS.items()
        if words[0].startswith("--search")
    }
    return Kills(shop, commands, ["--retry_failed"], searches)


def failpoints() -> list[str]:
    """Those that the sources name."""
    found: set[str] = set()
    for path in sorted((ROOT / "s2sjax").rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        found |= set(re.findall(r"failpoints\.reach\(\"([a-z_.]+)\"\)", text))
    return sorted(found)


def _is_open_to_all(folder: Path) -> bool:
    """Whether somebody else than root can reach a folder and this program."""
    reached = [folder, HERE, Path(sys.executable).absolute()]
    parents = {parent for path in reached for parent in path.resolve().parents}
    return all(parent.stat().st_mode & 0o001 for parent in parents)


def _as_killed(done: Done) -> Done:
    return Done(done.argv, -signal.SIGKILL, done.out, done.err, done.seconds)
