"""The task of translating lines of text, from files that a user gives."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from s2sjax.config import Config, TaskConfig
from s2sjax.errors import UsageError
from s2sjax.runs import bundle
from s2sjax.tasks import sides, unseen
from s2sjax.tasks.coding import Coding
from s2sjax.tasks.corpus import LAYOUT, Corpus, open_corpus
from s2sjax.tasks.levels import unspaced
from s2sjax.tasks.normal_forms import Mixture
from s2sjax.tasks.pairs import TRAIN, Pairs, unpacked
from s2sjax.tasks.stored import Ragged, smallest_type
from s2sjax.tasks.task import SPLITS, Task
from s2sjax.tasks.vocabulary import Symbol, Vocabulary

LEFT_OUT = 255  # the split of a training pair that is too long


def create(config: Config, directory: Path | None) -> Task:
    """Reads the files of `task.path`; keeps what evaluation needs in `directory`.

    The vocabularies come from the training part alone. Each file is streamed twice,
    to count and to encode, so that texts are never all in memory.

    Raises:
      UsageError: files that cannot be used, an empty split, or, where `directory`
        is there already, files that are not the ones it was made from.
    """
    task = config.task
    if bundle.exists(directory) and not os.path.exists(task.path):
        raise UsageError(
            f"{task.path} does not exist; where the same data lie elsewhere, the "
            f"run goes on with config=FILE and the override task.path=PLACE"
        )
    corpus = _corpus(task)
    if bundle.exists(directory):
        bundle.check_sources(directory, _sources(corpus))
        like = sides.kept(bundle.read(directory, sides.NAMES)[0])
        sides.check(task, like)
    else:
        like = sides.asked(task)
    pairs, source, target, notes = _read(corpus, task, like)
    known = pairs.training_hashes(task.reverse_source)
    if directory is not None and not bundle.exists(directory):
        held_out = pairs.held_out() | {"training_hashes": known}
        files = sides.files(source, target) | {"held_out.npz": bundle.pack(held_out)}
        sources = {Path(path).name: sha for path, sha in _sources(corpus).items()}
        bundle.write(directory, files, {"sources": sources, "notes": notes})
    return _task(config, pairs, source, target, known, notes)


def sources(config: Config) -> dict[str, str]:
    """The SHA-256 of each file of `task.path`.

    Raises:
      UsageError: they cannot be read.
    """
    return _sources(_corpus(config.task))


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
    splits = np.full(corpus.size, LEFT_OUT, np.uint8)
    lengths = np.zeros((2, corpus.size), np.int32)
    mixture, apart = Mixture(), 0
    for chunk in corpus.chunks():
        texts = (chunk.sources, chunk.targets)
        counted = np.stack(
            [coding.lengths(side) for coding, side in zip(codings, texts, strict=True)]
        )
        for side, vocabulary, words in zip(texts, like, counted, strict=True):
            if vocabulary.kind == "word" and len(corpus.files) > 1:
                apart += int(words.sum()) - sum(len(text.split()) for text in side)
        too_long = (chunk.splits == TRAIN) & (counted.max(0) > task.max_length)
        here = np.where(too_long, LEFT_OUT, chunk.splits)
        span = slice(chunk.start, chunk.start + len(here))
        splits[span], lengths[:, span] = here, counted
        for coding, side in zip(codings, texts, strict=True):
            mixture.first(side)
            coding.count(_chosen(side, here == TRAIN))
    left_out = int((splits == LEFT_OUT).sum())
    _check_splits(splits, left_out, corpus, task)
    source, target = (
        coding.vocabulary(task.min_count, task.max_vocabulary) for coding in codings
    )
    lengths[:, splits == LEFT_OUT] = 0
    vocabularies = (source, target)
    tokens = _encode(corpus, codings, vocabularies, splits, lengths.sum(1), mixture)
    real = splits != LEFT_OUT
    sides = [
        Ragged(flat, counts[real]) for flat, counts in zip(tokens, lengths, strict=True)
    ]
    notes = []
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
    ids = np.flatnonzero(real).astype(np.int32)
    return Pairs(sides[0], sides[1], ids, splits[real]), source, target, notes


def _encode(
    corpus: Corpus,
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
        for side, texts in enumerate((chunk.sources, chunk.targets)):
            mixture.second(texts)
            ids = codings[side].encode(_chosen(texts, real), vocabularies[side])
            tokens[side][filled[side] : filled[side] + len(ids)] = ids
            filled[side] += len(ids)
    return tokens


def _chosen(texts: list[str], which: np.ndarray) -> list[str]:
    return [text for text, wanted in zip(texts, which.tolist(), strict=True) if wanted]


def _corpus(task: TaskConfig) -> Corpus:
    if not task.path:
        raise UsageError(
            f"task.path is not set; the task text reads a tab-separated file, or a "
            f"folder with {LAYOUT}"
        )
    path = Path(task.path).expanduser()
    _check_shares(task, path)
    return open_corpus(path, task.valid_share, task.test_share, task.normalise)


def _sources(corpus: Corpus) -> dict[str, str]:
    return dict(zip(map(str, corpus.files), corpus.hashes, strict=True))


def _check_shares(task: TaskConfig, path: Path) -> None:
    defaults = TaskConfig()
    for name in ("valid_share", "test_share"):
        value = getattr(task, name)
        if path.is_dir() and value != getattr(defaults, name):
            raise UsageError(
                f"task.{name}={value} means nothing to parallel files; the folder "
                f"{path} has its own valid and test"
            )


def _check_splits(
    splits: np.ndarray, left_out: int, corpus: Corpus, task: TaskConfig
) -> None:
    for number, name in enumerate(SPLITS):
        if not (splits == number).any():
            raise UsageError(
                f"of {corpus.size} pairs in task.path={task.path} none is left for "
                f"{name} (task.valid_share={task.valid_share}, task.test_share="
                f"{task.test_share}, {left_out} longer than task.max_length="
                f"{task.max_length})"
            )
