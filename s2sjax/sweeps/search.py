"""Search beyond grids: Optuna proposes trials and ends hopeless ones, by ask and tell.

The launcher alone talks to Optuna, whose journal stands beside the sweep; trials know
nothing of it. What is optimised is the best value of `train.metric` on the validation
examples, so that the test examples choose nothing. Needs the extra `search`.
"""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from s2sjax import config as configs
from s2sjax.config import Config
from s2sjax.errors import UsageError
from s2sjax.metrics import metric
from s2sjax.sweeps import optuna_specs, trial_files, trials
from s2sjax.sweeps.directory import SweepDirectory, is_search
from s2sjax.sweeps.draws import Distribution
from s2sjax.sweeps.ledger import Ledger
from s2sjax.sweeps.trial_files import Result
from s2sjax.sweeps.trials import Trial

NAME = "search.journal"
IN_VAIN = 100  # proposals in a row that make no new trial, after which a search ends
_STUDY = "sweep"
_OVERRIDES = "overrides"  # of an Optuna trial: what it became, number for number


def check(
    sweep: SweepDirectory, base: Config, space: Mapping[str, Distribution]
) -> str:
    """Refuses a search other than the one that was begun; writes nothing.

    Returns:
      What to say of one that is to go on; empty where there is nothing.

    Raises:
      UsageError: the space or the config differs from that of the first launch, or
        Optuna's journal is damaged.
    """
    path = sweep.path / NAME
    if not path.is_file():
        if not any(map(is_search, sweep.launches)):
            return ""
        return (
            f"{path} is gone: the search begins anew; a trial that is there is not "
            "trained again"
        )
    storage = _storage(path)
    proposed = [
        trial
        for study in storage.get_all_studies()
        for trial in storage.get_all_trials(study._study_id, deepcopy=False)
        if _OVERRIDES in trial.user_attrs
    ]
    if not proposed:
        return ""
    then = proposed[0].distributions
    now = {name: _distribution(given) for name, given in space.items()}
    parts = [
        f"{name} is {_described(now.get(name))}, was {_described(then.get(name))}"
        for name in {**then, **now}
        if then.get(name) != now.get(name)
    ]
    if parts:
        raise _other(sweep, "space", parts)
    overrides = [trial.user_attrs[_OVERRIDES] for trial in proposed]
    first = next((t.config for t in sweep.trials if t.overrides in overrides), base)
    parts = [
        f"{field} is {now_!r}, was {then_!r}"
        for field, (now_, then_) in configs.difference(base, first).items()
        if field not in space
    ]
    if parts:
        raise _other(sweep, "config", parts)
    return ""


class Search:
    """Trials that Optuna proposes; a `TrialQueue` for the scheduler.

    A search that was killed goes on: a proposal without an end is taken up again, and
    so is a trial whose result was lost. A proposal that makes no trial, since it is one
    that is there or cannot be, counts for nothing.

    Args:
      sweep: where the trials are added.
      ledger: how they stand.
      base: the config that a proposal overrides.
      space: what may be proposed; see `check`.
      sampler: the spec of a sampler, e.g. "tpe:seed=1".
      pruner: the spec of a pruner, e.g. "asha", or "none".
      most: trials in all, of earlier launches too.
      command: the command line of a trial.

    Raises:
      UsageError: Optuna is not installed, a spec that cannot be, or a damaged journal.
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
        self._metric = base.train.metric_name
        self._space = {name: _distribution(d) for name, d in space.items()}
        self._size = math.prod(map(_size, space.values()))
        self._in_vain = 0  # proposals since the last that made a new trial
        self._refused = ""  # why the last one that cannot be cannot
        self.trials: list[Trial] = []  # proposed so far
        # Optuna's trials by our names: two proposals may be the same run.
        self._proposals: dict[str, list[Any]] = {}
        self._reported: dict[str, tuple[int, int]] = {}  # size of a journal, last step
        _mend(sweep.path / NAME)
        self._study = optuna.create_study(
            storage=_storage(sweep.path / NAME),
            study_name=_STUDY,
            direction=f"{metric(self._metric).better}imize",
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
        self._lost: list[
            Trial
        ] = []  # those that Optuna knows the end of, and we do not
        for each in self._study.trials:
            if _OVERRIDES not in each.user_attrs:
                continue
            trial = self._trial(each.user_attrs[_OVERRIDES])
            if trial not in self.trials:
                self.trials.append(trial)
                if each.state.is_finished() and trial.name not in ledger.results:
                    self._lost.append(trial)

    def next(self) -> Trial | None:
        """See `TrialQueue`."""
        while self._lost or self._unended or self._wants_more():
            if self._lost:
                return self._lost.pop(0)
            if self._unended:
                trial = self._taken(self._unended.pop(0))
            else:
                trial = self._taken(self._study.ask(self._space))
            if trial is not None:
                return trial
        return None

    def lacking(self) -> str:
        """Why there are fewer trials than were asked for; empty where there are not."""
        if len(self.trials) >= self._most:
            return ""
        if len(self.trials) >= self._size:
            return f"the space has no more than {self._size:,} trials"
        if self._in_vain < IN_VAIN:
            return ""  # it was stopped
        why = f", or cannot be ({self._refused})" if self._refused else ""
        return (
            f"the last {IN_VAIN} proposals are trials that are there{why}; the same "
            "command tries further ones"
        )

    def _wants_more(self) -> bool:
        wanted = min(self._most, self._size)
        return len(self.trials) < wanted and self._in_vain < IN_VAIN

    def _taken(self, proposal: Any) -> Trial | None:
        """The trial of a proposal, where that is left to run."""
        overrides = proposal.user_attrs.get(_OVERRIDES, proposal.params)
        self._in_vain += 1
        trial = None
        if set(overrides) == set(self._space):  # else killed while it was proposed
            try:
                trial = self._trial(overrides)
            except UsageError as error:  # values that exclude one another
                self._refused = str(error)
        if trial is None:
            self._study.tell(proposal, state=self._optuna.trial.TrialState.FAIL)
            return None
        proposal.set_user_attr(_OVERRIDES, overrides)
        same = self._proposals.setdefault(trial.name, [])
        same.append(proposal)
        if trial not in self.trials:
            self.trials.append(trial)
            self._in_vain = 0
        result = self._ledger.results.get(trial.name)
        if result is not None:  # proposed before, or its end was not told
            self.ended(trial, result)
            return None
        return None if same[1:] else trial  # one that runs: both are told its end

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
            best = min(values) if metric(self._metric).lower else max(values)
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
        if trial.name not in self._reported:  # an earlier launcher may have
            reported = self._study.trials[proposal.number].intermediate_values
            self._reported[trial.name] = 0, max(reported, default=-1)
        seen, last = self._reported[trial.name]
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

    def _trial(self, overrides: Mapping[str, Any]) -> Trial:
        """The trial of a proposal, in the sweep."""
        defined = trials.resolve(self._base, [overrides])
        (trial,), _ = self._sweep.add(defined, self._command)
        return trial

    def _evaluations(self, directory: Path) -> list[tuple[int, float]]:
        """Step and value of each evaluation on validation examples."""
        return [
            (entry["step"], entry[self._metric])
            for entry in trial_files.validations(directory)
            if isinstance(entry.get(self._metric), int | float)
        ]


def _other(sweep: SweepDirectory, what: str, parts: list[str]) -> UsageError:
    return UsageError(
        f"path={sweep.path}: the {what} differs from that of the first launch: "
        f"{'; '.join(parts)}; put it back, or search in another directory"
    )


def _storage(path: Path) -> Any:
    """Optuna's journal, as far as it was written.

    Raises:
      UsageError: it is damaged.
    """
    storages = optuna_specs.load().storages
    try:
        backend = storages.journal.JournalFileBackend(str(path), lock_obj=_Held())
        return storages.JournalStorage(backend)
    except Exception as error:  # whatever Optuna makes of a line that it did not write
        if isinstance(error, OSError):
            raise
        raise UsageError(f"{path} is damaged: not what a search wrote") from None


class _Held:
    """The lock that Optuna asks for: the sweep's own, which this process has."""

    def acquire(self) -> bool:
        return True

    def release(self) -> None:
        pass


def _mend(path: Path) -> None:
    """Takes away a line that a killed launcher left half written.

    Optuna would add its next one to it.
    """
    if path.is_file():
        with open(path, "rb+") as file:
            data = file.read()
            file.truncate(data.rfind(b"\n") + 1)


def _distribution(given: Distribution) -> Any:
    """Optuna's word for it."""
    kinds = optuna_specs.load().distributions
    if given.values:
        return kinds.CategoricalDistribution(given.values)
    kind = kinds.IntDistribution if given.whole else kinds.FloatDistribution
    return kind(given.low, given.high, log=given.log)


def _described(given: Any) -> str:
    """One of Optuna's distributions as a config file writes it."""
    if given is None:
        return "not in it"
    if hasattr(given, "choices"):
        return f"choice({', '.join(map(repr, given.choices))})"
    return f"{'log_uniform' if given.log else 'uniform'}({given.low}, {given.high})"


def _size(given: Distribution) -> float:
    """How many values there are."""
    if given.values:
        return len(set(given.values))
    if given.low == given.high:
        return 1
    return given.high - given.low + 1 if given.whole else math.inf
