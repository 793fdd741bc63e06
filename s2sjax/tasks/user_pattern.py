"""A pattern of the user's own: `FILE.py:function`, plain Python over a list."""

import functools
import hashlib
import operator
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import jax
import numpy as np

from s2sjax import config as configs
from s2sjax import places, user_code
from s2sjax.config import Config
from s2sjax.errors import UsageError
from s2sjax.foreign import shown
from s2sjax.runs import bundle
from s2sjax.runs.code import PATTERN
from s2sjax.spec import LARGEST
from s2sjax.tasks import generated, unseen
from s2sjax.tasks.baselines import Baselines, by_split, of_pairs
from s2sjax.tasks.pairs import Pairs, unpacked
from s2sjax.tasks.stored import Ragged
from s2sjax.tasks.synthetic import PATTERNS, integer_vocabulary, least_length
from s2sjax.tasks.task import SPLITS, Task
from s2sjax.tasks.vocabulary import Symbol, Vocabulary
from s2sjax.types import SYMBOLS

Pattern = Callable[[list[int]], list[int]]


def function_of(content: bytes, path: str, name: str) -> Pattern:
    """Executes the file and wraps its function `name`, so that errors are one line.

    Raises:
      UsageError: the file raises, or has no such function. The wrapped function
        raises it where the function raises, or returns anything but integers.
    """
    module = user_code.execute(content, path, "user_code")
    function = user_code.named(module, path, name)

    def call(source: list[int]) -> list[int]:
        what = f"{name}({shown(source)})"
        given = list(source)
        return user_code.call(path, lambda: _target(function(given), what), what)

    return call


def check_repeatable(
    call: Pattern,
    sources: list[list[int]],
    targets: list[list[int]],
    path: Path,
    name: str,
) -> None:
    """Raises UsageError where a second call gives another target."""
    for source, target in list(zip(sources, targets, strict=True))[:100]:
        if call(source) != target:
            raise UsageError(
                f"{path}: {name}({shown(source)}) returned two different targets; a "
                "pattern gives the same target each time"
            )


def _target(result: object, what: str) -> list[int]:
    """What a pattern returned, as plain integers that an id can stand for."""
    if not isinstance(result, list | tuple):
        raise UsageError(f"{what} returned {shown(result)}, not a list of integers")
    return [_integer(value, result, what) for value in result]


def _integer(value: object, result: object, what: str) -> int:
    try:
        if isinstance(value, bool | np.bool_):
            raise TypeError
        number = int(operator.index(value))  # type: ignore[arg-type]
    except TypeError:
        raise UsageError(
            f"{what} returned {shown(result)}; {shown(value)} is not an integer"
        ) from None
    if abs(number) > LARGEST:
        raise UsageError(f"{what} returned {shown(number)}, which is beyond {LARGEST}")
    return number


TRAINING = 20_000  # examples where task.num_train is 0: the host cannot be endless
LARGEST_RANGE = 100_000  # of the integers in targets
CHUNK = 4096  # sources drawn at a time


def create(config: Config, directory: Path | None) -> Task:
    """Runs the user's function over a finite set of sources, on the host.

    Raises:
      UsageError: a file or function that is not there, raises, is not the same each
        time or returns anything but a list of integers; or, where `directory` is
        there already, a file that changed.
    """
    name, _, function_name = config.task.name.rpartition(":")
    path = Path(name).expanduser()
    old = bundle.read(directory, (PATTERN,))[0] if bundle.exists(directory) else {}
    content = old.get(PATTERN)
    if content is None or path.exists():
        content = user_code.read("task.name", name)
    source = {str(path): hashlib.sha256(content).hexdigest()}
    if old:
        bundle.check_sources(directory, source)
    call = function_of(content, str(path), function_name)
    sources, ids, splits = _sources(config)
    first = config.task.first_symbol
    plain = [[first + symbol for symbol in source] for source in sources]
    targets = [call(source) for source in plain]
    probes = [call(source) for source in _probes(config)]
    check_repeatable(call, plain, targets, path, function_name)
    vocabulary = integer_vocabulary(config)
    target_vocabulary = _range(targets + probes, vocabulary, path, function_name)
    pairs = Pairs(
        Ragged.of([vocabulary.encode(row)[0] for row in plain], len(vocabulary)),
        Ragged.of(
            [target_vocabulary.encode(row)[0] for row in targets],
            len(target_vocabulary),
        ),
        ids,
        splits,
    )
    known = pairs.training_hashes(config.task.reverse_source)
    trivial = of_pairs(pairs, (vocabulary, target_vocabulary))
    if directory is not None and not old:
        files = {
            PATTERN: content,
            "target.json": target_vocabulary.to_json().encode(),
            "held_out.npz": bundle.pack(pairs.held_out() | {"training_hashes": known}),
        }
        about = {"sources": source, "baselines": trivial}
        bundle.write(directory, files, about)
    return _task(config, pairs, target_vocabulary, known, call, trivial)


def sources(config: Config) -> tuple[bundle.Known, ...]:
    """What tells the user's file from others.

    Raises:
      UsageError: it cannot be read.
    """
    path = Path(configs.data_files(config)["task.name"]).expanduser()
    content = user_code.read("task.name", str(path))
    digest = hashlib.sha256(content).hexdigest()
    return (bundle.Known("task.name", str(path), len(content), digest),)


def check(config: Config) -> None:
    """Whether the user's file is there.

    Raises:
      UsageError: it is not.
    """
    path = Path(configs.data_files(config)["task.name"]).expanduser()
    if not os.path.exists(path):
        raise UsageError(f"task.name: {path} does not exist{places.hint(path)}")


def load(config: Config, directory: Path | None) -> Task:
    """The task from what `create` kept.

    Its copy of the file is executed once an expected target is asked for; evaluation
    needs none, so that it runs nobody's code.

    Raises:
      UsageError: a directory that is missing or damaged.
    """
    files, about = bundle.read(directory, (PATTERN, "target.json", "held_out.npz"))
    name, _, function_name = config.task.name.rpartition(":")

    @functools.cache
    def function() -> Pattern:
        return function_of(files[PATTERN], name, function_name)

    def call(source: list[int]) -> list[int]:
        return function()(source)

    vocabulary = Vocabulary.from_json(files["target.json"])
    sizes = (len(integer_vocabulary(config)), len(vocabulary))
    pairs, known = unpacked(files["held_out.npz"], sizes)
    trivial = about.get("baselines", {})
    return _task(config, pairs, vocabulary, known, call, trivial)


def _task(
    config: Config,
    pairs: Pairs,
    target: Vocabulary,
    known: np.ndarray,
    call: Pattern,
    trivial: Mapping[str, Baselines],
) -> Task:
    task = config.task

    def expected(source: Sequence[Symbol]) -> list[Symbol] | None:
        values = [symbol for symbol in source if isinstance(symbol, int)]
        return list(call(values)) if len(values) == len(source) else None

    def share(sources: list[list[int]], count: int) -> float:
        return unseen.share_outside(known, sources)

    notes = []
    if not task.num_train:
        notes.append(
            f"task.num_train=0: a pattern in Python has a finite set, of {TRAINING}"
        )
    return Task(
        name=task.name,
        source_vocabulary=integer_vocabulary(config),
        target_vocabulary=target,
        buckets=pairs.buckets(config.train, task.reverse_source),
        expected=expected,
        unseen=share,
        reverse_source=task.reverse_source,
        notes=tuple(notes),
        baselines=by_split(trivial, pairs, (integer_vocabulary(config), target)),
    )


def _sources(config: Config) -> tuple[list[list[int]], np.ndarray, np.ndarray]:
    # Drawn like those of the built-in patterns; "copy" is there to be ignored.
    task = config.task
    generator = generated.Generator(
        draw=generated.draw_integers,
        transform=PATTERNS["copy"].transform,
        width=task.length,
        target_width=task.length + 1,
    )
    fetch = jax.jit(generator)
    sizes = (task.num_train or TRAINING, task.num_valid, task.num_test)
    sources: list[list[int]] = []
    for split, size in zip(SPLITS, sizes, strict=True):
        bucket = generated.bucket(
            generator,
            split=split,
            size=size,
            seed=config.seed,
            min_length=least_length(config),
            length=task.length,
            cardinality=task.cardinality,
            prefix=task.prefix,
        )
        for start in range(0, size, CHUNK):
            batch = fetch(bucket.store, np.arange(start, start + CHUNK, dtype=np.int32))
            rows = np.array(batch.source) - SYMBOLS
            lengths = np.array(batch.source_lengths).tolist()
            drawn = [
                row[:length] for row, length in zip(rows.tolist(), lengths, strict=True)
            ]
            sources += drawn[: size - start]
    ids = np.concatenate([np.arange(size, dtype=np.int32) for size in sizes])
    return sources, ids, np.repeat(np.arange(len(SPLITS), dtype=np.uint8), sizes)


def _probes(config: Config) -> list[list[int]]:
    """Sources of extreme values, whose targets the vocabulary should cover too."""
    task = config.task
    values = range(task.first_symbol, task.first_symbol + task.cardinality)
    rising = [values[i % len(values)] for i in range(task.length)]
    return [
        row[:length]
        for length in range(least_length(config), task.length + 1)
        for row in (rising, rising[::-1], [values[0]] * length, [values[-1]] * length)
    ]


def _range(
    targets: list[list[int]], source: Vocabulary, path: Path, name: str
) -> Vocabulary:
    integers = [value for target in targets for value in target]
    if not integers:
        return source
    least, most = min(integers), max(integers)
    if most - least >= LARGEST_RANGE:
        raise UsageError(
            f"{path}:{name} returns integers from {least} to {most}; a vocabulary has "
            f"at most {LARGEST_RANGE}"
        )
    return Vocabulary.integers(least, most - least + 1)
