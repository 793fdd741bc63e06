"""The outputs of every strategy on a run's examples, and how good they are."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from s2sjax import metrics
from s2sjax.benchmark.examples import sources_of
from s2sjax.benchmark.outputs import Outputs, References, outputs, references
from s2sjax.benchmark.plan import Plan, chunks_of, further_of, system_of
from s2sjax.benchmark.search_errors import best_known, search_errors
from s2sjax.benchmark.timing import Ours, Say
from s2sjax.decoding.goals import Goal, goal
from s2sjax.inference.batches import Watch
from s2sjax.inference.load import Trained
from s2sjax.inference.system import System, edits
from s2sjax.inference.text_scores import of_tokens
from s2sjax.outcomes import Outcomes, is_exact, with_further
from s2sjax.tasks import Task, casing
from s2sjax.types import EOS

BINS = 15


class Quality(NamedTuple):
    """Of the best outputs of all examples. See `metrics.summary` for the first three.

    `logprob` is the mean of log p(output), in nats, and `length_ratio` that of the
    output's tokens over the reference's, EOS counted in both, so that neither is
    empty.
    """

    exact: float
    token_accuracy: float
    edit_distance: float
    logprob: float
    length_ratio: float
    calibration_error: float
    truncated: float


def quality(decoded: Outputs, right: References) -> Quality:
    """What the best outputs of all examples are worth."""
    results = _outcomes(decoded, right)
    summary = metrics.summary(results)
    exact = is_exact(results)
    ratios = decoded.lengths[:, 0] / right.lengths
    return Quality(
        summary["exact"],
        summary["token_accuracy"],
        summary["edit_distance"],
        float(decoded.log_probs[:, 0].astype(np.float64).mean()),
        float(ratios.mean()),
        calibration_error(np.exp(decoded.log_probs[:, 0].astype(np.float64)), exact),
        summary["truncated"],
    )


def calibration_error(confidences: np.ndarray, right: np.ndarray) -> float:
    """Expected calibration error, over sequences.

        sum_b |B_b| / E | mean of right in B_b - mean confidence in B_b |

    B_b are the examples with a confidence in (b / `BINS`, (b + 1) / `BINS`]; the first
    holds 0 too. (Naeini et al. 2015; Guo et al. 2017, equation 3.)

    Args:
      confidences: [E] from 0 to 1, here p(output).
      right: [E] bool.

    >>> calibration_error(np.array([0.75, 0.75]), np.array([True, False]))
    0.25
    """
    edges = np.linspace(0, 1, BINS + 1)[1:-1]
    places = np.digitize(confidences, edges, right=True)
    gaps = np.bincount(places, right.astype(float) - confidences, minlength=BINS)
    return float(np.abs(gaps).sum()) / max(len(right), 1)


def _outcomes(decoded: Outputs, right: References) -> Outcomes:
    """The best outputs; what is teacher-forced is not looked at."""
    tokens, truncated = decoded.tokens[:, 0], decoded.truncated[:, 0]
    symbols = (decoded.lengths[:, 0] - (tokens == EOS).any(axis=1)).astype(np.int32)
    wanted = (right.lengths - 1).astype(np.int32)
    edited = np.asarray(
        edits(*map(jnp.asarray, (tokens, symbols, right.tokens, wanted)))
    )
    nothing = np.zeros(len(tokens))
    results = Outcomes.of(
        *(tokens, symbols, truncated, right.tokens, wanted, edited),
        *(nothing, decoded.log_probs[:, 0], -right.log_probs),
        np.zeros(right.tokens.shape, bool),
    )
    return results if right.further is None else with_further(results, right.further)


REFERENCE_BATCH = 32  # at most: an exact search keeps many states for each input


class Evaluated(NamedTuple):
    """A strategy of a run with the outputs of all examples and what they are worth."""

    run: str
    strategy: str
    system: System
    ours: Ours  # compiled for the largest batch size
    outputs: Outputs
    numbers: dict[str, Any]  # of its `Result`: those of quality


def evaluate(
    name: str, trained: Trained, plan: Plan, say: Say, watch: Watch
) -> tuple[list[Evaluated], References]:
    """All strategies of a run, on all examples in the largest batch size."""
    chunks = chunks_of(trained, plan, max(plan.batch_sizes))
    right = references(trained.system, chunks, further_of(trained, plan))
    sources = sources_of(chunks)
    goals = {strategy: goal(strategy) for strategy in plan.strategies}
    systems = {each: system_of(trained, each) for each in plan.strategies}
    compiled, written = {}, {}
    for strategy in plan.strategies:
        say(f"{name}: {strategy} decodes {len(right.tokens):,} examples")
        compiled[strategy] = Ours(systems[strategy], chunks)
        with watch(f"{name}: {strategy}") as passed:
            written[strategy] = outputs(compiled[strategy], chunks, passed)
    pool = [(goals[each], written[each]) for each in plan.strategies]
    for own in dict.fromkeys(filter(None, goals.values())):
        if plan.reference is None or own.of(plan.reference) in plan.strategies:
            continue
        say(f"{name}: {own.of(plan.reference)} decodes the reference")
        few = chunks_of(trained, plan, min(REFERENCE_BATCH, max(plan.batch_sizes)))
        referee = Ours(system_of(trained, own.of(plan.reference)), few)
        with watch(f"{name}: the reference") as passed:
            pool.append((own, outputs(referee, few, passed)))
    evaluated = [
        Evaluated(
            name,
            strategy,
            systems[strategy],
            compiled[strategy],
            decoded,
            {
                "examples": len(decoded.tokens),
                **quality(decoded, right)._asdict(),
                **_texts(trained.task, sources, decoded, right),
                "target_logprob": float(right.log_probs.astype(np.float64).mean()),
                **_errors(goals[strategy], decoded, pool),
            },
        )
        for strategy, decoded in written.items()
    ]
    return evaluated, right


def _texts(
    task: Task, sources: list[list[int]], decoded: Outputs, right: References
) -> dict[str, float | None]:
    results = _outcomes(decoded, right)
    rows = results.output.tolist(), results.references.by_example()
    written = casing.written(task, sources)
    texts = of_tokens(task.target_vocabulary, *rows, written=written)
    return {name: texts.get(name) for name in ("bleu", "chrf")}


def _errors(
    own: Goal | None, decoded: Outputs, pool: Sequence[tuple[Goal | None, Outputs]]
) -> dict[str, Any]:
    """The share of search errors, and what they were told by."""
    share, reference, proved = None, "not defined", None
    if own is not None:
        best = best_known(own, pool)
        share, reference = float(search_errors(own, decoded, best).mean()), "best known"
        if best.proved is not None:
            proved = float(best.proved.mean())
            # Only 1 is written as 100 %.
            shown = f"{min(proved, 0.999):.1%}" if proved < 1 else "100%"
            reference = f"exact (proved for {shown})".replace("%", " %")
    names = ("search_errors", "search_reference", "proved")
    return dict(zip(names, (share, reference, proved), strict=True))
