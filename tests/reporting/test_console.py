"""What a person sees of a run, with a terminal and without."""

import io
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from s2sjax.inference.kind import Sample
from s2sjax.reporting import console as console_module
from s2sjax.reporting.console import Console, sample_lines
from s2sjax.reporting.screen import Screen

HOSTILE = "[red]x[/red] [/bold] :smile: {step} %s \x1b[31m\r\x07\u202e"
SAMPLES = (
    Sample("1 2 3", "3 2 1", "3 2 1"),
    Sample("4 5 6", "6 5 5", "6 5 4"),
    Sample(HOSTILE, "", HOSTILE),
    Sample("a" * 300, "b" * 300, "c" * 300),
    Sample("漢" * 90, "字" * 90, "語" * 90),
)
VALUES = {"exact": 0.98765, "token_accuracy": 0.99999, "nll": 1.158021}


def run(console, *, failing=False):
    with console:
        console.started(0, 300, "1,234 parameters on cpu")
        for step in (100, 200, 300):
            console.advanced(step, 1 / step)
            console.logged(step, {"loss": 1 / step})
        console.evaluated(300, VALUES, SAMPLES, best=True)
        console.message(HOSTILE)
        if failing:
            raise RuntimeError
        console.ended(300, "done")


def plain(encoding="utf-8"):
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding, newline="\n")
    return raw, Console(Screen(file))


def terminal(width=100):
    file = io.StringIO()
    return file, Console(Screen(file, terminal=True, width=width))


@pytest.mark.parametrize(
    ("metric", "said"),
    [("wer", "nll 1.158  WER 0.25\n"), ("bleu", "BLEU 31.2\n"), ("nll", "1.158\n")],
)
def test_an_evaluation_says_what_the_best_is_chosen_by(metric, said):
    file = io.StringIO()
    console = Console(Screen(file), metric)
    console.evaluated(300, {**VALUES, "wer": 0.25, "bleu": 31.23}, (), best=False)
    assert file.getvalue().endswith(said)


def test_plain_lines_have_no_control_characters():
    raw, console = plain()
    run(console)
    text = raw.getvalue().decode()
    control = [c for c in text if (ord(c) < 32 and c != "\n") or c in "\x7f\u202e"]
    assert control == []
    assert "[red]x[/red] [/bold] :smile: {step} %s \\x1b[31m\\r\\x07\\u202e" in text


def test_plain_lines_say_what_happened():
    raw, console = plain()
    run(console)
    lines = raw.getvalue().decode().splitlines()
    assert lines[0] == "training for 300 steps: 1,234 parameters on cpu"
    assert lines[1].startswith("step 100 of 300 (33%)  loss 0.01  ")
    assert len([line for line in lines if line.startswith("step ")]) == 3
    evaluation = lines[4]
    assert "step 300" in evaluation and "exact 98.77 %" in evaluation
    assert "token accuracy 99.99 %" in evaluation and "nll 1.158" in evaluation
    assert evaluation.endswith("best")
    assert lines[5] == "    ✓ 1 2 3 → 3 2 1"
    assert lines[6] == "    ✗ 4 5 6 → 6 5 5  (target 6 5 4)"
    assert lines[-1].startswith("finished at step 300")


def test_no_sample_is_wider_than_a_hundred_columns():
    raw, console = plain()
    run(console)
    lines = [x for x in raw.getvalue().decode().splitlines() if x.startswith("    ")]
    assert max(map(cell_len, lines)) <= 100
    assert any("…" in line for line in lines)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_an_encoding_without_the_signs_gets_others(encoding):
    raw, console = plain(encoding)
    run(console)
    text = raw.getvalue().decode(encoding)
    assert "    ok  1 2 3 -> 3 2 1\n" in text and "* best" in text
    assert "\\u6f22" in text


def test_a_lost_reader_does_not_end_the_run():
    class Gone(io.StringIO):
        def write(self, text):
            raise BrokenPipeError

        def flush(self):
            raise BrokenPipeError

    run(Console(Screen(Gone())))
    run(Console(Screen(Gone(), terminal=True)))


def test_a_terminal_has_a_bar_below_the_lines(monkeypatch):
    monkeypatch.setattr(console_module, "REFRESH_SECONDS", 0.0)
    file, console = terminal()
    run(console)
    text = file.getvalue()
    assert "━" in text and "200/300" in text and "67 %" in text
    visible = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
    assert "✗ 4 5 6 → 6 5 5  (target 6 5 4)" in visible
    assert "[red]x[/red] [/bold] :smile: {step} %s \\x1b[31m\\r\\x07\\u202e" in visible
    assert "\x07" not in text and "\u202e" not in text and "\x1b[31m" not in text


@pytest.mark.parametrize("failing", [True, False])
def test_the_bar_goes_and_the_cursor_stays(failing):
    file, console = terminal()
    if failing:
        with pytest.raises(RuntimeError):
            run(console, failing=True)
    else:
        run(console)
    text = file.getvalue()
    assert text.rfind("\x1b[?25h") > text.rfind("\x1b[?25l")
    shown, hidden = text.count("\x1b[?25h"), text.count("\x1b[?25l")
    assert shown > hidden  # already while it runs
    assert "\x1b[2K" in text[text.rfind("300/300") :]


def test_a_narrow_terminal_is_no_error():
    file, console = terminal(width=20)
    run(console)
    assert "finished" in file.getvalue()


def test_endings_and_continuations():
    raw, console = plain()
    console.started(50, 300, "x")
    console.ended(50, "signal")
    console.ended(60, "patience")
    console.ended(70, "odd {reason}")
    text = raw.getvalue().decode()
    assert "goes on from step 50 to 300" in text
    assert "the same command goes on" in text and "train.patience" in text
    assert "ended at step 70: odd {reason}" in text


def test_null_values_are_said_to_be_missing():
    raw, console = plain()
    values = {"exact": None, "token_accuracy": float("nan"), "nll": None}
    console.evaluated(1, values, [], best=False)
    console.logged(1, {"loss": None})
    text = raw.getvalue().decode()
    assert "exact n/a  token accuracy n/a  nll n/a\n" in text and "best" not in text
    assert "loss n/a" in text


@settings(max_examples=100, deadline=None)
@given(st.text(), st.text(), st.text(), st.integers(30, 100))
def test_sample_lines_fit_and_tell_right_from_wrong(source, output, target, columns):
    sample = Sample(source, output, target)
    lines = sample_lines(sample, columns)
    assert lines[0].plain.startswith("✓" if sample.right else "✗")
    assert all(cell_len(line.plain) <= columns for line in lines)
    assert len("\n".join(line.plain for line in lines).splitlines()) == len(lines) <= 2


class Clock:
    """Stands for `time`."""

    def __init__(self):
        self.now = 100.0

    def monotonic(self):
        return self.now


def test_what_is_left_knows_nothing_of_compilations(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(console_module, "time", clock)
    raw, console = plain()
    with console:
        console.started(0, 1000, "")
        for first, last, seconds in ((1, 100, 9.9), (101, 200, 10.0)):
            console.compiling("the step for 32 sources to 10 symbols")
            clock.now += 60
            console.advanced(first, 1.0)
            clock.now += seconds  # ten steps a second
            console.advanced(last, 1.0)
            console.logged(last, {"loss": 1.0})
            console.evaluating(last, 0, 50)
            clock.now += 30
            console.evaluated(last, VALUES, [], best=False)
        console.compiling("another")
        clock.now += 60
        console.advanced(201, 1.0)
        console.logged(201, {"loss": 1.0})  # one step, and nobody knows its time
    said = raw.getvalue().decode().splitlines()
    assert said[1] == "compiling the step for 32 sources to 10 symbols"
    assert "compiling the evaluation of 50 examples" in said
    steps = [line.split("  ") for line in said if line.startswith("step ")]
    assert steps[0][2:] == ["10.0 steps/s", "left 1 min 30 s"]
    # A second evaluation compiles nothing, and is part of what is left.
    assert steps[1][2] == "9.9 steps/s"
    assert len(steps[2]) == 2


def test_the_bar_says_what_is_compiled():
    file, console = terminal(width=60)
    with console:
        console.started(0, 300, "")
        console.compiling("the step for 32 sources to 10 symbols")
        console.advanced(300, 0.5)
        console.evaluating(300, 0, 50)
    shown = file.getvalue()
    assert "compiling the" in shown and "loss 0.5" in shown
