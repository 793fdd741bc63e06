"""Tables, with a terminal and without."""

import io
import re

import numpy as np
import pytest

from s2sjax import metrics
from s2sjax.outcomes import Outcomes
from s2sjax.reporting.screen import Screen
from s2sjax.reporting.table import ROWS, TaskExample, show_evaluation, show_tasks
from s2sjax.types import EOS, SYMBOLS

HOSTILE = "[red]a[/bold]\x1b[31m"


def written(show, *arguments, terminal=False, width=80):
    file = io.StringIO()
    show(*arguments, Screen(file, terminal=terminal, width=width))
    return (
        re.sub(r"\x1b\[[0-9;]*m", "", file.getvalue()) if terminal else file.getvalue()
    )


@pytest.fixture
def results():
    """What metrics make of two outputs, one of which is wrong at its first symbol."""
    target = np.array([[SYMBOLS, SYMBOLS + 1, EOS], [SYMBOLS + 1, EOS, 0]], np.int32)
    output = np.array([[SYMBOLS, SYMBOLS + 1, EOS], [SYMBOLS, EOS, 0]], np.int32)
    lengths = np.array([2, 1], np.int32)
    outcomes = Outcomes.of(
        *(output, lengths, np.zeros(2, bool), target, lengths),
        *(
            np.array([0, 1]),
            np.zeros(2, np.float32),
            np.zeros(2, np.float32),
            np.ones(2, np.float32),
            np.array([[True] * 3, [True, False, True]]),
        ),
    )
    names = {SYMBOLS: "a", SYMBOLS + 1: HOSTILE, EOS: "<eos>"}
    confusion = metrics.confusion(outcomes)
    return {
        **metrics.summary(outcomes),
        "bleu": 12.3456,
        "unseen": None,
        "decode": "greedy",
        "by_length": metrics.by_length(outcomes),
        "by_symbol": {names[i]: v for i, v in metrics.by_symbol(outcomes).items()},
        "confusion": {
            names[i]: {names[j]: n for j, n in row.items()}
            for i, row in confusion.items()
        },
    }


def test_plain_tables_are_aligned_and_uncoloured(results):
    text = written(show_evaluation, results)
    assert "\x1b" not in text and "[red]a[/bold]\\x1b[31m" in text
    lines = text.splitlines()
    headlines = {line[:21].strip(): line[21:] for line in lines[: lines.index("")]}
    assert headlines["metric"] == "    value  meaning"
    assert headlines["exact match"].startswith("  50.00 %  outputs")
    assert headlines["token accuracy"].startswith("  66.67 %  tokens")
    assert headlines["BLEU"].startswith("    12.35  sacrebleu")
    assert headlines["unseen"].startswith("      n/a  sources")
    assert headlines["decode"] == "   greedy"


def titled(results, screen):
    show_evaluation(results, screen, "the title")


@pytest.mark.parametrize("terminal", [False, True])
def test_every_part_is_there(results, terminal):
    text = written(titled, results, terminal=terminal)
    assert text.startswith("the title")
    assert re.search(r"^ *1 +1 +0 %", text, re.M)  # length 1: one example, none exact
    assert re.search(r"^ *2 +1 +100 %", text, re.M)
    assert re.search(r"31m +2 +50\.00 %", text)  # the symbol: twice, right once
    assert "1 of 2 symbols are always right" in text
    assert re.search(r"31m +1 +1 *$", text, re.M)  # its row of the matrix
    assert "[red]a[/bold]\\x1b[31m" in text


def test_no_line_wraps_in_eighty_columns(results):
    plain = {
        key: results[key] for key in results if key not in ("by_symbol", "confusion")
    }
    lines = written(show_evaluation, plain, terminal=True).splitlines()
    assert max(map(len, lines)) <= 80
    starts = ("examples", "exact match", "token accuracy", "nll", "truncated", "BLEU")
    assert all(
        any(line.strip().startswith(start) for line in lines) for start in starts
    )
    assert not [line for line in lines if line.startswith(" " * 20) and line.strip()]


def test_many_symbols_are_cut_to_the_worst():
    symbols = {i: {"count": 100, "accuracy": i / 50} for i in range(51)}
    text = written(show_evaluation, {"by_symbol": symbols})
    rows = re.findall(r"^(\d+) +100 ", text, re.M)
    assert rows == [str(i) for i in range(ROWS)]
    assert "30 more" in text and "1 of 51 symbols are always right" in text


def test_many_confusions_are_cut_to_the_most_frequent():
    confusion = {
        str(i): {str(j): 100 * (i == j) + i + j for j in range(30)} for i in range(30)
    }
    text = written(show_evaluation, {"confusion": confusion})
    rows = re.findall(r"^(\d+) +(\d+) +(\d+) +[\d.]+ %$", text, re.M)
    assert len(rows) == ROWS and all(a != b for a, b, _ in rows)
    assert [int(n) for *_, n in rows] == sorted(
        (int(n) for *_, n in rows), reverse=True
    )
    assert f"{30 * 29 - ROWS} rarer" in text


def test_symbols_that_are_always_right_take_a_line():
    text = written(show_evaluation, {"by_symbol": {"a": {"count": 3, "accuracy": 1.0}}})
    assert "Every one of the 1 symbols is always right" in text


@pytest.mark.parametrize("terminal", [False, True])
def test_tasks(terminal):
    tasks = [
        TaskExample("copy", "the source", "1 2", "1 2"),
        TaskExample("b", "", HOSTILE, "漢"),
    ]
    text = written(show_tasks, tasks, terminal=terminal)
    assert re.search(r"copy +the source +1 2 → 1 2", text)
    assert "[red]a[/bold]\\x1b[31m → 漢" in text
