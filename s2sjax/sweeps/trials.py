"""From the sweeps of a config file to trials whose every field is checked."""

import contextlib
import dataclasses
import functools
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from s2sjax import config as configs
from s2sjax import experiment
from s2sjax.config import Config
from s2sjax.errors import Problems, UsageError
from s2sjax.sweeps.algebra import Overrides, product
from s2sjax.sweeps.draws import Distribution

LONGEST_SLUG = 100
TOLD = 10  # things that are wrong


@dataclass(frozen=True)
class Trial:
    """One run of a sweep."""

    index: int
    overrides: Overrides = dataclasses.field(hash=False)
    config: Config  # resolved
    name: str  # of its directory

    @functools.cached_property
    def config_hash(self) -> str:
        """The hash of every field."""
        return configs.config_hash(self.config)


def make(index: int, overrides: Overrides, config: Config) -> Trial:
    """A trial that has no directory yet, named by index, overrides and config.

    >>> from s2sjax.config import resolve
    >>> trial = make(7, {"seed": 1}, resolve({"seed": 1, "train": {"steps": 5}}))
    >>> trial.name.rpartition("-")[0]
    '0007-seed=1'
    """
    words = [f"{index:04d}", slug(overrides), configs.config_hash(config)]
    return Trial(index, overrides, config, "-".join(filter(None, words)))


class TrialProblems:
    """What is wrong with some trials, told at once: each thing for its first trial.

    >>> problems = TrialProblems()
    >>> for index in (3, 4):
    ...     with problems.of(index):
    ...         raise UsageError("one thing", f"what {index} has alone")
    >>> problems.tell()
    Traceback (most recent call last):
    s2sjax.errors.UsageError: trial 3: one thing; trial 3: what 3 has alone; trial 4: \
what 4 has alone
    """

    def __init__(self) -> None:
        self._found: dict[str, int] = {}

    @contextlib.contextmanager
    def of(self, index: int) -> Iterator[None]:
        """Takes in what is wrong with the trial of that number."""
        try:
            yield
        except UsageError as error:
            for line in error.args:
                self._found.setdefault(line, index)

    def tell(self) -> None:
        """Raises what was found, if anything was."""
        if self._found:
            lines = [f"trial {index}: {line}" for line, index in self._found.items()]
            more = len(lines) - TOLD
            rest = [f"and {more} more like these"] if more > 0 else []
            raise UsageError(*lines[:TOLD], *rest)


def slug(overrides: Overrides) -> str:
    """Overrides as part of a file's name that needs no quoting in a shell.

    >>> slug({"train.learning_rate": 0.0123456789, "train.optimizer": "adam:b2=0.98"})
    'train.learning_rate=0.0123457-train.optimizer=adam_b2=0.98'
    """
    short = {f: f"{v:g}" if isinstance(v, float) else v for f, v in overrides.items()}
    text = "-".join(f"{field}={value}" for field, value in short.items())
    return re.sub(r"[^A-Za-z0-9._=+-]", "_", text)[:LONGEST_SLUG].rstrip("-.")


def renumbered(trials: Sequence[Trial], first: int) -> list[Trial]:
    """The trials in order, counted from `first`."""
    return [
        make(first + place, trial.overrides, trial.config)
        for place, trial in enumerate(trials)
    ]


def define(
    text: str, base: Config, names: Sequence[str] = (), most: int | None = None
) -> list[Trial]:
    """The trials of a config file: the cross product of its sweeps `names`.

    Args:
      text: `FILE[:variant]`.
      base: its config, with what the command line overrides.
      names: of sweeps; none: the one that is called `sweep`.
      most: how many trials are kept, the first ones; None: all.

    Raises:
      UsageError: an unknown or empty sweep, two that set the same field, or a trial
        that `resolve` refuses.
    """
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise UsageError(f"sweep={','.join(names)}: {twice[0]} is chosen twice")
    yielded = experiment.sweeps(text, names, base)
    for name, trials in yielded.items():
        if not trials:
            raise UsageError(f"{text}: the sweep '{name}' yields no trial")
    try:
        overrides = product(*yielded.values())
    except UsageError as error:
        raise UsageError(f"sweep={','.join(names)}: {error}") from None
    return resolve(base, itertools.islice(overrides, most))


def resolve(base: Config, sweep: Iterable[Mapping[str, Any]]) -> list[Trial]:
    """The trials of a list of overrides, each checked against the schema.

    Raises:
      UsageError: an unknown field (with the nearest one), an impossible value, or a
        trial that is the same run as an earlier one; it names the trial.

    >>> base = configs.resolve({"train": {"steps": 5}})
    >>> [trial.config.seed for trial in resolve(base, [{"seed": 3}, {"seed": 4}])]
    [3, 4]
    """
    values = configs.flatten(base)
    trials: list[Trial] = []
    first: dict[Config, int] = {}
    problems = TrialProblems()
    for index, given in enumerate(sweep):
        with problems.of(index):
            trial = make(index, *_resolved(values, given))
            same = first.setdefault(trial.config, index)
            if same != index:
                raise UsageError(f"it is the same run as trial {same}: {dict(given)}")
            trials.append(trial)
    problems.tell()
    if not trials:
        raise UsageError("the sweep yields no trial")
    return trials


def space(text: str, base: Config) -> dict[str, Distribution]:
    """The space that a config file's `search(config)` describes.

    Raises:
      UsageError: none, an unknown field, or a value that the field does not take.
    """
    proposed = experiment.search(text, base)
    known = configs.fields()
    for field, distribution in proposed.items():
        try:
            if field not in known:
                raise configs.unknown_field(str(field))
            if not isinstance(distribution, Distribution):
                raise UsageError(
                    f"{field}={distribution!r} is not uniform(...), log_uniform(...) "
                    "or choice(...)"
                )
            ends = (distribution.low, distribution.high)
            for value in distribution.values or ends:
                configs.checked(known[field], value)
        except UsageError as error:
            raise UsageError(f"{text}: search: {error}") from None
    return proposed


def largest(base: Config, space: Mapping[str, Distribution]) -> Trial:
    """A trial that stands for a search: each number the largest that is proposed.

    Where those exclude one another, it is the base config itself.
    """
    numbers = {
        field: max(distribution.values or (distribution.high,))
        for field, distribution in space.items()
        if all(isinstance(v, int | float) for v in distribution.values)
    }
    try:
        (trial,) = resolve(base, [numbers])
    except UsageError:
        (trial,) = resolve(base, [{}])
    return trial


def _resolved(
    base: Mapping[str, Any], given: Mapping[str, Any]
) -> tuple[Overrides, Config]:
    known = configs.fields()
    overrides, problems = {}, Problems()
    for field, value in given.items():
        with problems:
            if field not in known:
                raise configs.unknown_field(str(field))
            # A number of numpy's, out of np.logspace, is a number.
            plain = value.item() if hasattr(value, "item") else value
            overrides[field] = configs.checked(known[field], plain)
    problems.tell()
    # Written down too, so that the trial's command says it after the base's own words.
    for field in configs.displaced({**base, **overrides}, overrides):
        overrides[field] = known[field].default
    return overrides, configs.resolve(_nested({**base, **overrides}))


def _nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for path, value in flat.items():
        *parents, last = path.split(".")
        node = nested
        for parent in parents:
            node = node.setdefault(parent, {})
        node[last] = value
    return nested
