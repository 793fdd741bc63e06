"""What no model is needed for: the simplest answers, and how likely targets are alone.

A model that is no better than these has learned nothing of the task. All is computed
from rows of token ids: training targets say what is answered, held-out examples how
good that is.
"""

from collections import Counter
from collections.abc import Callable, Mapping

import jax
import numpy as np

from s2sjax.metrics import METRICS
from s2sjax.outcomes import Outcomes, References, Rows, distances, with_further
from s2sjax.tasks.pairs import TRAIN, Pairs
from s2sjax.tasks.stored import Ragged
from s2sjax.tasks.task import SPLITS, Bucket
from s2sjax.tasks.vocabulary import Vocabulary
from s2sjax.types import BOS, EOS, PAD

MOST_TRAINING = 100_000  # targets that are counted, spread evenly over all
MOST_CELLS = 5e7  # of tables of edit distances; fewer examples are taken beyond it
DRAWN = 8192  # training examples that are generated to be counted
ANSWERS = ("exact", "token_accuracy", "edit_distance")  # of an answer

Baselines = dict[str, dict[str, float]]
"""By name of a baseline its metrics: `ANSWERS` of `most_frequent` and `copy`, and `nll`
of `unigram` and `bigram`."""


def baselines(
    training: Rows,
    sources: Rows,
    references: References,
    vocabularies: tuple[Vocabulary, Vocabulary],
) -> Baselines:
    """How far one comes on held-out examples without a model.

    `most_frequent` answers with the training target that comes most often, `copy` with
    the source. `unigram` and `bigram` are the negative log-likelihood of the first
    references, in nats per token, EOS counted, under what was counted in training.

    Args:
      training: the targets of training, without EOS.
      sources: of N held-out examples, as a user reads them.
      references: their targets, at least one each.
      vocabularies: of source and target.
    """
    training = _spread(training, MOST_TRAINING)
    area = (sources.lengths + 1.0) * (references.first.lengths + 1)
    most = int(max(MOST_CELLS * len(area) // max(area.sum(), 1), 1))
    some = _evenly(len(sources.lengths), most)
    held_out = references.taken(some)
    if held_out is None or not len(training.lengths):
        return {}
    often = np.array(_most_frequent(training), np.int32)
    constant = Rows(np.tile(often, len(some)), np.full(len(some), len(often), np.int32))
    size = len(vocabularies[1])
    return {
        "most_frequent": _answered(constant, held_out),
        "copy": _answered(_copied(sources.take(some), *vocabularies), held_out),
        "unigram": {"nll": unigram_nll(training, references.first, size)},
        "bigram": {"nll": bigram_nll(training, references.first, size)},
    }


def of_pairs(
    pairs: Pairs, vocabularies: tuple[Vocabulary, Vocabulary]
) -> dict[str, Baselines]:
    """`baselines` of the held-out splits of pairs, which have training pairs too."""

    def rows(side: Ragged, chosen: np.ndarray) -> Rows:
        return Rows(*side).take(chosen)

    training = np.flatnonzero(pairs.splits == TRAIN)
    targets = rows(pairs.target, training[_evenly(len(training), MOST_TRAINING)])
    found = {}
    for number, split in enumerate(SPLITS):
        chosen = np.flatnonzero(pairs.splits == number)
        if number == TRAIN or not len(chosen):
            continue
        first = rows(pairs.target, chosen)
        further = None if pairs.references is None else pairs.references.taken(chosen)
        references = References.of(first, further)
        sources = rows(pairs.source, chosen)
        found[split] = baselines(targets, sources, references, vocabularies)
    return found


def by_split(
    kept: Mapping[str, Baselines],
    pairs: Pairs,
    vocabularies: tuple[Vocabulary, Vocabulary],
) -> Callable[[str], Baselines]:
    """Those of held-out splits as they are kept, and those of training when asked for.

    Of training they are of its own targets, in which they were counted.

    Args:
      kept: what `of_pairs` gave.
      pairs: of training, or others.
      vocabularies: of source and target.
    """

    def of(split: str) -> Baselines:
        if split != SPLITS[TRAIN]:
            return kept.get(split, {})
        training = np.flatnonzero(pairs.splits == TRAIN)
        some = training[_evenly(len(training), MOST_TRAINING)]
        targets = Rows(*pairs.target).take(some)
        sources = Rows(*pairs.source).take(some)
        return baselines(targets, sources, References.of(targets), vocabularies)

    return of


def of_buckets(
    training: Bucket,
    held_out: Bucket,
    vocabularies: tuple[Vocabulary, Vocabulary],
    *,
    reverse_source: bool,
) -> Baselines:
    """`baselines` of the first examples of generated buckets, which are drawn."""
    _, targets = _drawn(training)
    sources, wanted = _drawn(held_out)
    if reverse_source:
        sources = Rows.from_lists([row[::-1] for row in sources.tolist()])
    return baselines(targets, sources, References.of(wanted), vocabularies)


def unigram_nll(training: Rows, targets: Rows, size: int) -> float:
    """The mean of -log p(v) over the tokens of targets, EOS counted, in nats.

        p(v) = (c(v) + 1) / (c + E)

    c(v) counts v in training, EOS with the symbols, and E is how many ids a target can
    have: all but PAD and BOS.

    >>> rows = Rows(np.array([4, 4]), np.array([2]))  # twice 4, once EOS; 5 ids, E is 3
    >>> round(float(np.exp(-3 * unigram_nll(rows, rows, 5))), 6)  # 3/6 3/6 2/6
    0.083333
    """
    probabilities = _unigram(_with_ends(training)[1], size)
    return float(-np.log(probabilities[_with_ends(targets)[1]]).mean())


def bigram_nll(training: Rows, targets: Rows, size: int) -> float:
    """The mean of -log p(v | u) over the tokens of targets, u the one before, in nats.

        p(v | u) = (c(u, v) + t(u) p(v)) / (c(u) + t(u))

    t(u) is how many different tokens follow u in training, and p(v) that of
    `unigram_nll`; the first u is BOS. (Witten and Bell 1991, method C.)
    """
    before, after = _with_ends(training)
    smooth = _unigram(after, size)
    pairs, counts = np.unique(before * size + after, return_counts=True)
    followed = np.bincount(before, minlength=size)
    different = np.bincount(pairs // size, minlength=size)
    u, v = _with_ends(targets)
    wanted = u * size + v
    places = np.minimum(np.searchsorted(pairs, wanted), len(pairs) - 1)
    seen = np.where(pairs[places] == wanted, counts[places], 0)
    # What never came before anything says nothing of what follows.
    new = np.where(followed[u] == 0, 1, different[u])
    return float(-np.log((seen + new * smooth[v]) / (followed[u] + new)).mean())


def _unigram(tokens: np.ndarray, size: int) -> np.ndarray:
    counts = np.bincount(tokens, minlength=size) + 1.0
    counts[[PAD, BOS]] = 0
    probabilities: np.ndarray = counts / counts.sum()
    return probabilities


def _with_ends(rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    """The tokens before and at each place of the rows, EOS after each row; int64."""
    ends = np.cumsum(rows.lengths, dtype=np.int64)
    after = np.insert(rows.tokens.astype(np.int64), ends, EOS)
    before = np.concatenate([[EOS], after[:-1]])
    return np.where(before == EOS, BOS, before), after


def _most_frequent(rows: Rows) -> tuple[int, ...]:
    (row, _), *_ = Counter(map(tuple, rows.tolist())).most_common(1)
    return row


def _copied(sources: Rows, source: Vocabulary, target: Vocabulary) -> Rows:
    """Sources in the ids of targets; what targets cannot have is nothing, PAD."""
    ids = np.full(len(source), PAD, np.int32)
    for symbol, number in source.index.items():
        ids[number] = target.index.get(symbol, PAD)
    return Rows(ids[sources.tokens], sources.lengths)


def _answered(output: Rows, references: References) -> dict[str, float]:
    """The metrics of some outputs of no model."""
    first = references.first
    none = np.zeros(len(first.lengths))
    results = Outcomes(
        output,
        none > 0,
        first,
        distances(output, first),
        *(none, none, none),
        np.zeros(len(first.tokens) + len(none), bool),
        np.ones(len(none), np.int32),
        References.of(first),
    )
    results = with_further(results, references.further)
    return {name: METRICS[name].mean(results) for name in ANSWERS}


def _spread(rows: Rows, most: int) -> Rows:
    return rows.take(_evenly(len(rows.lengths), most))


def _evenly(count: int, most: int) -> np.ndarray:
    """At most so many numbers below `count`, spread evenly."""
    return np.linspace(0, count - 1, min(count, most)).round().astype(np.int64)


def _drawn(bucket: Bucket) -> tuple[Rows, Rows]:
    count = DRAWN if bucket.size is None else min(bucket.size, DRAWN)
    rows = np.arange(DRAWN, dtype=np.int32)  # the same width for all is compiled once
    batch = jax.jit(bucket.fetch)(
        bucket.store, np.where(rows < count, rows, -1).astype(np.int32)
    )
    source, target = (
        Rows.of(np.asarray(tokens)[:count], np.asarray(lengths)[:count])
        for tokens, lengths in (
            (batch.source, batch.source_lengths),
            (batch.target, batch.target_lengths - 1),
        )
    )
    return source, target
