"""`received`: runs and sweeps from others, made to lead a reader astray.

What was received writes nothing beside its directory and executes nothing, unless a
line says so; `export` and `--init_from` never execute. Whatever it holds, the answer is
the usual one, or a line.
"""

import hashlib
import json
import os
import random
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from faults import examples
from faults.case import Case, Fault, Workshop, changed, state
from faults.commands import Done
from faults.damage import WRONG, places_of, put, shown
from faults.reading import Reading

RUNS = ("a trained run", "a run of a user's pattern", "a run on text")
ALL = (*RUNS, "a run that was killed", "a sweep", "a search")
FLAGS = (
    *("--xla_dump_to=OUTSIDE", "--xla_no_such_flag=1", "--xla_gpu_cuda_data_dir=/"),
    *("--xla_dump_hlo_as_text --xla_dump_to=OUTSIDE", "junk", "OUTSIDE/precious", "--"),
    *("--xla_force_host_platform_device_count=-1", "--xla_cpu_multi_thread_eigen=x"),
    *("--xla_force_host_platform_device_count=4096", "\x1b[31m", "--xla_flagfile=/"),
    *("--xla_cpu_multi_thread_eigen=true", "-", "--help", "--xla_hlo_profile=true"),
)
LEADS = (
    *("../../outside", "OUTSIDE", "/", "..", ".", "", "../run", "/dev/zero", "/proc"),
    *("a\0b", "x" * 300, "../" * 50 + "etc/passwd", "~", "\x1b[31m", "con", "a\nb"),
)
NAMES = (
    *("999", "999999999999999999", "-1", "03", "tmp-3", "trash-9", "\x1b[31m", "a\nb"),
    *("x" * 255, ".hidden", " ", "é", "..x", "nul", "config.json.tmp", "0000", "lock"),
)

# A change takes the copy's folder and a folder beside it, which nothing may touch.
Change = Callable[[Path, Path], None]


class Received:
    """The kind; see `case.Kind`."""

    def __init__(self, shop: Workshop):
        self.shop, self.reading = shop, Reading(shop)

    def case(self, draw: random.Random, number: int) -> Case:
        """See `case.Kind`."""
        name = list(SORTS)[number % len(SORTS)]
        sort = SORTS[name]
        chosen = draw.choice(sort.bases)
        base = self.reading.made(chosen)
        said, change = sort.draw(base, draw)
        words = draw.choice(self.reading.commands(chosen))
        if chosen in RUNS and draw.random() < 0.3:
            words = ["train", f"--config={self._config(chosen)}", "--workdir=new"]
            words += ["--init_from=run"]

        def run(folder: Path) -> str:
            outside = folder / "outside"
            outside.mkdir()
            (outside / "precious").write_text("precious\n", encoding="utf-8")
            beside: dict[str, str] = {}

            def prepare(place: Path) -> None:
                change(place, outside)
                beside.update(state(outside))

            def check(done: Done, told: list[str]) -> None:
                _check_outside(beside, outside, done, told)

            return self.reading.compare(
                chosen,
                words,
                prepare,
                folder,
                alone=sort.alone,
                is_another=sort.is_another,
                also=check,
            )

        return Case(name, f"{chosen}: {said}; {words[0]} {words[-1]}", run)

    def _config(self, chosen: str) -> Path:
        """What a base was trained with."""
        names = {"a run of a user's pattern": "attention", "a run on text": "words"}
        return examples.config(self.shop.work, names.get(chosen, "integers"))


def _check_outside(
    beside: dict[str, str], outside: Path, done: Done, told: list[str]
) -> None:
    changes = changed(beside, state(outside))
    if "executed" in changes:
        never = done.argv[0] == "export" or "--init_from=run" in done.argv
        if never or not any("execut" in line for line in told):
            raise Fault("it executed what was received, and no line says so", done)
        changes.remove("executed")
    if changes:
        raise Fault(f"it wrote beside its directory: {', '.join(changes[:5])}", done)


# The sorts: each takes a base and its draw, and gives its name and the change.


def flags(base: Path, draw: random.Random) -> tuple[str, Change]:
    """Flags of the compiler in `run.json`."""
    from s2sjax import json_objects

    text = draw.choice(FLAGS)

    def change(place: Path, outside: Path) -> None:
        for path in place.rglob("run.json"):
            record = json_objects.read(path, dict)
            record["flags"]["XLA_FLAGS"] = text.replace("OUTSIDE", str(outside))
            path.write_text(json_objects.encode(record), encoding="utf-8")

    return f"XLA_FLAGS={text!a}", change


def code(base: Path, draw: random.Random) -> tuple[str, Change]:
    """Code in the run's copy of a user's file, with the right hash."""
    places = ("its file", "its objective", "another file", "its config")
    place_of_code = draw.choice(places)

    def change(place: Path, outside: Path) -> None:
        data = place / "run" / "data"
        text = "import pathlib\n"
        text += f"pathlib.Path({str(outside / 'executed')!r}).write_text('1')\n"
        if place_of_code == "its objective":
            kept = place / "run" / "code" / "train.objective" / "objective.py"
            _rewrite(kept, (text + examples.OBJECTIVE).encode())
            return
        text += examples.PATTERN
        if place_of_code == "its file":
            _rewrite(data / "pattern.py", text.encode())
        elif place_of_code == "another file":
            for name in ("sitecustomize.py", "jax.py", "conftest.py", "numpy.py"):
                (place / "run" / name).write_text(text, encoding="utf-8")
                (data / name).write_text(text, encoding="utf-8")
        else:
            (outside / "theirs.py").write_text(text, encoding="utf-8")
            _with_config(place / "run", "task", "name", f"{outside}/theirs.py:twice")

    return f"code in {place_of_code}", change


def shape(base: Path, draw: random.Random) -> tuple[str, Change]:
    """Odd shapes in files that have the right hashes."""
    share, pick, value = draw.random(), draw.random(), draw.choice(WRONG)
    names = [f"{name}/*.json" for name in ("data", "code/*")]
    names += ["checkpoints/*/manifest.json", "config.json"]
    pattern = draw.choice([name for name in names if any((base / "run").rglob(name))])

    def change(place: Path, outside: Path) -> None:
        found = sorted((place / "run").rglob(pattern))
        path = found[int(share * len(found))]
        kept = json.loads(path.read_text(encoding="utf-8"))
        inner = json.loads(kept["body"]) if "manifest" in pattern else kept
        places = list(places_of(inner))
        made = put(inner, places[int(pick * len(places))], lambda old: value)
        if "manifest" in pattern:
            body = json.dumps(made, sort_keys=True)
            made = {"crc32": zlib.crc32(body.encode()), "body": body}
        elif "crc32" in kept and isinstance(made, dict):
            made = _sealed(made)
        _rewrite(path, json.dumps(made).encode())
        if pattern == "config.json":
            _agree(path.parent)

    return f"{pattern}: {pick:.1%} is {shown(value)}", change


def link(base: Path, draw: random.Random) -> tuple[str, Change]:
    """Links in place of files: to the file itself, elsewhere, or to a device.

    Folders are left alone: to keep checkpoints on another disk one links to them.
    """
    share = draw.random()
    target = draw.choice(("the same", "the same", "/dev/zero", "/dev/null", "OUTSIDE"))

    def change(place: Path, outside: Path) -> None:
        found = [path for path in sorted((place / "run").rglob("*")) if path.is_file()]
        path = found[int(share * len(found))]
        path.rename(outside / "moved")
        to = "OUTSIDE/moved" if target == "the same" else target
        path.symlink_to(to.replace("OUTSIDE", str(outside)))

    return f"a link to {target} at {share:.1%}", change


def lead(base: Path, draw: random.Random) -> tuple[str, Change]:
    """Paths in JSON files that lead outside."""
    text, share = draw.choice(LEADS), draw.random()

    def change(place: Path, outside: Path) -> None:
        found = []
        for path in sorted((place / "run").rglob("*.json")):
            value = json.loads(path.read_text(encoding="utf-8"))
            found += [(path, at) for at in places_of(value) if _is_text(value, at)]
        path, at = found[int(share * len(found))]
        value = json.loads(path.read_text(encoding="utf-8"))
        made = put(value, at, lambda old: text.replace("OUTSIDE", str(outside)))
        path.write_text(json.dumps(made), encoding="utf-8")

    return f"a text at {share:.1%} is {text[:30]!a}", change


def extra(base: Path, draw: random.Random) -> tuple[str, Change]:
    """Entries that nobody made."""
    name, kind = draw.choice(NAMES), draw.choice(("file", "folder", "link", "pipe"))
    where = draw.random()

    def change(place: Path, outside: Path) -> None:
        run = place / "run"
        folders = [run, *sorted(p for p in run.rglob("*") if p.is_dir())]
        path = folders[int(where * len(folders))] / name
        if os.path.lexists(path):
            return
        if kind == "file":
            path.write_bytes(b"\0" * 1000)
        elif kind == "folder":
            (path / "x").mkdir(parents=True)
        elif kind == "pipe":
            os.mkfifo(path)
        else:
            path.symlink_to(outside)

    return f"a {kind} {name[:20]!a} at {where:.0%}", change


class Sort(NamedTuple):
    """How cases of a sort are drawn."""

    draw: Callable[[Path, random.Random], tuple[str, Change]]
    bases: tuple[str, ...] = ALL
    alone: bool = False  # in a process of its own
    is_another: bool = False  # in order, but another directory


SORTS = {
    "shape": Sort(shape, RUNS, is_another=True),
    "extra": Sort(extra),
    "lead": Sort(lead),
    "link": Sort(link),
    "code": Sort(code, (RUNS[1],), is_another=True),
    "flags": Sort(flags, ("a trained run",), alone=True),
}


def _rewrite(path: Path, data: bytes) -> None:
    """Changes a file, and its hash wherever the run keeps it."""
    old = hashlib.sha256(path.read_bytes()).hexdigest()
    path.write_bytes(data)
    new = hashlib.sha256(data).hexdigest()
    for record in path.parent.parent.rglob("*.json"):
        text = record.read_text(encoding="utf-8")
        if old in text and record != path:
            made = _sealed(json.loads(text.replace(old, new)))
            record.write_text(json.dumps(made), encoding="utf-8")


def _sealed(value: dict[str, Any]) -> dict[str, Any]:
    """An object with the checksum that s2sjax would have written, where it can be."""
    from s2sjax import json_objects

    rest = {name: each for name, each in value.items() if name != "crc32"}
    try:
        whole: dict[str, Any] = json.loads(json_objects.encode(rest))
    except ValueError:  # what is no JSON
        return value
    return whole


def _with_config(run: Path, group: str, name: str, value: Any) -> None:
    path = run / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config[group][name] = value
    path.write_text(json.dumps(config), encoding="utf-8")
    _agree(run)


def _agree(run: Path) -> None:
    """Makes the record say what the config's identity is."""
    from s2sjax import json_objects
    from s2sjax.runs import run_files

    config = json.loads((run / "config.json").read_text(encoding="utf-8"))
    record = json_objects.read(run / "run.json", dict)
    if isinstance(config, dict):
        record["identity"] = run_files.identity(config)
    text = json_objects.encode(record)
    (run / "run.json").write_text(text, encoding="utf-8")


def _is_text(value: Any, at: tuple[Any, ...]) -> bool:
    for name in at:
        value = value[name]
    return isinstance(value, str)
