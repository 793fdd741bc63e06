"""The command line: what a person may mistype ends in one line, the rest arrives."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s2sjax.cli import command as usage
from s2sjax.cli import decode, flags, train
from s2sjax.cli.flags import Command, Flag
from s2sjax.decoding.strategies import STRATEGIES
from s2sjax.errors import UsageError
from s2sjax.schema import STRATEGY

WORKDIR = Flag("workdir", "the run's directory", value="DIR", required=True)
TRAIN = Command("train", "Trains a model.", (WORKDIR,), config="optional")
EVAL = Command(
    "eval",
    "Evaluates a run.",
    (
        WORKDIR,
        Flag("examples", "how many", type=int, least=1),
        Flag("seed", "of the data", 0, type=int, least=0),
        Flag("json", "one JSON object", False, type=bool),
    ),
)
DECODE = Command(
    "decode",
    "Decodes symbols.",
    (
        WORKDIR,
        Flag("strategy", "how", "greedy", value="SPEC"),
        Flag("json", "JSON", False, type=bool),
    ),
    positional="SYMBOLS",
)
SHOW = Command("config show", "Shows.", config="required")
DIFF = Command("config diff", "Compares.", positional="A B")
COMMANDS = (TRAIN, EVAL, DECODE, SHOW, DIFF)
RUN = "--workdir=run"


@pytest.fixture
def experiment(tmp_path):
    path = tmp_path / "experiment.py"
    path.write_text(
        "from s2sjax.config import base_config\n"
        "def get_config(arg=None):\n"
        "    config = base_config()\n"
        "    config.train.steps = 5\n"
        "    config.model.bridge = 'zero'\n"
        "    return config\n"
    )
    return f"--config={path}"


def read(*argv):
    return flags.read("A program.", COMMANDS, argv)


def refused(*argv):
    with pytest.raises(UsageError) as told:
        read(*argv)
    message = str(told.value)
    assert "\n" not in message
    return message


def test_values_arrive_typed():
    values = read("eval", RUN, "--examples", "1e3", "--json", "--seed=7").values
    assert vars(values) == {
        "workdir": "run",
        "examples": 1000,
        "seed": 7,
        "json": True,
    }
    assert vars(read("eval", "-workdir", "run", "--nojson").values) == {
        "workdir": "run",
        "examples": None,
        "seed": 0,
        "json": False,
    }


@pytest.mark.parametrize(
    "spec",
    ["beam:size=10,alpha=1.0", "beam(size=10, alpha=1.0)", "sample:t=-1,seed=3", "a=b"],
)
def test_specs_need_no_quoting(spec):
    assert read("decode", RUN, f"--strategy={spec}", "1").values.strategy == spec
    assert read("decode", RUN, "--strategy", spec, "1").values.strategy == spec


@settings(deadline=None)
@given(st.lists(st.integers(-(10**9), 10**9)))
def test_integers_are_symbols_negative_ones_too(symbols):
    parsed = read("decode", RUN, "--json", *map(str, symbols))
    assert list(map(int, parsed.positional)) == symbols
    assert parsed.values.json


@settings(deadline=None)
@given(st.lists(st.text(max_size=8)))
def test_everything_after_two_dashes_is_text(texts):
    assert read("decode", RUN, "--", *texts).positional == tuple(texts)


def test_overrides_are_applied_in_order_and_the_last_counts(experiment):
    parsed = read(
        "train",
        experiment,
        "--config.model.units=3",
        RUN,
        "--config.train.optimizer=adam:b1=0.9,b2=0.98",
        "--config.model.bidirectional",
        "--noconfig.train.deterministic",
        "--config.model.units",
        "1e1",
    )
    assert parsed.config.model.units == 10
    assert parsed.config.train.optimizer == "adam:b1=0.9,b2=0.98"
    assert parsed.config.model.bidirectional
    assert list(parsed.overrides)[-1] == "model.units"
    assert read("train", RUN).config is None


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        ([], "no command; one of: train"),
        (["nonsense"], "unknown command 'nonsense'"),
        (["tain"], "did you mean 'train'"),
        (["--json", "eval"], "unknown command '--json'"),
        (["config"], "'config' alone is not a command; one of: config show"),
        (["config", "shw"], "'config shw' is not a command"),
        (["train"], "train needs --workdir=DIR"),
        (["config", "show"], "config show needs --config=FILE"),
        (["train", "--wrkdir=x"], "did you mean '--workdir'"),
        (["train", "--workdir"], "--workdir needs a value"),
        (["train", "--workdir", "--json"], "--workdir needs a value"),
        (["train", "--workdir="], "--workdir is empty; it takes DIR"),
        (["train", RUN, "--flagfile=x"], "unknown flag of train '--flagfile'"),
        (["train", RUN, "extra"], "unexpected argument 'extra'"),
        (["train", RUN, "-3"], "unknown flag"),
        (["eval", RUN, "--examples=0"], "--examples=0 is not a whole number from 1"),
        (["eval", RUN, "--examples=many"], "--examples=many is not a whole number"),
        (["eval", RUN, "--examples=1.5"], "--examples=1.5 is not a whole number"),
        (["eval", RUN, "--seed", "-1"], "--seed=-1 is not a whole number from 0"),
        (["eval", RUN, "--seed=2147483648"], "from 0 to 2147483647"),
        (["eval", RUN, "--json=perhaps"], "--json=perhaps is not true or false"),
        (["eval", RUN, "--json", "false"], "write --json=false"),
        (["eval", RUN, "--nojson=true"], "--nojson=true"),
        (["eval", RUN, "--config=x.py"], "takes no config"),
        (["eval", RUN, "--config.seed=3"], "takes no config"),
        (["decode", RUN, "-hello"], "-- '-hello'"),
        (["decode", RUN, "--hello there"], "-- '--hello there'"),
        (["decode", RUN, "-"], None),
    ],
)
def test_what_cannot_be_taken_is_one_line(argv, told):
    if told is None:
        assert read(*argv).positional == ("-",)
    else:
        assert told in refused(*argv)


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["--config.model.bidirectional", "False"], "stray 'False'"),
        (["--config.model.unit=3"], "did you mean 'model.units'"),
        (["--config.model={'units': 3}"], "one field at a time"),
        (["--noconfig.model.units"], "is not true or false"),
        (["--config.model.units"], "--config.model.units needs a value"),
        (["--config=other.py"], "given twice"),
        (["--config.task.min_length=11"], "task.min_length=11 is above"),
    ],
)
def test_impossible_overrides(experiment, overrides, told):
    assert told in refused("train", RUN, experiment, *overrides)


def test_overrides_before_the_config(experiment):
    assert "put --config=FILE first" in refused(
        "train", "--config.seed=3", experiment, RUN
    )
    assert "needs --config=FILE" in refused("train", "--config.seed=3", RUN)


def test_every_parse_is_its_own():
    assert read("eval", RUN, "--seed=3").values.seed == 3
    assert read("eval", RUN).values.seed == 0
    from absl import flags as absl_flags

    assert "workdir" not in absl_flags.FLAGS


def test_help_of_the_program_lists_the_commands():
    text = read("--help")
    assert all(command.name in text for command in COMMANDS)
    assert read("-h") == text
    part = read("config", "--help")
    assert "config diff" in part and "train" not in part


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_help_of_a_command_lists_its_flags(command):
    text = read(*command.name.split(), "--help")
    assert max(map(len, text.splitlines())) <= 88
    for flag in command.flags:
        assert f"--{flag.name}" in text and flag.doc in text
    assert ("config show" in text) == (command.config != "none" or command is SHOW)
    assert read("decode", RUN, "--", "--help").positional == ("--help",)


def test_nothing_is_printed(capfd, experiment):
    read("train", RUN, experiment)
    refused("train", RUN, experiment, "--config.model.units=x")
    refused("eval", RUN, "--seed=x")
    assert capfd.readouterr() == ("", "")


def test_all_that_is_wrong_is_told_at_once(experiment):
    with pytest.raises(UsageError) as told:
        read(
            *("train", experiment, "--wrkdir=x", "--config.model.unit=3"),
            *("--config.model.units=0", "--config.task.length=x"),
        )
    assert len(told.value.args) == 5
    for word in ("--wrkdir", "model.unit'", "needs --workdir", "units=0", "length=x"):
        assert any(word in line for line in told.value.args), word
    with pytest.raises(UsageError) as told:
        read("eval", RUN, "--examples=0", "--seed=-1", "--exampels=3")
    assert len(told.value.args) == 3


def test_what_wins_is_noted(experiment):
    parsed = read("train", RUN, experiment, "--config.train.epochs=3")
    assert parsed.config.train.steps is None
    (note,) = parsed.notes
    assert "--config.train.epochs=3 wins over train.steps=5 of" in note


@pytest.mark.parametrize(
    ("came", "near"),
    [
        ("lr", "--config.train.learning_rate"),
        ("train.learning_rate", "--config.train.learning_rate"),
        ("batch_size", "--config.train.batch_size"),
        ("seed", "--config.seed"),
        ("unit", "--config.model.units"),
        ("workdr", "--workdir"),
        ("init", "--init_from"),
    ],
)
def test_a_flag_that_is_a_field_names_the_field(came, near):
    with pytest.raises(UsageError, match=f"'--{came}'; did you mean '{near}'"):
        flags.parse(train.COMMAND, [f"--{came}=3"])


def test_a_command_without_a_config_names_no_field():
    with pytest.raises(UsageError) as told:
        flags.parse(decode.COMMAND, ["--lr=3"])
    assert "learning_rate" not in str(told.value)


def test_help_and_comment_list_the_strategies():

    for text in (usage.of_command(decode.COMMAND), STRATEGY):
        assert all(name in text for name in STRATEGIES)
