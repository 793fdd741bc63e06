"""What evaluation makes of outputs that are numbers."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from s2sjax import metrics, spec, user_code
from s2sjax.config import Config, placeless
from s2sjax.errors import UsageError
from s2sjax.forecasts import LEVELS, Forecasts, concatenate
from s2sjax.inference.batches import Chunk
from s2sjax.inference.forecasting import force, forecast, trajectories
from s2sjax.inference.kind import Kind, Sample, alone
from s2sjax.inference.spread import Spread
from s2sjax.inference.system import System, fitting_rows
from s2sjax.tasks.series.numbers import THERE
from s2sjax.tasks.task import Bucket, Task
from s2sjax.types import Batch

SHOWN = 6  # numbers of a series, in words for a person


class Read(NamedTuple):
    """What was read of one example."""

    rows: np.ndarray  # [S, F], as they enter
    shift: np.ndarray  # [G]; a target is shift + scale * value
    scale: np.ndarray  # [G]


def rows_at_once(system: System, bucket: Bucket) -> int:
    """The rows of a batch of a bucket: `decode.batch_size`, fewer of long ones."""
    decode = system.config.decode
    longest = bucket.source_width + bucket.target_width
    return min(decode.batch_size, fitting_rows(longest * trajectories(decode.strategy)))


def columns(
    system: System,
    batch: Batch,
    each: Callable[..., Any] = alone,
    *,
    oracle_length: bool = False,
) -> tuple[jax.Array, ...]:
    """What becomes of a batch: the columns of `Forecasts`, [B, ...], or [R, B, ...].

    Raises:
      UsageError: `oracle_length`, which numbers have anyway.
    """
    if oracle_length:
        raise UsageError("oracle_length=True means nothing to numbers: all are told it")
    spread: Spread = each(forecast, system, batch)
    log_probs = each(force, system, batch)
    given = batch.given
    target = given.shift[..., None, :] + given.scale[..., None, :] * batch.target
    steps = jnp.arange(batch.target.shape[-2])
    within = jnp.expand_dims(steps, range(batch.target_lengths.ndim))
    within = within < batch.target_lengths[..., None]
    nothing = jnp.full_like(spread.mean, jnp.nan)
    return (
        jnp.where(within[..., None], target, jnp.nan),
        spread.mean,
        spread.median,
        nothing[..., None] if spread.quantiles is None else spread.quantiles,
        nothing if spread.crps is None else spread.crps,
        log_probs,
    )


def of_columns(
    columns: Sequence[np.ndarray], bucket: Bucket, chunk: Chunk
) -> Forecasts:
    """The forecasts of a chunk of a bucket, from the columns of its batch."""
    target, mean, median, quantiles, crps, log_probs = (
        column[: chunk.examples] for column in columns
    )
    count, _, numbers = target.shape
    naive, series = np.full((count, numbers), np.nan), np.full(count, "", object)
    if bucket.references is not None:
        origins = bucket.references.taken(chunk.rows[:count])
        naive, series = origins.seasonal, origins.series
    is_point = quantiles.shape[-1] != len(LEVELS)
    return Forecasts(
        target,
        mean,
        median,
        naive,
        series,
        None if is_point else quantiles,
        None if is_point else crps,
        None if np.isnan(log_probs).all() else log_probs,
    )


def rows_of(batch: Batch, count: int) -> list[Read]:
    """What was read of the first examples of a batch."""
    rows, ends = np.asarray(batch.source), np.asarray(batch.source_lengths)
    shift, scale = np.asarray(batch.given.shift), np.asarray(batch.given.scale)
    return [
        Read(rows[row, : ends[row]], shift[row], scale[row]) for row in range(count)
    ]


def spread(
    task: Task, count: int, results: Forecasts, sources: Sequence[Read]
) -> list[Sample]:
    """So many of them, spread over the examples: of each its first number alone."""
    places = np.linspace(0, len(sources) - 1, min(count, len(sources)), dtype=int)

    def shown(place: int) -> Sample:
        read = sources[place]
        past = history(task, read)[-SHOWN:, 0]
        return Sample(
            _line(past) if len(past) else f"{len(read.rows)} steps",
            _line(results.median[place, :SHOWN, 0]),
            _line(results.target[place, :SHOWN, 0]),
        )

    return [shown(place) for place in places.tolist()]


def _line(numbers: np.ndarray) -> str:
    return " ".join("?" if np.isnan(each) else f"{each:.3g}" for each in numbers)


def measured(
    task: Task, results: Forecasts, sources: Sequence[Any], metric: str
) -> dict[str, Any]:
    """How good forecasts are, in numbers; `metric` too where it is a user's own."""
    values = metrics.of_numbers(results)
    own = metrics.own(metric)
    if own is not None:
        parsed = spec.parse(metric)
        whole: Any = results
        values[parsed.name] = user_code.call(parsed.file, lambda: own.mean(whole))
    return values


def evaluation(
    task: Task,
    config: Config,
    step: int,
    split: str,
    results: Forecasts,
    sources: Sequence[Read],
    confusion: bool = False,
    ter: bool = False,
    baselines: bool = False,
) -> dict[str, Any]:
    """The numbers of one evaluation by name; no times and no paths.

    Beside the metrics: those by step of the horizon, by number and by series, and how
    many examples read numbers far outside of training; with `baselines` what forecasts
    without a model come to.

    Raises:
      UsageError: what only symbols have.
    """
    for name, asked in {"confusion": confusion, "ter": ter}.items():
        if asked:
            raise UsageError(f"{name}=True is of symbols; {task.name} has numbers")
    target: Any = task.target_vocabulary
    found = measured(task, results, sources, config.train.metric) | {
        "split": split,
        "step": step,
        "decode": placeless(config.decode.strategy),
        "seed": config.seed,
        "by_step": metrics.by_step(results),
        "by_number": metrics.by_number(results, target.names),
        "outside": outside(task, sources),
    }
    if baselines:
        found["baselines"] = task.baselines(split)
    names, series = np.unique(results.series.astype(str), return_inverse=True)
    if len(names) > 1:
        numbered = results._replace(series=series)
        found["by_series"] = metrics.by_series(numbered, names.tolist())
    return found


def outside(task: Task, sources: Sequence[Read]) -> dict[str, int]:
    """How many examples read a number far outside of training, by its name.

    Far is further from the least or the most of training than these are apart.
    """
    read: Any = task.source_vocabulary
    if not read.least or not sources:
        return {}
    least, most = np.array(read.least), np.array(read.most)
    span = most - least
    far = np.array(
        [
            ((each.rows < least - span) | (each.rows > most + span)).any(axis=0)
            for each in sources
        ]
    ).sum(axis=0)
    return {
        name: int(count) for name, count in zip(read.names, far, strict=True) if count
    }


def history(task: Task, read: Read) -> np.ndarray:
    """What an example read of its targets' past, [S, G] in their units; [0, G] where
    that is not read. What is missing is NaN."""
    source: Any = task.source_vocabulary
    own = np.array(read.rows[:, : source.own], np.float64)
    if not source.own:
        return np.zeros((0, len(read.shift)))
    for place, name in enumerate(source.names[: source.own]):
        if name + THERE in source.names:
            there = read.rows[:, source.names.index(name + THERE)] > 0
            own[:, place] = np.where(there, own[:, place], np.nan)
    return read.shift + read.scale * own


def predictions(
    task: Task,
    results: Forecasts,
    sources: Sequence[Read],
    *,
    wrong: bool = False,
) -> list[dict[str, Any]]:
    """Each forecast beside what came, the furthest off first.

    Raises:
      UsageError: `wrong`, of which numbers know only more and less.
    """
    if wrong:
        raise UsageError("wrong=True means nothing to numbers: none is quite right")
    errors = np.abs(results.target - results.median)
    counts = results.observed.sum(axis=(1, 2))
    off = np.nansum(errors, axis=(1, 2)) / np.maximum(counts, 1)
    order = np.argsort(-off, kind="stable")
    columns: dict[str, Any] = {
        "target": results.target,
        "mean": results.mean,
        "median": results.median,
    }
    if results.quantiles is not None:
        columns |= {f"q{level}": results.quantile(level) for level in LEVELS}

    def plain(column: np.ndarray) -> list[list[float | None]]:
        return [[None if np.isnan(n) else float(n) for n in row] for row in column]

    return [
        {
            "series": str(results.series[place]),
            "absolute_error": float(off[place]),
            "history": plain(history(task, sources[place])),
            **{name: plain(column[place]) for name, column in columns.items()},
        }
        for place in order.tolist()
    ]


def far_lines(far: dict[str, int], count: int) -> list[str]:
    """What to say of inputs far outside of training."""
    return [
        f"{many:,} of {count:,} inputs have {name} far outside of what training had"
        for name, many in far.items()
    ]


def remarks(found: Mapping[str, Any]) -> list[str]:
    """What to say of inputs far outside of training, and where a forecast without a
    model is better."""
    beaten = metrics.beaten(found, found.get("baselines", {}))
    far = far_lines(found["outside"], found["examples"])
    return [*far, f"{found['split']}: {beaten}"] if beaten else far


NUMBERS = Kind(
    rows_at_once,
    columns,
    of_columns,
    concatenate,
    rows_of,
    spread,
    measured,
    evaluation,
    predictions,
    remarks,
)
