"""`damage`: each file of a run or a sweep flipped, cut, removed or replaced.

A command then reads what is damaged, twice: it gives the answer that it gives of the
undamaged directory, or a line that the undamaged one does not have.
"""

import json
import os
import random
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from faults.case import Case, Workshop
from faults.reading import Reading


class Damage:
    """The kind; see `case.Kind`."""

    def __init__(self, shop: Workshop):
        self.reading = Reading(shop)

    def case(self, draw: random.Random, number: int) -> Case:
        """See `case.Kind`."""
        bases = list(self.reading.bases)
        chosen = draw.choices(bases, weights=(4, 2, 3, 3, 3, 1, 1))[0]
        base = self.reading.made(chosen)
        sort = TURNS[number % len(TURNS)]
        # Many files hold the arrays and few the JSON: each kind of file has its turn.
        files: dict[str, list[Path]] = {}
        for path in sorted((base / "run").rglob("*")):
            if path.is_file() and _can(sort, path):
                name = path.relative_to(base).as_posix()
                files.setdefault(_kind_of(name), []).append(path)
        path = draw.choice(files[draw.choice(sorted(files))])
        name = path.relative_to(base).as_posix()
        said, damage = WAYS[sort](path, draw)
        words = draw.choice(self.reading.commands(chosen))

        def run(folder: Path) -> str:
            def change(place: Path) -> None:
                damage(place / name)

            return self.reading.compare(chosen, words, change, folder)

        return Case(sort, f"{chosen}: {name}: {said}; {words[0]}", run)


def _kind_of(name: str) -> str:
    """A name for the files that hold the same: `d/HASH` of a checkpoint, for one."""
    name = re.sub(r"[0-9a-f]{32}", "HASH", name)
    return re.sub(r"trials/[^/]+|checkpoints/\d+|tfevents.*", "N", name)


def _can(sort: str, path: Path) -> bool:
    if sort.startswith("field"):
        return path.suffix in (".json", ".jsonl")
    if sort == "lines":
        return path.suffix == ".jsonl"
    return True


# Each way takes a file and its draw, and gives its name and what it does to a copy.
Way = Callable[[Path, random.Random], tuple[str, Callable[[Path], None]]]


def flip(path: Path, draw: random.Random) -> tuple[str, Callable[[Path], None]]:
    """One bit."""
    share, bit = draw.random(), draw.randrange(8)

    def damage(file: Path) -> None:
        data = bytearray(file.read_bytes())
        if data:
            data[int(share * len(data))] ^= 1 << bit
        file.write_bytes(data)

    return f"bit {bit} flipped at {share:.1%}", damage


def cut(path: Path, draw: random.Random) -> tuple[str, Callable[[Path], None]]:
    """The end is missing, or all of it."""
    share = draw.choice((0.0, draw.random(), draw.random()))

    def damage(file: Path) -> None:
        data = file.read_bytes()
        file.write_bytes(data[: int(share * len(data))])

    return f"cut to {share:.1%}", damage


def remove(path: Path, draw: random.Random) -> tuple[str, Callable[[Path], None]]:
    """The file, or the folder that it is in, is gone."""
    whole = draw.random() < 0.3 and path.parent.name != "run"

    def damage(file: Path) -> None:
        if whole:
            shutil.rmtree(file.parent)
        else:
            file.unlink()

    return f"{'its folder ' * whole}removed", damage


def junk(path: Path, draw: random.Random) -> tuple[str, Callable[[Path], None]]:
    """Other bytes, in its place or behind it."""
    size = draw.choice((1, 10, 1000))
    kind = draw.choice(("zeros", "bytes", "deep", "text"))
    data = {
        "zeros": b"\0" * size,
        "bytes": draw.randbytes(size),
        "deep": b"[" * 100_000,
        "text": b'{}\n[]\n7\n"\x1b[31m"\n',
    }[kind]
    behind = draw.random() < 0.4

    def damage(file: Path) -> None:
        file.write_bytes(file.read_bytes() + data if behind else data)

    return f"{'ends with' if behind else 'is now'} {kind} ({len(data)})", damage


def exchange(path: Path, draw: random.Random) -> tuple[str, Callable[[Path], None]]:
    """The content of another file of the same name, or of one near it."""
    pick = draw.random()

    def damage(file: Path) -> None:
        top = next(each for each in file.parents if each.name == "run")
        found = [p for p in sorted(top.rglob("*")) if p.is_file() and p != file]
        same = [p for p in found if p.name == file.name] or found
        other = same[int(pick * len(same))]
        mine, its = file.read_bytes(), other.read_bytes()
        file.write_bytes(its)
        other.write_bytes(mine)

    return f"exchanged with another ({pick:.2f})", damage


def replace(path: Path, draw: random.Random) -> tuple[str, Callable[[Path], None]]:
    """Something that is no file stands in its place."""
    what = draw.choice(("folder", "broken link", "link to itself", "pipe"))

    def damage(file: Path) -> None:
        file.unlink()
        if what == "folder":
            file.mkdir()
        elif what == "pipe":
            os.mkfifo(file)
        else:
            file.symlink_to(file.name if "itself" in what else "nowhere")

    return f"is now a {what}", damage


def lines(path: Path, draw: random.Random) -> tuple[str, Callable[[Path], None]]:
    """Lines of a journal or table twice, gone, or in another order."""
    what, share = draw.choice(("twice", "gone", "swapped", "junk")), draw.random()

    def damage(file: Path) -> None:
        found = file.read_bytes().splitlines(keepends=True)
        place = int(share * len(found))
        if what == "twice":
            found.insert(place, found[place])
        elif what == "gone":
            del found[place]
        elif what == "junk":
            found[place] = b'{"step": 4}\n' if share < 0.5 else b"junk\n"
        else:
            found[place], found[0] = found[0], found[place]
        file.write_bytes(b"".join(found))

    return f"line at {share:.0%} {what}", damage


ABSENT = object()
WRONG: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 0.5, -0.0, 2**31, 2**32, 2**63, 10**30, 1e308),
    *(float("nan"), float("inf"), "", "junk", "0", "../..", "/", "a\0b", "\x1b[31m"),
    *("\ud800", "x" * 5000, [], {}, [[]], [None], {"a": 1}, [1, "a"], {"": {}}),
    ABSENT,
)


def field_wrong(path: Path, draw: random.Random) -> tuple[str, Callable[[Path], None]]:
    """A field of another type, absent, or junk."""
    value = draw.choice(WRONG)
    return _field(path, draw, lambda old: value, shown(value))


def field_other(path: Path, draw: random.Random) -> tuple[str, Callable[[Path], None]]:
    """A field with another value of its own type."""
    change = draw.choice((1, 2))

    def other(old: Any) -> Any:
        if isinstance(old, bool):
            return not old
        if isinstance(old, int | float):
            return old + change
        if isinstance(old, str):
            return old + "x" if change == 1 else old[:-1]
        return list(reversed(old)) if isinstance(old, list) else {**old, "more": 1}

    return _field(path, draw, other, f"another value ({change})")


def _field(
    path: Path, draw: random.Random, change: Callable[[Any], Any], said: str
) -> tuple[str, Callable[[Path], None]]:
    share, line = draw.random(), draw.random()
    is_lines = path.suffix == ".jsonl"
    texts = path.read_text(encoding="utf-8").splitlines() if is_lines else []
    number = int(line * len(texts)) if is_lines else 0
    text = texts[number] if is_lines else path.read_text(encoding="utf-8")
    places = list(places_of(json.loads(text)))
    place = places[int(share * len(places))]

    def damage(file: Path) -> None:
        value = put(json.loads(text), place, change)
        made = json.dumps(value, indent=None if is_lines else 1)
        if is_lines:
            made = "\n".join([*texts[:number], made, *texts[number + 1 :]])
        file.write_text(made + "\n", encoding="utf-8")

    where = "/".join(map(str, place)) or "the whole"
    line_of = f"line {number + 1}, " * is_lines
    return f"{line_of}{where} is {said}", damage


def places_of(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of each value in a JSON value; of a long list the first few."""
    yield at
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from places_of(inner, (*at, name))
    elif isinstance(value, list):
        for index, inner in enumerate(value[:3]):
            yield from places_of(inner, (*at, index))


def put(value: Any, place: Sequence[Any], change: Callable[[Any], Any]) -> Any:
    """A copy of a JSON value in which one place is changed, or taken away."""
    if not place:
        made = change(value)
        return None if made is ABSENT else made
    value = json.loads(json.dumps(value))
    node = value
    for name in place[:-1]:
        node = node[name]
    made = change(node[place[-1]])
    if made is ABSENT:
        del node[place[-1]]
    else:
        node[place[-1]] = made
    return value


def shown(value: Any) -> str:
    """A value for the name of a case."""
    return "absent" if value is ABSENT else ascii(value)[:40]


WAYS: dict[str, Way] = {
    "field wrong": field_wrong,
    "flipped": flip,
    "field other": field_other,
    "cut": cut,
    "removed": remove,
    "junk": junk,
    "lines": lines,
    "exchanged": exchange,
    "replaced": replace,
}
TURNS = (*WAYS, "field wrong", "field wrong", "field other")
