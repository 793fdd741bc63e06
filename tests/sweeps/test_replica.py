"""What a trial among others makes of its own steps."""

import numpy as np

from s2sjax import tasks
from s2sjax.sweeps.batched.replica import Replica, Rows
from s2sjax.training.book import Dispatch
from s2sjax.training.order import Order
from s2sjax.training.state import StepMetrics


def test_what_diverges_has_failed(tmp_path, trials):
    (trial,) = trials(1)
    replica = Replica.of(trial, tmp_path, tasks.create(trial.config))
    ones = np.ones(3, np.float32)
    steps = StepMetrics(np.float32([1, np.nan, np.nan]), ones, ones, ones)
    error = replica.advance(Dispatch(steps, 2.0, 0.5))
    assert error.startswith("training diverged at step 2: loss nan")
    assert replica.ended == "failed" == replica.to_json()["ended"]
    assert replica.book.progress.loss == 0


def test_rows_go_on_over_the_end_of_an_epoch():
    order = Order((7,), batch_size=2, run=100, seed=3)
    rows, epoch = Rows(order), order.steps_per_epoch
    every = np.concatenate([order.chunk(n * epoch, epoch).rows for n in range(3)])
    np.testing.assert_array_equal(rows.take(0, 3), every[:3])
    np.testing.assert_array_equal(rows.take(3, 6), every[3:9])
