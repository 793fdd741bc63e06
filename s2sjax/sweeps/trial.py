"""A trial: one run of a sweep, by its number, its overrides and its whole config."""

import contextlib
import functools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from s2sjax import config as configs
from s2sjax.config import Config
from s2sjax.errors import UsageError
from s2sjax.sweeps.algebra import Overrides

LONGEST_SLUG = 100
TOLD = 10  # things that are wrong


@dataclass(frozen=True)
class Trial:
    """One run of a sweep."""

    index: int
    overrides: Overrides = field(hash=False)
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
