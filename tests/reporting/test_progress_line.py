"""What a person sees of an evaluation that takes long."""

import io

import pytest

from s2sjax.reporting import console, progress_line
from s2sjax.reporting.console import Console
from s2sjax.reporting.progress_line import ProgressLine
from s2sjax.reporting.screen import Screen


@pytest.fixture
def clock(monkeypatch):
    """The time, in a list, for a test to set."""
    now = [100.0]
    for module in (progress_line, console):
        monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


def evaluate(line, clock, seconds, batches=20):
    """So many batches of 50 examples, of some seconds each."""
    for done in range(batches + 1):
        line(50 * done, 50 * batches)
        clock[0] += seconds


def test_what_ends_soon_says_nothing(clock):
    file = io.StringIO()
    line = ProgressLine("evaluation", "counting", screen=Screen(file))
    evaluate(line, clock, 2.8 / 20)
    assert file.getvalue() == ""


def test_a_plain_line_now_and_then(clock):
    file = io.StringIO()
    line = ProgressLine("scoring\x1b", screen=Screen(file))
    for _ in range(2):  # the second time is counted from its own beginning
        evaluate(line, clock, 2.0)
        lines = file.getvalue().splitlines()
        assert lines[0] == r"scoring\x1b: 100 of 1,000 examples (10%)  after 4.0 s"
        assert lines[1] == r"scoring\x1b: 350 of 1,000 examples (35%)  after 14.0 s"
        assert len(lines) == 4
        file.seek(0)
        file.truncate()


def test_what_comes_after_a_long_wait_is_told(clock):
    file = io.StringIO()
    line = ProgressLine("evaluation", "counting", screen=Screen(file))
    line(0, 10)
    clock[0] += 5.0
    line(10, 10)
    assert file.getvalue() == "evaluation: counting\n"


def test_who_waits_for_the_first_batch_is_told_that_it_goes_on(clock):
    file = io.StringIO()
    line = ProgressLine("evaluation", screen=Screen(file))
    for _ in range(40):
        line(0, 1)
        clock[0] += 1.0
    times = [text.rpartition("after ")[2] for text in file.getvalue().splitlines()]
    assert times == ["3.0 s", "13.0 s", "23.0 s", "33.0 s"]


def test_a_bar_on_a_terminal_that_goes_away(clock):
    file = io.StringIO()
    screen = Screen(file, terminal=True, width=80)
    with ProgressLine("decoding", screen=screen) as line:
        line(0, 300)
        clock[0] += 4
        line(100, 300)
        assert "decoding" in file.getvalue() and "100/300" in file.getvalue()
    assert file.getvalue().endswith("\x1b[2K")  # its line is cleared


def test_training_without_a_terminal_tells_on_standard_error(clock, capsys):
    shown = Console(Screen(io.StringIO()))
    evaluate(lambda done, all_: shown.evaluating(3000, done, all_), clock, 2.0)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[0] == (
        "evaluation at step 3,000: 100 of 1,000 examples (10%)  after 4.0 s"
    )


def test_training_on_a_terminal_tells_in_its_bar(clock, capsys):
    file = io.StringIO()
    with Console(Screen(file, terminal=True, width=100)) as shown:
        shown.started(0, 10, "a model")
        evaluate(lambda done, all_: shown.evaluating(5, done, all_), clock, 1.0)
    assert "evaluated 45%" in file.getvalue()
    assert capsys.readouterr().err == ""
