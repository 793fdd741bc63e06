"""`config.json` and `run.json`: what a run keeps about itself, checked when read.

This module imports no jax, so that a run's flags can be read before it.
"""

import errno
import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NotRequired, Required, TypedDict

from s2sjax import config as configs
from s2sjax import json_objects, places
from s2sjax.config import Config
from s2sjax.errors import UsageError
from s2sjax.places import CONFIG
from s2sjax.runs import atomic

RECORD = "run.json"
TRIAL = "trial.json"  # what a run was launched with that is one of a sweep
DATA = "data"  # stored pairs, vocabularies, the user's pattern file
REPLICA = "replica.json"  # of a run that is trained together with others
METRICS = "metrics.jsonl"
CHECKPOINTS = "checkpoints"
TEST = "test.json"  # its evaluation on test data, once it has ended


def checked_path(path: str | os.PathLike[str]) -> Path:
    """`path` as one that the system can take; nothing need be there.

    Raises:
      UsageError: it is empty, too long, has a NUL, or leads through a file.
    """
    text = os.fspath(path)
    if not text:
        raise UsageError("path is empty; it takes a directory")
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
        raise UsageError(f"path={_short(text)}: {error.strerror}") from None
    except ValueError as error:  # a NUL, or what the file system cannot encode
        raise UsageError(f"path={_short(text)!r}: {error}") from None
    return directory


def shared(run: Path) -> Path | None:
    """Where the trials of a sweep keep what several of them have; None for a run."""
    is_trial = run.parent.name == places.TRIALS and (run / TRIAL).is_file()
    return run.parent.parent / DATA if is_trial else None


class Embeddings(TypedDict):
    """What a run has noted of a file of vectors that it began with."""

    file: str
    sha256: str
    symbols: int  # of the vocabulary
    found: int  # of them in the file


class Record(TypedDict, total=False):
    """`run.json`."""

    format_version: Required[int]
    identity: Required[str]  # of the config
    command: list[str]
    init_from: str  # whose parameters it began with
    embeddings: dict[str, Embeddings]  # what it began with, by field of the config
    versions: dict[str, str]
    flags: dict[str, str]
    device: str
    device_count: int
    process_count: int


class Replica(TypedDict):
    """`replica.json`: see `slices.py`."""

    checkpoints: str
    replica: int


def read_record(path: str | os.PathLike[str]) -> dict[str, Any]:
    """`run.json` of a run, without the rest of it; empty where there is none.

    The flags that a continued run needs are in it, and they must be known before
    jax is imported.

    Raises:
      UsageError: it is damaged, or of another format.
    """
    file = checked_path(path) / RECORD
    if not os.path.lexists(file):
        return {}
    return dict(json_objects.read(file, Record))


def read_replica(directory: Path) -> Replica:
    """`replica.json` of a run that is trained together with others.

    Raises:
      UsageError: it is damaged.
    """
    path = directory / REPLICA
    kept = json_objects.read(path, Replica)
    if kept["replica"] < 0:
        raise UsageError(f"{path} is damaged: replica is {kept['replica']}")
    return kept


class Test(TypedDict):
    """What `test.json` has at least."""

    step: int
    examples: int
    exact: float | None
    token_accuracy: float | None
    edit_distance: float | None
    nll: float | None
    unseen: float | None
    bleu: NotRequired[float | None]
    chrf: NotRequired[float | None]


class NumbersTest(TypedDict):
    """What it has at least where numbers are forecast."""

    step: int
    examples: int
    mae: float | None
    rmse: float | None


def read_test(directory: Path) -> dict[str, Any]:
    """The evaluation of a run that has ended, on test data; empty where there is none.

    Raises:
      UsageError: it is damaged.
    """
    path = directory / TEST
    if not os.path.lexists(path):
        return {}
    of_numbers = "mae" in read_object(path)
    return dict(json_objects.read(path, NumbersTest if of_numbers else Test))


def read_config(directory: Path) -> Config:
    """The config of a run.

    Raises:
      UsageError: it is damaged, is not a config, was changed since the run started,
        or is of another format.
    """
    record = read_record(directory)
    path = directory / CONFIG
    raw: dict[str, Any] = json_objects.read(path, dict, plain=True)
    try:
        config = configs.resolve(raw)
    except UsageError as error:
        raise UsageError(f"{path} is not a config of s2sjax: {error}") from None
    if record and record["identity"] != identity(raw):
        raise UsageError(
            f"{path} was changed after the run started; put it back, or start "
            f"another run with it in a new directory"
        )
    # That hash does not cover these; left out, they would be the defaults.
    lacking = set(configs.MAY_DIFFER) - configs.flatten(raw).keys() if record else set()
    for field in sorted(lacking):
        raise UsageError(f"{path} is damaged: {field} is missing")
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
                    f"path={directory}: {path.relative_to(directory)} is no file "
                    f"but a pipe or a device; take it away"
                )


def write_changes(path: Path, config: Config) -> None:
    """Puts the fields that may differ into the file and leaves the others as read.

    Where the user's files lie may differ too; that they are the same has been checked.
    """
    raw: dict[str, Any] = json_objects.read(path, dict, plain=True)
    changes = configs.difference(configs.resolve(raw), config)
    files = *configs.PLACES, *configs.CODE, *configs.EMBEDDING_FILES
    may = (*may_differ(config.train.schedule), *files)
    fields = [field for field in changes if field in may]
    for field in fields:
        group, _, name = field.rpartition(".")
        raw.setdefault(group, {})[name] = changes[field][1]
    if fields:
        text = json.dumps(raw, sort_keys=True, indent=1)
        atomic.write_text(path, f"{text}\n")


def sha256(field: str, file: str) -> str:
    """Of the bytes of a file, as it lies there.

    Raises:
      UsageError: it cannot be read.
    """
    try:
        with open(file, "rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()
    except OSError as error:
        raise UsageError(f"{field}={file} cannot be read: {error.strerror}") from None


def note_embeddings(directory: Path, noted: dict[str, Embeddings]) -> None:
    """Adds to `run.json` what vectors the run began with.

    Raises:
      OSError: it could not be written.
    """
    record = read_record(directory) | {"embeddings": noted}
    text = json_objects.encode(dict(sorted(record.items())))
    atomic.write_text(directory / RECORD, text)


def identity(config: dict[str, Any]) -> str:
    """A hash of a config as nested dict, without the fields in which a run may change.

    Nor does it hang on where the data lie.

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
    named = *configs.CODE, *configs.EMBEDDING_FILES
    for place in (*configs.PLACES, *named):
        part, _, leaf = place.partition(".")
        fields = kept.get(part)
        if not isinstance(fields, dict) or not isinstance(fields.get(leaf), str):
            continue
        file = configs.file_in(place, fields[leaf])
        # Code keeps the name of its file, by which the run finds its copy.
        left = os.path.basename(file) if place in named else ""
        if file:
            fields[leaf] = fields[leaf].replace(file, left, 1)
    text = json.dumps(kept, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def placed(command: Sequence[str], directory: Path) -> list[str]:
    """The words of a recorded command, with the place where its directory is now.

    >>> placed(["s2sjax", "train", "--workdir=old/place"], Path("new"))
    ['s2sjax', 'train', '--workdir=new']
    """
    place = "--workdir="
    return [
        f"{place}{directory}" if word.startswith(place) else word for word in command
    ]


def again(sweep: Path, trial: str) -> Path:
    """A place where nothing is yet, to train a trial of a sweep again."""
    return places.unused(Path(f"{sweep}-{trial}"))


def may_differ(schedule: Any) -> list[str]:
    """The fields in which a run may change, given its learning rate schedule."""
    constant = isinstance(schedule, str) and schedule.partition(":")[0] == "constant"
    # Where the rate decays to the end, the number of steps is part of every step.
    bound = () if constant else ("train.steps", "train.epochs")
    return [field for field in configs.MAY_DIFFER if field not in bound]


def _short(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:40]}...{text[-20:]}"


def read_object(path: Path, *, plain: bool = False) -> dict[str, Any]:
    """The JSON object of a file; empty where it is missing or damaged.

    Raises:
      OtherFormat: another format of s2sjax wrote it.
    """
    try:
        return json_objects.read(path, dict, plain=plain)
    except json_objects.OtherFormat:
        raise
    except UsageError:
        return {}
