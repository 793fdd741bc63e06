"""What is in the data of a config, before anything is trained."""

import dataclasses
import functools
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from s2sjax import environment, experiment, tasks
from s2sjax.commands.run import notice
from s2sjax.config import Config, data_files
from s2sjax.inference.system import batch_rows, output_lengths
from s2sjax.sweeps import preflight
from s2sjax.tasks import SPLITS, Task, review, text
from s2sjax.tasks.generated import Generator
from s2sjax.tasks.review import Examples
from s2sjax.tasks.series import summary
from s2sjax.tasks.series.numbers import Numbers
from s2sjax.tasks.stored import Ragged
from s2sjax.tasks.task import Bucket, decode_source
from s2sjax.training.check import check

DRAWN = 10_000  # examples looked at of a generated split
SHOWN = 3  # examples of what was found
RATE_SECONDS = 0.05  # for which products are timed
SIDES = ("source", "target")


def data(
    config: experiment.Source, *, overrides: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """What is in the data of a config, and what of it will go wrong.

    As `s2sjax data --json` prints it: pairs, lengths, vocabularies, what stands twice
    or on both sides of a split, references that no output can be, padding, and what a
    step costs. Of numbers it has windows, ranges and what is missing. Generated tasks
    are looked at on draws. Nothing is written.

    Args:
      config: a `Config`, a dict or ConfigDict of its fields, or the path of an
        experiment file, `FILE[:variant]`.
      overrides: values of fields by dotted name.

    Returns:
      Plain data; `warnings` has what training says too, a line each.

    Raises:
      UsageError: a config that cannot be, or files that cannot be read.

    >>> found = data({"task": {"length": 5}, "train": {"steps": 9}})
    >>> found["splits"]["test"]["source"]["longest"], found["warnings"]
    (5, [])
    """
    resolved = experiment.load_config(config, overrides, notice)
    check(resolved)
    with environment.precision(resolved.train.precision):
        task = tasks.create(resolved)
        if isinstance(task.target_vocabulary, Numbers):
            return _of_numbers(resolved, task)
        look = _Look(resolved, task)
        return {
            "task": task.name,
            "files": list(data_files(resolved).values()),
            "splits": {split: look.split(split) for split in look.splits},
            "vocabulary": {side: look.vocabulary(side) for side in SIDES},
            "found": {name: look.described(name) for name in KINDS},
            "unreachable": look.unreachable(look.splits),
            "baselines": look.baselines(),
            "buckets": look.buckets(),
            "cost": _cost(resolved, task),
            "warnings": [*task.notes, *look.warnings()],
        }


def _of_numbers(config: Config, task: Task) -> dict[str, Any]:
    """What `data` returns of a task of numbers."""
    found = {split: task.baselines(split) for split in task.buckets if split != "train"}
    return {
        "task": task.name,
        "files": list(data_files(config).values()),
        "splits": {split: summary.split(task, split) for split in task.buckets},
        "numbers": summary.numbers(task),
        "baselines": {
            split: {name: dict(row) for name, row in each.items()}
            for split, each in found.items()
        },
        "cost": _cost(config, task),
        "warnings": list(task.notes),
    }


def warnings(config: Config, task: Task) -> list[str]:
    """What training says of its data, a line each, beside the task's own notes."""
    if isinstance(task.target_vocabulary, Numbers):
        return []
    return list(_Look(config, task, quick=True).warnings())


class Kind(NamedTuple):
    """What can stand out in some pairs of a split.

    A person is warned of shares of the split from `least` to `most`: what is so nearly
    everywhere is the nature of a task.
    """

    find: Callable[[Task, Examples, Examples], np.ndarray]  # of (task, train, split)
    what: str
    advice: str = ""
    least: float = 2.0  # never
    most: float = 1.0


def _known(task: Task, train: Examples, examples: Examples) -> np.ndarray:
    return np.zeros(0, int) if examples is train else review.known(train, examples)


def _copies(task: Task, train: Examples, examples: Examples) -> np.ndarray:
    sides = task.source_vocabulary, task.target_vocabulary
    return review.copies(examples, *sides, reverse=task.reverse_source)


def _steering(task: Task, train: Examples, examples: Examples) -> np.ndarray:
    return np.union1d(
        review.holding(examples.source, review.steering(task.source_vocabulary)),
        review.holding(examples.target, review.steering(task.target_vocabulary)),
    )


def _exchanged(task: Task, train: Examples, examples: Examples) -> np.ndarray:
    sides = task.source_vocabulary, task.target_vocabulary
    return review.exchanged(train, examples, *sides)


KINDS = {
    "known": Kind(
        _known,
        "source stands in training",
        "what is tested there was seen; `unseen` of eval is the share of the others",
        0.01,
    ),
    "repeated": Kind(lambda _, __, own: review.repeated(own), "pair stood before"),
    "ambiguous": Kind(
        lambda _, __, own: review.ambiguous(own), "source has another target elsewhere"
    ),
    "copies": Kind(
        _copies, "target is the source", "is it left untranslated?", 0.005, 0.3
    ),
    "empty": Kind(
        lambda _, __, own: review.empty(own),
        "a side is empty",
        "is a column missing?",
        0.0,
    ),
    "unlike": Kind(
        lambda _, __, own: review.unlike(own),
        "lengths are very unlike those of others",
        "has a line slipped?",
        0.001,
        0.05,
    ),
    "steering": Kind(
        _steering, "control or invisible characters", "take them out", 0.0
    ),
    "exchanged": Kind(
        _exchanged,
        "likelier with its sides exchanged",
        "are the columns in another order there?",
        0.002,
    ),
}


class _Look:
    """The examples of a task, and what is found in them, each where it is asked for.

    Args:
      config: of a run.
      task: of it.
      quick: whether of generated splits one batch is looked at, which an evaluation
        compiles anyway.
    """

    def __init__(self, config: Config, task: Task, *, quick: bool = False):
        self.config, self.task, self.quick = config, task, quick
        self.is_text = config.task.name == "text"
        self.splits = [split for split in SPLITS if split in task.buckets]
        self.examples = functools.cache(self._read)
        self.found = functools.cache(self._find)

    def _read(self, split: str) -> Examples:
        buckets = self.task.buckets[split]
        if self.is_text:
            return review.read(buckets)
        most = DRAWN
        if self.quick:
            (first, *_), decode = buckets, self.config.decode
            sizes = first.source_width, first.target_width
            most = batch_rows(decode, *sizes, first.size or decode.batch_size)
        return review.read([_first(bucket, most) for bucket in buckets], most)

    def _find(self, name: str) -> dict[str, np.ndarray]:
        """Positions of pairs, by split."""
        train = self.examples("train")
        return {
            split: KINDS[name].find(self.task, train, self.examples(split))
            for split in self.splits
        }

    @functools.cached_property
    def _where(self) -> Callable[[int], str]:
        return text.where(self.config)

    def split(self, split: str) -> dict[str, Any]:
        """How many pairs of a split there are, and how long."""
        examples = self.examples(split)
        sizes = [bucket.size for bucket in self.task.buckets[split]]
        return {
            "pairs": len(examples),
            "drawn": None in sizes or len(examples) < sum(size or 0 for size in sizes),
            **{side: self._lengths(split, side) for side in SIDES},
        }

    def vocabulary(self, side: str) -> dict[str, Any]:
        """The symbols of a side, and how much of each split is known."""
        vocabulary = getattr(self.task, f"{side}_vocabulary")
        once, rarest = review.rarest(self._rows("train", side), vocabulary)
        return {
            "kind": vocabulary.kind,
            "symbols": len(vocabulary.symbols),
            "features": len(vocabulary.features),
            "once": once,
            "rarest": [list(pair) for pair in rarest],
            "coverage": {
                split: review.coverage(self._rows(split, side))._asdict()
                for split in self.splits
            },
        }

    def described(self, name: str) -> dict[str, Any]:
        """What was found: in how many pairs of each split, and some of them."""
        return {
            "what": KINDS[name].what,
            "splits": {
                split: {
                    "pairs": len(places),
                    "examples": [self._shown(split, each) for each in places[:SHOWN]],
                }
                for split, places in self.found(name).items()
                if len(places)
            },
        }

    def unreachable(self, splits: list[str]) -> dict[str, Any]:
        """References that no output can be, by split, and the limits that would do."""
        decode, found = self.config.decode, {}
        for split in splits:
            examples = self.examples(split)
            end = int(self.task.source_eos)  # which the limit counts, too
            longest_source = int(examples.source.lengths.max()) + end
            most = output_lengths(decode, longest_source).most[end:]
            own = review.unreachable(
                examples, most, decode.length_ratio, decode.length_extra
            )
            if len(own.rows):
                longest = own.rows[examples.target.lengths[own.rows].argmax()]
                found[split] = {
                    "pairs": len(own.rows),
                    "share": len(own.rows) / len(examples),
                    "length_extra": own.extra,
                    "length_ratio": own.ratio,
                    "longest": self._shown(split, longest),
                }
        return found

    def baselines(self) -> dict[str, Any]:
        """How far one comes on held-out examples without a model."""
        found = {s: self.task.baselines(s) for s in self.splits if s != "train"}
        return {
            split: {name: dict(row) for name, row in each.items()}
            for split, each in found.items()
            if each
        }

    def buckets(self) -> list[dict[str, Any]]:
        """The widths of training batches, and how much of them is padding."""
        rows = []
        for bucket in self.task.buckets["train"]:
            part = review.read([bucket if self.is_text else _first(bucket, DRAWN)])
            widths = bucket.source_width, bucket.target_width
            rows.append(
                {
                    "examples": bucket.size,
                    "source_width": widths[0],
                    "target_width": widths[1],
                    "padding": review.padding(part, *widths),
                }
            )
        return rows

    def warnings(self) -> Iterator[str]:
        """What a person should know before training, a line each."""
        yield from self._unreachable_line()
        if not self.is_text:
            return
        for name, kind in KINDS.items():
            # Forms of words are often like their lemmas, letter by letter.
            is_letters = self.task.target_vocabulary.kind in ("char", "grapheme")
            if kind.least > kind.most or (name == "copies" and is_letters):
                continue
            for split, places in self.found(name).items():
                share = len(places) / len(self.examples(split))
                if len(places) and kind.least <= share <= kind.most:
                    where = self._shown(split, places[0])["where"]
                    yield (
                        f"{len(places):,} pair{'s' * (len(places) > 1)} of {split} "
                        f"({share:.2%}): {kind.what}, e.g. {where}; {kind.advice}"
                    )
        for side in SIDES:
            for split in self.splits[1:]:
                found = review.coverage(self._rows(split, side))
                if 2 * found.unknown > found.symbols:
                    yield (
                        f"{found.unknown / found.symbols:.0%} of the {side} symbols of "
                        f"{split} are unknown in training: are the columns in another "
                        f"order there, or is the language another?"
                    )

    def _unreachable_line(self) -> Iterator[str]:
        # Training examples are not decoded, unless that is asked for.
        held_out = [
            split
            for split in self.splits
            if split != "train" and not self._short(split)
        ]
        decode, found = self.config.decode, self.unreachable(held_out)
        if not found:
            return
        parts = [f"{each['share']:.2%} of {split}" for split, each in found.items()]
        extra = max(each["length_extra"] for each in found.values())
        ratios = [each["length_ratio"] for each in found.values()]
        limits = f"decode.length_extra={extra}"
        if None not in ratios:
            limits += f" or decode.length_ratio={max(ratios):g}"
        yield (
            f"{' and '.join(parts)} cannot be written: references are longer than "
            f"{decode.length_ratio:g} x source + {decode.length_extra} tokens; "
            f"{limits} would do"
        )

    def _short(self, split: str) -> bool:
        """Whether the longest reference can be written for the shortest source."""
        return all(
            isinstance(bucket.fetch, Generator)
            and bucket.target_width
            <= output_lengths(self.config.decode, int(bucket.store.min_length)).most[-1]
            for bucket in self.task.buckets[split]
        )

    def _rows(self, split: str, side: str) -> Ragged:
        rows: Ragged = getattr(self.examples(split), side)
        return rows

    def _lengths(self, split: str, side: str) -> dict[str, Any]:
        every = [self._rows(each, side).lengths.max() for each in self.splits]
        rows, width = self._rows(split, side), review.bar_width(int(max(every)))
        longest = np.argsort(-rows.lengths, kind="stable")[:SHOWN]
        return {
            **review.lengths(rows, width)._asdict(),
            "longest_rows": [self._shown(split, place) for place in longest],
        }

    def _shown(self, split: str, place: int) -> dict[str, Any]:
        """An example in words, and where it is."""
        examples, task = self.examples(split), self.task
        source, target = examples.source.row(place), examples.target.row(place)
        number = int(examples.ids[place])
        return {
            "where": self._where(number) if self.is_text else f"example {number}",
            "source": task.source_vocabulary.join(decode_source(task, source)),
            "target": task.target_vocabulary.join(
                task.target_vocabulary.decode(target)
            ),
            "symbols": [len(source), len(target)],
        }


def _first(bucket: Bucket, most: int) -> Bucket:
    """The first examples of a bucket."""
    return dataclasses.replace(bucket, size=min(bucket.size or most, most))


def _cost(config: Config, task: Task) -> dict[str, Any]:
    """What the widest step and all of them cost, by the products of matrices alone."""
    cost, rate = preflight.estimate(config, task), _rate(config)
    return {
        "parameters": cost.parameters,
        "steps": cost.steps,
        "step_flops": cost.step_flops,
        "flops_per_second": rate,
        "step_seconds": cost.step_flops / rate,
        "memory_bytes": cost.memory,
        "data_bytes": cost.data,
    }


def _rate(config: Config) -> float:
    """FLOPs a second in a product of the model's own size, on this device."""
    rows, units = config.train.batch_size, config.model.units
    x, kernel = jnp.ones((rows, units)), jnp.ones((units, 4 * units))
    product = jax.jit(jnp.matmul)
    product(x, kernel).block_until_ready()
    best, start = float("inf"), time.perf_counter()
    while time.perf_counter() - start < RATE_SECONDS:
        before = time.perf_counter()
        product(x, kernel).block_until_ready()
        best = min(best, time.perf_counter() - before)
    return 2 * rows * units * 4 * units / best
