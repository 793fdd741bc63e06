"""The campaign finds what is planted in a command, and nothing in one that keeps word.

The command that is tried here is a small one of its own, so that a case takes as long
as it takes to start Python.
"""

import json
import pathlib
import random
import re
import signal

import pytest
from faults import campaign as faults
from faults import case as faults_case
from faults import commands as faults_commands
from faults.commands import Commands, Done
from faults.damage import ABSENT, places_of, put

# A command that keeps every promise, unless FAKE_FAULT says which one it breaks. What
# a directory holds follows from the kind of command, so that any damage can be seen.
FAKE = r"""
import hashlib, json, os, pathlib, signal, sys, time

PLANTED = os.environ.get("FAKE_FAULT", "")
KNOWN = ("--config", "--workdir", "--json", "--checkpoint", "--out", "--backend")
KNOWN += ("--sweep", "--workers", "--search", "--max_trials", "--retry_failed")
KNOWN += ("--init_from",)


class Refused(Exception):
    pass


def contents(is_sweep, scale=1):
    lines = "".join(json.dumps({"step": n, "loss": scale * n}) + "\n" for n in range(9))
    made = {"config.json": '{"task": {"name": "x"}}', "metrics.jsonl": lines}
    if is_sweep:
        inner = {f"trials/0000/{name}": text for name, text in made.items()}
        return {"sweep.json": "{}", **inner, "trials.jsonl": lines}
    return made | {
        "run.json": '{"flags": {"XLA_FLAGS": ""}, "crc32": 2309677268}',
        "data/pattern.py": "def f(): pass",
        "data/about.json": '{"files": {}}',
        "code/train.objective/objective.py": "def mine(): pass",
        "code/train.objective/about.json": '{"files": {}}',
        "checkpoints/3/manifest.json": '{"crc32": 0, "body": "{\\"step\\": 3}"}',
        "test.json": '{"exact": 1.0}',
    }


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(path.name + ".half")
    half.write_text(text)
    os.replace(half, path)


def work(run, is_sweep):
    print("begins", flush=True)
    going_on = run.exists()
    if going_on and PLANTED == "traceback":
        raise RuntimeError("planted")
    wanted = contents(is_sweep)
    for name, text in wanted.items():
        there = run / name
        if os.path.lexists(there) and not same(there, text):
            if PLANTED != "silent":
                raise Refused(f"{name} is damaged")
    if going_on and PLANTED == "differs":
        wanted = contents(is_sweep, scale=2)
    left = int(os.environ.get("S2SJAX_FAILPOINT", "::0").rpartition(":")[2])
    for name, text in wanted.items():
        left -= 1
        if left == 0 and ":kill" in os.environ["S2SJAX_FAILPOINT"]:
            os.kill(os.getpid(), signal.SIGKILL)
        if not os.path.lexists(run / name) or PLANTED == "differs":
            write(run / name, text)


def same(path, text):
    return path.is_file() and path.read_bytes() == text.encode()


def command(argv):
    if argv == ["hang"]:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(1000)
    flags = [word for word in argv[1:] if word.startswith("--")]
    given = dict(word.partition("=")[::2] for word in flags)
    place = pathlib.Path(given.get("--workdir", "no"))
    if len(given) < len(flags) or not set(given) <= set(KNOWN):
        if PLANTED == "leaves":
            pathlib.Path("left").mkdir(exist_ok=True)
        if PLANTED == "control":
            raise Refused("\x1b[31m")
        raise Refused("such flags are not known")
    if argv[:1] in (["train"], ["sweep"]) and "--init_from" not in given:
        if str(place) != "run" or not ({"--config"} & set(given) or place.is_dir()):
            raise Refused("no such directory")
        work(place, argv[0] == "sweep")
        return
    place = pathlib.Path("run")
    if argv[:1] not in (["eval"], ["decode"], ["export"], ["report"], ["train"]):
        raise Refused("unknown command")
    for name, text in contents((place / "sweep.json").is_file()).items():
        if os.path.lexists(place / name) and not same(place / name, text):
            if PLANTED == "silent":
                print('{"exact": 0.5}')
                return
            if PLANTED == "traceback":
                raise RuntimeError("planted")
            raise Refused(f"{name} is damaged")
    if PLANTED == "executes":
        for path in pathlib.Path().rglob("run/*.py"):
            exec(path.read_text())
    if PLANTED == "outside" and pathlib.Path("../outside").is_dir():
        pathlib.Path("../outside/written").write_text("here")
    if argv[0] == "export":
        pathlib.Path("out.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")
    print('{"exact": 1.0}')


def main(argv):
    try:
        command(list(argv))
        sys.stdout.flush()
        return 0
    except Refused as error:
        print(f"s2sjax: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"s2sjax: {error.strerror}", file=sys.stderr)
        sys.stdout = None
        return 1


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: os._exit(143))
    signal.signal(signal.SIGINT, lambda *_: os._exit(130))
    raise SystemExit(main(sys.argv[1:]))
"""


@pytest.fixture
def campaign(tmp_path, monkeypatch):
    """Makes a campaign of a kind against the command of this file."""
    package = tmp_path / "path" / "fake"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(FAKE)
    monkeypatch.setenv("PYTHONPATH", str(package.parent))
    made = []

    def make(kind, planted=""):
        monkeypatch.setenv("FAKE_FAULT", "")
        work = tmp_path / f"{kind}-{planted}"
        work.mkdir(exist_ok=True)
        made.append(faults.Campaign(kind, 0, work, "fake"))
        if planted:  # what the cases begin with is made in order
            made[-1].run(0)
            made[-1].close()
            assert not made[-1].faults, made[-1].faults
            monkeypatch.setenv("FAKE_FAULT", planted)
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.mark.parametrize("kind", faults.KINDS)
def test_a_command_that_keeps_its_word_has_no_faults(campaign, kind):
    found = campaign(kind)
    for number in range(12):
        found.run(number)
    assert found.faults == []
    assert found.summary(1.0)["cases"] == 12
    assert len(found.counts) > 5


@pytest.mark.parametrize("kind", faults.KINDS)
def test_the_same_seed_gives_the_same_cases(campaign, kind):
    found = campaign(kind)
    names = [[found.case(n).name for n in range(40)] for _ in range(2)]
    assert names[0] == names[1]
    assert not any("0x" in name and "object" in name for name in names[0])
    assert len(set(names[0])) > 30


@pytest.mark.parametrize(
    ("kind", "planted", "what"),
    [
        ("train", "traceback", "Traceback"),
        ("train", "differs", "ends elsewhere"),
        ("sweep", "traceback", "Traceback"),
        ("sweep", "differs", "ends elsewhere"),
        ("damage", "traceback", "Traceback"),
        ("damage", "silent", "in silence"),
        ("inputs", "leaves", "left behind: left"),
        ("inputs", "control", "control character"),
        ("received", "outside", "wrote beside its directory: written"),
        ("received", "executes", "executed"),
    ],
)
def test_what_is_planted_is_found(campaign, kind, planted, what):
    found = campaign(kind, planted)
    for number in range(1, 40):
        found.run(number)
        if any(what in fault["what"] for fault in found.faults):
            break
    fault = next(fault for fault in found.faults if what in fault["what"])
    assert fault["command"].endswith(f"{kind} --seed=0 --case={fault['case']}")
    assert fault["name"] == found.case(fault["case"]).name
    again = len(found.faults)
    found.run(fault["case"])
    assert [each["what"] for each in found.faults[again:]] == [fault["what"]]


@pytest.mark.parametrize("way", ["alone", "inside"])
def test_what_hangs_is_killed_and_shows_its_stacks(
    campaign, tmp_path, monkeypatch, way
):
    campaign("train")
    monkeypatch.setattr(faults_commands, "GRACE", 0.5)
    commands, folder = Commands(tmp_path / "work", "fake"), tmp_path / "case"
    folder.mkdir()
    done = getattr(commands, way)(["hang"], folder, patience=2.0)
    commands.close()
    assert done.hung and "in command\n" in done.err
    with pytest.raises(faults_case.Fault, match="hangs"):
        faults_case.check(done)


@pytest.mark.parametrize(
    ("done", "what"),
    [
        (Done((), 2, "", "", 0.0), "exit 2 without a line"),
        (Done((), 1, "", "", 0.0), "no line says why"),
        (Done((), 1, "", "Traceback (most recent call last):\n", 0.0), "Traceback"),
        (Done((), 0, "", "Exception ignored in: x\n", 0.0), "Exception ignored"),
        (Done((), -signal.SIGABRT, "", "", 0.0), "code -6"),
        (Done((), 0, "\x1b[31m", "", 0.0), "control character"),
        (Done((), 2, "", f"s2sjax: {'x' * 3000}\n", 0.0), "a line of 3008"),
        (Done((), 143, "", "", 0.0, hung=True), "hangs"),
    ],
)
def test_each_rule_is_held(done, what):
    with pytest.raises(faults_case.Fault, match=what):
        faults_case.check(done)


def test_what_is_left_or_changed_is_seen(tmp_path):
    (tmp_path / "file").write_text("a")
    before = faults_case.state(tmp_path)
    done = Done((), 2, "", "", 0.0)
    faults_case.check_untouched(before, tmp_path, done)
    (tmp_path / "file").write_text("b")
    (tmp_path / "folder").mkdir()
    with pytest.raises(faults_case.Fault, match="left behind: file, folder"):
        faults_case.check_untouched(before, tmp_path, done)


def test_answers_are_strict_json():
    assert faults_case.check_json(Done((), 0, '{"a": 1}\n', "", 0.0)) == [{"a": 1}]
    with pytest.raises(faults_case.Fault, match="NaN"):
        faults_case.check_json(Done((), 0, '{"a": NaN}\n', "", 0.0))


def test_every_field_of_a_json_file_has_its_turn():
    value = {"a": [1, {"b": 2}], "c": None}
    places = list(places_of(value))
    assert places == [(), ("a",), ("a", 0), ("a", 1), ("a", 1, "b"), ("c",)]
    assert put(value, ("a", 1, "b"), lambda old: ABSENT) == {"a": [1, {}], "c": None}
    assert value["a"][1] == {"b": 2}


def test_a_draw_is_that_of_kind_seed_and_number():
    one, other = (random.Random(f"train/{seed}/3").random() for seed in (0, 1))
    assert one != other


@pytest.mark.parametrize(
    "argv",
    [[], ["trian"], ["train", "--minutes=0"], ["train", "--case=-1"], ["train", "x"]],
)
def test_misuse_is_exit_2(argv, capsys):
    with pytest.raises(SystemExit) as ended:
        faults.main(argv)
    assert ended.value.code == 2
    assert "usage:" in capsys.readouterr().err


def test_the_tests_that_hold_the_promises_are_there():
    root = pathlib.Path(__file__).parents[2]
    named = (root / "docs" / "reliability.md").read_text(encoding="utf-8")
    tests = {path: path.read_text() for path in (root / "tests").rglob("test_*.py")}
    found = re.findall(r"([\w/]+\.py)::(test_\w+)|`(test_\w+)`", named)
    assert len(found) > 40
    for file, test, alone in found:
        texts = [tests[root / "tests" / file]] if file else tests.values()
        assert any(f"def {test or alone}(" in text for text in texts), (file, test)


def test_the_command_line_sums_up_in_json(campaign, tmp_path, monkeypatch, capsys):
    campaign("inputs", "leaves").close()
    work = tmp_path / "work"
    argv = ["inputs", f"--work={work}", "--module=fake", "--minutes=0.02"]
    assert faults.main(argv) == 1
    summary = json.loads(capsys.readouterr().out)
    assert summary["kind"] == "inputs" and summary["faults"]
    counted = sum(sum(each.values()) for each in summary["sorts"].values())
    assert counted == summary["cases"] > 0
    number = summary["faults"][0]["case"]
    assert faults.main([*argv, f"--case={number}"]) == 1
    once = json.loads(capsys.readouterr().out)
    assert once["faults"][0]["name"] == summary["faults"][0]["name"]
    monkeypatch.setenv("FAKE_FAULT", "")
    assert faults.main([*argv, f"--case={number}"]) == 0
