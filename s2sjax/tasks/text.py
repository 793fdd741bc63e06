"""The task of translating lines of text, from files that a user gives."""

import itertools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from s2sjax.config import Config, TaskConfig, data_files
from s2sjax.errors import UsageError
from s2sjax.runs import bundle
from s2sjax.tasks import sides, unseen
from s2sjax.tasks.coding import Coding, Tags
from s2sjax.tasks.files.corpus import Chunk, Corpus, open_corpus
from s2sjax.tasks.files.sources import sources as find
from s2sjax.tasks.levels import unspaced
from s2sjax.tasks.normal_forms import Mixture
from s2sjax.tasks.pairs import TRAIN, Pairs, unpacked
from s2sjax.tasks.stored import Ragged, smallest_type
from s2sjax.tasks.task import SPLITS, Task
from s2sjax.tasks.vocabulary import Symbol, Vocabulary

T = TypeVar("T")

LEFT_OUT = 255  # the split of a training pair that is too long


def create(config: Config, directory: Path | None) -> Task:
    """Reads the files of a config; keeps what evaluation needs in `directory`.

    The vocabularies come from the training part alone. Each file is streamed twice,
    to count and to encode, so that texts are never all in memory.

    Raises:
      UsageError: files that cannot be used, an empty split, or, where `directory`
        is there already, files that are not the ones it was made from.
    """
    corpus = _corpus(config, is_kept=bundle.exists(directory))
    if bundle.exists(directory):
        bundle.check_sources(directory, bundle.kept(corpus.known)["sources"])
        like = sides.kept(bundle.read(directory, sides.NAMES)[0])
        sides.check(config.task, like)
    else:
        like = sides.asked(config.task)
    pairs, source, target, notes = _read(corpus, config.task, like)
    known = pairs.training_hashes(config.task.reverse_source)
    if directory is not None and not bundle.exists(directory):
        held_out = pairs.held_out() | {"training_hashes": known}
        files = sides.files(source, target) | {"held_out.npz": bundle.pack(held_out)}
        bundle.write(directory, files, {**bundle.kept(corpus.known), "notes": notes})
    return _task(config, pairs, source, target, known, notes)


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
    find(config.task)
    sides.asked(config.task)


def load(config: Config, directory: Path | None) -> Task:
    """The task from what `create` kept; the files may be gone, and so is "train".

    Raises:
      UsageError: a directory that is missing or damaged.
    """
    files, about = bundle.read(directory, (*sides.NAMES, "held_out.npz"))
    source, target = sides.kept(files)
    pairs, known = unpacked(files["held_out.npz"], (len(source), len(target)))
    return _task(config, pairs, source, target, known, about.get("notes", ()))


def _task(
    config: Config,
    pairs: Pairs,
    source: Vocabulary,
    target: Vocabulary,
    known: np.ndarray,
    notes: Sequence[str],
) -> Task:
    def expected(symbols: Sequence[Symbol]) -> list[Symbol] | None:
        return None

    def share(sources: list[list[int]], count: int) -> float:
        return unseen.share_outside(known, sources)

    reverse = config.task.reverse_source
    return Task(
        name=config.task.name,
        source_vocabulary=source,
        target_vocabulary=target,
        buckets=pairs.buckets(config.train, reverse, config.task.max_length),
        expected=expected,
        unseen=share,
        reverse_source=reverse,
        notes=tuple(notes),
    )


def _read(
    corpus: Corpus, task: TaskConfig, like: tuple[Vocabulary, Vocabulary]
) -> tuple[Pairs, Vocabulary, Vocabulary, list[str]]:
    codings = [Coding(side) for side in like]
    mixture = Mixture()
    parts, apart = [], 0
    for chunk in corpus.chunks():
        both = list(zip(codings, _sides(chunk), strict=True))
        counted = np.stack([coding.lengths(*side) for coding, side in both])
        too_long = (chunk.splits == TRAIN) & (counted.max(0) > task.max_length)
        here = np.where(too_long, LEFT_OUT, chunk.splits)
        parts.append((here, counted))
        for coding, (texts, tags) in both:
            if task.normalise is None:
                mixture.first(texts)
            coding.count(_chosen(texts, here == TRAIN), _chosen(tags, here == TRAIN))
            if coding.like.kind == "word" and "parallel" in corpus.formats:
                apart += sum(len(coding.like.split(t)) - len(t.split()) for t in texts)
    splits = np.concatenate([part for part, _ in parts])
    lengths = np.concatenate([part for _, part in parts], axis=1)
    left_out = int((splits == LEFT_OUT).sum())
    _check_splits(splits, left_out, corpus, task)
    source, target = (
        coding.vocabulary(task.min_count, task.max_vocabulary) for coding in codings
    )
    lengths[:, splits == LEFT_OUT] = 0
    tokens, strange = _encode(
        corpus, codings, (source, target), splits, lengths.sum(1), mixture
    )
    real = splits != LEFT_OUT
    rows = [
        Ragged(flat, counts[real]) for flat, counts in zip(tokens, lengths, strict=True)
    ]
    notes = corpus.unused
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
    if strange:
        notes.append(
            f"{strange:,} features of valid and test are in no training pair, and are "
            f"read as an unknown one"
        )
    if left_out:
        notes.append(
            f"{left_out} training pairs with a side longer than task.max_length="
            f"{task.max_length} are left out"
        )
    ids = np.flatnonzero(real).astype(np.int32)
    return Pairs(rows[0], rows[1], ids, splits[real]), source, target, notes


def _encode(
    corpus: Corpus,
    codings: Sequence[Coding],
    vocabularies: tuple[Vocabulary, Vocabulary],
    splits: np.ndarray,
    totals: np.ndarray,
    mixture: Mixture,
) -> tuple[list[np.ndarray], int]:
    """The ids of each side, and how many features are unknown."""
    tokens = [
        np.zeros(total, smallest_type(len(vocabulary)))
        for total, vocabulary in zip(totals.tolist(), vocabularies, strict=True)
    ]
    filled, strange = [0, 0], 0
    for chunk in corpus.chunks():
        real = splits[chunk.start : chunk.start + len(chunk.sources)] != LEFT_OUT
        for side, (texts, tags) in enumerate(_sides(chunk)):
            mixture.second(texts)
            chosen = _chosen(tags, real)
            ids = codings[side].encode(_chosen(texts, real), vocabularies[side], chosen)
            strange += codings[side].strange(chosen)
            tokens[side][filled[side] : filled[side] + len(ids)] = ids
            filled[side] += len(ids)
    return tokens, strange


def _sides(chunk: Chunk) -> tuple[tuple[list[str], Tags], tuple[list[str], Tags]]:
    """The texts of each side, and the features that stand before them."""
    tags = chunk.features if any(chunk.features) else []
    return (chunk.sources, tags), (chunk.targets, [])


def _chosen(rows: Sequence[T], which: np.ndarray) -> list[T]:
    return list(itertools.compress(rows, which.tolist()))


def _corpus(config: Config, *, is_kept: bool = False) -> Corpus:
    for field, path in data_files(config).items() if is_kept else ():
        if not os.path.exists(os.path.expanduser(path)):
            raise UsageError(
                f"{path} does not exist; where the same data lie elsewhere, the run "
                f"goes on with config=FILE and the override {field}=PLACE"
            )
    joins = (sides.between(config.task, "source"), sides.between(config.task, "target"))
    return open_corpus(config.task, joins)


def _check_splits(
    splits: np.ndarray, left_out: int, corpus: Corpus, task: TaskConfig
) -> None:
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
