"""Search with Optuna: it proposes, it prunes, and it goes on where it was killed."""

import json
import shutil
from types import SimpleNamespace

import pytest

from s2sjax import config as configs
from s2sjax import json_objects
from s2sjax.errors import UsageError
from s2sjax.runs.provenance import SourceCode
from s2sjax.sweeps import choice, log_uniform, scheduler, uniform
from s2sjax.sweeps import trials as definition
from s2sjax.sweeps.directory import SweepDirectory
from s2sjax.sweeps.ledger import Ledger
from s2sjax.sweeps.pools.processes import Processes
from s2sjax.sweeps.trial_files import Result
from s2sjax.training import interruption

optuna = pytest.importorskip("optuna")

from s2sjax.sweeps import search as searches  # noqa: E402
from s2sjax.sweeps.optuna_specs import make_pruner, make_sampler  # noqa: E402
from s2sjax.sweeps.search import NAME, Search, check  # noqa: E402

SPACE = {
    "train.learning_rate": log_uniform(1e-4, 1e-1),
    "model.units": uniform(4, 8),
    "model.cell": choice("gru", "lstm"),
}
# The value is the rate's exponent, so that larger rates are better; every trial says
# one value at step 10 and, unless it is pruned, one at step 20.
TRAIN = """
import json, pathlib, sys, time
from s2sjax import json_objects
folder = pathlib.Path(sys.argv[1])
rate = json.loads((folder / "config.json").read_text())["train"]["learning_rate"]
with open(folder / "metrics.jsonl", "a") as journal:
    for step in (10, 20):
        line = {"step": step, "kind": "valid", "exact": rate}
        print(json.dumps(line), file=journal, flush=True)
        time.sleep(float(sys.argv[2]))
text = json_objects.encode({"exact": rate, "step": 20})
(folder / "test.json").write_text(text)
"""


@pytest.fixture
def search(tmp_path):
    """Runs a search in a sweep that stays from call to call."""
    import sys

    def run(
        most,
        *,
        space=SPACE,
        sampler="random",
        pruner="none",
        command=None,
        pause="0",
        **train_fields,
    ):
        base = configs.resolve({"train": {"steps": 20, **train_fields}})
        train = ["-S", "-c", TRAIN]
        with SweepDirectory(tmp_path / "sweep") as sweep:
            sweep.launches or sweep.record_launch(["test"], SourceCode("0", "", ""), [])
            ledger = Ledger(sweep)
            said = check(sweep, base, space)
            source = Search(
                *(sweep, ledger, base, space, sampler, pruner, most),
                lambda trial, path: "command",
            )
            with interruption.watch() as signals:
                scheduler.run(
                    sweep,
                    ledger,
                    source,
                    Processes(1),
                    command or (lambda p: [sys.executable, *train, str(p), pause]),
                    signals,
                    scheduler.Budgets(failed=0),
                )
            return SimpleNamespace(
                path=sweep.path,
                trials=list(source.trials),
                status=[ledger.status(trial) for trial in source.trials],
                results=[ledger.results[t.name] for t in source.trials],
                study=source._study,
                journal=source._journal,
                lacking=source.lacking(),
                said=said,
            )

    return run


def test_it_proposes_from_the_space_and_is_told_validation_values(search):
    ran = search(6)
    assert ran.status == ["done"] * 6
    for trial, proposal in zip(ran.trials, ran.study.trials, strict=True):
        assert set(trial.overrides) == set(SPACE)
        assert trial.overrides == proposal.params
        assert proposal.value == trial.config.train.learning_rate
    assert len({trial.config for trial in ran.trials}) == 6


def test_it_goes_on_and_proposes_nothing_twice(search):
    first = search(3)
    ran = search(5)
    assert ran.trials[:3] == first.trials and len(set(t.name for t in ran.trials)) == 5
    assert [trial.number for trial in ran.study.trials] == [0, 1, 2, 3, 4]
    assert search(5).trials == ran.trials


def test_a_proposal_without_an_end_is_taken_up_again(search, tmp_path):
    first = search(2)
    journal = tmp_path / "sweep" / NAME
    lines = journal.read_text().splitlines(keepends=True)
    # What Optuna was told of the last end is lost: the launcher was killed before.
    told = max(i for i, line in enumerate(lines) if '"state"' in line)
    journal.write_text("".join(lines[:told]))
    with SweepDirectory(tmp_path / "sweep") as sweep:
        to = (Ledger(sweep), configs.resolve({"train": {"steps": 20}}), SPACE)
        source = Search(sweep, *to, "random", "none", 3, lambda *_: "command")
        assert source.trials == first.trials
    ran = search(3)
    assert ran.status == ["done"] * 3 and set(ran.trials) >= set(first.trials)
    assert all(trial.state.name == "COMPLETE" for trial in ran.study.trials)
    assert len(list((tmp_path / "sweep" / "trials").iterdir())) == 3


@pytest.mark.parametrize(
    ("metric", "direction"),
    [("wer", "MINIMIZE"), ("nll", "MINIMIZE"), ("chrf", "MAXIMIZE")],
)
def test_a_metric_is_optimised_towards_its_better_end(tmp_path, metric, direction):
    base = configs.resolve({"train": {"steps": 20, "metric": metric}})
    with SweepDirectory(tmp_path / "sweep") as sweep:
        to = (Ledger(sweep), base, SPACE, "random", "none", 3)
        source = Search(sweep, *to, lambda *_: "command")
    assert source._study.direction.name == direction


def test_a_hopeless_trial_is_stopped(search):
    # The median of those before ends whatever is worse at step 10.
    ran = search(6, pruner="median:startup=1", pause="0.3")
    rates = [trial.config.train.learning_rate for trial in ran.trials]
    worse = [rate < max(rates[: i + 1]) for i, rate in enumerate(rates)]
    assert "pruned" in ran.status and ran.status[0] == "done"
    for place, status in enumerate(ran.status):
        if status == "pruned":
            assert worse[place]
            result = ran.results[place]
            assert (result.valid, result.test) == ({"exact": rates[place]}, {})
    states = {
        t.user_attrs["overrides"]["train.learning_rate"]: t.state.name
        for t in ran.study.trials
    }
    assert [states[rate] == "PRUNED" for rate in rates] == [
        status == "pruned" for status in ran.status
    ]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"model.cell": choice("gru", "lstm", "simple")},
            "model.cell is choice('gru', 'lstm', 'simple'), was choice('gru', 'lstm')",
        ),
        ({"model.cell": choice("lstm", "gru")}, "model.cell is choice('lstm', 'gru')"),
        (
            {"model.units": log_uniform(4, 8)},
            "model.units is log_uniform(4, 8), was uniform(4, 8)",
        ),
        ({"model.units": uniform(4, 9)}, "is uniform(4, 9), was uniform(4, 8)"),
        (
            {"train.patience": choice(0)},
            "train.patience is choice(0), was not in it",
        ),
        ({"model.cell": None}, "model.cell is not in it, was choice('gru', 'lstm')"),
    ],
)
def test_another_space_is_refused_before_the_study_is_asked(
    search, tmp_path, change, said
):
    search(1)
    path = tmp_path / "sweep"
    before = {file: file.read_bytes() for file in path.rglob("*.*") if file.is_file()}
    space = {name: given for name, given in {**SPACE, **change}.items() if given}
    with pytest.raises(UsageError) as told:
        search(3, space=space)
    assert "the space differs from that of the first launch: " in str(told.value)
    assert said in str(told.value) and "\n" not in str(told.value)
    assert {file: file.read_bytes() for file in before} == before
    assert search(2).status == ["done"] * 2  # put back, it goes on


def test_another_config_is_refused_too(search):
    search(1)
    with pytest.raises(UsageError, match=r"train\.metric is 'nll', was 'exact'"):
        search(3, metric="nll")
    # What the space proposes is of no account.
    assert search(2, learning_rate=0.5).status == ["done"] * 2


def test_a_proposal_that_made_no_trial_counts_for_nothing(search, tmp_path):
    ran = search(1)
    ran.study.ask()  # and a launcher of an earlier version was killed
    ran.study.ask({"model.units": optuna.distributions.IntDistribution(1, 2)})
    ran.journal.commit()
    ran = search(3)
    assert ran.status == ["done"] * 3 and not ran.lacking
    states = [trial.state.name for trial in ran.study.trials]
    assert states == ["COMPLETE", "FAIL", "FAIL", "COMPLETE", "COMPLETE"]


@pytest.mark.parametrize("lost", ["", "result.json"])
def test_a_trial_or_a_result_that_was_lost_is_had_again(search, lost):
    first = search(2)
    gone = first.path / "trials" / first.trials[0].name
    if lost:
        (gone / lost).unlink()
    else:
        shutil.rmtree(gone)
    ran = search(2)
    assert ran.status == ["done"] * 2 and len(ran.study.trials) == 2
    assert {t.config for t in ran.trials} == {t.config for t in first.trials}


def test_values_that_exclude_one_another_are_passed_over(search, monkeypatch):
    space = {"task.length": uniform(1, 9), "task.min_length": uniform(1, 9)}
    ran = search(6, space=space)
    assert ran.status == ["done"] * 6 and not ran.lacking
    assert len(ran.study.trials) > 6
    never = {"task.length": choice(3, 4), "task.min_length": choice(5, 6)}
    (ran.path / NAME).unlink()
    monkeypatch.setattr(searches, "IN_VAIN", 9)
    ran = search(6, space=never)
    assert ran.trials == [] and "or cannot be (trial 0: task.min_length" in ran.lacking
    assert "further ones" in ran.lacking and "\n" not in ran.lacking


def test_a_search_whose_journal_is_gone_begins_anew(search):
    first = search(2)
    assert first.said == ""
    (first.path / NAME).unlink()
    sweep = json_objects.read(first.path / "sweep.json", dict)
    sweep["launches"][0]["command"] = ["s2sjax", "sweep", "--search=random"]
    (first.path / "sweep.json").write_text(json_objects.encode(sweep))
    ran = search(2)
    assert ran.said.endswith("a trial that is there is not trained again")
    assert ran.trials == first.trials and ran.status == ["done"] * 2


@pytest.mark.parametrize("junk", ["{}", "[1]", "nonsense", '{"op_code": 4}'])
def test_a_damaged_journal_is_one_line(search, junk):
    path = search(1).path / NAME
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([*lines[:2], junk + "\n", *lines[2:]]))
    with pytest.raises(UsageError) as told:
        search(2)
    assert str(told.value) == f"{path} is damaged: not what a search wrote"


def test_what_a_killed_launcher_left_half_done_goes(search):
    path = search(1).path / NAME
    with open(path, "a") as journal:
        journal.write('{"op_code": 4, "wor')
    # Of an earlier version; Optuna would wait for its end for ever.
    path.with_name(NAME + ".lock").symlink_to("sweep/search.journal")
    assert search(2).status == ["done"] * 2
    assert all(json.loads(line) for line in path.read_text().splitlines())


def test_two_proposals_of_one_run_are_one_trial(tmp_path, base):
    with SweepDirectory(tmp_path / "sweep") as sweep:
        space = {"model.units": choice(4, 5)}
        to = (sweep, Ledger(sweep), base, space, "random:seed=2", "none", 9)
        source = Search(*to, lambda trial, path: "command")
        trials = [source.next(), source.next()]
        # Both are running, and there are no more.
        assert len(set(trials)) == 2 and source.next() is None
        assert source.lacking() == "the space has no more than 2 trials"
        for trial in trials:
            source.ended(trial, Result("failed"))
        states = [trial.state.name for trial in source._study.trials]
        assert states[2:] and set(states) == {"FAIL"} and source.trials == trials


def test_failures_are_told_too(search):
    ran = search(2, command=lambda path: ["sh", "-c", "exit 1"])
    assert ran.status == ["failed"] * 2
    assert [trial.state.name for trial in ran.study.trials] == ["FAIL"] * 2


@pytest.mark.parametrize(
    ("make", "text", "said"),
    [
        (make_sampler, "tpee", "did you mean 'tpe'?"),
        (make_sampler, "tpe:seeds=1", "did you mean 'seed'?"),
        (make_pruner, "asha:factor=1", "asha:factor=1"),
        (make_pruner, "media", "did you mean 'median'?"),
    ],
)
def test_specs_that_cannot_be_are_one_line(make, text, said):
    with pytest.raises(UsageError) as told:
        make(text)
    assert said in str(told.value) and "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("{'model.unit': uniform(1, 2)}", "did you mean 'model.units'?"),
        ("{'model.units': uniform(0.5, 2)}", "search: model.units=0.5"),
        ("{'model.units': 3}", "model.units=3 is not uniform"),
        ("{}", "search returns {}, not a dict such as"),
        ("1 / 0", "ZeroDivisionError"),
    ],
)
def test_a_space_that_cannot_be_is_one_line(tmp_path, base, body, said):
    path = tmp_path / "file.py"
    path.write_text(
        f"from s2sjax.sweeps import *\ndef search(config):\n    return {body}\n"
    )
    with pytest.raises(UsageError) as told:
        definition.space(str(path), base)
    assert said in str(told.value) and "\n" not in str(told.value)
