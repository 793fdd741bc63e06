"""Each field of each JSON file of a run and of a sweep, replaced by what it is not.

Whatever is there instead: one line, or the same answer. Never a traceback, and never
another answer in silence. Where the checksums are made right again, as in a folder
that comes from elsewhere, there is no traceback either.
"""

import hashlib
import json
import os
import shutil
import types
import zlib

import jax
import numpy as np
import pytest

from s2sjax import config as configs
from s2sjax import json_objects, tasks
from s2sjax.cli import main, start
from s2sjax.commands import train
from s2sjax.commands.sweep import _lacking
from s2sjax.errors import RunError, UsageError
from s2sjax.metrics import headlines
from s2sjax.reporting.sweep import table as sweep_table
from s2sjax.reporting.sweep import trial_files
from s2sjax.runs import bundle, code, logged, manifest, run_files, slices
from s2sjax.runs.checkpoint import CheckpointReader, Checkpoints
from s2sjax.runs.directory import agreed_config, open_for_reading, open_for_training
from s2sjax.runs.journal import Journal
from s2sjax.runs.progress import Progress
from s2sjax.runs.provenance import SourceCode
from s2sjax.sweeps import backends, directory, ledger
from s2sjax.sweeps import trial_files as kept_files
from s2sjax.sweeps import trials as definition
from s2sjax.sweeps.batched import stored_group
from s2sjax.sweeps.directory import SweepDirectory

WRONG = (None, True, 3, -3, 10**30, 0.5, float("nan"), "x", "\x1b[2J", [], [3], {})
ONE_LINE = (UsageError, RunError)


def changed(value):
    """The value with each of its fields replaced, and with each left out."""
    for wrong in WRONG:
        if type(wrong) is not type(value) or wrong != value:
            yield wrong
    if isinstance(value, dict):
        for name, inner in value.items():
            rest = {other: value[other] for other in value if other != name}
            yield rest
            yield from (rest | {name: each} for each in changed(inner))
    if isinstance(value, list):
        for place in {0, len(value) - 1} if value else ():
            for each in changed(value[place]):
                yield [*value[:place], each, *value[place + 1 :]]


def junk(data):
    half = data[: len(data) // 2]
    yield from (b"", b"{", half, half + bytes(len(half)), bytes(len(data)), b"\xff\xfe")
    yield from (b"[" * 100_000, data + b"}", data[1:], data.replace(b":", b"=", 1))


def damaged(path, again=None):
    """Writes what a file may become, one after the other; then it is as it was.

    `again` makes the checksums right for a changed value: text of the file itself.
    """
    data = path.read_bytes()
    try:
        for value in changed(json.loads(data)):
            text = json.dumps(value) if again is None else again(value)
            if text is not None:
                path.write_text(text)
                yield text
        for each in junk(data) if again is None else ():
            path.write_bytes(each)
            yield each
    finally:
        path.write_bytes(data)


def sealed(value):
    """A changed object, as s2sjax would have written it."""
    if not isinstance(value, dict):
        return None
    value = {name: each for name, each in value.items() if name != "crc32"}
    try:
        return json_objects.encode(value)
    except ValueError:
        return None


def compare(path, answer, again=None):
    """How many ways of damage were told, and how many changed nothing."""
    said = []
    right = answer(said.append)
    assert not said, said
    told = same = 0
    for text in damaged(path, again):
        said.clear()
        try:
            found = answer(said.append)
        except ONE_LINE as error:
            assert "\n" not in str(error) and len(str(error)) < 1000
            told += 1
            continue
        assert all("\n" not in line for line in said)
        if again is None:
            assert said or found == right, text[:500]
        told, same = told + bool(said), same + (not said)
    return told, same


@pytest.fixture(scope="module")
def run(text, tmp_path_factory):
    """A trained run on text, to be damaged."""
    return shutil.copytree(text, tmp_path_factory.mktemp("damaged") / "run")


def of_config(run):
    """What every reader of a run asks first."""

    def answer(say):
        opened = open_for_reading(run)
        config, record = agreed_config(run, None)
        train.beginning(run, None, record)
        assert main(["config", "show", f"--workdir={run}", "--json"]) in (0, 2)
        same = run_files.identity(json.loads(configs.canonical_json(config)))
        return opened.config == config, same, start.recorded_flags(record)

    return answer


def of_data(run):
    """What a model is fed with."""
    config = open_for_reading(run).config

    def answer(say):
        task = tasks.load(config, run / "data")
        sides = (task.source_vocabulary, task.target_vocabulary)
        stores = [
            bucket.store for name in task.buckets for bucket in task.buckets[name]
        ]
        leaves = [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(stores)]
        return [side.to_json() for side in sides], leaves, task.unseen([[4, 5]], 1)

    return answer


def of_checkpoint(run):
    def answer(say):
        reader = CheckpointReader(run / "checkpoints", metric_better="max", say=say)
        restored = reader.restore_params("best")
        leaves = [leaf.tobytes() for leaf in jax.tree.leaves(restored.state)]
        return restored.step, leaves, Progress.from_json(restored.progress).best

    return answer


def of_test(run):
    """What `train` shows of a run that has ended, and `report` of a trial."""

    def answer(say):
        found = trial_files.read(run, say)
        try:
            result = run_files.read_test(run)
        except UsageError as error:  # it is evaluated again
            return say(str(error))
        shown = headlines(result, "exact")
        return shown, result["step"], found.exact.tolist()

    return answer


def test_the_config_and_the_record_of_a_run(run, capsys):
    told, same = compare(run / "config.json", of_config(run))
    assert told > 500
    for again in (None, sealed):
        told, same = compare(run / "run.json", of_config(run), again)
        assert told > 50, (told, same)


def test_the_data_of_a_run(run):
    about = run / "data" / bundle.ABOUT
    for again in (None, sealed):
        assert compare(about, of_data(run), again)[0] > 50
    for name in ("source.json", "target.json"):
        told, same = compare(run / "data" / name, of_data(run))
        assert told > 50 and not same
        before = about.read_text()

        def again(value, name=name, before=before):
            """With the hash of the file made right."""
            text, outer = json.dumps(value), json.loads(before)
            outer["files"][name] = hashlib.sha256(text.encode()).hexdigest()
            about.write_text(sealed(outer))
            return text

        try:
            compare(run / "data" / name, of_data(run), again)
        finally:
            about.write_text(before)


def test_the_copies_of_the_user_s_code(tmp_path):
    file, run = tmp_path / "mine.py", tmp_path / "run"
    file.write_text("class Mine:\n    pass\n")
    named = {"model": {"cell": f"{file}:Mine"}, "train": {"steps": 4}}
    open_for_training(run, configs.resolve(named)).close()
    folder = run / code.FOLDER / "model.cell"

    def answer(say):
        config = open_for_reading(run).config
        return config.model.cell, code.copies(run, run_files.read_config(run))

    for again in (None, sealed):
        assert compare(folder / bundle.ABOUT, answer, again)[0] > 50
    for each in junk((folder / "mine.py").read_bytes()):
        (folder / "mine.py").write_bytes(each)
        with pytest.raises(UsageError, match=r"mine\.py is damaged"):
            answer(None)


def test_arrays_of_a_run_that_came_from_elsewhere(run):
    path, about = run / "data" / "held_out.npz", run / "data" / bundle.ABOUT
    data, before = path.read_bytes(), about.read_text()
    arrays = bundle.unpack(data)
    wrong = [np.zeros((2, 2)), np.zeros(3), np.array(["x"]), np.full(9, -1), np.int8(1)]
    contents = [b"", b"PK\3\4", data[:-9], bytes(99)]
    contents += [bundle.pack({k: arrays[k] for k in arrays if k != n}) for n in arrays]
    contents += [bundle.pack(arrays | {n: each}) for n in arrays for each in wrong]
    try:
        for content in contents:
            path.write_bytes(content)
            outer = json.loads(before)
            outer["files"][path.name] = hashlib.sha256(content).hexdigest()
            about.write_text(sealed(outer))
            try:
                of_data(run)(None)
            except UsageError as error:
                assert "damaged" in str(error) and "\n" not in str(error)
    finally:
        path.write_bytes(data)
        about.write_text(before)


def test_the_manifest_of_a_checkpoint(run):
    best = CheckpointReader(run / "checkpoints", metric_better="max").best_step()
    path = run / "checkpoints" / str(best) / manifest.NAME
    outer = json.loads(path.read_text())
    assert compare(path, of_checkpoint(run))[0] > 20
    body = json.loads(outer["body"])
    body["leaves"] = body["leaves"][-1:]
    path.write_text(json.dumps(body))  # to be damaged in its stead

    def again(value):
        text = json.dumps(value)
        return json.dumps({"crc32": zlib.crc32(text.encode()), "body": text})

    try:
        for _ in damaged(path, again):
            try:
                Progress.from_json(manifest.read(path.parent).progress)
            except (manifest.Damaged, UsageError) as error:
                assert "\n" not in str(error)
    finally:
        path.write_text(json.dumps(outer) + "\n")


def test_the_evaluation_of_a_run(run):
    assert compare(run / "test.json", of_test(run))[0] > 100
    compare(run / "test.json", of_test(run), sealed)


def test_each_line_of_the_journal(run):
    path = run / "metrics.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    right = logged.entries(run)
    try:
        for place, line in enumerate(lines):
            ways = [json.dumps(each).encode() for each in changed(json.loads(line))]
            for way in [*ways, *junk(line.rstrip())]:
                if way + b"\n" == line:
                    continue
                said = []
                path.write_bytes(
                    b"".join([*lines[:place], way, b"\n", *lines[place + 1 :]])
                )
                found = logged.entries(run, said.append)
                assert len(said) == 1 and "\n" not in said[0]
                trial_files.TrialFiles(found, []).metrics()
    finally:
        path.write_bytes(b"".join(lines))
    assert logged.entries(run) == right


SHAPES = {"w": jax.ShapeDtypeStruct((3,), np.float32)}


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    """A sweep of three trials, two of them replicas of a group."""
    path = tmp_path_factory.mktemp("sweeps") / "sweep"
    base = configs.resolve({"train": {"steps": 4}})
    trials = definition.resolve(base, [{"seed": seed} for seed in range(3)])
    with SweepDirectory(path) as sweep:
        sweep.add(trials, lambda trial, folder: "command")
        for _ in range(2):
            sweep.record_launch(["sweep"], SourceCode("0", "", ""), [], "batched", 3)
        group = stored_group.write(path, trials[:2], 2)
        stacked = {"w": np.arange(6, dtype=np.float32).reshape(2, 3)}
        progress = Progress(evaluated=2, best=0.5, best_step=2)
        replicas = []
        for trial in trials[:2]:
            with Journal(sweep.of(trial) / run_files.METRICS) as journal:
                for step in (2, 4):
                    journal.write(step, {"kind": "valid", "exact": 0.5})
            marked = progress.marked(journal.mark).to_json()
            its = slices.identity(sweep.of(trial))
            replicas.append({"step": 4, "ended": "done", "config": its, **marked})
        state = {"state": {"params": stacked}, "best": {"w": stacked["w"] + 1}}
        saving = Checkpoints(group.checkpoints, metric_better="max")
        saving.save(1, state, {"replicas": replicas})
        for place, trial in enumerate(trials):
            if place < 2:
                slices.write(sweep.of(trial), group.checkpoints, place)
            both = ({"exact": 0.5, "nll": 1.0}, {"exact": 0.5})
            found = kept_files.Result("done", *both, 4, seconds=2.0, device="cpu")
            kept_files.write_result(sweep.of(trial), found)
        ledger.Ledger(sweep).write()
    return path


def of_sweep(path):
    """What a launch, and what a report, make of a sweep."""

    def answer(say):
        trials = [trial for trial, _ in directory.read_trials(path).values()]
        groups = stored_group.read(path, trials)
        launches = directory.read_launches(path)
        there = types.SimpleNamespace(path=path, trials=trials, launches=launches)
        folders = [path / "trials" / trial.name for trial in trials]
        results = [kept_files.read_result(folder) for folder in folders]
        if None in results:
            say("a trial is trained again")
        table = sweep_table.read(str(path), say)
        rows = [
            (row.name, row.metrics, row.status, row.overrides) for row in table.trials
        ]
        return (
            trials,
            groups,
            _lacking(there),
            results,
            rows,
            backends.begun(path),
        )

    return answer


def of_replica(run):
    """The parameters of a trial that was trained together with others."""

    def answer(say):
        found = slices.SliceReader(run, say).restore_slice("best", SHAPES)
        return found.state["w"].tolist(), found.step

    return answer


def test_the_files_of_a_sweep(sweep):
    first = sorted((sweep / "trials").iterdir())[0]
    group = sweep / stored_group.GROUPS / "0000" / stored_group.GROUP
    trial, result = first / kept_files.TRIAL, first / kept_files.RESULT
    for path in (sweep / directory.SWEEP, group, trial, result):
        assert compare(path, of_sweep(sweep))[0] > 20
        compare(path, of_sweep(sweep), sealed)
    path = first / slices.NAME
    assert compare(path, of_replica(first))[0] > 20
    compare(path, of_replica(first), sealed)


def test_the_config_of_a_trial_that_waits_is_put_back(sweep, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    ((trial, _), *_) = directory.read_trials(sweep).values()
    folder = sweep / "trials" / trial.name

    def answer(say):
        kept_files.restore_config(folder, trial)
        return (folder / "config.json").read_bytes()

    assert compare(folder / "config.json", answer)[1] > 500


def test_a_lost_line_of_a_trial_among_others_is_told(sweep):
    for place, folder in enumerate(sorted((sweep / "trials").iterdir())[:2]):
        path, said = folder / run_files.METRICS, []
        data = path.read_bytes()
        assert len(logged.entries(folder, said.append)) == 2 and not said
        path.write_bytes(data.splitlines(keepends=True)[place])
        assert len(logged.entries(folder, said.append)) == 1
        (line,) = said
        assert "1 of 2 lines are damaged or missing, after line 0 (step 0)" in line
        path.write_bytes(data)


def test_each_row_of_a_sweep_s_table(sweep):
    path = sweep / ledger.NAME
    lines = path.read_bytes().splitlines(keepends=True)
    try:
        path.write_bytes(lines[0])
        assert compare(path, of_sweep(sweep))[0] > 100
        compare(path, of_sweep(sweep), sealed)
    finally:
        path.write_bytes(b"".join(lines))


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("config.json", "model"),
        ("run.json", "flags"),
        ("test.json", "nll"),
        ("data/about.json", "files"),
        ("data/target.json", "symbols"),
    ],
)
def test_the_commands_themselves(run, command, tmp_path, name, field):
    out = f"--out={tmp_path / 'out.safetensors'}"
    commands = (["decode", "Hi"], ["export", out], ["train"], ["config", "show"])
    workdir = f"--workdir={run}"
    right = [command(words[0], workdir, *words[1:]) for words in commands[:3]]
    right.append(command("config", "show", workdir))
    data = (run / name).read_bytes()
    value = json.loads(data)
    value[field] = 3
    (run / name).write_text(json.dumps(value))
    try:
        for words, before in zip(commands, right, strict=True):
            given = [*words, workdir] if words[0] == "config" else [words[0], workdir]
            done = command(*given, *(words[1:] if words[0] != "config" else ()))
            assert before.code == 0
            if done.code:
                assert done.code == 2 and done.err.count("\n") == 1
            else:
                assert done.out == before.out
    finally:
        (run / name).write_bytes(data)


@pytest.mark.parametrize("left", [0, 1])
def test_training_tells_a_lost_journal_and_names_no_picture(
    run, tmp_path, command, left
):
    run = shutil.copytree(run, tmp_path / "run")
    lines = (run / "metrics.jsonl").read_bytes().splitlines(keepends=True)
    (run / "metrics.jsonl").write_bytes(b"".join(lines[:left]))
    (run / "curves.png").unlink()
    for _ in range(2):  # it is not forgotten either
        done = command("train", f"--workdir={run}")
        assert done.code == 0 and ("curves:" in done.out) == bool(left)
        lost = f"{len(lines) - left} of {len(lines)} lines are damaged or missing"
        assert f"metrics.jsonl: {lost}" in " ".join((done.out + done.err).split())


def test_a_run_without_its_record_goes_on_with_a_line(run, tmp_path, command):
    run = shutil.copytree(run, tmp_path / "run")
    (run / "run.json").unlink()
    done = command("train", f"--workdir={run}")
    assert done.code == 0 and (run / "run.json").is_file()
    assert "has lost its run.json, which is made anew" in done.err
