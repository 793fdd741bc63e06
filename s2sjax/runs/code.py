"""The user's files that a run executes: copied when it begins, and read from there.

code/model.attention/mine.py    for model.attention=mine.py:Mine
code/model.attention/about.json its SHA-256, and where it was
"""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from s2sjax import config as configs
from s2sjax import user_code
from s2sjax.config import Config
from s2sjax.errors import UsageError
from s2sjax.runs import bundle

FOLDER = "code"


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
        folder = directory / FOLDER / field
        if not bundle.exists(folder):  # of a start that was killed
            bundle.write(folder, {Path(file).name: content}, {"sources": sources})


def check(directory: Path, config: Config) -> None:
    """Compares the user's files with those that the run has, where they are there.

    Raises:
      UsageError: one holds something else.
    """
    for field, file in configs.code_files(config).items():
        if Path(file).is_file():
            sha256 = hashlib.sha256(user_code.read(field, file)).hexdigest()
            bundle.check_sources(directory / FOLDER / field, {file: sha256})


def of_run(directory: Path, config: Config) -> Config:
    """The config of a run with the copies in place of the user's files.

    Raises:
      UsageError: a copy is missing or damaged.
    """
    paths = {copy.field: str(copy.path) for copy in copies(directory, config)}
    return configs.with_files(config, paths)


def announce(
    directory: Path, config: Config, say: Callable[[str], None], *, refused: bool
) -> None:
    """Says which files of a run are executed, but for the user's own.

    Those are where the config names them on this machine, with the same bytes.

    Args:
      directory: of the run.
      config: as the run keeps it.
      say: takes a line for a person.
      refused: whether none may be.

    Raises:
      UsageError: a copy is missing or damaged, or none may be executed.
    """
    for copy in copies(directory, config):
        if refused:
            raise UsageError(
                f"no_user_code=True: {directory} would execute a Python file, of "
                f"{copy.field}={copy.path}"
            )
        if not copy.is_here:
            say(
                f"{copy.path} (SHA-256 {copy.sha256[:16]}) is executed, {copy.field} "
                f"of this run; no_user_code=True refuses that"
            )


def copies(directory: Path, config: Config) -> list[Copy]:
    """What a run executes of the user's; executes nothing.

    Raises:
      UsageError: a copy is missing or damaged.
    """
    executed = []
    for field, file in configs.code_files(config).items():
        folder = directory / FOLDER / field
        content = bundle.read(folder, (Path(file).name,))[0][Path(file).name]
        try:
            is_here = Path(file).read_bytes() == content
        except OSError:
            is_here = False
        sha256 = hashlib.sha256(content).hexdigest()
        executed.append(Copy(field, folder / Path(file).name, sha256, is_here))
    return executed
