"""Foreign characters reach a terminal as codes, whatever prints them."""

import io
import json
import logging
import os
import sys

import pytest
from rich.text import Text

from s2sjax.cli import main, printing
from s2sjax.reporting.screen import Screen

HOSTILE = "a\x1b[31m\x07\x9b\u202e\u2028\x7f\nb"
CODES = r"a\x1b[31m\x07\x9b\u202e\u2028\x7f\nb"
STEERING = set("\x1b\x07\x9b\u202e\u2028\x7f")


def test_a_line_is_one_line_of_codes(capsys):
    printing.line(HOSTILE)
    printing.lines(["j’ai été 漢字", HOSTILE])
    assert capsys.readouterr().out == f"{CODES}\nj’ai été 漢字\n{CODES}\n"


def test_a_warning_is_one_line_of_codes(capsys):
    printing.warn([HOSTILE, "x" * 5000])
    out, err = capsys.readouterr()
    first, second = err.splitlines()
    assert (out, first) == ("", CODES.replace(r"\n", " "))
    assert len(second) == 200 and "…" in second


def test_json_passes_unchanged(capsys):
    text = json.dumps({HOSTILE: [HOSTILE, "漢字"]})
    printing.line(text)
    assert capsys.readouterr().out == f"{text}\n"
    assert not set(text) & STEERING


@pytest.mark.parametrize("terminal", [False, True])
@pytest.mark.parametrize("kind", [str, Text])
def test_a_screen_writes_codes(terminal, kind):
    file = io.StringIO()
    Screen(file, terminal=terminal, width=80).line(kind(f"{HOSTILE}\nsecond"))
    text = file.getvalue()
    assert not set(text) & STEERING and text.endswith("\nb\nsecond\n")
    assert r"a\x1b[31m" in text and r"\u202e\u2028" in text


def test_a_config_is_shown_with_codes(command, tmp_path):
    for name in (HOSTILE, "plain"):
        (tmp_path / name).write_text("a\tb\n")
    path = tmp_path / "odd.py"
    path.write_text(
        "from s2sjax.config import base_config\n"
        "def get_config(arg=None):\n"
        "    config = base_config()\n"
        "    config.train.steps, config.task.name = 3, 'text'\n"
        f"    name = {HOSTILE!r} if arg else 'plain'\n"
        f"    config.task.path = {str(tmp_path)!r} + '/' + name\n"
        "    return config\n"
    )
    for argv in (
        ["config", "show", f"--config={path}:odd"],
        ["config", "diff", f"{path}:odd", path],
    ):
        result = command(*argv)
        assert (result.code, result.err) == (0, "")
        assert CODES in result.out and not set(result.out) & STEERING


def test_commands_of_a_received_sweep_are_shown_with_codes(command, tmp_path):
    path = tmp_path / "odd.py"
    path.write_text(
        "from s2sjax.config import base_config\n"
        "def get_config():\n"
        "    config = base_config()\n"
        "    config.train.steps = 3\n"
        "    config.task.name = 'copy'\n"
        "    return config\n"
        "def sweep(config):\n"
        f"    yield {{'task.path': {HOSTILE!r}, 'task.name': 'text'}}\n"
    )
    result = command("sweep", f"--config={path}", "--dry_run", "--backend=processes")
    assert not set(result.out + result.err) & STEERING
    assert r"\x1b[31m" in result.out + result.err


LOUD = (
    "print('read')\n"
    "from s2sjax.config import base_config\n"
    "def get_config():\n"
    "    print('config')\n"
    "    config = base_config()\n"
    "    config.train.steps = 2\n"
    "    config.task.name = __file__ + ':pattern'\n"
    "    config.task.num_train = config.task.num_valid = config.task.num_test = 4\n"
    "    config.model.units = config.model.embedding = config.task.length = 4\n"
    "    return config\n"
    "def sweep(config):\n"
    "    for seed in range(2):\n"
    "        print('sweep')\n"
    "        yield {'seed': seed}\n"
    "def pattern(xs):\n"
    "    print('pattern')\n"
    "    return xs[:1]\n"
)


def test_json_stays_json_whatever_user_code_prints(command, tmp_path):
    path, workdir = tmp_path / "loud.py", f"--workdir={tmp_path / 'run'}"
    path.write_text(LOUD)
    config = f"--config={path}"
    shown = command("config", "show", config, "--json")
    assert json.loads(shown.out)["train.steps"]["value"] == 2
    assert shown.err.split() == ["read", "config"]
    planned = command("sweep", config, "--dry_run", "--json")
    assert json.loads(planned.out)["trials"] == 2
    assert {"read", "config", "sweep", "pattern"} <= set(planned.err.split())
    trained = command("train", config, workdir)
    assert trained.code == 0 and "pattern" in trained.err
    assert "\npattern" not in trained.out
    decoded = command("decode", workdir, "--json", "1", "2")
    assert json.loads(decoded.out)["expected"] == [1]
    assert "pattern" in decoded.err


def test_a_command_has_somewhere_to_write_where_a_shell_has_closed_it(monkeypatch):
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, None)
    assert main(["--version"]) == 0
    assert sys.stdout.name == sys.stderr.name == os.devnull
    sys.stdout.close()
    sys.stderr.close()


def test_what_libraries_log_of_errors_that_reach_us_is_not_shown(capsys):
    assert main(["--version"]) == 0
    for name in ("absl", "asyncio"):
        try:
            raise OSError("too many open files")
        except OSError:
            logging.getLogger(name).exception("a thread has failed")
    assert capsys.readouterr().err == ""
