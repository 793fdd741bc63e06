"""Search beyond grids: Optuna proposes trials and ends hopeless ones, by ask and tell.

The launcher alone talks to Optuna, whose journal stands beside the sweep; trials know
nothing of it. What is optimised is the best value of `train.metric` on the validation
examples, so that the test examples choose nothing. Needs the extra `search`.

What Optuna proposes is a function of the spec, of the number of the proposal and of
what the journal holds, and so is what it prunes: samplers and pruners are made anew
each time. So a search that was killed goes on as if it had not been, as far as its
trials end in the order in which they do: with one at a time.
"""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from s2sjax import config as configs
from s2sjax.config import Config
from s2sjax.errors import UsageError
from s2sjax.metrics import metric
from s2sjax.runs import run_files
from s2sjax.sweeps import optuna_specs, trial_files, trials
from s2sjax.sweeps.directory import SweepDirectory, is_search
from s2sjax.sweeps.draws import Distribution
from s2sjax.sweeps.ledger import Ledger
from s2sjax.sweeps.optuna_journal import Journal
from s2sjax.sweeps.trial_files import Result
from s2sjax.sweeps.trials import Trial

NAME = "search.journal"
IN_VAIN = 100  # proposals in a row that make no new trial, after which a search ends
_STUDY = "sweep"
# Attributes of an Optuna trial:
_OVERRIDES = "overrides"  # what it became, number for number
_HOPELESS = "hopeless"  # the step at which the pruner gave it up


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
    storage = Journal(path).storage
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
        self._sampler, self._pruner = sampler, pruner
        self._metric = base.train.metric_name
        self._space = {name: _distribution(d) for name, d in space.items()}
        self._size = math.prod(map(_size, space.values()))
        self._in_vain = 0  # proposals since the last that made a new trial
        self._refused = ""  # why the last one that cannot be cannot
        self.trials: list[Trial] = []  # proposed so far
        self._names: set[str] = set()  # of them
        # Optuna's trials by our names: two proposals may be the same run.
        self._proposals: dict[str, list[Any]] = {}
        self._judged: dict[str, int] = {}  # the size of a run's journal, by name
        self._journal = Journal(sweep.path / NAME)
        self._study = optuna.create_study(
            storage=self._journal.storage,
            study_name=_STUDY,
            direction=f"{metric(self._metric).better}imize",
            load_if_exists=True,
            sampler=optuna_specs.make_sampler(sampler),
            pruner=optuna_specs.make_pruner(pruner),
        )
        self._journal.commit()
        self._unended: list[Any] = []
        # Those that Optuna knows the end of, and we do not.
        self._lost: list[Trial] = []
        for each in self._study.get_trials(deepcopy=False):
            is_over = each.state.is_finished()
            if not is_over:
                self._unended.append(optuna.trial.Trial(self._study, each._trial_id))
            self._in_vain += is_over
            if _OVERRIDES not in each.user_attrs:
                continue
            trial = self._trial(each.user_attrs[_OVERRIDES])
            if self._is_new(trial) and is_over and trial.name not in ledger.results:
                self._lost.append(trial)
        if self._in_vain >= IN_VAIN:  # a launch ended with them, and this one tries on
            self._in_vain = 0

    def next(self) -> Trial | None:
        """See `TrialQueue`."""
        while self._lost or self._unended or self._wants_more():
            if self._lost:
                return self._lost.pop(0)
            if self._unended:
                trial = self._taken(self._unended.pop(0))
            else:
                trial = self._taken(self._asked())
            self._journal.commit()
            if trial is not None:
                return trial
        return None

    def _asked(self) -> Any:
        """The next proposal."""
        number = len(self._study.get_trials(deepcopy=False))
        self._study.sampler = optuna_specs.make_sampler(self._sampler, number)
        self._study.pruner = optuna_specs.make_pruner(self._pruner)
        return self._study.ask(self._space)

    def _is_new(self, trial: Trial) -> bool:
        """Whether no proposal was this trial before; now one is."""
        if trial.name in self._names:
            return False
        self._names.add(trial.name)
        self.trials.append(trial)
        self._in_vain = 0
        return True

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
        self._is_new(trial)
        result = self._ledger.results.get(trial.name)
        if result is not None:  # proposed before, or its end was not told
            self.ended(trial, result)
            return None
        return None if same[1:] else trial  # one that runs: both are told its end

    def ended(self, trial: Trial, result: Result) -> None:
        """Tells Optuna the best validation value, or that there is none."""
        proposals = self._proposals.pop(trial.name, [])
        state, value = self._optuna.trial.TrialState.FAIL, None
        values = [value for _, value in self._evaluations(self._sweep.of(trial))]
        has_value = bool(proposals and values) and result.status != "failed"
        # One that nobody stopped in time is judged by its evaluations, too.
        hopeless = has_value and self._is_hopeless(proposals[0], trial)
        if result.status == "pruned" or hopeless:
            state = self._optuna.trial.TrialState.PRUNED
        elif has_value:
            state = self._optuna.trial.TrialState.COMPLETE
            value = min(values) if metric(self._metric).lower else max(values)
        for proposal in proposals:
            self._study.tell(proposal, value, state=state)
        self._journal.commit()

    def prunes(self, trial: Trial, directory: Path) -> bool:
        """Whether the pruner gives up a trial, asked at each new evaluation."""
        path = directory / run_files.METRICS
        size = path.stat().st_size if path.exists() else 0
        if trial.name not in self._proposals or size == self._judged.get(trial.name):
            return False
        self._judged[trial.name] = size
        return self._is_hopeless(self._proposals[trial.name][0], trial)

    def _is_hopeless(self, proposal: Any, trial: Trial) -> bool:
        """Whether the pruner has given a proposal up.

        It is asked at each evaluation in turn, but not at the end of all steps.
        """
        if _HOPELESS in proposal.user_attrs:
            return True
        there = self._study.get_trials(deepcopy=False)[proposal.number]
        last = max(there.intermediate_values, default=-1)
        steps = trial.config.train.steps or math.inf
        for step, value in self._evaluations(self._sweep.of(trial)):
            if step <= last:
                continue
            proposal.report(value, step)
            self._study.pruner = optuna_specs.make_pruner(self._pruner)
            if step < steps and proposal.should_prune():
                proposal.set_user_attr(_HOPELESS, step)
                break
        self._journal.commit()
        return _HOPELESS in proposal.user_attrs

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
