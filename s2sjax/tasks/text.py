"""The task of translating lines of text, from files that a user gives."""

import itertools
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from s2sjax.config import CORPUS, Config, TaskConfig, data_files
from s2sjax.errors import UsageError
from s2sjax.outcomes import References
from s2sjax.runs import bundle
from s2sjax.tasks import casing, sides, unseen
from s2sjax.tasks.coding import Coding
from s2sjax.tasks.files.answers import Answers
from s2sjax.tasks.files.corpus import Corpus, open_corpus
from s2sjax.tasks.files.sources import sources as find
from s2sjax.tasks.levels import unspaced
from s2sjax.tasks.normal_forms import Mixture
from s2sjax.tasks.pairs import NAMES, TRAIN, Pairs, unpacked
from s2sjax.tasks.task import SPLITS, Bucket, Task
from s2sjax.tasks.vocabulary import Symbol, Vocabulary

LEFT_OUT = 255  # the split of a training pair that is too long
HELD_OUT = "held_out.npz"
TRAINING = "train_"  # before the names of arrays that are mapped


class _Read(NamedTuple):
    """What the files of a config hold."""

    pairs: Pairs
    source: Vocabulary
    target: Vocabulary
    known: np.ndarray  # [n] uint64, hashes of the training sources
    notes: Sequence[str]
    cased: Mapping[str, str]  # held-out targets as they were written


def create(config: Config, directory: Path | None) -> Task:
    """Reads the files of a config; keeps in `directory` what is made of them.

    The vocabularies come from the training part alone. Where `directory` is there, the
    files are compared with those that it was made of, and not taken apart again.

    Raises:
      UsageError: files that cannot be used, an empty split, or, where `directory`
        is there already, files that are not the ones it was made from.
    """
    corpus = _corpus(config, is_kept=bundle.exists(directory))
    if directory is not None and bundle.exists(directory):
        return _continued(config, directory, corpus)
    read = _read(corpus, config.task, sides.asked(config.task))
    if directory is not None:
        training = read.pairs.training()
        arrays = {f"{TRAINING}{name}": array for name, array in training.items()}
        held_out = read.pairs.held_out() | {"training_hashes": read.known}
        files = {
            **sides.files(read.source, read.target),
            HELD_OUT: bundle.pack(held_out),
            **({casing.NAME: casing.to_bytes(read.cased)} if read.cased else {}),
            **{name + bundle.ARRAY: bundle.array(arrays[name]) for name in arrays},
        }
        about = {**bundle.kept(corpus.known), "notes": list(read.notes)}
        bundle.write(directory, files, about)
    return _task(config, read, (read.pairs,))


def sources(config: Config) -> tuple[bundle.Known, ...]:
    """What tells the files of a config from others.

    Raises:
      UsageError: they cannot be read.
    """
    return _corpus(config).known


def check(config: Config) -> None:
    """Whether the files of a config are there; of those with symbols, what they hold.

    Raises:
      UsageError: they are not, or do not fit together.
    """
    if data_files(config).keys() & set(CORPUS):  # a config to be completed has none
        find(config.task)
    sides.asked(config.task)


def load(config: Config, directory: Path | None) -> Task:
    """The task from what `create` kept; the files may be gone, and so is "train".

    Raises:
      UsageError: a directory that is missing or damaged.
    """
    kept = _kept(directory)
    return _task(config, kept, (kept.pairs,))


def _kept(directory: Path | None) -> _Read:
    files, about = bundle.read(directory, (*sides.NAMES, HELD_OUT))
    source, target = sides.kept(files)
    held_out, known = unpacked(files[HELD_OUT], (len(source), len(target)))
    cased = casing.kept(files[casing.NAME]) if casing.NAME in files else {}
    return _Read(held_out, source, target, known, about.get("notes", ()), cased)


def _continued(config: Config, directory: Path, corpus: Corpus) -> Task:
    bundle.check_sources(directory, bundle.kept(corpus.known)["sources"])
    kept = _kept(directory)
    like = kept.source, kept.target
    sides.check(config.task, like)
    names = [f"{TRAINING}{name}" for name in (*NAMES, "weights")]
    arrays = bundle.mapped(directory, names)
    if arrays is None:  # a run of before, which kept none
        arrays = _read(corpus, config.task, like).pairs.training()
    named = {name.removeprefix(TRAINING): array for name, array in arrays.items()}
    training = Pairs.from_arrays(named, (len(kept.source), len(kept.target)))
    return _task(config, kept, (training, kept.pairs))


def _task(config: Config, read: _Read, parts: Sequence[Pairs]) -> Task:
    def expected(symbols: Sequence[Symbol]) -> list[Symbol] | None:
        return None

    task = config.task

    def share(sources: list[list[int]], count: int) -> float:
        rows = [row[:-1] for row in sources] if task.source_eos else sources
        return unseen.share_outside(read.known, rows)

    buckets: dict[str, tuple[Bucket, ...]] = {}
    for pairs in parts:
        buckets |= pairs.buckets(
            config.train,
            task.reverse_source,
            task.max_length,
            source_eos=task.source_eos,
        )
    return Task(
        name=task.name,
        source_vocabulary=read.source,
        target_vocabulary=read.target,
        buckets=buckets,
        expected=expected,
        unseen=share,
        reverse_source=task.reverse_source,
        source_eos=task.source_eos,
        cased=read.cased,
        notes=tuple(read.notes),
    )


def _read(
    corpus: Corpus, task: TaskConfig, like: tuple[Vocabulary, Vocabulary]
) -> _Read:
    codings = [Coding(side) for side in like]
    answers, mixture, apart = Answers(like), Mixture(), 0
    parts, held_out = [], list[str]()
    for chunk in corpus.chunks():
        texts = (chunk.sources, chunk.targets)
        tags = chunk.features if any(chunk.features) else ()
        read = codings[0].read(chunk.sources, tags), codings[1].read(chunk.targets)
        lengths = np.stack(read)
        too_long = (chunk.splits == TRAIN) & (lengths.max(0) > task.max_length)
        here = np.where(too_long, LEFT_OUT, chunk.splits)
        parts.append((here, chunk.weights, answers.of(chunk)))
        if task.lowercase:
            held_out += itertools.compress(chunk.targets, chunk.splits != TRAIN)
        for side, vocabulary, words in zip(texts, like, lengths, strict=True):
            if vocabulary.kind == "word" and "parallel" in corpus.formats:
                apart += int(words.sum()) - sum(len(text.split()) for text in side)
            if task.normalise is None:
                mixture.first(side)
    splits, weights, answered = map(np.concatenate, zip(*parts, strict=True))
    left_out = int((splits == LEFT_OUT).sum())
    _check_splits(splits, left_out, task)
    source, target = (
        coding.vocabulary(splits == TRAIN, task.min_count, task.max_vocabulary)
        for coding in codings
    )
    first = answered == np.arange(len(splits))  # of several answers to one source
    real = (splits != LEFT_OUT) & first
    ids = np.flatnonzero(real)
    further = np.flatnonzero((answered >= 0) & ~first)
    pairs = Pairs(
        codings[0].encoded(source, real),
        codings[1].encoded(target, real),
        ids.astype(np.int32),
        splits[real],
        None if (weights[splits == TRAIN] == 1).all() else weights[real],
    )
    if len(further):
        order = np.argsort(answered[further], kind="stable")
        rest = codings[1].encoded(target, (answered >= 0) & ~first).taken(order)
        counts = np.bincount(
            np.searchsorted(ids, answered[further]), minlength=len(ids)
        )
        references = References(rest.tokens, rest.lengths, counts.astype(np.int32))
        pairs = pairs._replace(references=references)
    strange = codings[0].strange(source, (splits != LEFT_OUT) & first)
    if strange and not source.features:
        raise UsageError(
            f"{strange:,} features stand beside validation and test sources, and none "
            f"beside training sources"
        )
    if mixture.undecided:
        for chunk in corpus.chunks():
            mixture.second((*chunk.sources, *chunk.targets))
    notes = corpus.unused
    for number, name in enumerate(SPLITS):
        of_split = splits == number
        examples = int((of_split & first).sum())
        if examples < of_split.sum():
            notes.append(
                f"{name}: {of_split.sum():,} pairs are {examples:,} examples; a source "
                f"that comes again has its further targets as references"
            )
    if strange:
        notes.append(
            f"{strange:,} features of validation and test are not in training, and are "
            f"read as unknown ones"
        )
    if mixture.words:
        notes.append(
            f"{len(mixture.words):,} words are in the texts in several Unicode normal "
            f"forms, e.g. {min(mixture.words)!r}, and are read as different ones; "
            f"task.normalise=nfc makes them the same"
        )
    scripts = {
        script
        for side in (source, target)
        if side.kind == "word"
        for script in unspaced(side.symbols)
    }
    if scripts:
        notes.append(
            f"task.level=word: {' and '.join(sorted(scripts))} has no blanks between "
            f"words, and is taken apart into syllables or signs; use task.level=char"
        )
    if apart:
        notes.append(
            f"task.level=word takes what stands between blanks apart in {apart:,} "
            f"places; task.level=space leaves files whose words are set apart as they "
            f"are"
        )
    if left_out:
        notes.append(
            f"{left_out} training pairs with a side longer than task.max_length="
            f"{task.max_length} are left out"
        )
    known = pairs.training_hashes(task.reverse_source)
    cased = casing.cased(target, held_out) if task.lowercase else {}
    return _Read(pairs, source, target, known, notes, cased)


def _corpus(config: Config, *, is_kept: bool = False) -> Corpus:
    task = config.task
    try:
        find(task)
    except UsageError:
        for field, path in data_files(config).items() if is_kept else ():
            if field in CORPUS and not os.path.exists(path):
                raise UsageError(
                    f"{path} does not exist; where the same data lie elsewhere, the "
                    f"run goes on with config=FILE and the override {field}=PLACE"
                ) from None
        raise
    joins = (sides.between(task, "source"), sides.between(task, "target"))
    return open_corpus(task, joins)


def _check_splits(splits: np.ndarray, left_out: int, task: TaskConfig) -> None:
    for number, name in enumerate(SPLITS):
        if not (splits == number).any():
            named = data_files(Config(task=task)).items()
            given = " and ".join(f"{field}={path}" for field, path in named)
            raise UsageError(
                f"of {len(splits)} pairs in {given} none is left for "
                f"{name} (task.valid_share={task.valid_share}, task.test_share="
                f"{task.test_share}, {left_out} longer than task.max_length="
                f"{task.max_length})"
            )
