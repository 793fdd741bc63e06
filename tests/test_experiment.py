"""Experiment files: found, executed, overridden; what is wrong is one line."""

import os

import pytest

from s2sjax import config, experiment
from s2sjax.errors import UsageError

GOOD = """
from s2sjax.config import base_config, parse_arg

def get_config(arg=None):
    arg = parse_arg(arg, smoke=False)
    config = base_config()
    config.train.steps = 5 if arg.smoke else 100
    config.train.optimizer = "adam:b1=0.9,b2=0.98"
    return config
"""


@pytest.fixture
def good(tmp_path):
    path = tmp_path / "good.py"
    path.write_text(GOOD)
    return str(path)


def refused(text, overrides=None):
    with pytest.raises(UsageError) as told:
        experiment.load_config(text, overrides)
    message = str(told.value)
    assert "\n" not in message
    return message


def test_a_file_and_its_variant(good):
    assert experiment.load_config(good).train.steps == 100
    assert experiment.load_config(f"{good}:smoke").train.steps == 5


def test_a_colon_in_the_path(tmp_path):
    folder = tmp_path / "a:b"
    folder.mkdir()
    path = folder / "x:y.py"
    path.write_text(GOOD)
    assert experiment.load_config(str(path)).train.steps == 100
    assert experiment.load_config(f"{path}:smoke").train.steps == 5


def test_nothing_is_left_beside_the_file_or_in_the_interpreter(good, tmp_path):
    import sys

    before = set(sys.modules)
    experiment.load_config(good)
    assert [path.name for path in tmp_path.iterdir()] == ["good.py"]
    assert {name for name in set(sys.modules) - before if "config" in name} == set()


@pytest.mark.parametrize(
    ("field", "text", "value"),
    [
        ("train.steps", "1e3", 1000),
        ("seed", "2147483647", 2147483647),
        ("train.learning_rate", "1", 1.0),
        ("train.learning_rate", "2.5e-4", 2.5e-4),
        ("train.deterministic", "true", True),
        ("train.deterministic", "False", False),
        ("task.min_length", "3", 3),
        ("task.min_length", "none", None),
        ("task.min_length", "None", None),
        ("task.normalise", "nfkc", "nfkc"),
        ("task.normalise", "none", None),
        ("decode.strategy", "beam:size=10,alpha=1.0", "beam:size=10,alpha=1.0"),
        ("decode.strategy", "beam(size=10, alpha=1.0)", "beam(size=10, alpha=1.0)"),
        ("train.optimizer", "adam:b1=0.9,b2=0.98", "adam:b1=0.9,b2=0.98"),
        ("task.name", "/a:b/mine.py:interleave", "/a:b/mine.py:interleave"),
        ("task.name", "a:b/mine.py:double", os.path.abspath("a:b/mine.py") + ":double"),
        ("task.path", "", ""),
        ("task.path", "none", os.path.abspath("none")),
        ("task.path", "/--x=1 'y", "/--x=1 'y"),
        ("model.attention", "none", "none"),
    ],
)
def test_overrides_reach_the_config_unharmed(good, field, text, value):
    resolved = experiment.load_config(good, {field: text})
    got = config.flatten(resolved)[field]
    assert got == value and type(got) is type(value)
    expected = (
        {field} if got != config.flatten(experiment.load_config(good))[field] else set()
    )
    assert set(config.difference(experiment.load_config(good), resolved)) == expected


@pytest.mark.parametrize(
    ("field", "text", "told"),
    [
        ("model.unit", "3", "did you mean 'model.units'"),
        ("model", "{'units': 4}", "one field at a time"),
        ("units.model", "4", "unknown field"),
        ("model.units", "many", "model.units=many is not a whole number"),
        ("model.units", "3,4", "model.units=3,4 is not a whole number"),
        ("model.units", "[3]", "model.units=[3] is not"),
        ("model.units", "1.5", "model.units=1.5 is not a whole number"),
        ("model.units", "0", "model.units=0 is not a whole number from 1"),
        ("seed", "2147483648", "seed=2147483648 is not a whole number from 0"),
        ("train.steps", "1e10", "train.steps=10000000000 is not a whole number from 1"),
        ("task.first_symbol", "-3000000000", "from -1000000000 to"),
        ("model.units", "-8", "model.units=-8"),
        ("model.units", "", "model.units= is not"),
        ("model.units", "none", "model.units=none is not a whole number"),
        ("train.precision", "hihgest", "did you mean 'highest'"),
        ("train.precision", "None", "one of default"),
        ("task.path", "None", "the text 'None'"),
        ("task.path", "['a', 'b']", "is not a text"),
        ("model.bidirectional", "maybe", "true or false"),
        ("model.bidirectional", "[]", "true or false"),
        ("train.learning_rate", "fast", "is not a number"),
        ("train.learning_rate", "nan", "is not a number"),
        ("train.learning_rate", "1e999", "is not a number"),
        ("train.learning_rate", "(1, 2)", "is not a number"),
    ],
)
def test_impossible_overrides_are_one_line(good, field, text, told):
    assert told in refused(good, {field: text})


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("def get_config(arg=None:\n    pass\n", "bad.py:1: SyntaxError"),
        ("x = 1\n", "has no function get_config"),
        ("\n\nimport no_such_module\n", "bad.py:3: ModuleNotFoundError"),
        (
            "def get_config(arg=None):\n    return 1 / 0\n",
            "bad.py:2: ZeroDivisionError: division by zero",
        ),
        (
            "def get_config(arg=None):\n    raise SystemExit(3)\n",
            "bad.py:2: SystemExit",
        ),
        ("def get_config(arg=None):\n    return None\n", "NoneType, not a ConfigDict"),
        ("def get_config(arg=None):\n    raise ValueError('a\\nb')\n", "bad.py:2: "),
        (
            "from s2sjax.config import base_config\n"
            "def get_config(arg=None):\n"
            "    config = base_config()\n"
            "    config.model.hiden = 3\n",
            "bad.py:4: AttributeError",
        ),
        (
            "from ml_collections import ConfigDict\n"
            "def get_config(arg=None):\n"
            "    return ConfigDict({'model': {'unit': 3}})\n",
            "did you mean 'model.units'",
        ),
        (
            "from ml_collections import ConfigDict\n"
            "def get_config(arg=None):\n"
            "    return ConfigDict({'model': {'units': [3]}})\n",
            "model.units=[3]",
        ),
        ("get_config = dict\n", "bad.py: get_config returned dict, not a ConfigDict"),
        ("get_config = print\n", "bad.py: get_config returned NoneType"),
        ("def get_config(a, b): pass\n", "bad.py: TypeError"),
        ("raise GeneratorExit\n", "bad.py:1: GeneratorExit"),
        ("class E(BaseException): pass\nraise E('a b')\n", "bad.py:2: E: a b"),
        (
            "class E(Exception):\n    def __str__(self): raise ValueError\nraise E\n",
            "bad.py:3: E",
        ),
        (
            "from ml_collections import ConfigDict\n"
            "class Mine:\n"
            "    def __repr__(self): raise SystemExit\n"
            "def get_config():\n"
            "    return ConfigDict({'model': {'units': Mine()}})\n",
            "bad.py:3: SystemExit",
        ),
        (
            "from s2sjax.config import base_config\n"
            "class Mine(float):\n"
            "    def __float__(self): raise RuntimeError('mine')\n"
            "def get_config():\n"
            "    config = base_config()\n"
            "    config.train.learning_rate = Mine(3)\n"
            "    return config\n",
            "bad.py:3: RuntimeError: mine",
        ),
        (
            "from s2sjax.config import base_config\n"
            "def get_config():\n"
            "    config = base_config()\n"
            "    config.train.steps = 10 ** 5000\n"
            "    return config\n",
            "train.steps=an int of about 5000 digits is not a whole number",
        ),
        ("\0", "bad.py"),
        ("# \xff\n", "bad.py"),
    ],
)
def test_what_is_wrong_in_the_file_is_one_line(tmp_path, source, told):
    path = tmp_path / "bad.py"
    path.write_bytes(source.encode("latin-1"))
    assert told in refused(str(path))


def test_data_in_the_place_of_an_experiment(tmp_path):
    table = tmp_path / "dates.tsv"
    table.write_text("8/3/76\t1976-08-03\n")
    told = f"config={table} holds data, and an experiment is a FILE.py"
    assert told in refused(str(table))
    assert f"task.path={table}" in refused(str(table))


def test_variants_that_do_not_exist(good, tmp_path):
    assert "did you mean 'smoke'" in refused(f"{good}:smok")
    plain = tmp_path / "plain.py"
    plain.write_text(GOOD.replace("arg=None", "").replace("(arg,", "(None,"))
    assert experiment.load_config(str(plain)).train.steps == 100
    assert "has no variants" in refused(f"{plain}:smoke")


def test_files_that_do_not_exist(good, tmp_path):
    assert "did you mean" in refused(str(tmp_path / "god.py:smoke"))
    assert "there is no file" in refused(str(tmp_path / "x" / "god.py"))
    assert "is not a run" in refused(str(tmp_path))
    assert "is empty" in refused("")
    assert "there is no file" in refused("x" * 5000)


def test_the_config_of_a_run_is_read_and_overridden(good, tmp_path, monkeypatch):
    run = tmp_path / "a run"
    run.mkdir()
    kept = experiment.load_config(good, {"model.units": "7", "task.length": "3"})
    (run / "config.json").write_text(config.canonical_json(kept))
    monkeypatch.setattr(experiment, "_execute", None)  # nothing is executed
    for text in (str(run), str(run / "config.json")):
        assert experiment.load_config(text) == kept
    told = []
    other = experiment.load_config(
        str(run), {"seed": "7", "train.epochs": "3"}, told.append
    )
    assert (other.seed, other.train.steps, other.train.epochs) == (7, None, 3)
    assert other.model == kept.model and other.task == kept.task
    assert told == [f"train.epochs=3 wins over train.steps=100 of {run}"]
    assert "has no variants, but ':smoke' came" in refused(f"{run}:smoke")
    assert "did you mean 'train.learning_rate'" in refused(str(run), {"lr": "3"})
    with pytest.raises(UsageError, match="is the config of a run and has no sweep"):
        experiment.sweeps(str(run), [], kept)
    with pytest.raises(UsageError, match="is the config of a run and has no search"):
        experiment.search(str(run), kept)
    (run / "config.json").write_text("{")
    assert "config.json is not JSON" in refused(str(run))
    assert "holds runs, e.g." in refused(str(tmp_path))
    assert "did you mean" in refused(str(tmp_path / "a rum"))


def test_the_home_folder(good, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert experiment.load_config("~/good.py:smoke").train.steps == 5


def test_a_partial_config_is_filled_with_defaults(tmp_path):
    path = tmp_path / "partial.py"
    path.write_text(
        "from ml_collections import ConfigDict\n"
        "def get_config(arg=None):\n"
        "    task = {'min_length': None}\n"
        "    return ConfigDict({'train': {'steps': 1e2}, 'task': task})\n"
    )
    resolved = experiment.load_config(str(path), {"task.min_length": "4"})
    assert resolved.train.steps == 100 and resolved.task.min_length == 4
    assert resolved.model == config.ModelConfig()


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("yield {'seed': 1}\n    1 / 0", "bad.py:3: ZeroDivisionError: division"),
        ("return ({'seed': 1 // s} for s in (1, 0))", "bad.py:2: ZeroDivisionError"),
        ("return map(lambda s: {'seed': 1 // s}, (1, 0))", "bad.py:2: ZeroDiv"),
        ("raise GeneratorExit", "bad.py:2: GeneratorExit"),
        ("return 3", "bad.py: sweep returns 3, not a list of trials"),
        (
            "return [Mine()]",
            "bad.py: sweep yields an object of the type Mine as trial 0",
        ),
        ("return [{'seed': Mine()}]", "bad.py:6: OSError: mine"),
        ("return Hostile()", "bad.py:9: RuntimeError: hostile"),
    ],
)
def test_what_goes_wrong_in_a_sweep_is_one_line(tmp_path, body, told):
    path = tmp_path / "bad.py"
    path.write_text(
        f"def sweep(config):\n    {body}\n"
        + "\n" * (3 - len(body.splitlines()) - 1)
        + "class Mine:\n    def __repr__(self): raise GeneratorExit\n"
        "    def item(self): raise OSError('mine')\n"
        "class Hostile(list):\n    def __len__(self): return 1\n"
        "    def __iter__(self): raise RuntimeError('hostile')\n"
    )
    with pytest.raises(UsageError) as refused:
        experiment.sweeps(str(path), [], config.Config())
    message = str(refused.value).replace(f"{tmp_path}/", "")
    assert told in message and "\n" not in message


def test_numbers_of_a_sweep_become_plain(tmp_path):
    path = tmp_path / "sweep.py"
    path.write_text(
        "import enum, numpy\n"
        "class Size(enum.IntEnum):\n    SMALL = 3\n"
        "def sweep(config):\n"
        "    return [{'model.units': Size.SMALL, 'train.learning_rate':"
        " numpy.float32(0.5), 'seed': numpy.int64(7), 'train.deterministic': True}]\n"
    )
    (trial,) = experiment.sweeps(str(path), [], config.Config())["sweep"]
    assert [(type(v), v) for v in trial.values()] == [
        (int, 3),
        (float, 0.5),
        (int, 7),
        (bool, True),
    ]


def test_what_a_file_prints_goes_to_standard_error(good, tmp_path, capsys):
    path = tmp_path / "loud.py"
    path.write_text(
        f"print('read')\n{GOOD}    print('never')\n"
        "def sweep(config):\n    print('sweeping')\n    yield {'seed': 1}\n"
        "def search(config):\n    print('searching')\n    return {'seed': 1}\n"
    )
    base = experiment.load_config(str(path))
    experiment.sweeps(str(path), [], base)
    experiment.search(str(path), base)
    out, err = capsys.readouterr()
    assert out == ""
    assert all(word in err for word in ("read", "sweeping", "searching"))


CHOICES = """
from s2sjax.config import base_config

def get_config():
    config = base_config()
    config.train.epochs = 3
    config.train.feeding = "argmax"
    config.train.feeding_probability = 0.5
    config.model.attention = "bahdanau"
    config.model.context = "readout"
    return config
"""


@pytest.mark.parametrize(
    ("field", "text", "displaced"),
    [
        ("train.steps", "20", {"train.epochs": (3, None)}),
        ("train.feeding", "gold", {"train.feeding_probability": (0.5, 1.0)}),
        ("model.attention", "none", {"model.context": ("readout", "cell")}),
        ("train.epochs", "4", {}),
        ("train.feeding", "probabilities", {}),
    ],
)
def test_what_is_overridden_wins_over_the_file(tmp_path, field, text, displaced):
    path = tmp_path / "choices.py"
    path.write_text(CHOICES)
    said = []
    plain = experiment.load_config(str(path))
    resolved = experiment.load_config(str(path), {field: text}, said.append)
    differing = config.difference(plain, resolved)
    assert differing.pop(field)[1] == config.flatten(resolved)[field]
    assert differing == displaced
    assert said == [
        f"{field}={text} wins over {name}={was} of {path}"
        for name, (was, _) in displaced.items()
    ]


def test_steps_win_over_epochs_and_epochs_over_steps(good):
    said = []
    resolved = experiment.load_config(good, {"train.epochs": "2"}, said.append)
    assert (resolved.train.steps, resolved.train.epochs) == (None, 2)
    assert said == [f"train.epochs=2 wins over train.steps=100 of {good}"]


def test_two_choices_that_exclude_one_another_are_refused(good):
    both = {"train.steps": "2", "train.epochs": "2"}
    assert "both came" in refused(good, both)
    both = {"train.feeding": "gold", "train.feeding_probability": "0.5"}
    assert "means nothing" in refused(good, both)
    assert "neither came" in refused(good, {"train.steps": "none"})


def test_all_that_is_wrong_is_told_at_once(good):
    wrong = {
        "model.unit": "3",
        "model.units": "many",
        "model.layers": "0",
        "train": "3",
        "task.length": "5",
        "train.learning_rate": "nan",
    }
    with pytest.raises(UsageError) as told:
        experiment.load_config(good, wrong)
    assert len(told.value.args) == 5
    for name in wrong.keys() - {"task.length"}:
        assert any(name in line for line in told.value.args), name
    with pytest.raises(UsageError) as told:
        config.resolve({"train": {"steps": 0, "epoch": 1}, "sed": 3, "seed": -1})
    assert len(told.value.args) == 4
    values = {
        "train": {"steps": 1, "epochs": 1},
        "task": {"length": 3, "min_length": 4},
    }
    with pytest.raises(UsageError) as told:
        config.resolve(values)
    assert len(told.value.args) == 2
