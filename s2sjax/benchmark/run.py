"""The benchmark: all strategies on the same examples, their rounds taken in turn."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from s2sjax.benchmark.outputs import References
from s2sjax.benchmark.peers import table
from s2sjax.benchmark.plan import Plan, check, long_examples
from s2sjax.benchmark.quality import evaluate
from s2sjax.benchmark.result import Result
from s2sjax.benchmark.rounds import time_all
from s2sjax.benchmark.timing import Say
from s2sjax.inference.batches import Watch, nobody
from s2sjax.inference.load import Trained


class Benchmark(NamedTuple):
    """What came out."""

    rows: list[Result]
    notes: list[str]  # what a reader must know
    references: dict[str, References]  # of each run


def comparable(
    runs: Mapping[str, Trained], right: Mapping[str, References]
) -> list[list[str]]:
    """The runs in groups of one task: equal examples, or examples drawn alike."""
    groups: list[list[str]] = []
    for name, trained in runs.items():
        for group in groups:
            first = runs[group[0]]
            same = trained.config.task == first.config.task or (
                _same(right[name], right[group[0]])
                and trained.task.target_vocabulary == first.task.target_vocabulary
            )
            if same:
                group.append(name)
                break
        else:
            groups.append([name])
    return groups


def _same(one: References, other: References) -> bool:
    return np.array_equal(one.source, other.source) and np.array_equal(
        one.tokens, other.tokens
    )


def run(
    runs: Mapping[str, Trained],
    plan: Plan,
    say: Say,
    watch: Watch = nobody,
) -> Benchmark:
    """Everything in the plan, for every run.

    Outputs are evaluated once, from the largest batch size; every batch size is timed.

    Raises:
      UsageError: before anything is compiled, a strategy that some run cannot take.
    """
    check(runs, plan)
    evaluated, right = [], {}
    notes: list[str] = []
    for name, trained in runs.items():
        left_out = long_examples(trained, plan)
        if left_out:
            notes.append(
                f"{name}: {left_out:,} long examples are left out, of which "
                f"{max(plan.batch_sizes)} are too many for a batch"
            )
            say(notes[-1])
        qualities, right[name] = evaluate(name, trained, plan, say, watch)
        evaluated += qualities
    # Now, because PyTorch's own number of threads is forgotten once another is set.
    ways = table.ways() if plan.peers else ()
    rows = []
    for batch_size in sorted(plan.batch_sizes):
        more, remarks = time_all(runs, evaluated, batch_size, plan, ways, say)
        rows += more
        notes += remarks
    order = {(each.run, each.strategy): place for place, each in enumerate(evaluated)}
    rows.sort(key=lambda row: (order[row.run, row.strategy], row.batch_size))
    return Benchmark(rows, list(dict.fromkeys(notes)), right)
