"""The run directory: what it holds, who may write, and what may not change.

    config.json     the resolved config; a directory that has it is a run
    run.json        format version, identity of the config, environment at the start
    lock            names the process that trains
    metrics.jsonl   one line per log
    checkpoints/    see `checkpoint.py`
    data/           stored pairs, vocabularies, the user's pattern file

This module imports no jax, so that a run can be opened before its flags are set.
"""

import contextlib
import dataclasses
import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from s2sjax import config as configs
from s2sjax import json_objects, places
from s2sjax.closing import Closing
from s2sjax.config import Config
from s2sjax.errors import RunError, UsageError, writing
from s2sjax.runs import atomic, code, run_files
from s2sjax.runs.lock import NAME as LOCK
from s2sjax.runs.lock import Lock, is_lock
from s2sjax.runs.run_files import CHECKPOINTS, CONFIG, DATA, METRICS, RECORD, REPLICA

# Fields with which a model has parameters of the same shapes and symbols.
_KEEPS_PARAMETERS = ("train.", "decode.", "model.dropout_")

# What a run writes before its first checkpoint.
OWN = (
    *(DATA, code.FOLDER, CHECKPOINTS, "tensorboard", "trackers", METRICS, RECORD),
    CONFIG,
)


@dataclasses.dataclass(frozen=True)
class RunDirectory(Closing):
    """An open run. As a context manager it frees the lock at the end."""

    path: Path
    config: Config
    record: dict[str, Any]  # run.json; empty where the run never started
    lock: Lock | None = None  # None: for reading
    # What was not there before it was opened: folders, and what is inside.
    made: tuple[Sequence[Path], Sequence[Path]] = ((), ())

    @property
    def checkpoints(self) -> Path:
        """Where the checkpoints are."""
        return self.path / CHECKPOINTS

    @property
    def data(self) -> Path:
        """Where pairs, vocabularies and the user's code are kept."""
        return self.path / DATA

    @property
    def metrics(self) -> Path:
        """The journal."""
        return self.path / run_files.METRICS

    def close(self) -> None:
        """Lets another process train here."""
        if self.lock is not None:
            self.lock.close()


def open_for_training(
    path: str | os.PathLike[str],
    config: Config | None,
    *,
    environment: dict[str, Any] | None = None,
    check_data: Callable[[Config, Path], None] = lambda config, data: None,
    say: Callable[[str], None] = lambda line: None,
) -> RunDirectory:
    """Starts a run in a new or empty directory, or continues the one that is there.

    Nothing is written unless all of it fits; a config file is never executed.

    Args:
      path: of the directory.
      config: what was asked for; None continues from the directory's own config.
      environment: what `provenance.describe` returned, kept in a new run and
        compared with a line in a continued one.
      check_data: compares the data of a config with those that the run keeps; called
        where they lie elsewhere now. Raises UsageError.
      say: takes one line for a person.

    Raises:
      UsageError: the directory cannot be one, is not a run, is another run, is of
        another format, or is in use.
      RunError: it could not be written.
    """
    directory = run_files.checked_path(path)
    asked = _agreed(directory, config)
    folders = atomic.missing_folders(directory)
    with contextlib.ExitStack() as stack:
        # Where opening fails, folders that are empty go again.
        stack.callback(atomic.take_back, folders, ())
        with writing(f"path={path}"):
            directory.mkdir(parents=True, exist_ok=True)
        is_locked = os.path.lexists(directory / LOCK)
        lock = stack.enter_context(contextlib.closing(Lock(directory)))
        inside = [directory / name for name in OWN]
        inside = [each for each in inside if not os.path.lexists(each)]
        if not is_locked:
            inside.append(directory / LOCK)
        stack.callback(atomic.take_back, (), inside)
        # Another process may have started a run here before the lock was ours.
        asked = _agreed(directory, config)
        record = run_files.read_record(directory)
        if record and config is not None:
            code.check(directory, config)
        with writing(f"cannot write to {directory}", RunError):
            record = _written(
                directory, asked, record, environment or {}, check_data, say
            )
        executed = code.of_run(directory, asked)
        stack.pop_all()
        return RunDirectory(directory, executed, record, lock, (folders, inside))


def agreed_config(
    path: str | os.PathLike[str], config: Config | None
) -> tuple[Config, dict[str, Any]]:
    """The config that `open_for_training` would train with, and the run's record.

    For what must be known before jax is imported; writes nothing. Raises as
    `open_for_training` does, and for a run that ended as one replica of many, which
    has no checkpoint of its own to go on from.
    """
    directory = run_files.checked_path(path)
    agreed = _agreed(directory, config)
    if (directory / RECORD).is_file():
        agreed = code.of_run(directory, agreed)
    if all((directory / name).is_file() for name in (REPLICA, run_files.TEST)):
        what = (
            f"path={path} is finished: it was trained together with other trials of "
            f"its sweep; train it again"
        )
        raise _another(what, directory, agreed, agreed)

    return agreed, run_files.read_record(directory)


def discard_unless_begun(run: RunDirectory) -> None:
    """Takes back what opening wrote, of a run that turned out impossible to begin.

    For a run that this process has just made; one with a checkpoint is left as it is.
    """
    if not any(run.checkpoints.iterdir()):
        atomic.take_back(*run.made)


def open_for_reading(path: str | os.PathLike[str]) -> RunDirectory:
    """Opens a run to evaluate or decode, also while it is being trained.

    Raises:
      UsageError: it is not a run, is damaged, or is of another format.
    """
    directory = run_files.checked_path(path)
    if not (directory / CONFIG).is_file():
        what = places.not_a_run(directory)
        raise UsageError(f"path={path} {what}; `s2sjax train` makes a run")
    run_files.check_files(directory)
    config = code.of_run(directory, run_files.read_config(directory))
    return RunDirectory(directory, config, run_files.read_record(directory))


def _agreed(directory: Path, asked: Config | None) -> Config:
    """The config to train with; writes nothing."""
    if (directory / CONFIG).is_file():
        run_files.check_files(directory)
        there = run_files.read_config(directory)
        if asked is None:
            return there
        _check_same(directory, there, asked)
        return asked
    if directory.exists() or directory.is_symlink():
        _check_empty(directory)
    if asked is None:
        near = places.hint(directory)
        raise UsageError(
            f"path={directory} is not a run{near}; give config=FILE to start one"
        )
    return asked


def _written(
    directory: Path,
    asked: Config,
    record: dict[str, Any],
    environment: dict[str, Any],
    check_data: Callable[[Config, Path], None],
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Writes what a new run begins with, or what has changed; the run's record."""
    checkpoints = directory / CHECKPOINTS
    if record:
        there = run_files.read_config(directory)
        if configs.data_files(there) != configs.data_files(asked):
            check_data(asked, directory / DATA)
        _check_vectors(record, there, asked)
        run_files.write_changes(directory / CONFIG, asked)
        _say_changes(directory, record, environment, say)
    else:
        if checkpoints.is_dir() and any(checkpoints.iterdir()):
            say(f"{directory} has lost its {RECORD}, which is made anew")
        text = configs.canonical_json(asked) + "\n"
        record = {
            **environment,
            json_objects.VERSION: json_objects.FORMAT_VERSION,
            "identity": run_files.identity(json.loads(text)),
        }
        atomic.write_text(directory / CONFIG, text)
        code.keep(directory, asked)
        text = json_objects.encode(dict(sorted(record.items())))
        atomic.write_text(directory / RECORD, text)
    for part in (checkpoints, directory / DATA):
        part.mkdir(exist_ok=True)
    return record


def _check_vectors(record: dict[str, Any], there: Config, asked: Config) -> None:
    """Refuses another file of vectors than the run began with; it may be gone."""
    before = configs.embedding_files(there)
    for field, file in configs.embedding_files(asked).items():
        noted = record.get("embeddings", {}).get(field)
        if noted is None or file == before.get(field) or not os.path.isfile(file):
            continue
        if run_files.sha256(field, file) != noted["sha256"]:
            raise UsageError(
                f"{field}: {file} is not the file that this run began with (its "
                f"SHA-256 differs); bring that one back, or start a new run"
            )


def _check_empty(directory: Path) -> None:
    if not directory.is_dir():
        raise UsageError(f"path={directory} is not a directory")
    try:
        entries = sorted(directory.iterdir())
    except OSError as error:
        raise UsageError(f"path={directory}: {error.strerror}") from None
    for entry in entries:
        # A start that was killed may have left its lock and a half-written config.
        if entry.name == CONFIG + ".tmp" or (entry.name == LOCK and is_lock(entry)):
            continue
        if places.run_inside(directory) is not None:
            what = places.not_a_run(directory)
        else:
            what = f"is not a run and not empty (it has {entry.name})"
        raise UsageError(f"path={directory} {what}; choose a new directory")


def _check_same(directory: Path, there: Config, asked: Config) -> None:
    # Where files lie is no difference; that they are the same is checked later.
    files, now = configs.user_files(there), configs.user_files(asked)
    moved = {
        field: now[field]
        for field, file in files.items()
        if field in now
        and (field in configs.PLACES or Path(file).name == Path(now[field]).name)
    }
    differing = configs.difference(configs.with_files(there, moved), asked)
    allowed = run_files.may_differ(there.train.schedule)
    refused = {f: values for f, values in differing.items() if f not in allowed}
    if refused:
        here = configs.flatten(there)
        lines = [f"{f}: {here[f]!r} here, {a!r} asked" for f, (_, a) in refused.items()]
        what = (
            f"path={directory} holds a run with another config: {'; '.join(lines)}; "
            f"leave out config= to continue this one, or begin another"
        )
        raise _another(what, directory, there, asked)


class OtherRun(UsageError):
    """A directory holds a run that cannot go on as asked; another could begin.

    Args:
      what: is wrong, and what can be done.
      path: of the run.
      changes: values by dotted field, with which the other one would begin.
      new: a path where nothing is.
      begins: whether it would begin with the parameters of the run that is there.
    """

    def __init__(
        self, what: str, path: Path, changes: dict[str, Any], new: Path, *, begins: bool
    ):
        more = f", overrides={changes}" * bool(changes)
        more += f", init_from='{path}'" * begins
        super().__init__(f"{what}: s2s.train('{path}', '{new}'{more})")
        self.what, self.path, self.changes = what, path, changes
        self.new, self.begins = new, begins


def _another(what: str, directory: Path, there: Config, asked: Config) -> OtherRun:
    """The error where what was asked is another run than the one that is there."""
    changes = {f: value for f, (_, value) in configs.difference(there, asked).items()}
    fits = all(field.startswith(_KEEPS_PARAMETERS) for field in changes)
    begins = bool(changes) and fits and _has_parameters(directory)
    return OtherRun(what, directory, changes, places.unused(directory), begins=begins)


def _has_parameters(directory: Path) -> bool:
    checkpoints = directory / CHECKPOINTS
    return (directory / REPLICA).is_file() or (
        checkpoints.is_dir() and any(checkpoints.iterdir())
    )


def _say_changes(
    directory: Path,
    record: dict[str, Any],
    environment: dict[str, Any],
    say: Callable[[str], None],
) -> None:
    now, then = dict(_flat(environment)), dict(_flat(record))
    changed = [
        f"{name}: {then.get(name)!r} then, {now.get(name)!r} now"
        for name in {**now, **then}
        if name.partition(".")[0] in environment
        and name not in ("command", "init_from")
        and then.get(name) != now.get(name)
    ]
    if changed:
        say(
            f"{directory} was started in another environment ({'; '.join(changed)}); "
            f"it goes on, but its bits may differ"
        )


def _flat(record: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in record.items():
        if isinstance(value, dict):
            yield from ((f"{name}.{inner}", item) for inner, item in value.items())
        else:
            yield name, value
