"""What the host makes of steps and evaluations, alone and as a replica."""

import numpy as np
import pytest

from s2sjax import config as configs
from s2sjax import tasks
from s2sjax.runs import journal
from s2sjax.training.book import Book, Dispatch
from s2sjax.training.hosts import Hosts
from s2sjax.training.observer import Observer
from s2sjax.training.state import StepMetrics

NAN, INF = np.nan, np.inf


def dispatch(loss=(1, 1, 1), grad_norm=(1, 1, 1), param_norm=2.0):
    ones = np.ones(3, np.float32)
    steps = StepMetrics(np.float32(loss), ones, np.float32(grad_norm), ones / 2)
    return Dispatch(steps, param_norm, 0.5)


@pytest.mark.parametrize(
    ("reported", "said"),
    [
        (dispatch(), ""),
        (
            dispatch(loss=(1, NAN, NAN), grad_norm=(7, NAN, NAN)),
            "step 12: loss nan, gradient norm nan (7 a step earlier)",
        ),
        (dispatch(grad_norm=(INF, 1, 1)), "step 11: loss 1.0, gradient norm inf"),
        (
            dispatch(param_norm=INF),
            "step 13: loss 1.0, gradient norm 1.0 (1 a step earlier), norm of the "
            "parameters inf",
        ),
    ],
)
def test_the_first_step_that_is_not_finite_is_named(reported, said):
    error = reported.divergence(10)
    assert error == (said and f"training diverged at {said}")


class Lines(Observer):
    """Keeps what it is told."""

    def __init__(self):
        self.steps, self.logs = [], []

    def advanced(self, step, loss):
        self.steps.append((step, loss))

    def logged(self, step, values):
        self.logs.append((step, values))


def test_sums_are_logged_and_begin_anew(tmp_path):
    config = configs.resolve({"train": {"steps": 20, "log_every": 6, "batch_size": 4}})
    book = Book(tmp_path, config, tasks.create(config), Lines())
    assert not book.advance(dispatch(loss=(1, 2, 3)))
    assert journal.read(book.journal) == []
    assert (book.step, book.progress.loss, book.progress.tokens) == (3, 6, 3)
    assert not book.advance(dispatch(loss=(6, 6, 6)))
    values = {
        "loss": 24 / 6,
        "grad_norm": 1.0,
        "param_norm": 2.0,
        "learning_rate": 0.5,
        "seconds": 1.0,
    }
    (line,) = journal.read(book.journal)
    assert line.items() >= {"step": 6, "kind": "train", **values}.items()
    assert book.observer.steps == [(3, 3.0), (6, 6.0)]
    ((step, told),) = book.observer.logs
    assert step == 6 and told.items() >= values.items()
    after = book.progress
    assert (after.loss, after.tokens, after.seconds, after.lines) == (0, 0, 1.0, 1)


def test_a_book_that_is_opened_at_a_checkpoint_drops_later_lines(tmp_path):
    config = configs.resolve({"train": {"steps": 9, "log_every": 3, "batch_size": 4}})
    task = tasks.create(config)
    book = Book(tmp_path, config, task)
    book.advance(dispatch())
    saved = book.progress
    book.advance(dispatch())
    book.advance(dispatch())
    lines = journal.read(book.journal)
    assert [line["step"] for line in lines] == [3, 6, 9]
    again = Book(tmp_path, config, task)
    again.begin(3, saved, [].append)
    assert journal.read(book.journal) == lines[:1]
    again.advance(dispatch())
    again.advance(dispatch())
    assert journal.read(book.journal) == lines and again.progress == book.progress


def test_of_several_hosts_the_first_alone_writes(tmp_path):
    config = configs.resolve({"train": {"steps": 3, "batch_size": 4}})
    book = Book(tmp_path, config, tasks.create(config), hosts=Hosts(1, 2))
    assert not book.advance(dispatch()) and book.step == 3
    assert not book.journal.exists()
