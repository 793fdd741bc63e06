"""The trials of a sweep, as its directory has them."""

import dataclasses
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, TypedDict, get_args

from s2sjax import config as configs
from s2sjax import json_objects, places
from s2sjax.config import TrainConfig
from s2sjax.errors import UsageError, unknown
from s2sjax.metrics import METRICS
from s2sjax.reporting.measure import SPLITS, measure
from s2sjax.runs import run_files

TRIALS, SWEEP = "trials.jsonl", "sweep.json"
Status = Literal["done", "running", "pending", "failed", "pruned"]
STATUSES = get_args(Status)
SEED = "seed"  # a replicate: averaged over unless it is asked for
# Numbers of an evaluation that are not a result.
_NO_METRICS = ("step", "examples", "seed")


@dataclasses.dataclass(frozen=True)
class Trial:
    """A row of `trials.jsonl`, checked.

    Attributes:
      metrics: those that are finite, at the best step, by split and name, e.g.
        `valid_exact` and `test_exact`.
      examples: that those of a split are of, by split; without those not told.
      best_step: of the parameters; None: not told.
      seed: of the config; None: not told.
    """

    index: int
    name: str  # of its directory in `trials`
    overrides: Mapping[str, Any]  # by dotted field
    status: str  # one of STATUSES
    metrics: Mapping[str, float] = dataclasses.field(default_factory=dict)
    seconds: float | None = None
    device: str = ""
    error: str = ""
    command: str = ""
    examples: Mapping[str, int] = dataclasses.field(default_factory=dict)
    best_step: int | None = None
    seed: int | None = None

    def value(self, metric: str) -> float | None:
        """The metric, of a trial that is done: earlier numbers do not compare."""
        return self.metrics.get(metric) if self.status == "done" else None


@dataclasses.dataclass(frozen=True)
class SweepTable:
    """The trials in the order of their indices."""

    directory: Path
    trials: tuple[Trial, ...]
    asked: int = 0  # how many there are to be; 0: as many as there are
    metric: str = "exact"  # by which each chooses its best step, where all share one

    @property
    def lacking(self) -> int:
        """How many of those that were asked for are not there."""
        return max(self.asked - len(self.trials), 0)

    def fields(self) -> list[str]:
        """Every overridden field, in the order in which they first appear."""
        return list(dict.fromkeys(f for trial in self.trials for f in trial.overrides))

    def varying(self) -> list[str]:
        """The factors: overridden fields with several values; not the seed."""
        return [f for f in self.fields() if f != SEED and len(self.values(f)) > 1]

    def values(self, field: str) -> set[str]:
        """The values of a field, as JSON; unset is one of them."""
        return {json.dumps(trial.overrides.get(field)) for trial in self.trials}

    def metrics(self) -> list[str]:
        """The metrics that some trial has, the usual ones of each split first."""
        names = dict.fromkeys(name for t in self.trials for name in t.metrics)
        usual = [f"{split}_{name}" for split in SPLITS for name in METRICS]
        return sorted(names, key=lambda name: [*usual, name].index(name))

    def counts(self) -> dict[str, int]:
        """How many trials have each status, without those that none has."""
        statuses = [trial.status for trial in self.trials]
        return {s: statuses.count(s) for s in STATUSES if s in statuses}

    def metric_named(self, name: str) -> str:
        """The metric that a name means, of validation where there is one.

        Raises:
          UsageError: no trial has it; with the nearest one.
        """
        known = self.metrics() or [f"{s}_{name}" for s in SPLITS for name in METRICS]
        for full in (name, *(f"{split}_{name}" for split in SPLITS)):
            if full in known:
                return full
        plain = {measure(full).quantity for full in known}
        raise unknown("metric", name, {*plain, *known})

    def check_fields(self, text: str) -> list[str]:
        """The fields of `FIELD,...`.

        Raises:
          UsageError: a field that no trial overrides, with the nearest one.
        """
        names = list(dict.fromkeys(name.strip() for name in text.split(",")))
        known = self.fields()
        for name in names:
            if name not in known and not known:
                raise UsageError(f"group_by={text}: no trial overrides any field")
            if name not in known:
                raise unknown("field of group_by", name, known)
        return names


def read(workdir: str, say: Callable[[str], None] = lambda line: None) -> SweepTable:
    """Reads the sweep in a directory, also while it runs.

    An override that only some trials have is filled in from the other trials' own
    configs, so that a chain of grids has a value for every field; so is a field in
    which launches with different configs made them differ.

    Args:
      say: takes a line for every row that is left out, and for every trial whose
        config is not what it was launched with.

    Raises:
      UsageError: it is not a sweep, is of another format, or has no readable trial.
    """
    directory = run_files.checked_path(workdir)
    path = directory / TRIALS
    if not path.is_file():
        what = places.not_a_sweep(directory)
        raise UsageError(f"path={workdir} {what}; `s2sjax sweep` makes a sweep")
    run_files.check_files(directory)
    asked = run_files.read_object(directory / SWEEP).get("asked")
    asked = asked if isinstance(asked, int) else 0
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    rows: dict[str, Trial] = {}
    for number, line in enumerate(lines, start=1):
        try:
            trial = _trial(json_objects.decode(line, _Row))
        except (ValueError, OverflowError) as error:
            is_json = not isinstance(error, json.JSONDecodeError)
            problem = str(error) if is_json else "not a line of JSON"
            say(f"{path}:{number} is left out: {problem}")
            continue
        if trial.name in rows:
            say(f"{path}:{number}: {trial.name} is there twice; the last one counts")
        rows[trial.name] = trial
    if not rows:
        raise UsageError(f"{path} has no trial that can be read")
    trials = sorted(rows.values(), key=lambda trial: (trial.index, trial.name))
    return _filled(SweepTable(directory, tuple(trials), asked), say)


class _Row(TypedDict):
    """What `ledger.Ledger` writes of a trial."""

    index: int
    name: str
    overrides: dict[str, Any]
    status: Status
    valid: dict[str, float]
    test: dict[str, float]
    best_step: int | None
    seed: int | None
    seconds: float
    device: str
    error: str
    command: str


def _trial(row: _Row) -> Trial:
    name, splits = row["name"], {"valid": row["valid"], "test": row["test"]}
    # It becomes a path, which must stay below the sweep.
    if not name or name.startswith(".") or "/" in name or "\0" in name:
        raise ValueError(f"name {name!r} is not that of a trial")
    return Trial(
        index=row["index"],
        name=name,
        overrides=row["overrides"],
        status=row["status"],
        metrics={
            f"{split}_{key}": float(value)
            for split, values in splits.items()
            for key, value in values.items()
            if key not in _NO_METRICS
        },
        seconds=row["seconds"],
        device=row["device"],
        error=row["error"],
        command=row["command"],
        examples={
            split: int(values["examples"])
            for split, values in splits.items()
            if values.get("examples", 0) > 0
        },
        best_step=row["best_step"],
        seed=row["seed"],
    )


def _filled(table: SweepTable, say: Callable[[str], None]) -> SweepTable:
    """Trials with a value for every field that some override or some config differs in,
    and the metric that their configs share.

    Launches with different configs may have made them: what tells them apart is no
    override then.
    """
    own = {trial.name: _launched(table, trial, say) for trial in table.trials}
    known = [config for config in own.values() if config]
    differing = [
        field
        for field in sorted(known[0] if known else ())
        if len({json.dumps(config.get(field)) for config in known}) > 1
    ]
    fields = list(dict.fromkeys([*table.fields(), *differing]))

    def whole(trial: Trial) -> Trial:
        config = own[trial.name]
        missing = [field for field in fields if field not in trial.overrides]
        more = {f: config[f] for f in missing if config.get(f) is not None}
        return dataclasses.replace(trial, overrides={**trial.overrides, **more})

    chosen_by = {TrainConfig(metric=each["train.metric"]).metric_name for each in known}
    metric = chosen_by.pop() if len(chosen_by) == 1 else table.metric
    trials = tuple(map(whole, table.trials))
    return dataclasses.replace(table, trials=trials, metric=metric)


class _Launched(TypedDict):
    """What is read of `trial.json`."""

    config: dict[str, Any]


def _launched(
    table: SweepTable, trial: Trial, say: Callable[[str], None]
) -> dict[str, Any]:
    """The config that a trial was launched with, by dotted field; empty where it
    cannot be read. What its run has now was edited, where it differs.
    """
    folder = table.directory / places.TRIALS / trial.name
    path = folder / run_files.TRIAL
    if not path.is_file():
        return {}
    try:
        launched = json_objects.read(path, _Launched)["config"]
        config = configs.resolve(launched)
    except UsageError:
        say(f"{path} was changed after the launch; its fields are left out")
        return {}
    path = folder / run_files.CONFIG
    now = run_files.read_object(path, plain=True)
    if path.is_file() and run_files.identity(now) != run_files.identity(launched):
        say(f"{path} was changed after the launch; what was launched counts")
    return configs.flatten(config)
