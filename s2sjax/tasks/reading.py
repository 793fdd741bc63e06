"""From the files of a corpus to pairs of ids, and what a user should know of them."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from s2sjax.config import Config, TaskConfig, data_files
from s2sjax.errors import UsageError
from s2sjax.outcomes import References
from s2sjax.tasks import casing
from s2sjax.tasks.baselines import Baselines, of_pairs
from s2sjax.tasks.coding import Coding
from s2sjax.tasks.files.answers import Answers
from s2sjax.tasks.files.corpus import Chunk, Corpus
from s2sjax.tasks.levels import unspaced
from s2sjax.tasks.normal_forms import Mixture
from s2sjax.tasks.pairs import TRAIN, Pairs
from s2sjax.tasks.task import SPLITS
from s2sjax.tasks.vocabulary import Vocabulary

LEFT_OUT = 255  # the split of a training pair that is too long

Sides = tuple[Vocabulary, Vocabulary]
"""Of source and target."""


class Read(NamedTuple):
    """What the files of a config hold."""

    pairs: Pairs
    source: Vocabulary
    target: Vocabulary
    known: np.ndarray  # [n] uint64, hashes of the training sources
    notes: Sequence[str]
    cased: casing.Cased  # held-out targets as they were written
    baselines: Mapping[str, Baselines]  # by split


class _Columns(NamedTuple):
    """What is known of all N pairs beside their texts."""

    splits: np.ndarray  # uint8, positions in SPLITS, or LEFT_OUT
    weights: np.ndarray  # float32
    answered: np.ndarray  # int64, of each the first pair of its source, or -1
    longer: np.ndarray  # int32, symbols of its longer side

    @property
    def first(self) -> np.ndarray:
        """Which are the first, or only, answer to their source."""
        return self.answered == np.arange(len(self.answered))


def read(corpus: Corpus, task: TaskConfig, like: Sides, *, joint: bool = False) -> Read:
    """Takes all pairs in, a piece at a time, and makes ids of them at the end.

    Args:
      corpus: the files.
      task: says what is left out, and how symbols are counted.
      like: the levels; the symbols too, where they are known already.
      joint: whether both sides have one vocabulary, of what stands on either.

    Raises:
      UsageError: a line that cannot be used, or an empty split.
    """
    codings = Coding(like[0]), Coding(like[1])
    answers, oddities = Answers(like), _Oddities(task, like, corpus)
    parts, held_out = [], list[casing.Pair]()
    for chunk in corpus.chunks():
        tags = chunk.features if any(chunk.features) else ()
        counts = codings[0].read(chunk.sources, tags), codings[1].read(chunk.targets)
        lengths = np.stack(counts)
        too_long = (chunk.splits == TRAIN) & (lengths.max(0) > task.max_length)
        splits = np.where(too_long, LEFT_OUT, chunk.splits)
        parts.append((splits, chunk.weights, answers.of(chunk), lengths.max(0)))
        oddities.look(chunk, lengths)
        if task.lowercase:
            pairs_of = zip(chunk.sources, chunk.features, chunk.targets, strict=True)
            held_out += itertools.compress(pairs_of, chunk.splits != TRAIN)
    columns = _Columns(*map(np.concatenate, zip(*parts, strict=True)))
    _check_splits(columns.splits, task)
    training, counted = columns.splits == TRAIN, (task.min_count, task.max_vocabulary)
    source, target = (
        coding.vocabulary(training, *counted, beside=other if joint else None)
        for coding, other in (codings, codings[::-1])
    )
    pairs = _pairs(codings, (source, target), columns)
    strange = codings[0].strange(source, (columns.splits != LEFT_OUT) & columns.first)
    if strange and not source.features:
        raise UsageError(
            f"{strange:,} features stand beside validation and test sources, and none "
            f"beside training sources"
        )
    notes = [
        *corpus.unused,
        *_merged(columns),
        *oddities.notes((source, target), strange),
        *_long(columns, task, corpus),
    ]
    known = pairs.training_hashes(task.reverse_source)
    cased = casing.cased(source, target, held_out) if task.lowercase else {}
    trivial = of_pairs(pairs, (source, target))
    return Read(pairs, source, target, known, notes, cased, trivial)


def _pairs(codings: tuple[Coding, Coding], sides: Sides, columns: _Columns) -> Pairs:
    splits, weights, answered, _ = columns
    real = (splits != LEFT_OUT) & columns.first
    ids = np.flatnonzero(real)
    pairs = Pairs(
        codings[0].encoded(sides[0], real),
        codings[1].encoded(sides[1], real),
        ids.astype(np.int32),
        splits[real],
        None if (weights[splits == TRAIN] == 1).all() else weights[real],
    )
    further = (answered >= 0) & ~columns.first
    if not further.any():
        return pairs
    examples = answered[further]
    ordered = np.argsort(examples, kind="stable")
    rest = codings[1].encoded(sides[1], further).taken(ordered)
    counts = np.bincount(np.searchsorted(ids, examples), minlength=len(ids))
    references = References(rest.tokens, rest.lengths, counts.astype(np.int32))
    return pairs._replace(references=references)


class _Oddities:
    """Looks, while texts pass, for what a user should know of them."""

    def __init__(self, task: TaskConfig, like: Sides, corpus: Corpus) -> None:
        self._task, self._like, self._corpus = task, like, corpus
        self._mixture = Mixture()
        self._apart = 0  # places in which words set apart by blanks were taken apart

    def look(self, chunk: Chunk, lengths: np.ndarray) -> None:
        """Takes in some pairs, of `lengths` [2, n] in symbols."""
        texts = (chunk.sources, chunk.targets)
        for side, vocabulary, words in zip(texts, self._like, lengths, strict=True):
            if vocabulary.kind == "word" and "parallel" in self._corpus.formats:
                self._apart += int(words.sum()) - sum(len(t.split()) for t in side)
            if self._task.normalise is None:
                self._mixture.first(side)

    def notes(self, sides: Sides, strange: int) -> Iterator[str]:
        """What was found, a line each.

        Args:
          sides: the vocabularies.
          strange: features that are not in them.
        """
        if strange:
            yield (
                f"{strange:,} features of validation and test are not in training, and "
                f"are read as unknown ones"
            )
        if self._mixture.undecided:
            for chunk in self._corpus.chunks():
                self._mixture.second((*chunk.sources, *chunk.targets))
        words = self._mixture.words
        if words:
            yield (
                f"{len(words):,} words are in the texts in several Unicode normal "
                f"forms, e.g. {min(words)!r}, and are read as different ones; "
                f"task.normalise=nfc makes them the same"
            )
        scripts = {
            script
            for side in sides
            if side.kind == "word"
            for script in unspaced(side.symbols)
        }
        if scripts:
            yield (
                f"task.level=word: {' and '.join(sorted(scripts))} has no blanks "
                f"between words, and is taken apart into syllables or signs; use "
                f"task.level=char"
            )
        if self._apart:
            yield (
                f"task.level=word takes what stands between blanks apart in "
                f"{self._apart:,} places; task.level=space leaves files whose words "
                f"are set apart as they are"
            )


def _merged(columns: _Columns) -> Iterator[str]:
    for number, name in enumerate(SPLITS):
        of_split = columns.splits == number
        pairs, examples = int(of_split.sum()), int((of_split & columns.first).sum())
        if examples < pairs:
            yield (
                f"{name}: {pairs:,} pairs are {examples:,} examples; a source that "
                f"comes again has its further targets as references"
            )


def _long(columns: _Columns, task: TaskConfig, corpus: Corpus) -> Iterator[str]:
    """What to say of pairs beyond `task.max_length`, with the place of the longest."""
    left_out = columns.splits == LEFT_OUT
    held_out = (columns.splits != TRAIN) & ~left_out & columns.first
    for which, chosen, what in (
        ("training", left_out, "left out"),
        ("validation and test", held_out, "decoded apart from the others"),
    ):
        long = np.flatnonzero(chosen & (columns.longer > task.max_length))
        if len(long):
            longest = int(long[np.argmax(columns.longer[long])])
            yield (
                f"{len(long):,} {which} pairs with a side longer than task.max_length="
                f"{task.max_length} are {what}; the longest side, at "
                f"{corpus.where()(longest)}, has {columns.longer[longest]:,} symbols"
            )


def _check_splits(splits: np.ndarray, task: TaskConfig) -> None:
    for number, name in enumerate(SPLITS):
        if not (splits == number).any():
            left_out = int((splits == LEFT_OUT).sum())
            named = data_files(Config(task=task)).items()
            given = " and ".join(f"{field}={path}" for field, path in named)
            raise UsageError(
                f"of {len(splits)} pairs in {given} none is left for "
                f"{name} (task.valid_share={task.valid_share}, task.test_share="
                f"{task.test_share}, {left_out} longer than task.max_length="
                f"{task.max_length})"
            )
