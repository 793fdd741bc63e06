"""A sweep's base config is that of its first launch, unless more trials are wanted."""

import pytest

from s2sjax import config as configs
from s2sjax.errors import UsageError
from s2sjax.runs.provenance import SourceCode
from s2sjax.sweeps import base as bases
from s2sjax.sweeps import grid, seeds, trials
from s2sjax.sweeps.directory import SweepDirectory

CODE = SourceCode("0", "", "")


def resolved(seed=0, **train):
    return configs.resolve({"seed": seed, "train": {"steps": 4, **train}})


def begun(sweep, config, overrides):
    """A launch as the command line makes one; the trials that it is of."""
    defined = trials.resolve(config, overrides)
    sweep.record_launch(["sweep"], CODE, [], base=config)
    sweep.add(defined, lambda trial, path: "")
    return defined


def test_another_base_is_refused_with_the_difference(tmp_path):
    with SweepDirectory(tmp_path) as sweep:
        begun(sweep, resolved(), seeds(2))
        again = resolved(batch_size=8, learning_rate=0.5)
        with pytest.raises(UsageError) as refused:
            bases.check(sweep, again, trials.resolve(again, seeds(3)))
        said = str(refused.value)
        assert "train.batch_size: 32 here, 8 asked" in said
        assert "train.learning_rate: 0.001 here, 0.5 asked" in said
        assert "give add=True for more trials (3 would be added)" in said
        # More values of a sweep under the same base are no other base.
        bases.check(sweep, resolved(), trials.resolve(resolved(), seeds(5)))
        with pytest.raises(UsageError, match="seed: 0 here, 7 asked"):
            bases.check(sweep, resolved(seed=7))
        bases.check(sweep, resolved(seed=7), leave_out=["seed"])


def test_every_base_that_was_added_may_be_repeated(tmp_path):
    rates = grid({"train.learning_rate": (0.1, 0.2)})
    with SweepDirectory(tmp_path) as sweep:
        bases.check(sweep, resolved())  # a new one
        for config in (resolved(), resolved(batch_size=8)):
            begun(sweep, config, rates)
    with SweepDirectory(tmp_path) as sweep:
        for config in (resolved(), resolved(batch_size=8)):
            bases.check(sweep, config)
        # The nearest is told.
        with pytest.raises(
            UsageError, match="another config: seed: 0 here, 1 asked; put"
        ):
            bases.check(sweep, resolved(seed=1, batch_size=8))


def test_data_elsewhere_are_no_other_base_once_the_trials_are_there(tmp_path):
    def text(path):
        task = {"name": "text", "path": str(tmp_path / path)}
        return configs.resolve({"task": task, "train": {"steps": 4}})

    with SweepDirectory(tmp_path / "sweep") as sweep:
        begun(sweep, text("old"), seeds(2))
        with pytest.raises(UsageError, match=r"task\.path: .*old' here, .*new' asked"):
            bases.check(sweep, text("new"))
        old, new = (str(tmp_path / name) for name in ("old", "new"))
        sweep.move_files(old, new, lambda trial, path: "")
        bases.check(sweep, text("new"))
        other = configs.resolve({"task": {"name": "copy"}, "train": {"steps": 4}})
        with pytest.raises(UsageError, match=r"task\.name: 'text' here, 'copy' asked"):
            bases.check(sweep, other)
