"""What `docs/sweeps.md` shows is what the commands do."""

import pathlib
import re
import shlex

import pytest

import s2sjax.sweeps
from s2sjax import experiment
from s2sjax.cli import report, sweep
from s2sjax.sweeps import trials as definition

ROOT = pathlib.Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "sweeps.md").read_text("utf-8")


@pytest.fixture
def shown(tmp_path):
    """The experiment of the page, in a file, and its config."""
    (block,) = re.findall(r"```python\n# my_experiment.py\n(.*?)```", TEXT, re.DOTALL)
    path = tmp_path / "my_experiment.py"
    path.write_text(block)
    return str(path), experiment.load_config(str(path))


def test_the_experiment_has_the_trials_that_one_reads_there(shown):
    path, config = shown
    trials = definition.define(path, config)
    assert len(trials) == 2 * 2 * 3
    assert {trial.config.task.length for trial in trials} == {5, 10}
    rates = definition.define(path, config, ["rates"])
    assert len(rates) == 8
    assert all(1e-4 <= trial.config.train.learning_rate <= 1e-2 for trial in rates)
    assert len(definition.define(path, config, ["sweep", "rates"])) == 12 * 8
    space = definition.space(path, config)
    assert set(space) == {"train.learning_rate", "model.cell"}


@pytest.mark.parametrize("name", ["length_generalisation", "data_size"])
def test_the_shipped_sweeps_have_the_trials_that_file_and_page_say(name):
    text = f"{ROOT / 'experiments' / name}.py"
    said = pathlib.Path(text).read_text("utf-8").partition('"""\n\n')[0]
    trials = definition.define(f"{text}:small", experiment.load_config(f"{text}:small"))
    seeds = {trial.config.seed for trial in trials}
    assert f"{len(seeds)} seeds: {len(trials)} trials" in " ".join(said.split())
    assert said.count("seeds") == 1
    assert f"{len(trials)}" in TEXT.partition(f"experiments/{name}.py:small")[2]
    assert {3: "Three seeds each"}[len(seeds)] in TEXT


def test_flags_and_functions_of_the_page_exist():
    flags = {flag.name for command in (sweep, report) for flag in command.COMMAND.flags}
    named = set(re.findall(r"--([a-z_]+)", TEXT)) - {"config", "checkpoint"}
    assert named <= flags
    table = TEXT.partition("| function | trials |")[2].partition("\n\n")[0]
    functions = set(re.findall(r"^\| `([a-z]+)\(", table, re.MULTILINE))
    assert functions == {"grid", "zip", "product", "chain", "seeds", "draws"}
    assert functions <= set(s2sjax.sweeps.__all__)


def test_the_commands_name_experiments_that_there_are():
    commands = re.findall(r"^    (s2sjax sweep .*)$", TEXT, re.MULTILINE)
    files = [
        word.removeprefix("--config=")
        for command in commands
        for word in shlex.split(command)
        if word.startswith("--config=experiments/")
    ]
    assert len(files) >= 4
    for file in files:
        assert experiment.load_config(str(ROOT / file)).train.steps


def test_the_pictures_are_there():
    for name in re.findall(r'src="([^"]+)"', TEXT):
        assert (ROOT / "docs" / name).stat().st_size > 0
