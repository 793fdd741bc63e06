"""The backend of a sweep that names none."""

import pytest

from s2sjax import config as configs
from s2sjax.runs.provenance import SourceCode
from s2sjax.sweeps import choice as one_of
from s2sjax.sweeps import grid, product, seeds
from s2sjax.sweeps import trials as definition
from s2sjax.sweeps.backends import begun, choose, choose_search
from s2sjax.sweeps.batched import stored_group
from s2sjax.sweeps.directory import SweepDirectory

UNITS = grid({"model.units": (4, 8, 16)})


def resolved(sweep, **task):
    config = configs.resolve({"task": task, "train": {"steps": 5}})
    return definition.resolve(config, sweep)


@pytest.mark.parametrize(
    ("sweep", "name", "backend", "why"),
    [
        (seeds(2), "sorted", "batched", "2 trials in 1 program;"),
        (product(UNITS, seeds(2)), "copy", "batched", "6 trials in 3 programs;"),
        (product(UNITS, seeds(2))[:5], "copy", "processes", "5 trials in 3 programs"),
        (UNITS, "reversed", "processes", "3 trials in 3 programs"),
        (seeds(1), "reversed", "processes", "1 trial in 1 program;"),
        (seeds(9), "digits_to_words", "batched", "9 trials in 1 program;"),
        (
            seeds(9),
            "text",
            "processes",
            "trial 0: the examples of text may be of several",
        ),
    ],
)
def test_a_new_sweep_is_batched_where_that_saves_programs(sweep, name, backend, why):
    chosen = choose(resolved(sweep, name=name))
    assert chosen.backend == backend and chosen.is_free
    assert chosen.line.startswith(f"backend: {backend}, ") and why in chosen.line
    assert "\n" not in chosen.line


def test_the_name_of_a_function_of_sweep_files_is_not_taken():
    assert callable(one_of)  # a module `sweeps.choice` would hide it


def add(path, backend, *, alone=(), together=()):
    """A launch of a sweep of four, and what its trials then had on the disk."""
    with SweepDirectory(path) as sweep:
        sweep.record_launch(["test"], SourceCode("0", "", ""), [], backend)
        trials, _ = sweep.add(resolved(seeds(4)), lambda trial, path: "")
        for place in alone:
            (sweep.of(trials[place]) / "checkpoints" / "5").mkdir(parents=True)
        if together:
            stored_group.write(path, [trials[place] for place in together], 2)


@pytest.mark.parametrize(
    ("launched", "there", "expected"),
    [
        ("slurm:gpus=1", {}, "slurm:gpus=1"),
        ("", {"alone": [1]}, "processes"),
        ("", {"together": [0, 2]}, "batched"),
        ("ray", {"alone": [0]}, "ray"),
        # A launch that was refused changes nothing.
        ("batched", {"alone": [0]}, "processes"),
        ("processes", {"together": [0, 2]}, "batched"),
        ("processes", {"alone": [1], "together": [0, 2]}, "processes"),
        ("", {}, ""),
    ],
)
def test_a_sweep_goes_on_as_it_was_begun(tmp_path, launched, there, expected):
    path = tmp_path / "sweep"
    assert begun(path) == ""
    add(path, launched, **there)
    assert begun(path) == expected


@pytest.mark.parametrize(
    ("space", "name", "backend"),
    [
        (["seed", "train.learning_rate"], "copy", "batched"),
        (["train.learning_rate", "model.cell"], "copy", "processes"),
        (["train.learning_rate"], "text", "processes"),
    ],
)
def test_a_search_is_batched_where_all_proposals_share_a_program(space, name, backend):
    chosen = choose_search(resolved([{}], name=name), space)
    assert chosen.line.startswith(f"backend: {backend}, ")
