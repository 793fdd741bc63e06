"""One compiled program per group of trials; not there yet."""

from collections.abc import Sequence

from s2sjax.errors import UsageError
from s2sjax.sweeps.directory import SweepDirectory
from s2sjax.sweeps.ledger import Ledger
from s2sjax.sweeps.scheduler import Watcher
from s2sjax.sweeps.trial import Trial
from s2sjax.training.interruption import Signals


def check(trials: Sequence[Trial]) -> None:
    """Refuses what cannot be trained like this, before anything is written.

    Raises:
      UsageError: a group that cannot be.
    """
    raise UsageError("--backend=batched is not there yet; use --backend=processes")


def run(
    sweep: SweepDirectory,
    ledger: Ledger,
    trials: Sequence[Trial],
    signals: Signals,
    watcher: Watcher,
) -> None:
    """Trains trials, group by group, in this process; see `scheduler.run`."""
    check(trials)
