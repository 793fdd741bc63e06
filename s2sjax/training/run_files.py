"""`config.json` and `run.json`: what a run keeps about itself, checked when read.

This module imports no jax, so that a run's flags can be read before it.
"""

import errno
import hashlib
import json
import os
from pathlib import Path
from typing import Any

from s2sjax import config as configs
from s2sjax.config import Config
from s2sjax.errors import UsageError
from s2sjax.training import atomic

CONFIG, RECORD = "config.json", "run.json"
DATA = "data"  # stored pairs, vocabularies, the user's pattern file
REPLICA = "replica.json"  # of a run that is trained together with others
TEST = "test.json"  # its evaluation on test data, once it has ended


def checked_path(path: str | os.PathLike[str]) -> Path:
    """`--workdir` as a path that the system can take; nothing need be there.

    Raises:
      UsageError: it is empty, too long, has a NUL, or leads through a file.
    """
    text = os.fspath(path)
    if not text:
        raise UsageError("--workdir is empty; it takes a directory")
    try:
        if text.startswith("~/"):  # which no shell expands behind an equals sign
            text = os.path.expanduser(text)
        directory = Path(text)
        if ".." in directory.parts:
            directory = Path(os.path.realpath(text))
        if any(len(os.fsencode(part)) > 255 for part in directory.parts):
            raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
        os.lstat(directory)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise UsageError(f"--workdir={_short(text)}: {error.strerror}") from None
    except ValueError as error:  # a NUL, or what the file system cannot encode
        raise UsageError(f"--workdir={_short(text)!r}: {error}") from None
    return directory


def read_record(path: str | os.PathLike[str]) -> dict[str, Any]:
    """`run.json` of a run, without the rest of it; empty where there is none.

    The flags that a continued run needs are in it, and they must be known before
    jax is imported.

    Raises:
      UsageError: it is damaged.
    """
    record = checked_path(path) / RECORD
    return _read_json(record) if record.is_file() else {}


def read_config(directory: Path) -> Config:
    """The config of a run.

    Raises:
      UsageError: it is damaged, is not a config, was changed since the run started,
        or is of a newer format.
    """
    record = read_record(directory)
    version = record.get("format_version", configs.FORMAT_VERSION)
    if not isinstance(version, int) or version > configs.FORMAT_VERSION:
        raise UsageError(
            f"--workdir={directory} has format_version {version}; this s2sjax reads "
            f"up to {configs.FORMAT_VERSION}: install a newer one"
        )
    path = directory / CONFIG
    raw = _read_json(path)
    try:
        config = configs.resolve(raw)
    except UsageError as error:
        raise UsageError(f"{path} is not a config of s2sjax: {error}") from None
    # The record called it `config_hash` once, which is the hash of every field.
    if record and record.get("identity", record.get("config_hash")) != identity(raw):
        raise UsageError(
            f"{path} was changed after the run started; put it back, or start "
            f"another run with it in a new directory"
        )
    return config


def check_files(directory: Path) -> None:
    """Makes sure that what is read in a directory has an end.

    Raises:
      UsageError: a pipe, a socket or a device is there, or a link to one.
    """
    for folder, _, names in os.walk(directory):
        for name in names:
            path = Path(folder, name)
            # What is not there is a broken link, or the trainer has just deleted it.
            if not path.is_file() and not path.is_dir() and path.exists():
                raise UsageError(
                    f"--workdir={directory}: {path.relative_to(directory)} is no file "
                    f"but a pipe or a device; take it away"
                )


def write_changes(path: Path, config: Config) -> None:
    """Puts the fields that may differ into the file and leaves the others as read."""
    raw = _read_json(path)
    values = configs.flatten(config)
    for field in may_differ(config.train.schedule):
        group, _, name = field.rpartition(".")
        raw.setdefault(group, {})[name] = values[field]
    text = json.dumps(raw, sort_keys=True, indent=1) + "\n"
    if path.read_text(encoding="utf-8") != text:
        atomic.write_text(path, text)


def identity(config: dict[str, Any]) -> str:
    """A hash of a config as nested dict, without the fields in which a run may change.

    >>> one = {"seed": 0, "train": {"log_every": 1}}
    >>> identity(one) == identity({"seed": 0, "train": {"log_every": 2}})
    True
    >>> identity(one) == identity({"seed": 1, "train": {"log_every": 1}})
    False
    """
    kept: dict[str, Any] = json.loads(json.dumps(config))
    train = kept.get("train")
    for field in may_differ(train.get("schedule") if isinstance(train, dict) else ""):
        group, _, name = field.rpartition(".")
        if isinstance(kept.get(group), dict):
            kept[group].pop(name, None)
    text = json.dumps(kept, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def may_differ(schedule: Any) -> list[str]:
    """The fields in which a run may change, given its learning rate schedule."""
    constant = isinstance(schedule, str) and schedule.partition(":")[0] == "constant"
    # Where the rate decays to the end, the number of steps is part of every step.
    bound = () if constant else ("train.steps", "train.epochs")
    return [field for field in configs.MAY_DIFFER if field not in bound]


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    except RecursionError:
        raise UsageError(f"{path} is damaged: nested too deeply") from None
    except ValueError as error:
        raise UsageError(f"{path} is damaged: {error}") from None
    if not isinstance(value, dict):
        raise UsageError(f"{path} is damaged: not a JSON object")
    return value


def _short(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:40]}...{text[-20:]}"


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object of a file; empty where there is none, or no such file."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
