"""Directories of runs and sweeps by name: the nearest one, one inside, an unused one.

Imports no jax.
"""

import difflib
import itertools
import os
from pathlib import Path

CONFIG = "config.json"  # a directory that has it is a run
TRIALS = "trials"  # the runs of a sweep are in it


def hint(path: Path) -> str:
    """What to say of a path that does not exist: the nearest one that does.

    Of its parts the first that is missing is looked for among those beside it.
    """
    absolute = path.absolute()
    missing = [
        each
        for each in (*absolute.parents[::-1], absolute)
        if not os.path.lexists(each)
    ]
    if not missing:
        return ""
    first = missing[0]
    try:
        beside = os.listdir(first.parent)
    except OSError:
        return ""
    for name in difflib.get_close_matches(first.name, beside, n=3, cutoff=0.5):
        near = first.with_name(name) / absolute.relative_to(first)
        if os.path.exists(near):
            shown = near if path.is_absolute() else os.path.relpath(near)
            return f" (did you mean '{shown}'?)"
    return ""


def is_sweep(directory: Path) -> bool:
    """Whether a directory holds the trials of a sweep."""
    return run_inside(directory / TRIALS) is not None


def run_inside(directory: Path) -> Path | None:
    """The first run that is in a directory, or a trial where it is a sweep's."""
    for pattern in (f"*/{CONFIG}", f"{TRIALS}/*/{CONFIG}"):
        directories = sorted(directory.glob(pattern))
        if directories:
            return directories[0].parent
    return None


def not_a_run(directory: Path) -> str:
    """What a path that should be a run is in its place, and what to name instead."""
    if not os.path.lexists(directory):
        return f"does not exist{hint(directory)}"
    if not directory.is_dir():
        return "is not a directory"
    inside = run_inside(directory)
    if inside is None:
        return f"is not a run: it has no {CONFIG}"
    what = "is a sweep; name one of its trials" if is_sweep(directory) else "holds runs"
    return f"{what}, e.g. {inside}"


def not_a_sweep(directory: Path) -> str:
    """What a path that should be a sweep is in its place."""
    if not os.path.lexists(directory):
        return f"does not exist{hint(directory)}"
    if not directory.is_dir():
        return "is not a directory"
    if (directory / CONFIG).is_file():
        sweep = directory.absolute().parent.parent
        return "is not a sweep but a run" + f", a trial of {sweep}" * is_sweep(sweep)
    return "is not a sweep: it holds no trials"


def unused(path: Path) -> Path:
    """`path`, or the first of `path`-2, `path`-3 and so on where nothing is yet."""
    places = itertools.chain([path], (Path(f"{path}-{n}") for n in itertools.count(2)))
    return next(place for place in places if not os.path.lexists(place))
