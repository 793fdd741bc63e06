"""Means, intervals and sensitivity against other ways to compute them."""

import math
import shlex

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies
from scipy import stats

from s2sjax.errors import UsageError
from s2sjax.reporting.sweep import table as sweep_table
from s2sjax.reporting.sweep.factor import factors
from s2sjax.reporting.sweep.findings import as_json, effects, find
from s2sjax.reporting.sweep.groups import estimate, groups
from tests.reporting import fake_sweep
from tests.reporting.fake_sweep import grid, row, write


@hypothesis.given(
    strategies.lists(strategies.floats(-1e3, 1e3), min_size=2, max_size=20)
)
def test_the_interval_is_that_of_a_t_test(values):
    hypothesis.assume(np.ptp(values) > 1e-6)
    found = estimate(values)
    expected = stats.ttest_1samp(values, 0.0).confidence_interval(0.95)
    assert found.n == len(values)
    np.testing.assert_allclose(found.low, expected.low, atol=1e-6)
    np.testing.assert_allclose(found.high, expected.high, atol=1e-6)


def test_the_interval_covers_the_mean_as_often_as_it_says():
    draws = np.random.default_rng(0).normal(3.0, 2.0, size=(2000, 3))
    found = [estimate(row) for row in draws.tolist()]
    share = np.mean([one.low <= 3.0 <= one.high for one in found])
    assert 0.93 < share < 0.97


@pytest.mark.parametrize("a, b", [(8, 2), (30, 20), (18, 2)])
def test_the_interval_of_shares_covers_their_mean_too(a, b):
    draws = np.random.default_rng(0).beta(a, b, size=(2000, 3))
    found = [estimate(row, 1.0) for row in draws.tolist()]
    share = np.mean([one.low <= a / (a + b) <= one.high for one in found])
    assert 0.93 < share < 0.99


@pytest.mark.parametrize("right, examples", [(0, 3), (3, 3), (120, 123), (50, 100)])
def test_one_share_has_the_interval_of_wilson(right, examples):
    found = estimate([right / examples], 1.0, examples)
    wilson = stats.binomtest(right, examples).proportion_ci(method="wilson")
    np.testing.assert_allclose((found.low, found.high), wilson, atol=1e-9)


@hypothesis.given(
    strategies.lists(strategies.floats(0, 1), min_size=1, max_size=9),
    strategies.integers(0, 999),
    strategies.sampled_from([1.0, 100.0, math.inf]),
)
def test_an_interval_stays_within_what_is_possible(values, examples, most):
    scale = 1.0 if most == math.inf else most
    found = estimate([scale * value for value in values], most, examples)
    if len(values) > 1 or examples:
        assert 0 <= found.low <= found.mean <= found.high <= most
    else:
        assert math.isnan(found.low) and math.isnan(found.high)


def test_scattered_shares_have_a_wider_interval_than_their_examples(tmp_path):
    same, apart = ([0.7, 0.7], [0.6, 0.8])
    narrow, wide = (estimate(values, 1.0, 200) for values in (same, apart))
    assert narrow.low > 0.7 - 0.08 and wide.low < 0.2
    overrides = [{"seed": 0}, {"seed": 1}]
    rows = [row(i, one, exact=0.7, examples=100) for i, one in enumerate(overrides)]
    found = find(sweep_table.read(str(write(tmp_path, rows))), "exact")
    assert found.groups[0].estimate == narrow


def table_of(tmp_path, overrides, values, statuses=()):
    statuses = dict(statuses)
    rows = [
        row(i, one, statuses.get(i, "done"), exact=value)
        for i, (one, value) in enumerate(zip(overrides, values, strict=True))
    ]
    return sweep_table.read(str(write(tmp_path, rows)))


def test_groups_share_out_the_trials(tmp_path):
    overrides = fake_sweep.LENGTHS_AND_CARDINALITIES
    values = np.random.default_rng(0).uniform(size=len(overrides)).tolist()
    table = table_of(tmp_path, overrides, values, {0: "failed"})
    found = groups(
        table, factors(table, ["task.length", "task.cardinality"]), "valid_exact"
    )
    assert sorted(place for one in found for place in one.trials) == list(range(18))
    for one in found:
        picked = [(overrides[i]["task.length"], i) for i in one.trials]
        assert len({length for length, _ in picked}) == 1
        done = [values[i] for i in one.trials if i != 0]
        np.testing.assert_allclose(one.estimate.mean, np.mean(done))
    assert [one.estimate.n for one in found] == [2, 3, 3, 3, 3, 3]
    assert len(groups(table, [], "valid_exact")) == 1


def explained(columns, y):
    """The share of variance of a least-squares fit on indicator columns."""
    design = np.stack([np.ones(len(y)), *columns], axis=1)
    fitted = design @ np.linalg.lstsq(design, y, rcond=None)[0]
    return 1 - ((y - fitted) ** 2).sum() / ((y - y.mean()) ** 2).sum()


@pytest.mark.parametrize("statuses", [{}, {0: "failed", 3: "running", 7: "pruned"}])
def test_the_share_is_that_of_a_regression_on_the_factor(tmp_path, statuses):
    overrides = fake_sweep.LENGTHS_AND_CARDINALITIES
    values = np.random.default_rng(1).uniform(size=len(overrides))
    table = table_of(tmp_path, overrides, values.tolist(), statuses)
    fields = ["task.length", "task.cardinality", "seed"]
    found = {e.field: e for e in effects(table, factors(table, fields), "valid_exact")}
    done = np.array([i not in statuses for i in range(len(overrides))])
    for field in fields:
        level = np.array([one[field] for one in overrides])[done]
        columns = [(level == value).astype(float) for value in np.unique(level)[1:]]
        share = explained(columns, values[done])
        np.testing.assert_allclose(found[field].share, share)
        means = {v: values[done][level == v].mean() for v in np.unique(level)}
        span = max(means.values()) - min(means.values())
        np.testing.assert_allclose(found[field].span, span)
        assert found[field].highest == str(max(means, key=means.get))
        assert found[field].lowest == str(min(means, key=means.get))


def test_effects_that_add_up_explain_everything(tmp_path):
    overrides = grid(task__length=[1, 2, 3], task__cardinality=[10, 20])
    values = [o["task.length"] + o["task.cardinality"] / 5 for o in overrides]
    table = table_of(tmp_path, overrides, values)
    found = effects(
        table, factors(table, ["task.length", "task.cardinality"]), "valid_exact"
    )
    np.testing.assert_allclose(sum(effect.share for effect in found), 1.0)
    assert [effect.field for effect in found] == ["task.cardinality", "task.length"]
    np.testing.assert_allclose([effect.span for effect in found], [2.0, 2.0])


def test_a_factor_without_effect_explains_about_what_chance_does(tmp_path):
    overrides = grid(task__length=[1, 2, 3, 4, 5], seed=list(range(8)))
    rng, shares = np.random.default_rng(2), []
    for _ in range(40):
        table = table_of(tmp_path, overrides, rng.normal(size=40).tolist())
        (effect,) = effects(table, factors(table, ["task.length"]), "valid_exact")
        shares.append(effect.share)
    assert effect.chance == 4 / 39
    assert abs(np.mean(shares) - effect.chance) < 0.03


@pytest.mark.parametrize("values", [[0.0, 0.0], [0.1, 0.1]])
def test_nothing_explains_a_metric_that_does_not_vary(tmp_path, values):
    table = table_of(tmp_path, grid(task__length=[1, 2]), values)
    (effect,) = effects(table, factors(table, ["task.length"]), "valid_exact")
    assert math.isnan(effect.share) and effect.span == 0.0


@pytest.mark.parametrize("metric, index", [("exact", 2), ("nll", 1)])
def test_the_best_trial_is_at_the_better_end(tmp_path, metric, index):
    numbers = [(0.5, 2.0), (0.6, 1.0), (0.9, 3.0), (1.0, 0.5)]
    rows = [
        row(i, {"seed": i}, "failed" if i == 3 else "done", exact=e, nll=n)
        for i, (e, n) in enumerate(numbers)
    ]
    found = find(sweep_table.read(str(write(tmp_path, rows))), metric)
    assert found.best.index == index
    # Its config is that of the directory, and it is trained where nothing is yet.
    name = f"{index:04d}-trial"
    words = ["s2sjax", "train", f"--config={tmp_path / 'trials' / name}"]
    command = shlex.split(as_json(found)["best"]["command"])
    assert command == [*words, f"--workdir={tmp_path}-{name}"]
    (tmp_path.parent / f"{tmp_path.name}-{name}").mkdir()
    assert as_json(found)["best"]["command"].endswith(f"-{name}-2")


def test_the_best_group_is_by_its_mean(tmp_path):
    overrides = grid(task__length=[5, 10], seed=[0, 1])
    found = find(table_of(tmp_path, overrides, [1.0, 0.0, 0.7, 0.7]), "exact")
    assert found.best.index == 0 and found.best_group().levels == (1,)


def test_group_by_averages_over_the_rest(tmp_path):
    overrides = fake_sweep.LENGTHS_AND_CARDINALITIES
    values = np.random.default_rng(3).uniform(size=18)
    table = table_of(tmp_path, overrides, values.tolist())
    found = find(table, "exact", ["task.cardinality"])
    assert found.averaged == ("task.length", "seed")
    means = [values[[o["task.cardinality"] == c for o in overrides]] for c in (10, 50)]
    np.testing.assert_allclose(
        [group.estimate.mean for group in found.groups], np.mean(means, axis=1)
    )
    by_seed = find(table, "exact", ["seed"])
    assert by_seed.averaged == ("task.length", "task.cardinality")
    assert len(by_seed.groups) == 3


@pytest.mark.parametrize("kind", fake_sweep.EVERY_KIND)
def test_every_kind_of_sweep_has_an_answer(tmp_path, kind):
    overrides, statuses = fake_sweep.EVERY_KIND[kind]
    table = sweep_table.read(str(fake_sweep.sweep(tmp_path, overrides, statuses)))
    found = as_json(find(table, "exact"))
    done = len(overrides) - len(statuses)
    assert sum(group["n"] for group in found["groups"]) == done
    assert (found["best"] is None) == (done == 0)


def test_an_unknown_metric_is_refused(tmp_path):
    with pytest.raises(UsageError, match="did you mean 'exact'"):
        find(table_of(tmp_path, [{}], [0.5]), "exakt")


@pytest.mark.parametrize("metric", ["exact", "valid_exact", "test_exact"])
def test_validation_chooses_and_the_test_stands_beside_it(tmp_path, metric):
    """Whatever is shown: the last trial is the best of the test, and by chance."""
    numbers = [(0.5, 2.0, 0.4), (0.9, 3.0, 0.5), (0.9, 1.0, 0.6), (0.7, 0.5, 0.99)]
    rows = [
        row(i, {"task.length": i // 2, "seed": i}, exact=e, nll=n, test={"exact": t})
        for i, (e, n, t) in enumerate(numbers)
    ]
    found = find(sweep_table.read(str(write(tmp_path, rows))), metric)
    # Of two equal ones that with the least nll.
    assert (found.best.index, found.equal) == (2, 1)
    shown = ["valid_exact", "test_exact"]
    if metric == "test_exact":
        shown.reverse()
    assert [one.name for one in found.measures] == shown
    means = {"valid_exact": [0.7, 0.8], "test_exact": [0.45, 0.795]}
    for name, groups_ in zip(shown, (found.groups, found.groups_beside), strict=True):
        np.testing.assert_allclose([g.estimate.mean for g in groups_], means[name])
    assert found.best_group().levels == (1,)
    told = as_json(found)
    assert (told["metric"], told["beside"]) == tuple(shown)
    assert told["ranked_by"] == "valid_exact" and told["groups"][0]["beside"]["n"] == 2
    assert told["best"]["value"] == 0.9 and told["best"]["seed"] == 2
    assert told["best"]["metrics"]["test_exact"] == 0.6


def test_what_the_test_alone_has_makes_no_trial_the_best(tmp_path):
    rows = [row(i, {"seed": i}, exact=0.5, test={"bleu": 9.0 + i}) for i in range(2)]
    found = find(sweep_table.read(str(write(tmp_path, rows))), "bleu")
    assert found.measure.name == "test_bleu" and found.best is found.beside is None
    assert found.groups[0].estimate.mean == 9.5 and found.best_group() is None
