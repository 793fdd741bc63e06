"""Where sequences come from: vocabularies, generated tasks and text.

`create` builds a task for training, `load` builds it again from what a run keeps.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

from s2sjax.config import Config, TaskConfig, is_user_code
from s2sjax.errors import UsageError, unknown
from s2sjax.metrics import metric
from s2sjax.runs import bundle
from s2sjax.tasks import digits_to_words, matching, synthetic, text, user_pattern
from s2sjax.tasks.series import of_file, processes
from s2sjax.tasks.series.numbers import Numbers
from s2sjax.tasks.task import SPLITS, Bucket, Task, encode_source
from s2sjax.tasks.vocabulary import Symbol, Vocabulary

__all__ = [
    "SPLITS",
    "TASKS",
    "Bucket",
    "Entry",
    "Symbol",
    "Task",
    "Vocabulary",
    "check",
    "check_sources",
    "create",
    "encode_source",
    "load",
    "load_all",
    "sources",
]

Maker = Callable[[Config, Path | None], Task]


@dataclasses.dataclass(frozen=True)
class Entry:
    """A task in the table: what it is, an example, and the fields that it reads."""

    doc: str
    source: tuple[Symbol, ...]
    target: tuple[Symbol, ...]
    uses: frozenset[str]  # names of fields of `TaskConfig`
    create: Maker
    load: Maker
    sources: Callable[[Config], tuple[bundle.Known, ...]]  # files of the user's
    check: Callable[[Config], None]  # whether those are there
    load_all: Maker | None = None  # `load` with training examples; None: as `create`


def _generated(make: Callable[[Config], Task]) -> dict[str, Any]:
    def maker(config: Config, directory: Path | None) -> Task:
        return make(config)

    def check(config: Config) -> None:
        pass

    return {
        "create": maker,
        "load": maker,
        "sources": lambda config: (),
        "check": check,
    }


USER_PATTERN = "FILE.py:function"  # stands for every name of this form

LARGEST = 2**31 - 1  # what an id can be

_SIZES = frozenset({"num_train", "num_valid", "num_test", "reverse_source"})
_INTEGERS = _SIZES | {"length", "min_length", "cardinality", "first_symbol"}
_DRAWN = (_SIZES - {"reverse_source"}) | {"length", "min_length", "test_length"}

_TESTED = _INTEGERS | {"test_length"}  # whose test split can be longer

TASKS: dict[str, Entry] = {
    "reversed_prefix": Entry(
        "the first task.prefix integers, in reverse",
        (13, 28, 18, 7, 9, 5),
        (18, 28, 13),
        _TESTED | {"prefix"},
        **_generated(synthetic.integers),
    ),
    "reversed": Entry(
        "integers in reverse",
        (2, 5, 9, 1),
        (1, 9, 5, 2),
        _TESTED,
        **_generated(synthetic.integers),
    ),
    "sorted": Entry(
        "integers in ascending order",
        (2, 5, 9, 1),
        (1, 2, 5, 9),
        _TESTED,
        **_generated(synthetic.integers),
    ),
    "maxmin_dup": Entry(
        "the largest, the smallest, then the integers from the third on",
        (2, 5, 9, 1),
        (9, 1, 9, 1),
        _TESTED,
        **_generated(synthetic.integers),
    ),
    "copy": Entry(
        "the same integers",
        (2, 5, 9, 1),
        (2, 5, 9, 1),
        _TESTED,
        **_generated(synthetic.integers),
    ),
    "addition": Entry(
        "the sum of two numbers of up to task.length digits, in characters",
        tuple("535+61"),
        tuple("596"),
        _SIZES | {"length", "test_length"},
        **_generated(synthetic.sums),
    ),
    "digits_to_words": Entry(
        "the digits 1 to 9 to their English names, in characters",
        ("7",),
        tuple("seven"),
        frozenset(),
        **_generated(digits_to_words.make),
    ),
    "text": Entry(
        "pairs of texts in files: tables, JSON lines or parallel files (docs/data.md)",
        tuple("Be nice."),
        tuple("Soyez gentils !"),
        frozenset(
            {
                *("path", "train", "valid", "test", "suffixes", "split"),
                *("columns", "features", "weight", "sampling"),
                "level",
                "source_level",
                "target_level",
                "graphemes",
                "normalise",
                "lowercase",
                "min_count",
                "max_vocabulary",
                "vocabulary",
                "source_vocabulary",
                "target_vocabulary",
                "max_length",
                "valid_share",
                "test_share",
                "reverse_source",
                "source_eos",
            }
        ),
        create=text.create,
        load=text.load,
        load_all=text.load_all,
        sources=text.sources,
        check=text.check,
    ),
    "sines": Entry(
        "sums of sines that a driver makes stronger and weaker, as numbers",
        ("0.31", "0.78", "1.02"),
        ("0.98", "0.66"),
        _DRAWN | {"horizon", "season"},
        **_generated(processes.make),
    ),
    "adding": Entry(
        "the sum of the two numbers of a sequence that are marked",
        ("0.2 0", "0.5 1", "0.9 0", "0.3 1"),
        ("0.8",),
        _DRAWN,
        **_generated(processes.make),
    ),
    "mackey_glass": Entry(
        "a chaotic series: Mackey and Glass's equation with a delay of 17 steps",
        ("1.08", "1.01", "0.93"),
        ("0.85", "0.77"),
        _DRAWN | {"horizon", "season"},
        **_generated(processes.make),
    ),
    "series": Entry(
        "series of numbers in a file, whose next steps are forecast (docs/data.md)",
        ("3.1", "3.4", "3.3"),
        ("3.6", "3.9"),
        frozenset(
            {
                *("path", "targets", "past", "future", "static", "id", "time"),
                *("context", "horizon", "stride", "season", "scaling"),
                *("valid_from", "test_from"),
            }
        ),
        create=of_file.create,
        load=of_file.load,
        load_all=of_file.load_all,
        sources=of_file.sources,
        check=of_file.check,
    ),
    USER_PATTERN: Entry(
        "a Python function of yours, from a list of integers to another",
        (1, 2, 3, 4),
        (1, 3, 2, 4),
        _INTEGERS,
        create=user_pattern.create,
        load=user_pattern.load,
        sources=user_pattern.sources,
        check=user_pattern.check,
    ),
}


def create(config: Config, directory: Path | None = None) -> Task:
    """Builds the task of a config for training.

    `directory` is where a task that depends on files keeps all that evaluation and
    decoding need; None keeps nothing. On a directory that is already there the
    training files are read again, for a run that goes on.

    Raises:
      UsageError: an unknown task, a field that the task does not use, files that
        cannot be read, or that changed since the directory was written.
    """
    task = _shared(config, _entry(config).create(config, directory))
    if config.task.name != "text":  # whose lines have told
        matching.check_buckets(config.model, task.buckets, task.name)
    return task


def check(config: Config) -> None:
    """Tries what a config names of a new run, before anything is read or written.

    Raises:
      UsageError: an unknown task, a field that it does not use, a metric that it does
        not have, or a missing file.
    """
    entry = _entry(config)
    chosen = config.train.metric
    if metric(chosen).of_text and isinstance(entry.target[0], int):
        raise UsageError(
            f"train.metric={chosen} is of texts, and the task {config.task.name} "
            f"writes integers; use e.g. train.metric=wer, an integer being a word"
        )
    entry.check(config)


def load(config: Config, directory: Path | None = None) -> Task:
    """Builds the task from what `create` kept; "train" is absent for files.

    Raises:
      UsageError: an unknown task, or a directory without the kept data.
    """
    return _shared(config, _entry(config).load(config, directory))


def load_all(config: Config, directory: Path | None = None) -> Task:
    """Builds the task from what `create` kept, with its training examples.

    Where those were not kept, the user's files are read as by `create`.

    Raises:
      UsageError: as `load` and, then, `create`.
    """
    entry = _entry(config)
    return (entry.load_all or entry.create)(config, directory)


def sources(config: Config) -> tuple[bundle.Known, ...]:
    """What tells each file of the user's that training reads from others.

    Raises:
      UsageError: an unknown task, or a file that cannot be read.
    """
    return _entry(config).sources(config)


def check_sources(config: Config, directory: Path) -> None:
    """Compares the user's files with what `create` made of them, where it has.

    Raises:
      UsageError: they cannot be read, or hold something else.
    """
    if bundle.exists(directory):
        bundle.check_sources(directory, bundle.kept(sources(config))["sources"])


def _shared(config: Config, task: Task) -> Task:
    """The task, which has one vocabulary where the model shares its embeddings."""
    if not config.model.share_embeddings:
        return task
    one, other = task.source_vocabulary, task.target_vocabulary
    if isinstance(one, Numbers) or isinstance(other, Numbers):
        raise UsageError(
            f"model.share_embeddings=True takes symbols; the task {task.name} has "
            f"numbers"
        )
    if dataclasses.replace(one, features=()) != other:  # features, which nobody writes
        raise UsageError(
            f"model.share_embeddings=True takes one vocabulary; the task {task.name} "
            f"reads {one.described()} and writes {other.described()}"
        )
    return task


def _entry(config: Config) -> Entry:
    name = config.task.name
    if name.endswith(".py"):
        raise UsageError(f"task.name={name} lacks the function; write {name}:function")
    if is_user_code(name):
        entry = TASKS[USER_PATTERN]
    elif name in TASKS and name != USER_PATTERN:
        entry = TASKS[name]
    else:
        raise unknown("task", name, TASKS)
    for field in dataclasses.fields(TaskConfig):
        value = getattr(config.task, field.name)
        if isinstance(value, int) and abs(value) > LARGEST:
            raise UsageError(f"task.{field.name}={value} is beyond {LARGEST}")
        if field.name not in entry.uses | {"name"} and value != field.default:
            used = ", ".join(f"task.{each}" for each in sorted(entry.uses))
            raise UsageError(
                f"task.{field.name}={value} means nothing to the task {name}, which "
                f"uses {used}"
            )
    return entry
