"""What every strategy of a run writes, and what that is worth."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from s2sjax.benchmark.contender import Ours
from s2sjax.benchmark.outputs import Outputs, References, outputs, references
from s2sjax.benchmark.plan import Plan, chunks_of, system_of
from s2sjax.benchmark.quality import Quality, quality
from s2sjax.benchmark.search_errors import Goal, best_known, goal, search_errors
from s2sjax.benchmark.timing import Say
from s2sjax.training.batches import Passed
from s2sjax.training.predictor import System
from s2sjax.training.text_scores import of_tokens
from s2sjax.training.trained import Trained

REFERENCE_BATCH = 32  # at most: an exact search keeps many states for each input

Watch = Callable[[str], Passed]
"""`watch(what)` is told how many batches of something are done."""


class Errors(NamedTuple):
    """The share of search errors, and what they were told by."""

    share: float | None
    reference: str
    proved: float | None  # share of inputs whose best is known for certain


class Judged(NamedTuple):
    """A strategy of a run with the outputs of all examples and what they are worth."""

    run: str
    strategy: str
    system: System
    ours: Ours  # compiled for the largest batch size
    outputs: Outputs
    quality: Quality
    texts: dict[str, float]
    target_logprob: float
    errors: Errors


def judge(
    name: str, trained: Trained, plan: Plan, say: Say, watch: Watch
) -> tuple[list[Judged], References]:
    """All strategies of a run, on all examples in the largest batch size."""
    chunks = chunks_of(trained, plan, max(plan.batch_sizes))
    right = references(trained.system, chunks)
    goals = {strategy: goal(strategy) for strategy in plan.strategies}
    systems = {each: system_of(trained, each) for each in plan.strategies}
    compiled, written = {}, {}
    for strategy in plan.strategies:
        say(f"{name}: {strategy} decodes {len(right.tokens):,} examples")
        compiled[strategy] = Ours(systems[strategy], chunks)
        passed = watch(f"{name}: {strategy}")
        written[strategy] = outputs(compiled[strategy], chunks, passed)
    pool = [(goals[each], written[each]) for each in plan.strategies]
    for own in dict.fromkeys(filter(None, goals.values())):
        if plan.reference is None or own.of(plan.reference) in plan.strategies:
            continue
        say(f"{name}: {own.of(plan.reference)} decodes the reference")
        few = chunks_of(trained, plan, min(REFERENCE_BATCH, max(plan.batch_sizes)))
        referee = Ours(system_of(trained, own.of(plan.reference)), few)
        passed = watch(f"{name}: the reference")
        pool.append((own, outputs(referee, few, passed)))
    vocabulary = trained.task.target_vocabulary
    judged = [
        Judged(
            name,
            strategy,
            systems[strategy],
            compiled[strategy],
            found,
            quality(found, right),
            of_tokens(vocabulary, found.tokens[:, 0].tolist(), right.tokens.tolist()),
            float(right.log_probs.astype(np.float64).mean()),
            _errors(goals[strategy], found, pool),
        )
        for strategy, found in written.items()
    ]
    return judged, right


def _errors(
    own: Goal | None, found: Outputs, pool: Sequence[tuple[Goal | None, Outputs]]
) -> Errors:
    if own is None:
        return Errors(None, "not defined", None)
    best = best_known(own, pool)
    share = float(search_errors(own, found, best).mean())
    if best.proved is None:
        return Errors(share, "best known", None)
    proved = float(best.proved.mean())
    # Only 1 is written as 100 %.
    told = f"{min(proved, 0.999):.1%}" if proved < 1 else "100%"
    return Errors(share, f"exact (proved for {told})".replace("%", " %"), proved)
