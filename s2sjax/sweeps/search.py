"""Search beyond grids: Optuna proposes trials and ends hopeless ones, by ask and tell.

The launcher alone talks to Optuna, whose journal stands beside the sweep; trials know
nothing of it. What is optimised is the best value of `train.metric` on the validation
examples, so that the test examples choose nothing. Needs the extra `search`.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from s2sjax.config import Config
from s2sjax.sweeps import definition, optuna_specs, trial_files
from s2sjax.sweeps.directory import SweepDirectory
from s2sjax.sweeps.draws import Distribution
from s2sjax.sweeps.ledger import Ledger
from s2sjax.sweeps.trial import Trial
from s2sjax.sweeps.trial_files import Result
from s2sjax.training.progress import LOWER

NAME = "search.journal"
_OVERRIDES = "overrides"  # of an Optuna trial: what it became, number for number


class Search:
    """Trials that Optuna proposes; a `Source` for the scheduler.

    A search that was killed goes on: a proposal without an end is taken up again.

    Args:
      sweep: where the trials are added.
      ledger: how they stand.
      base: the config that a proposal overrides.
      space: what may be proposed.
      sampler: the spec of a sampler, e.g. "tpe:seed=1".
      pruner: the spec of a pruner, e.g. "asha", or "none".
      most: proposals in all, of earlier launches too.
      command: the command line of a trial.

    Raises:
      UsageError: Optuna is not installed, or a spec that cannot be.
    """

    def __init__(
        self,
        sweep: SweepDirectory,
        ledger: Ledger,
        base: Config,
        space: Mapping[str, Distribution],
        sampler: str,
        pruner: str,
        most: int,
        command: Callable[[Trial, Path], str],
    ):
        optuna = optuna_specs.load()
        self._optuna, self._sweep, self._ledger = optuna, sweep, ledger
        self._base, self._most, self._command = base, most, command
        self._metric = base.train.metric
        self._space = {name: _distribution(optuna, d) for name, d in space.items()}
        self.trials: list[Trial] = []  # proposed so far
        # Optuna's trials by our names: two proposals may be the same run.
        self._proposals: dict[str, list[Any]] = {}
        self._reported: dict[str, tuple[int, int]] = {}  # size of a journal, last step
        storage = optuna.storages
        backend = storage.journal.JournalFileBackend(str(sweep.path / NAME))
        self._study = optuna.create_study(
            storage=storage.JournalStorage(backend),
            study_name="sweep",
            direction="minimize" if self._metric in LOWER else "maximize",
            load_if_exists=True,
            pruner=optuna_specs.make_pruner(pruner),
        )
        # The same seed would propose the same again.
        already = len(self._study.trials)
        self._study.sampler = optuna_specs.make_sampler(sampler, already)
        self._unended = [
            optuna.trial.Trial(self._study, each._trial_id)
            for each in self._study.trials
            if not each.state.is_finished()
        ]
        for each in self._study.trials:
            if each.state.is_finished() and _OVERRIDES in each.user_attrs:
                self.trials.append(self._trial(each.user_attrs[_OVERRIDES]))

    def next(self) -> Trial | None:
        """See `Source`."""
        while self._unended or len(self._study.trials) < self._most:
            if self._unended:
                proposal = self._unended.pop(0)
            else:
                proposal = self._study.ask(self._space)
            overrides = proposal.user_attrs.get(_OVERRIDES, proposal.params)
            if set(overrides) != set(self._space):  # killed while it was proposed
                self._study.tell(proposal, state=self._optuna.trial.TrialState.FAIL)
                continue
            proposal.set_user_attr(_OVERRIDES, overrides)
            trial = self._trial(overrides)
            same = self._proposals.setdefault(trial.name, [])
            same.append(proposal)
            if trial not in self.trials:
                self.trials.append(trial)
            result = self._ledger.results.get(trial.name)
            if result is not None:  # proposed before, or its end was not told
                self.ended(trial, result)
            elif not same[1:]:  # else it runs, and both are told its end
                return trial
        return None

    def ended(self, trial: Trial, result: Result) -> None:
        """Tells Optuna the best validation value, or that there is none."""
        for proposal in self._proposals.pop(trial.name, []):
            self._tell(proposal, trial, result)

    def _tell(self, proposal: Any, trial: Trial, result: Result) -> None:
        state = self._optuna.trial.TrialState
        values = [value for _, value in self._evaluations(self._sweep.of(trial))]
        if result.status == "pruned":
            self._study.tell(proposal, state=state.PRUNED)
        elif result.status == "done" and values:
            best = min(values) if self._metric in LOWER else max(values)
            self._study.tell(proposal, best)
        else:
            self._study.tell(proposal, state=state.FAIL)

    def prunes(self, trial: Trial, directory: Path) -> bool:
        """Whether the pruner gives up a trial, asked at each new evaluation."""
        path = directory / "metrics.jsonl"
        size = path.stat().st_size if path.exists() else 0
        proposals = self._proposals.get(trial.name)
        if proposals is None:
            return False
        proposal = proposals[0]
        seen, last = self._reported.get(trial.name) or (0, self._told(proposal))
        if size == seen:
            return False
        # What an earlier launcher reported may have been hopeless already.
        hopeless = seen == 0 and last >= 0 and proposal.should_prune()
        for step, value in self._evaluations(directory):
            if step > last:
                proposal.report(value, step)
                hopeless = hopeless or proposal.should_prune()
                last = step
        self._reported[trial.name] = size, last
        return hopeless

    def _told(self, proposal: Any) -> int:
        """The last step at which a value was reported; -1 where none was."""
        reported = self._study.trials[proposal.number].intermediate_values
        return max(reported, default=-1)

    def _trial(self, overrides: Mapping[str, Any]) -> Trial:
        """The trial of a proposal, in the sweep."""
        defined = definition.resolve(self._base, [overrides])
        (trial,), _ = self._sweep.add(defined, self._command)
        return trial

    def _evaluations(self, directory: Path) -> list[tuple[int, float]]:
        """Step and value of each evaluation on validation examples."""
        return [
            (entry["step"], entry[self._metric])
            for entry in trial_files.validations(directory)
            if isinstance(entry.get(self._metric), int | float)
        ]


def _distribution(optuna: ModuleType, given: Distribution) -> Any:
    kinds = optuna.distributions
    if given.values:
        return kinds.CategoricalDistribution(given.values)
    kind = kinds.IntDistribution if given.whole else kinds.FloatDistribution
    return kind(given.low, given.high, log=given.log)
