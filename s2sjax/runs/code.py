"""The user's files that a run executes: copied when it begins, and read from there.

code/model.attention/mine.py    for model.attention=mine.py:Mine
code/model.attention/about.json its SHA-256, and where it was
data/pattern.py                 for task.name=FILE.py:function, among the data it made
"""

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from s2sjax import config as configs
from s2sjax import user_code
from s2sjax.config import Config
from s2sjax.errors import UsageError
from s2sjax.runs import bundle, run_files

FOLDER = "code"
PATTERN = "pattern.py"


class Copy(NamedTuple):
    """A file that a run executes."""

    field: str  # of the config that names it
    path: Path
    sha256: str
    is_here: bool  # the config's own file has the same bytes


def keep(directory: Path, config: Config) -> None:
    """Copies the user's files of a config into a run that begins.

    Raises:
      UsageError: a file cannot be read.
    """
    for field, file in configs.code_files(config).items():
        content = user_code.read(field, file)
        sources = {file: hashlib.sha256(content).hexdigest()}
        place = _place(directory, field, file)
        if not bundle.exists(place.parent):  # of a start that was killed
            bundle.write(place.parent, {place.name: content}, {"sources": sources})


def check(directory: Path, config: Config) -> None:
    """Compares the user's files with those that the run has, where they are there.

    Raises:
      UsageError: one holds something else.
    """
    for field, file in configs.code_files(config).items():
        if Path(file).is_file():
            sha256 = hashlib.sha256(user_code.read(field, file)).hexdigest()
            place = _place(directory, field, file)
            bundle.check_sources(place.parent, {file: sha256})


def of_run(directory: Path, config: Config) -> Config:
    """The config of a run with the copies in place of the user's files.

    Raises:
      UsageError: a copy is missing or damaged.
    """
    paths = {copy.field: str(copy.path) for copy in copies(directory, config)}
    return configs.with_files(config, paths)


def pattern(config: Config) -> dict[str, str]:
    """The file of a config's task, by its field; empty where the task is none."""
    name = config.task.name
    return {"task.name": configs.file_of(name)} if configs.is_user_code(name) else {}


def announce(
    directory: Path,
    files: Mapping[str, str],
    say: Callable[[str], None],
    *,
    refused: bool = False,
    named: bool = False,
) -> None:
    """Says which files of a run are about to be executed, but for the user's own.

    Those are where the config names them on this machine, with the same bytes; before
    the run has copies, where the user has named the config.

    Args:
      directory: of the run.
      files: of its config as it keeps it, by field: `pattern`, `configs.code_files`,
        or both.
      say: takes a line for a person.
      refused: whether none may be.
      named: whether the user has named the config.

    Raises:
      UsageError: a file is missing or damaged, or none may be executed.
    """
    for field, file in files.items():
        place = _place(directory, field, file)
        if bundle.exists(place.parent):
            executed = _copy(field, file, place)
        elif named:
            continue
        else:
            sha256 = hashlib.sha256(user_code.read(field, file)).hexdigest()
            executed = Copy(field, Path(file), sha256, is_here=False)
        if refused:
            raise UsageError(
                f"no_user_code=True: {directory} would execute a Python file, of "
                f"{field}={executed.path}"
            )
        if not executed.is_here:
            say(
                f"{executed.path} (SHA-256 {executed.sha256[:16]}) is executed, "
                f"{field} of this run; no_user_code=True refuses that"
            )


def copies(directory: Path, config: Config) -> list[Copy]:
    """The kinds of a run that are files of the user's; executes nothing.

    Raises:
      UsageError: a copy is missing or damaged.
    """
    return [
        _copy(field, file, _place(directory, field, file))
        for field, file in configs.code_files(config).items()
    ]


def _place(directory: Path, field: str, file: str) -> Path:
    """Where a run has its copy."""
    if field == "task.name":
        return directory / run_files.DATA / PATTERN
    return directory / FOLDER / field / Path(file).name


def _copy(field: str, file: str, place: Path) -> Copy:
    content = bundle.read(place.parent, (place.name,))[0][place.name]
    try:
        is_here = Path(file).expanduser().read_bytes() == content
    except OSError:
        is_here = False
    return Copy(field, place, hashlib.sha256(content).hexdigest(), is_here)
