"""Trained runs, opened to be read: models, parameters and task."""

import dataclasses
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from s2sjax import rng, tasks
from s2sjax.config import Config, code_files
from s2sjax.decoding.strategies import decoding
from s2sjax.errors import UsageError
from s2sjax.inference.forecasting import rolling
from s2sjax.inference.system import System
from s2sjax.metrics import metric
from s2sjax.models.architectures import Model, build_model
from s2sjax.models.readout import Numeric, readout_of
from s2sjax.runs import code, run_files, slices
from s2sjax.runs.checkpoint import CheckpointReader, Restored
from s2sjax.runs.directory import RunDirectory, open_for_reading
from s2sjax.runs.run_files import DATA
from s2sjax.tasks import Task

Which = Literal["last", "best"] | int


class Trained(NamedTuple):
    """What evaluation and decoding need of a run."""

    path: Path
    config: Config
    task: Task
    system: System
    step: int

    @property
    def params(self) -> Any:
        """The parameters of the run (of an ensemble's first)."""
        return self.system.params[0]


def open_trained(
    workdir: str | os.PathLike[str],
    which: Which = "best",
    *,
    strategy: str | None = None,
    seed: int | None = None,
    no_user_code: bool = False,
    say: Callable[[str], None] = lambda line: None,
) -> Trained:
    """Opens a run to evaluate or decode; needs nothing but the directory.

    Args:
      workdir: the run's directory.
      which: the checkpoint.
      strategy: another decoding strategy than the config's.
      seed: another seed, of test data that are generated and of decoding.
      no_user_code: refuse a run whose model or training is a Python file.
      say: takes one line for a person.

    Raises:
      UsageError: it is not a run, has no such checkpoint, or the strategy is unknown.
    """
    run = open_for_reading(workdir)
    recorded = run_files.read_config(run.path)
    code.announce(run.path, code_files(recorded), say, refused=no_user_code)
    config = run.config
    if strategy is not None:
        config = with_decode(config, strategy=strategy)
    check_strategy(config)
    task = tasks.load(config, run.data)
    if seed is not None:
        config = dataclasses.replace(config, seed=seed)
        # What training has seen still follows from the run's own seed.
        drawn = tasks.load(config, run.data)
        if not any(bucket.drawn for bucket in task.buckets["test"]):
            say(
                "the test data of this run are kept, and stay as they are with any seed"
            )
        task = dataclasses.replace(task, buckets=drawn.buckets)
    model = build_model(config, *task.sides)
    restored = _restore(run, model, which, say)
    params = jax.tree.map(jnp.asarray, restored.state)
    system = System.of(model, config, params)
    return Trained(run.path, config, task, system, restored.step)


def _restore(
    run: RunDirectory, model: Model, which: Which, say: Callable[[str], None]
) -> Restored:
    """The parameters: from the run's own checkpoints, or from its group's."""
    better = metric(run.config.train.metric_name).better
    reader = CheckpointReader(run.checkpoints, metric_better=better, say=say)
    shapes = jax.eval_shape(lambda: model.init(rng.root(0)))
    if (run.path / slices.NAME).is_file() and not reader.steps():
        return slices.SliceReader(run.path, say).restore_slice(which, shapes)
    restored = reader.restore_params(which, shapes)
    ended = _ended_with(run)
    if which in ("best", "last") and restored.step < ended:
        say(
            f"checkpoint {ended}, the best when training ended, is gone from "
            f"{run.checkpoints}; step {restored.step} is used"
        )
    return restored


def _ended_with(run: RunDirectory) -> int:
    """The best step of a run that has ended; -1 where that is not told."""
    try:
        return run_files.read_test(run.path).get("step", -1)
    except UsageError:  # damaged, and not needed
        return -1


def open_ensemble(
    workdirs: Sequence[str | os.PathLike[str]],
    which: Which = "best",
    *,
    combine: str | None = None,
    **options: Any,
) -> Trained:
    """Opens runs that decode together; task and config are those of the first.

    Args:
      workdirs: their directories; a single one is that run.
      which: the checkpoint of each.
      combine: another mean than the first config's `decode.ensemble`.
      options: those of `open_trained`.

    Raises:
      UsageError: as `open_trained`; or the runs have different vocabularies.
    """
    first, *others = (open_trained(path, which, **options) for path in workdirs)
    config = first.config
    if combine is not None:
        config = with_decode(config, ensemble=combine)
    for other in others:
        _check_same_symbols(first, other)
    models = tuple(run.system.models[0] for run in (first, *others))
    params = tuple(run.params for run in (first, *others))
    return first._replace(config=config, system=System(models, config, params))


def with_training(trained: Trained) -> Trained:
    """The run with its training examples; files are read again where it keeps none.

    Raises:
      UsageError: the files are gone, or are not those of the run.
    """
    if "train" in trained.task.buckets:
        return trained
    try:
        task = tasks.load_all(trained.config, trained.path / DATA)
    except UsageError as error:
        raise UsageError(f"split=train: {error}") from None
    buckets = {**trained.task.buckets, "train": task.buckets["train"]}
    whole = dataclasses.replace(trained.task, buckets=buckets, baselines=task.baselines)
    return trained._replace(task=whole)


def check_strategy(config: Config) -> None:
    """Whether the model of a config can decode by its strategy.

    Raises:
      UsageError: there is no such strategy or argument, or no decoder for it.
    """
    strategy, readout = config.decode.strategy, readout_of(config)
    if isinstance(readout, Numeric):
        rolling(strategy, readout)
        return
    decoding(strategy)
    if not config.model.has_decoder and strategy != "greedy":
        raise UsageError(
            f"decoding strategy '{strategy}' is for a decoder, which "
            f"model.architecture={config.model.architecture} does not have: it says "
            f"the most probable symbols (greedy)"
        )


def with_decode(config: Config, **changes: Any) -> Config:
    """The config with other fields of `decode`."""
    decode = dataclasses.replace(config.decode, **changes)
    return dataclasses.replace(config, decode=decode)


def _check_same_symbols(first: Trained, other: Trained) -> None:
    for side in ("source", "target"):
        ours = getattr(first.task, f"{side}_vocabulary")
        theirs = getattr(other.task, f"{side}_vocabulary")
        same = ("kind", "symbols", "features")
        if any(getattr(ours, name) != getattr(theirs, name) for name in same):
            raise UsageError(
                f"{other.path} has another {side} vocabulary "
                f"({len(theirs)} ids) than {first.path} ({len(ours)}); "
                f"runs that decode together write the same symbols"
            )
    ours, theirs = (run.config.model.architecture for run in (first, other))
    if ours != theirs:
        raise UsageError(
            f"{other.path} has model.architecture={theirs} and {first.path} {ours}; "
            f"runs that decode together have the same"
        )
    for field in ("reverse_source", "source_eos"):
        if getattr(first.task, field) != getattr(other.task, field):
            raise UsageError(
                f"{other.path} and {first.path} do not read their sources in the same "
                f"way (task.{field})"
            )


def longest_trained(task: Task) -> int:
    """Symbols in the longest source that training, or else validation, holds."""
    split = "train" if "train" in task.buckets else "valid"
    return max(bucket.source_width for bucket in task.buckets[split])


def check_length(trained: Trained, longest: int) -> str:
    """What to say of an input longer than those of training; empty if it is not."""
    limit = longest_trained(trained.task)
    if longest <= limit:
        return ""
    if longest > 100_000:
        raise UsageError(f"an input of {longest} symbols is too long; at most 100000")
    return (
        f"an input has {longest} symbols, more than the {limit} of training; it is "
        f"decoded all the same"
    )
