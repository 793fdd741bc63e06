"""Metrics of numbers: against their definitions in loops, and by hand."""

import math

import numpy as np
import pytest

from s2sjax import metrics
from s2sjax.errors import UsageError
from s2sjax.forecasts import LEVELS, TENTHS, Forecasts, concatenate, reliability

N, T, G = 5, 3, 2
random = np.random.default_rng(0)
TARGET = random.normal(10, 4, (N, T, G))
TARGET[0, 1, 0] = TARGET[2, :, 1] = TARGET[4, 2] = np.nan
MEAN, MEDIAN = TARGET + random.normal(size=(2, N, T, G))
MEAN, MEDIAN = (np.where(np.isnan(each), 3.0, each) for each in (MEAN, MEDIAN))
NAIVE = random.uniform(1, 2, (N, G))
NAIVE[1, 0], NAIVE[3, 1] = 0.0, np.nan
SERIES = np.array([0, 2, 2, 0, 2])
NAMES = ["north", "empty", "south"]
QUANTILES = MEDIAN[..., None] + 2 * np.array(LEVELS) - 1
CRPS, LOG_PROBS = random.uniform(size=(2, N, T, G))
ALL = Forecasts(TARGET, MEAN, MEDIAN, NAIVE, SERIES, QUANTILES, CRPS, LOG_PROBS)
POINT = ALL._replace(quantiles=None, crps=None, log_probs=None)


def defined(places):
    """Every metric, number by number."""
    places = [place for place in places if not math.isnan(TARGET[place])]
    at = [(TARGET[p], MEAN[p], MEDIAN[p], QUANTILES[p], p) for p in places]
    scaled = [
        abs(y - m) / NAIVE[n, g]
        for y, _, m, _, (n, _, g) in at
        if math.isfinite(NAIVE[n, g]) and NAIVE[n, g] > 0
    ]
    weighted = [
        2 * np.mean([pinball(y, q[LEVELS.index(level)], level) for level in TENTHS])
        for y, _, _, q, _ in at
    ]
    found = {
        "nll": -np.mean([LOG_PROBS[p] for p in places]),
        "mae": np.mean([abs(y - m) for y, _, m, _, _ in at]),
        "rmse": math.sqrt(np.mean([(y - m) ** 2 for y, m, *_ in at])),
        "smape": np.mean([200 * abs(y - m) / (abs(y) + abs(m)) for y, _, m, *_ in at]),
        "mase": np.mean(scaled) if scaled else None,
        "crps": np.mean([CRPS[p] for p in places]),
        "wql": sum(weighted) / sum(abs(y) for y, *_ in at),
    }
    for share, low, high in ((50, 3, 9), (90, 0, 12)):
        assert LEVELS[high] - LEVELS[low] == pytest.approx(share / 100)
        inside = [q[low] <= y <= q[high] for y, _, _, q, _ in at]
        found[f"coverage_{share}"] = np.mean(inside)
        found[f"width_{share}"] = np.mean([q[high] - q[low] for *_, q, _ in at])
    return {name: value for name, value in found.items() if value is not None}


def pinball(y, at, level):
    return level * (y - at) if y >= at else (1 - level) * (at - y)


def places(examples=range(N), steps=range(T), numbers=range(G)):
    return [(n, t, g) for n in examples for t in steps for g in numbers]


def test_the_metrics_are_what_they_are_defined_as():
    found = metrics.of_numbers(ALL)
    assert found.pop("examples") == N
    assert found == pytest.approx(defined(places()), rel=1e-12)


def test_they_are_the_same_of_a_step_a_series_and_a_number():
    tables = {
        "step": (metrics.by_step(ALL), {str(t + 1): {"steps": [t]} for t in range(T)}),
        "series": (
            metrics.by_series(ALL, NAMES),
            {"north": {"examples": [0, 3]}, "south": {"examples": [1, 2, 4]}},
        ),
        "number": (
            metrics.by_number(ALL, ["a", "b"]),
            {"a": {"numbers": [0]}, "b": {"numbers": [1]}},
        ),
    }
    for table, wanted in tables.values():
        assert table.keys() == wanted.keys()  # nothing came of the empty series
        for name, where in wanted.items():
            row = dict(table[name])
            came = [TARGET[place] for place in places(**where)]
            assert row.pop("count") == np.isfinite(came).sum()
            assert row == pytest.approx(defined(places(**where)), rel=1e-12)


def test_a_point_has_errors_and_no_intervals():
    wanted = {"mae", "rmse", "smape", "mase", "examples"}
    assert metrics.of_numbers(POINT).keys() == wanted
    assert metrics.by_step(POINT)["1"].keys() == wanted - {"examples"} | {"count"}


def test_small_numbers_are_divided_by_their_own_size():
    small = POINT._replace(quantiles=QUANTILES, target=TARGET * 1e-6)
    wanted = (TARGET[np.isfinite(TARGET)] * 1e-6).sum()
    assert 0 < wanted < 1  # a count of tokens is never below 1, a sum of sizes is
    sums, counts = metrics.METRICS["wql"].terms(small)
    assert metrics.of_numbers(small)["wql"] == pytest.approx(sums.sum() / counts.sum())


def test_parts_join_and_cut_to_what_they_were():
    first, second = ALL.at(slice(2)), ALL.at(slice(2, N), slice(2))
    joined = concatenate([first, second])
    assert joined.target.shape == (N, T, G) and np.isnan(joined.target[2:, 2]).all()
    for name, column in joined.at(slice(2, N), slice(2))._asdict().items():
        np.testing.assert_array_equal(column, getattr(second, name))
    assert concatenate([POINT, POINT]).crps is None


def test_forecasts_that_know_how_sure_they_are_have_each_share_below():
    y = random.normal(size=(4000, 1, 1))
    quantiles = np.quantile(random.normal(size=100_000), LEVELS)
    sure = Forecasts(
        *(y, y * 0, y * 0, y[:, 0], np.zeros(4000, int)),
        np.broadcast_to(quantiles, (4000, 1, 1, len(LEVELS))),
    )
    np.testing.assert_allclose(reliability(sure), LEVELS, atol=0.03)
    narrow = sure._replace(quantiles=sure.quantiles / 3)
    assert metrics.of_numbers(narrow)["coverage_90"] < 0.6


@pytest.mark.parametrize(
    ("metric", "numbers", "told"),
    [
        (
            "mae",
            False,
            "train.metric=mae is of numbers, and targets are symbols (one of: exact",
        ),
        ("exact", True, "=exact is of symbols, and targets are numbers (one of: nll"),
        ("coverage_90", True, "unknown train.metric 'coverage_90'"),
        ("rmsee", True, "did you mean 'rmse'"),
        ("mae:n=1", True, "takes no argument 'n'"),
    ],
)
def test_a_metric_that_the_targets_do_not_have_is_refused(metric, numbers, told):
    with pytest.raises(UsageError) as error:
        metrics.check(metric, numbers)
    assert told in str(error.value)
    for fine, of_numbers in (("nll", True), ("nll", False), ("crps", True)):
        metrics.check(fine, of_numbers)


def test_a_metric_of_ones_own_is_tried_on_numbers(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        "import numpy as np\n"
        "def worst():\n"
        "    '''The largest error of an example.'''\n"
        "    def counts(each):\n"
        "        error = np.abs(each.target - each.mean)\n"
        "        return -np.nanmax(error, axis=(1, 2)), np.ones(len(error))\n"
        "    return counts\n"
    )
    metrics.check(f"{path}:worst", numbers=True)
    errors = np.nanmax(np.abs(TARGET - MEAN), axis=(1, 2))
    assert metrics.own(f"{path}:worst").mean(ALL) == pytest.approx(-errors.mean())
    with pytest.raises(UsageError, match="worst"):
        metrics.check(f"{path}:worst", numbers=False)
