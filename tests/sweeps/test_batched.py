"""Trials in one program: who stops when, what is written, and what shares a program."""

import dataclasses
import itertools
import json

import jax
import numpy as np
import pytest
from jax.errors import JaxRuntimeError

from s2sjax import compressed, metrics, tasks
from s2sjax import config as configs
from s2sjax.errors import UsageError
from s2sjax.inference import vectors
from s2sjax.inference.evaluate import outcomes
from s2sjax.inference.load import open_trained
from s2sjax.inference.summary import evaluation
from s2sjax.inference.system import System
from s2sjax.models.architectures import build_model
from s2sjax.runs import journal, run_files
from s2sjax.runs.directory import agreed_config, open_for_training
from s2sjax.runs.journal import plain
from s2sjax.runs.provenance import SourceCode
from s2sjax.sweeps import backends, grid, product, seeds
from s2sjax.sweeps import trials as definition
from s2sjax.sweeps.batched import fitting, grouping, stored_group
from s2sjax.sweeps.batched import programs as replicas
from s2sjax.sweeps.batched import run as batched
from s2sjax.sweeps.batched.grouping import group
from s2sjax.sweeps.batched.loop import ReplicaLoop
from s2sjax.sweeps.batched.programs import Layout
from s2sjax.sweeps.batched.programs import outcomes as replica_outcomes
from s2sjax.sweeps.directory import SweepDirectory
from s2sjax.sweeps.ledger import NAME, Ledger
from s2sjax.sweeps.protocols import Listed, SweepObserver
from s2sjax.tasks import pairs
from s2sjax.training import loop
from s2sjax.training.interruption import Signals
from s2sjax.training.observer import Observer
from s2sjax.training.recipe import recipe
from s2sjax.training.state import numbers

BASE = {
    "task": {"length": 3, "min_length": 1, "num_valid": 20, "num_test": 20},
    "model": {"units": 4, "embedding": 3},
    "train": {
        **{"steps": 20, "batch_size": 4, "eval_every": 5, "save_every": 10},
        "valid_examples": 18,  # of 20, two batches
    },
    "decode": {"batch_size": 16},
}


def base(**train):
    return configs.resolve({**BASE, "train": {**BASE["train"], **train}})


def launch(path, config, overrides, retry=False, observer=None):
    """Runs a sweep in this process; statuses, results and directories by number."""
    with SweepDirectory(path) as sweep:
        defined, _ = sweep.add(
            definition.resolve(config, overrides), lambda trial, path: ""
        )
        sweep.launches or sweep.record_launch(["test"], SourceCode("0", "", ""), [])
        ledger = Ledger(sweep)
        wanted = ("pending", "failed") if retry else ("pending",)
        left = [trial for trial in defined if ledger.status(trial) in wanted]
        batched.run(sweep, ledger, Listed(left), Signals(), observer or SweepObserver())
        return [
            (ledger.status(trial), ledger.results[trial.name], sweep.of(trial))
            for trial in defined
        ]


def same(one, other):
    """Whether two records agree, their numbers but for rounding."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return one == pytest.approx(other, rel=1e-4) if type(one) is float else one == other


def lines(path):
    """A journal without the clock."""
    found = journal.read(path / "metrics.jsonl")
    for line in found:
        line.pop("seconds", None)
    return found


def test_each_stops_by_itself_and_the_others_go_on(tmp_path):
    config = base(patience=1, metric="nll", log_every=5, optimizer="sgd")
    rates = [{"train.learning_rate": rate} for rate in (0.1, 0.0, 1e38)]
    (going, done, path), still, diverged = launch(tmp_path / "sweep", config, rates)
    assert (going, still[0], diverged[0]) == ("done", "done", "failed")
    assert [line["step"] for line in lines(path)][-1] == 20
    # A rate of 0 never improves on its first evaluation.
    assert [line["step"] for line in lines(still[2])][-1] == 10
    assert "diverged at step" in diverged[1].error
    assert (done.valid["examples"], done.test["examples"]) == (18, 20)
    assert done.best_step == 20 and done.seed == 0

    trial = configs.resolve(json.loads((path / "config.json").read_text()))
    with open_for_training(tmp_path / "alone", trial) as run:
        loop.train(run, tasks.create(trial), Observer(), Signals())
    assert same(lines(path), lines(tmp_path / "alone"))
    valid = [line for line in lines(path) if line["kind"] == "valid"]
    assert {line["examples"] for line in valid} == {18}

    # Only what failed is tried again, in a group of its own.
    again = launch(tmp_path / "sweep", config, rates, retry=True)
    assert [status for status, *_ in again] == ["done", "done", "failed"]
    assert [result.attempts for _, result, _ in again] == [1, 1, 2]
    assert len(list((tmp_path / "sweep" / "groups").iterdir())) == 2
    assert lines(again[0][2]) == lines(path)


def test_vectors_are_read_once_and_are_those_of_a_run_alone(tmp_path, monkeypatch):
    file = tmp_path / "vectors.txt"
    file.write_text("".join(f"{n} {n / 9} 0.5 -1\n" for n in range(7)))
    tables = {"embedding_file": str(file), "freeze_embedding": True}
    train = BASE["train"] | {"steps": 5, "clip_norm": 0.1, "optimizer": "adamw"}
    model = {**BASE["model"], **tables, "tie_output": True}
    config = configs.resolve({**BASE, "model": model, "train": train})
    opened, lines_of = [], compressed.lines
    counting = lambda path: opened.append(path) or lines_of(path)  # noqa: E731
    monkeypatch.setattr(compressed, "lines", counting)
    (_, _, path), (_, _, other) = launch(tmp_path / "sweep", config, seeds(2))
    assert opened == [file] * 2  # its first line, and all of them
    noted = [run_files.read_record(each)["embeddings"] for each in (path, other)]
    assert noted[0] == noted[1] != {}

    known = vectors.of_fields(vectors.read(config, tasks.create(config)))
    with open_for_training(tmp_path / "alone", config) as run:
        task = tasks.create(config)
        loop.train(run, task, Observer(), Signals(), vectors=known)
    assert same(lines(path), lines(tmp_path / "alone"))
    one, two = (open_trained(each, "last").params for each in (path, other))
    tables = [np.asarray(each["encoder"]["embed"]["table"]) for each in (one, two)]
    np.testing.assert_array_equal(*(table[4:11] for table in tables))
    assert (tables[0][11:] != tables[1][11:]).all()


def test_of_equal_metrics_the_least_nll_is_best_alone_and_together(
    tmp_path, monkeypatch
):
    """Nothing has got better where the nll rises from 0.003, or stays."""
    config, told, stars = base(), itertools.cycle((0.005, 0.003, 0.004, 0.0035)), []

    class Stars(Observer):
        def evaluated(self, step, values, samples, best):
            stars.append(best)

    def summary(outcomes):
        return {"examples": 18, "exact": 1.0, "edit_distance": 0.0, "nll": next(told)}

    with monkeypatch.context() as patched:
        patched.setattr(metrics, "summary", summary)
        with open_for_training(tmp_path / "alone", config) as run:
            ended = loop.train(run, tasks.create(config), Stars(), Signals())
        ((status, _, path),) = launch(tmp_path / "sweep", config, [{}])
    assert stars == [True, True, False, False] and status == "done"
    assert (ended.progress.best_step, ended.progress.best_nll) == (10, 0.003)
    alone, together = open_trained(tmp_path / "alone"), open_trained(path)
    assert alone.step == together.step == 10
    jax.tree.map(np.testing.assert_array_equal, alone.params, together.params)


def test_a_padded_trial_is_read_at_its_own_size(tmp_path):
    sizes = [(2, 4), (5, 7)]
    found = launch(
        tmp_path / "sweep",
        base(),
        [{"task.length": n, "task.cardinality": v} for n, v in sizes],
    )
    assert len(list((tmp_path / "sweep" / "groups").iterdir())) == 1
    for (status, result, path), (_, symbols) in zip(found, sizes, strict=True):
        assert status == "done"
        trained = open_trained(path, "best")
        assert trained.params["decoder"]["output_kernel"].shape == (4 + symbols, 4)
        results, _ = outcomes(trained.system, trained.task.buckets["test"])
        assert results.nll.sum() == pytest.approx(
            result.test["nll"] * (results.target_lengths.sum() + 20), rel=1e-5
        )
        assert open_trained(path, "last").step == 20
        with pytest.raises(UsageError, match="no checkpoint 7 of this trial"):
            open_trained(path, 7)
        # It has no checkpoint to go on from, and must not begin again in its place.
        with pytest.raises(UsageError, match="trained together"):
            agreed_config(path, None)


def test_on_a_gpu_all_are_evaluated_at_once():
    runs = [base(), dataclasses.replace(base(), seed=1)]
    made = [tasks.create(run) for run in runs]
    model = build_model(runs[0], 14, 14)
    one_by_one = Layout.of(2)
    at_once = dataclasses.replace(one_by_one, batched=True)
    stacked = replicas.stack([numbers(run) for run in runs])
    chosen = recipe(runs[0].train, 20)
    params = replicas.first_states(one_by_one, model, chosen, stacked).params
    system = System((model,), runs[0], (params,), None, stacked["seed"])
    bucket = made[0].buckets["valid"][0]
    stores = replicas.stack([task.buckets["valid"][0].store for task in made])
    bucket = dataclasses.replace(bucket, store=stores)
    pairs = zip(
        replica_outcomes(one_by_one, system, bucket),
        replica_outcomes(at_once, system, bucket),
        strict=True,
    )
    for (slow, sources), (fast, same) in pairs:
        assert sources == same
        for name, ours, theirs in zip(slow._fields, slow, fast, strict=True):
            if name in ("output", "target"):
                assert ours.tolist() == theirs.tolist(), name
            elif name == "references":
                assert all(map(np.array_equal, ours, theirs))
            else:
                np.testing.assert_allclose(ours, theirs, rtol=1e-5, err_msg=name)


def test_out_of_memory_is_a_failure_of_its_trials_alone(tmp_path, monkeypatch):
    def out_of_memory(self):
        if self.replicas[0].trial.config.model.units == 5:
            raise JaxRuntimeError("RESOURCE_EXHAUSTED: out of memory\nmore")
        for replica in self.replicas:
            self.callbacks.tested(replica)

    monkeypatch.setattr(ReplicaLoop, "run", out_of_memory)
    found = launch(tmp_path, base(), [{"model.units": 5}, {"model.units": 6}])
    assert [status for status, *_ in found] == ["failed", "done"]
    assert found[0][1].error == "RESOURCE_EXHAUSTED: out of memory"


def test_a_group_that_does_not_fit_is_taken_in_parts(tmp_path, monkeypatch):
    said, together = [], []

    def two_fit(self):
        seeds_ = [replica.trial.config.seed for replica in self.replicas]
        together.append(seeds_)
        if len(seeds_) > 2 or 4 in seeds_:
            raise JaxRuntimeError("RESOURCE_EXHAUSTED: out of memory\nmore")
        for replica in self.replicas:
            self.callbacks.tested(replica)

    monkeypatch.setattr(ReplicaLoop, "run", two_fit)
    observer = SweepObserver()
    observer.message = said.append
    found = launch(tmp_path, base(), seeds(5), observer=observer)
    assert together == [[*range(5)], [0, 1, 2], [0, 1], [2], [3, 4], [3], [4]]
    assert [status for status, *_ in found] == ["done"] * 4 + ["failed"]
    assert found[4][1].error == "RESOURCE_EXHAUSTED: out of memory"
    assert [line.partition(" do not fit")[0] for line in said] == [
        "5 trials",
        "3 trials",
        "2 trials",
    ]
    with SweepDirectory(tmp_path) as sweep:
        kept = stored_group.read(tmp_path, sweep.trials)
    seeds_ = [[trial.config.seed for trial in group.trials] for group in kept]
    assert sorted(seeds_) == [[0, 1], [2], [3], [4]]


def test_a_group_that_has_saved_is_not_taken_apart(tmp_path, monkeypatch):
    def too_large(self):
        for number in range(2):
            (self.checkpoints.directory / str(number)).mkdir()
        raise JaxRuntimeError("RESOURCE_EXHAUSTED: out of memory")

    monkeypatch.setattr(ReplicaLoop, "run", too_large)
    found = launch(tmp_path, base(), seeds(3))
    assert [status for status, *_ in found] == ["failed"] * 3
    assert len(list((tmp_path / "groups").iterdir())) == 1


def test_trials_run_while_they_compile(tmp_path, monkeypatch):
    rows = []

    def run(self):
        rows.extend(map(json.loads, (tmp_path / NAME).read_text().splitlines()))
        for replica in self.replicas:
            self.callbacks.tested(replica)

    monkeypatch.setattr(ReplicaLoop, "run", run)
    launch(tmp_path, base(), seeds(3))
    assert [row["status"] for row in rows] == ["running"] * 3


def test_a_group_is_split_until_it_fits_or_refused():
    trials = definition.resolve(base(), [{"seed": seed} for seed in range(6)])
    (whole,) = fitting.fit(trials, 2**30)
    kept, working = fitting._needs(whole)
    # Room for four, so that two programs of three compile once.
    parts = fitting.fit(trials, 4 * kept + working)
    assert [[t.index for t in part.trials] for part in parts] == [[0, 1, 2], [3, 4, 5]]
    with pytest.raises(UsageError, match=r"trial 0: .*GiB for one trial.*GiB here"):
        fitting.fit(trials, working)


@pytest.mark.parametrize("steps", [10, 300, 1000, 10**7])
def test_sizes_are_split_at_the_least_cost(steps):
    config = configs.resolve({"train": {"steps": steps}})
    lengths = (3, 5, 10, 20, 40)
    sizes = product(grid({"task.length": lengths}), seeds(2))
    trials = definition.resolve(config, sizes)
    flops = grouping.step_flops(config, [(length, 10) for length in lengths])

    def cost(parts):
        return sum(
            grouping.COMPILE_SECONDS
            + 2 * len(part) * steps * flops((max(part), 10)) / grouping.FLOPS_PER_SECOND
            for part in parts
        )

    def partitions(places):
        for cuts in itertools.product((False, True), repeat=len(places) - 1):
            parts = [[places[0]]]
            for place, cut in zip(places[1:], cuts, strict=True):
                if cut:
                    parts.append([])
                parts[-1].append(place)
            yield parts

    found = [
        sorted({trial.config.task.length for trial in part})
        for part in grouping.split(trials)
    ]
    assert sorted(n for part in found for n in part) == list(lengths)
    assert cost(found) == min(map(cost, partitions(lengths)))


def test_code_that_differs_shares_no_program():
    fields = [
        {"model.dropout_state": 0.1},
        {"model.dropout_state": 0.2},
        {"train.feeding": "argmax"},
        {"train.optimizer": "adafactor", "task.cardinality": 5},
        {"train.optimizer": "adafactor", "task.cardinality": 6},
        {"task.num_train": 50},
        {"task.num_train": 60},
    ]
    found = group(definition.resolve(base(), fields))
    numbers = [[trial.index for trial in each.trials] for each in found]
    assert numbers == [[0, 1], [2], [3], [4], [5, 6]]


def alone(path, trial):
    """The journal and the evaluation of the run of a trial by itself."""
    with open_for_training(path, trial.config) as run:
        task = tasks.create(trial.config, run.data)
        loop.train(run, task, Observer(), Signals())
    trained = open_trained(path, "best")
    found = outcomes(trained.system, trained.task.buckets["test"])
    step = trained.step
    return lines(path), evaluation(task, trial.config, step, "test", *found)


PAIRS = [(f"{who} {what}", f"{what} {who}") for who in "abcdefgh" for what in "xyzuv"]
PAIRS += [(f"h {what}", f"{what} {what}") for what in "xyzuv"]  # right as well


@pytest.mark.parametrize(
    ("name", "metric"),
    [("addition", "chrf"), ("pattern", "wer"), ("text", "bleu"), ("aligned", "wer")],
)
def test_tasks_of_every_kind_are_trained_as_alone(name, metric, tmp_path):
    pattern, pairs = tmp_path / "mine.py", tmp_path / "pairs.tsv"
    pattern.write_text("def mine(xs):\n    return [len(xs), *xs, max(xs)]\n")
    pairs.write_text("".join(f"{s}\t{t}\n" for s, t in PAIRS))
    task = {
        "addition": {"name": "addition", "length": 2, "num_valid": 20, "num_test": 20},
        "pattern": {**BASE["task"], "name": f"{pattern}:mine", "num_train": 30},
        "text": {"name": "text", "path": str(pairs)},
        "aligned": {**BASE["task"], "name": "sorted", "num_train": 30},
    }
    model = {"architecture": "aligned", "lookahead": 2} if name == "aligned" else {}
    config = configs.resolve(
        {
            **{**BASE, "task": task[name], "model": {**BASE["model"], **model}},
            "train": {**BASE["train"], "buckets": 1, "metric": metric},
        }
    )
    more = {"task.length": 5, "task.cardinality": 9, "task.num_train": 50}
    several = name in ("pattern", "aligned")  # lengths and vocabularies
    overrides = [{"seed": 1}, {"seed": 2, **(more if several else {})}]
    assert not backends.obstacle(definition.resolve(config, overrides))
    defined = definition.resolve(config, overrides)
    found = launch(tmp_path / "sweep", config, overrides)
    assert len(list((tmp_path / "sweep" / "groups").iterdir())) == 1
    assert [status for status, *_ in found] == ["done", "done"]
    padded = slice(0 if several else 1, None)
    for trial, (_, _, path) in list(zip(defined, found, strict=True))[padded]:
        journal_, evaluated = alone(tmp_path / str(trial.index), trial)
        assert same(lines(path), journal_)
        tested = run_files.read_object(path / "test.json")
        valid = {
            line["step"]: line[metric] for line in journal_ if line["kind"] == "valid"
        }
        best = (min if metric == "wer" else max)(valid.values())
        assert len(valid) == 4 and valid[tested["step"]] == best
        assert same(tested, json.loads(json.dumps(plain(evaluated))))


def test_held_out_examples_of_several_widths_are_all_evaluated(tmp_path, monkeypatch):
    monkeypatch.setattr(pairs, "ROWS_A_BUCKET", 8)
    pattern = tmp_path / "mine.py"
    pattern.write_text("def mine(xs):\n    return xs * 2\n")
    task = {**BASE["task"], "name": f"{pattern}:mine", "length": 6, "num_train": 30}
    config = configs.resolve(
        {**BASE, "task": task, "train": {**BASE["train"], "buckets": 1}}
    )
    trial, other = definition.resolve(config, [{"seed": 1}, {"seed": 2}])
    assert len(tasks.create(trial.config).buckets["test"]) > 1
    found = launch(tmp_path / "sweep", config, [{"seed": 1}, {"seed": 2}])
    for each, (_, _, path) in zip((trial, other), found, strict=True):
        journal_, evaluated = alone(tmp_path / str(each.index), each)
        assert same(lines(path), journal_)
        tested = run_files.read_object(path / "test.json")
        assert tested["examples"] == 20
        assert same(tested, json.loads(json.dumps(plain(evaluated))))


def test_a_set_of_several_widths_is_no_trial_of_a_group(tmp_path):
    config = configs.resolve({**BASE, "task": {"name": "text", "path": "pairs.tsv"}})
    with pytest.raises(UsageError, match=r"trial 0: .*train\.buckets=0.*buckets=1"):
        batched.check(definition.resolve(config, [{}]))
