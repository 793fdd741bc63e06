"""The rows of a sweep: what is read, what is left out, and what they are called."""

import json

import pytest

from s2sjax.errors import UsageError
from s2sjax.reporting.sweep import table as sweep_table
from s2sjax.reporting.sweep.factor import BINS, factor
from tests.reporting import fake_sweep
from tests.reporting.fake_sweep import grid, line, row, write


def test_trials_come_in_order_with_their_numbers(tmp_path):
    rows = [row(2, {"seed": 2}, exact=0.5), row(1, {"seed": 1}, "failed")]
    table = sweep_table.read(str(write(tmp_path, rows)))
    assert [trial.index for trial in table.trials] == [1, 2]
    failed, done = table.trials
    assert failed.value("valid_exact") is None and failed.error.startswith("diverged")
    assert done.value("valid_exact") == 0.5 and done.seconds == 1.5
    assert table.counts() == {"done": 1, "failed": 1}


def test_only_trials_that_are_done_have_a_value(tmp_path):
    rows = [row(0, {}, status, exact=0.5) for status in sweep_table.STATUSES]
    rows = [{**one, "name": f"trial-{i}"} for i, one in enumerate(rows)]
    table = sweep_table.read(str(write(tmp_path, rows)))
    assert [t.value("valid_exact") for t in table.trials].count(0.5) == 1


BAD = {
    "{": "not a line of JSON",
    '{"index": 1, "na': "not a line of JSON",
    "[" * 100_000: "nested too deeply",
    "[]": "it is [], not an object",
    json.dumps(row(1, {})): "its checksum is missing",
    line({**row(1, {}), "name": "../x"}): "name '../x' is not that of a trial",
    line({**row(1, {}), "name": "a/b"}): "is not that of a trial",
    line({**row(1, {}), "name": None}): "name is null, not a text",
    line({**row(1, {}), "overrides": 1}): "overrides is 1, not an object",
    line({**row(1, {}), "status": "dona"}): 'status is "dona", not one of done',
    line({**row(1, {}), "test": "high"}): 'test is "high", not an object',
    line(row(1, {}, exact="high")): 'valid.exact is "high", not a number',
}


@pytest.mark.parametrize("line", BAD, ids=range(len(BAD)))
def test_a_row_that_cannot_be_read_is_left_out_with_a_word(tmp_path, line):
    said = []
    rows = [row(0, {"seed": 0}, exact=0.5), line, row(2, {"seed": 2}, exact=0.7)]
    table = sweep_table.read(str(write(tmp_path, rows)), said.append)
    assert [trial.index for trial in table.trials] == [0, 2]
    assert len(said) == 1 and "trials.jsonl:2 is left out" in said[0]
    assert BAD[line] in said[0]


def test_bytes_that_are_no_text_are_left_out(tmp_path):
    write(tmp_path, [row(0, {}, exact=0.5)])
    with open(tmp_path / "trials.jsonl", "ab") as file:
        file.write(b'{"index": "\xff"}\n')
    said = []
    assert len(sweep_table.read(str(tmp_path), said.append).trials) == 1
    assert "not text in UTF-8" in said[0]


def test_what_tells_launches_apart_is_a_field_too(tmp_path):
    rows = [row(i, {"seed": i % 2}, exact=i / 4) for i in range(4)]
    for i, one in enumerate(rows):
        config = {"seed": i % 2, "model": {"units": 8 + 8 * (i > 1)}}
        fake_sweep.launched(tmp_path, one, config)
    table = sweep_table.read(str(write(tmp_path, rows)))
    assert table.varying() == ["model.units"]
    assert [trial.overrides["model.units"] for trial in table.trials] == [8, 8, 16, 16]


@pytest.mark.parametrize("units", ['"units": 9', '"units": []', '"unit": 8', ""])
@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("config.json", "was changed after the launch; what was launched counts"),
        ("trial.json", "was changed after the launch; its fields are left out"),
    ],
)
def test_what_was_edited_is_no_factor(tmp_path, file, said, units):
    rows = [row(i, {"seed": i}, exact=i / 4) for i in range(3)]
    folders = [
        fake_sweep.launched(tmp_path, one, {"seed": i, "model": {"units": 8}})
        for i, one in enumerate(rows)
    ]
    told = []
    sweep_table.read(str(write(tmp_path, rows)), told.append)
    assert told == []
    path = folders[1] / file
    path.write_text(path.read_text().replace('"units": 8', units))
    table = sweep_table.read(str(tmp_path), told.append)
    assert table.varying() == [] and told == [f"{path} {said}"]
    units = [trial.overrides.get("model.units") for trial in table.trials]
    assert units == [None] * 3


def test_a_trial_that_is_there_twice_counts_once(tmp_path):
    said = []
    rows = [row(0, {}, "running"), row(0, {}, exact=0.25)]
    table = sweep_table.read(str(write(tmp_path, rows)), said.append)
    assert [trial.value("valid_exact") for trial in table.trials] == [0.25]
    assert "twice" in said[0]


def test_what_says_what_was_evaluated_is_no_metric(tmp_path):
    numbers = {"exact": 0.5, "examples": 8, "seed": 3, "step": 5}
    table = sweep_table.read(str(write(tmp_path, [row(0, {}, **numbers)])))
    assert table.metrics() == ["valid_exact", "test_exact"]


@pytest.mark.parametrize(
    "made, reason",
    [
        (lambda path: None, "does not exist"),
        (lambda path: path.mkdir(), "it holds no trials"),
        (lambda path: path.write_text("x"), "is not a directory"),
        (lambda path: write(path, []), "no trial that can be read"),
        (lambda path: write(path, ["{"]), "no trial that can be read"),
    ],
)
def test_what_is_not_a_sweep_is_refused(tmp_path, made, reason):
    made(tmp_path / "sweep")
    with pytest.raises(UsageError, match=reason):
        sweep_table.read(str(tmp_path / "sweep"))


def test_factors_are_what_varies_but_the_seed(tmp_path):
    overrides = grid(task__length=[5, 10], task__name=["copy"], seed=[0, 1])
    table = sweep_table.read(str(fake_sweep.sweep(tmp_path, overrides)))
    assert table.varying() == ["task.length"]
    assert table.fields() == ["task.length", "task.name", "seed"]


def test_a_field_that_some_trials_do_not_override_comes_from_their_configs(tmp_path):
    rows = [row(0, {"task.length": 5}), row(1, {"model.cell": "gru"}), row(2, {})]
    config = {"task": {"length": 10}, "model": {"cell": "lstm"}}
    for one in rows[:2]:
        fake_sweep.launched(tmp_path, one, config)
    table = sweep_table.read(str(write(tmp_path, rows)))
    assert [dict(trial.overrides) for trial in table.trials] == [
        {"task.length": 5, "model.cell": "lstm"},
        {"model.cell": "gru", "task.length": 10},
        {},  # it has no config to ask
    ]


def test_unknown_names_are_refused_with_the_nearest(tmp_path):
    overrides = grid(task__length=[5, 10], seed=[0, 1])
    table = sweep_table.read(str(fake_sweep.sweep(tmp_path, overrides)))
    with pytest.raises(UsageError, match="did you mean 'exact'"):
        table.metric_named("exat")
    with pytest.raises(UsageError, match="did you mean 'test_exact'"):
        table.metric_named("test_exat")
    names = ("exact", "valid_exact", "test_exact")
    found = [table.metric_named(name) for name in names]
    assert found == ["valid_exact", "valid_exact", "test_exact"]
    with pytest.raises(UsageError, match=r"did you mean 'task\.length'"):
        table.check_fields("seed,task.lenght")
    assert table.check_fields("task.length, seed,seed") == ["task.length", "seed"]


def test_before_any_trial_is_done_the_usual_metrics_are_known(tmp_path):
    table = sweep_table.read(str(write(tmp_path, [row(0, {}, "running")])))
    assert table.metric_named("exact") == "valid_exact"
    with pytest.raises(UsageError, match="unknown metric"):
        table.metric_named("speed")
    with pytest.raises(UsageError, match="no trial overrides any field"):
        table.check_fields("seed")


def levels(tmp_path, values, field="task.length"):
    rows = [row(i, {field: value}) for i, value in enumerate(values)]
    found = factor(sweep_table.read(str(write(tmp_path, rows))), field)
    return found.labels, [found.labels[code] for code in found.codes], found


def test_levels_are_in_the_order_of_their_values(tmp_path):
    labels, each, _ = levels(tmp_path, [20, 5, 10, 5.0, 100])
    assert labels == ("5", "10", "20", "100")
    assert each == ["20", "5", "10", "5", "100"]
    labels, _, found = levels(tmp_path, ["lstm", None, 3, True, [1]])
    assert labels == ("none", "3", "lstm", "[1]", "true") and not found.numeric


def test_a_scale_of_its_own_is_not_put_into_bins(tmp_path):
    labels, _, found = levels(tmp_path, [2**i for i in range(12)])
    assert len(labels) == 12 and not found.binned


def test_random_draws_are_put_into_bins_of_about_one_size(tmp_path):
    values = [1e-4 * 1.01**i for i in range(600)]
    labels, _, found = levels(tmp_path, values[::-1])
    assert found.binned and len(labels) == BINS
    counts = [found.codes.count(code) for code in range(BINS)]
    assert sum(counts) == 600 and max(counts) - min(counts) <= 2
    # A higher value is never in a lower bin.
    assert list(found.codes) == sorted(found.codes, reverse=True)
