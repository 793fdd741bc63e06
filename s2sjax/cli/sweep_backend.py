"""The backend of `s2sjax sweep`, with the flags that it needs before jax starts."""

import os
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from s2sjax import environment, program_cache
from s2sjax.cli import start
from s2sjax.cli.flags import Parsed
from s2sjax.errors import UsageError

if TYPE_CHECKING:
    from s2sjax.sweeps.backend_choice import Choice
    from s2sjax.sweeps.trial import Trial


def prepare(
    parsed: Parsed,
    trials: "Sequence[Trial]",
    sweep: Path | None,
    space: Collection[str] = (),
) -> "Choice":
    """The backend that was asked for, or the one that is chosen; checks the trials.

    Args:
      parsed: the command.
      trials: what it trains, or some that stand for it.
      sweep: its directory; None: it has none yet.
      space: of a search, the fields that it proposes.

    Raises:
      UsageError: trials that the backend cannot train.
    """
    start.warn(program_cache.keep(os.environ))
    choice = _choice(parsed, trials, sweep, space)
    before = os.environ.get("XLA_FLAGS")
    lines = _split_cpu(trials) if choice.is_batched else []
    if not choice.is_batched or parsed.values.dry_run:
        _leave_devices()

    from s2sjax.sweeps import batched, checks
    from s2sjax.sweeps.processes import gpus

    if parsed.config is not None:
        checks.check(trials)
    # The memory of a GPU is known once it is taken.
    can_be_checked = not (parsed.values.dry_run and gpus(os.environ))
    if choice.is_batched and (choice.is_free or parsed.config) and can_be_checked:
        try:
            batched.check(trials)
        except UsageError as error:
            if not (choice.is_free and _on_cpu()):
                raise
            _restore(before)  # for the processes that are started
            return choice._replace(backend="processes", why=f"since {error}")
    start.warn([] if parsed.values.dry_run else lines)
    return choice


def _choice(
    parsed: Parsed,
    trials: "Sequence[Trial]",
    sweep: Path | None,
    space: Collection[str],
) -> "Choice":
    from s2sjax.sweeps.backend_choice import Choice, begun, choose, choose_search

    asked = parsed.values.backend
    if asked is not None:
        return Choice(asked)
    there = begun(sweep) if sweep is not None else ""
    if there:
        return Choice(there, "as this sweep was begun")
    if space:
        return choose_search(trials, space)
    if parsed.values.workers is not None:
        why = f"since --workers={parsed.values.workers} counts them"
        return Choice("processes", why, is_free=True)
    return choose(trials)


def _split_cpu(trials: "Sequence[Trial]") -> list[str]:
    """Sets the flags of trials that share a process: a device of the CPU for each
    core. What to say of them.
    """
    deterministic = any(trial.config.train.deterministic for trial in trials)
    cores = len(environment.cores())
    return environment.prepare(
        os.environ, threads=1, deterministic=deterministic, devices=cores
    )


def _leave_devices() -> None:
    """Leaves the devices to the trials; here only shapes are computed."""
    import jax

    jax.config.update("jax_platforms", "cpu")


def _on_cpu() -> bool:
    """Whether the launcher, which has started jax, holds no device of the trials.

    What is too large for a GPU by itself is so for a process on it too.
    """
    import jax

    return jax.devices()[0].platform == "cpu"


def _restore(flags: str | None) -> None:
    if flags is None:
        os.environ.pop("XLA_FLAGS", None)
    else:
        os.environ["XLA_FLAGS"] = flags
