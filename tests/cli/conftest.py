"""A trained integer run and a trained text run, shared by the tests of commands."""

import pathlib
from types import SimpleNamespace

import pytest

from s2sjax.cli import main

ROOT = pathlib.Path(__file__).parents[2]
EXPERIMENTS = ROOT / "experiments"


@pytest.fixture
def command(capsys):
    """Runs a command; its code, standard output and standard error."""

    def run(*argv):
        capsys.readouterr()
        code = main([str(word) for word in argv])
        out, err = capsys.readouterr()
        return SimpleNamespace(code=code, out=out, err=err)

    return run


@pytest.fixture(scope="session")
def integers(tmp_path_factory):
    """A run of `reversed.py:smoke`: integers, attention."""
    workdir = tmp_path_factory.mktemp("integers") / "run"
    config = f"--config={EXPERIMENTS / 'reversed.py'}:smoke"
    some = "--config.train.valid_examples=20"  # of 32
    assert main(["train", config, some, f"--workdir={workdir}"]) == 0
    return workdir


@pytest.fixture(scope="session")
def text(tmp_path_factory):
    """A run of `fra_eng.py:smoke`: characters, no attention."""
    folder = tmp_path_factory.mktemp("text")
    pairs = folder / "pairs.tsv"
    lines = [f"Hi {a}{b}.\tSalut {a}{b} !\n" for a in "TUVWX" for b in "omeai"]
    pairs.write_text("".join(lines), encoding="utf-8")
    arguments = [
        f"--config={EXPERIMENTS / 'fra_eng.py'}:smoke",
        f"--config.task.path={pairs}",
        f"--workdir={folder / 'run'}",
    ]
    assert main(["train", *arguments]) == 0
    return folder / "run"
