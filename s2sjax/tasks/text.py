"""The task of translating lines of text, from files that a user gives."""

import dataclasses
import itertools
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from s2sjax.config import Config, TaskConfig, data_files
from s2sjax.errors import UsageError
from s2sjax.runs import bundle
from s2sjax.tasks import unseen
from s2sjax.tasks.files.corpus import Chunk, Corpus, open_corpus
from s2sjax.tasks.files.sources import sources as find
from s2sjax.tasks.normal_forms import Mixture
from s2sjax.tasks.pairs import TRAIN, Pairs, unpacked
from s2sjax.tasks.stored import Ragged, smallest_type
from s2sjax.tasks.task import SPLITS, Task
from s2sjax.tasks.vocabulary import Symbol, Vocabulary, normalised
from s2sjax.types import SYMBOLS, UNK

CODE_POINTS = 0x110000


class Coding(Protocol):
    """Learns a vocabulary from texts, and turns texts into its ids."""

    def lengths(self, texts: Sequence[str]) -> np.ndarray:
        """Symbols in each text: [n] int32."""

    def count(self, texts: Sequence[str]) -> None:
        """Adds training texts to the counts."""

    def vocabulary(self, min_count: int) -> Vocabulary:
        """The symbols seen at least `min_count` times, the most frequent first."""

    def encode(self, texts: Sequence[str], vocabulary: Vocabulary) -> np.ndarray:
        """The ids of all texts, one after the other, UNK for unknown symbols."""


class Characters:
    """Every code point is a symbol."""

    def __init__(self, normal_form: str | None) -> None:
        self._normal_form = normal_form
        self._counts = np.zeros(CODE_POINTS, np.int64)
        self._table: np.ndarray | None = None

    def lengths(self, texts: Sequence[str]) -> np.ndarray:
        return np.array([len(text) for text in texts], np.int32)

    def count(self, texts: Sequence[str]) -> None:
        self._counts += np.bincount(_code_points(texts), minlength=CODE_POINTS)

    def vocabulary(self, min_count: int) -> Vocabulary:
        seen = np.flatnonzero(self._counts >= min_count)
        order = seen[np.argsort(-self._counts[seen], kind="stable")]
        symbols = tuple(map(chr, order))
        return Vocabulary("char", symbols, normal_form=self._normal_form)

    def encode(self, texts: Sequence[str], vocabulary: Vocabulary) -> np.ndarray:
        if self._table is None:
            kind = smallest_type(len(vocabulary))
            self._table = np.full(CODE_POINTS, UNK, kind)
            points = [ord(str(symbol)) for symbol in vocabulary.symbols]
            ids = SYMBOLS + np.arange(len(points))
            self._table[np.array(points, np.int64)] = ids.astype(kind)
        return self._table[_code_points(texts)]


class Words:
    """Words, with or without separating their punctuation."""

    def __init__(self, punctuation: bool, normal_form: str | None) -> None:
        self._splitter = Vocabulary("word", (), punctuation, normal_form)
        self._counts: Counter[Symbol] = Counter()

    def lengths(self, texts: Sequence[str]) -> np.ndarray:
        split = self._splitter.split
        return np.array([len(split(text)) for text in texts], np.int32)

    def count(self, texts: Sequence[str]) -> None:
        for text in texts:
            self._counts.update(self._splitter.split(text))

    def vocabulary(self, min_count: int) -> Vocabulary:
        seen = [word for word, count in self._counts.items() if count >= min_count]
        seen.sort(key=lambda word: (-self._counts[word], word))
        return dataclasses.replace(self._splitter, symbols=tuple(seen))

    def encode(self, texts: Sequence[str], vocabulary: Vocabulary) -> np.ndarray:
        words = itertools.chain.from_iterable(map(self._splitter.split, texts))
        ids = (vocabulary.index.get(word, UNK) for word in words)
        return np.fromiter(ids, smallest_type(len(vocabulary)))


def _code_points(texts: Sequence[str]) -> np.ndarray:
    return np.frombuffer("".join(texts).encode("utf-32-le"), np.uint32)


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
    joint = config.model.share_embeddings
    pairs, source, target, notes = _read(corpus, config.task, joint=joint)
    known = pairs.training_hashes(config.task.reverse_source)
    if directory is not None and not bundle.exists(directory):
        files = {
            "source.json": source.to_json().encode(),
            "target.json": target.to_json().encode(),
            "held_out.npz": bundle.pack(pairs.held_out() | {"training_hashes": known}),
        }
        bundle.write(directory, files, {**bundle.kept(corpus.known), "notes": notes})
    return _task(config, pairs, source, target, known, notes)


def sources(config: Config) -> tuple[bundle.Known, ...]:
    """What tells the files of a config from others.

    Raises:
      UsageError: they cannot be read.
    """
    return _corpus(config).known


def check(config: Config) -> None:
    """Whether the files of a config are there; none is opened.

    Raises:
      UsageError: they are not, or do not fit together.
    """
    find(config.task)


def load(config: Config, directory: Path | None) -> Task:
    """The task from what `create` kept; the files may be gone, and so is "train".

    Raises:
      UsageError: a directory that is missing or damaged.
    """
    files, about = bundle.read(
        directory, ("source.json", "target.json", "held_out.npz")
    )
    source, target = (
        Vocabulary.from_json(files[f"{name}.json"]) for name in ("source", "target")
    )
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
    corpus: Corpus, task: TaskConfig, *, joint: bool
) -> tuple[Pairs, Vocabulary, Vocabulary, list[str]]:
    codings = [_coding(task, "parallel" in corpus.formats) for _ in range(2)]
    if joint:  # one vocabulary, of what stands on either side
        codings[1] = codings[0]
    parts = []
    mixture = Mixture()
    for chunk in corpus.chunks():
        texts = _texts(chunk, task)
        counted = np.stack(
            [coding.lengths(side) for coding, side in zip(codings, texts, strict=True)]
        )
        too_long = (chunk.splits == TRAIN) & (counted.max(0) > task.max_length)
        here = np.where(too_long, LEFT_OUT, chunk.splits)
        parts.append((here, counted))
        for coding, side in zip(codings, texts, strict=True):
            mixture.first(side)
            coding.count(_chosen(side, here == TRAIN))
    splits = np.concatenate([part for part, _ in parts])
    lengths = np.concatenate([part for _, part in parts], axis=1)
    left_out = int((splits == LEFT_OUT).sum())
    _check_splits(splits, left_out, corpus, task)
    source, target = (coding.vocabulary(task.min_count) for coding in codings)
    lengths[:, splits == LEFT_OUT] = 0
    vocabularies = (source, target)
    tokens = _encode(
        corpus, task, codings, vocabularies, splits, lengths.sum(1), mixture
    )
    real = splits != LEFT_OUT
    sides = [
        Ragged(flat, counts[real]) for flat, counts in zip(tokens, lengths, strict=True)
    ]
    notes = corpus.unused
    if mixture.words:
        notes.append(
            f"{len(mixture.words):,} words are in the texts in several Unicode normal "
            f"forms, e.g. {min(mixture.words)!r}, and are read as different ones; "
            f"task.normalise=nfc makes them the same"
        )
    unspaced = sorted({*source.unspaced(), *target.unspaced()})
    if unspaced:
        notes.append(
            f"task.level=word: {' and '.join(unspaced)} has no blanks between words, "
            f"and is taken apart into syllables or signs; use task.level=char"
        )
    if left_out:
        notes.append(
            f"{left_out} training pairs with a side longer than task.max_length="
            f"{task.max_length} are left out"
        )
    ids = np.flatnonzero(real).astype(np.int32)
    return Pairs(sides[0], sides[1], ids, splits[real]), source, target, notes


def _encode(
    corpus: Corpus,
    task: TaskConfig,
    codings: Sequence[Coding],
    vocabularies: tuple[Vocabulary, Vocabulary],
    splits: np.ndarray,
    totals: np.ndarray,
    mixture: Mixture,
) -> list[np.ndarray]:
    tokens = [
        np.zeros(total, smallest_type(len(vocabulary)))
        for total, vocabulary in zip(totals.tolist(), vocabularies, strict=True)
    ]
    filled = [0, 0]
    for chunk in corpus.chunks():
        real = splits[chunk.start : chunk.start + len(chunk.sources)] != LEFT_OUT
        for side, texts in enumerate(_texts(chunk, task)):
            mixture.second(texts)
            ids = codings[side].encode(_chosen(texts, real), vocabularies[side])
            tokens[side][filled[side] : filled[side] + len(ids)] = ids
            filled[side] += len(ids)
    return tokens


def _coding(task: TaskConfig, parallel: bool) -> Coding:
    if task.level == "char":
        return Characters(task.normalise)
    # Parallel files come with their symbols set apart by spaces already.
    return Words(not parallel, task.normalise)


def _texts(chunk: Chunk, task: TaskConfig) -> tuple[list[str], list[str]]:
    sources, targets = (
        [normalised(text, task.normalise) for text in texts]
        for texts in (chunk.sources, chunk.targets)
    )
    return sources, targets


def _chosen(texts: list[str], which: np.ndarray) -> list[str]:
    return [text for text, wanted in zip(texts, which.tolist(), strict=True) if wanted]


def _corpus(config: Config, *, is_kept: bool = False) -> Corpus:
    for field, path in data_files(config).items() if is_kept else ():
        if not os.path.exists(os.path.expanduser(path)):
            raise UsageError(
                f"{path} does not exist; where the same data lie elsewhere, the run "
                f"goes on with config=FILE and the override {field}=PLACE"
            )
    join = "" if config.task.level == "char" else " "
    return open_corpus(config.task, (join, join))


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
