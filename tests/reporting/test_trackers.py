"""Who is shown a run: the real clients on a local store, and observers of one's own.

What needs MLflow or W&B is skipped where the package is not installed; CI installs
them for these tests alone (see `.ci/run`).
"""

import json
import pathlib
import struct
import sys
import warnings

import pytest

import s2sjax as s2s
from s2sjax.cli import main
from s2sjax.commands import sweep as sweeping
from s2sjax.config import Config
from s2sjax.errors import UsageError
from s2sjax.inference.kind import Sample
from s2sjax.reporting import trackers
from s2sjax.reporting.trackers import Guarded, TrackedRun
from s2sjax.sweeps.directory import SweepDirectory
from s2sjax.training.observer import Observer

ROOT = pathlib.Path(__file__).parents[2]
SIZES = ("task.num_train=64", "task.num_valid=8", "task.num_test=8", "train.steps=4")
EVERY = ("train.log_every=2", "train.eval_every=2", "train.save_every=2")
SMALL = [
    *(f"--config.{each}" for each in (*SIZES, *EVERY, "model.units=4")),
    "--config.task.length=4",
]
CONFIG = [f"--config={ROOT / 'experiments' / 'reversed.py'}:smoke", *SMALL]

MINE = """
import json
from s2sjax.training.observer import Observer

class Mine(Observer):
    def __init__(self, run):
        self.run, self.told = run, []

    def logged(self, step, values):
        print("to standard error")
        self.told.append(["logged", step])

    def evaluated(self, step, values, samples, best):
        self.told.append(["evaluated", step, len(samples)])

    def drawn(self, picture):
        self.told.append(["drawn", picture.name])

    def tested(self, values):
        self.told.append(["tested", values["examples"]])

    def close(self):
        (self.run.path / "told.json").write_text(json.dumps(self.told))

class Stranger:
    def __init__(self, run):
        pass

class Failing(Observer):
    def __init__(self, run):
        pass

    def logged(self, step, values):
        raise RuntimeError("no more\\nof this")

def nothing():
    pass

raising = 1
"""


@pytest.fixture
def mine(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(MINE)
    return path


def tell(observer, first, last, reason="done"):
    """A run from one step to another, of a line and an evaluation for each."""
    observer.started(first, 10, "")
    for step in range(first + 1, last + 1):
        observer.logged(step, {"loss": 1 / step, "epoch": 0})
        sample = Sample("1 2", "2 1", "2 1")
        observer.evaluated(step, {"exact": step / 10}, [sample], best=True)
    observer.ended(last, reason)


def test_names_are_checked():
    assert trackers.names("none") == []
    for text, why in {
        "tensorbord": "did you mean 'tensorboard'",
        "tensorboard,tensorboard": "twice",
        "": "unknown tracker ''",
    }.items():
        with pytest.raises(UsageError, match=why):
            trackers.names(text)


def test_a_package_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setitem(trackers.PACKAGES, "wandb", "no_such_package")
    with pytest.raises(UsageError, match=r"pip install 's2sjax\[wandb\]'"):
        trackers.names("wandb")


def test_an_observer_of_ones_own_is_told(mine, tmp_path, capfd):
    run = tmp_path / "run"
    assert main(["train", *CONFIG, f"--workdir={run}", f"--tracker={mine}:Mine"]) == 0
    assert json.loads((run / "told.json").read_text()) == [
        *(["logged", 2], ["evaluated", 2, 3]),
        *(["logged", 4], ["evaluated", 4, 3]),
        ["drawn", "curves.png"],
        ["tested", 8],
    ]
    out, err = capfd.readouterr()
    assert "to standard error" in err and "to standard error" not in out
    assert not (run / "tensorboard").exists()


def test_a_bad_observer_is_refused_and_nothing_is_written(mine, tmp_path, capsys):
    bad = tmp_path / "bad.py"
    bad.write_text("1 / 0\n")
    where = f"--workdir={tmp_path / 'run'}"
    for text, why in {
        f"{mine}:Strange": "no 'Strange' to make a tracker (it has: Mine, Stranger, ",
        f"{mine}:raising": "no 'raising'",
        f"{mine}:Stranger": "an object of the type Stranger, not an s2s.Observer",
        f"{mine}:nothing": f"{mine}: nothing(run) raised TypeError",
        f"{bad}:Mine": f"{bad}:1: ZeroDivisionError",
        f"{tmp_path}/absent.py:Mine": "No such file",
        "mlfow": "unknown tracker 'mlfow'; did you mean 'mlflow'",
    }.items():
        code = main(["train", *CONFIG, where, f"--tracker={text}"])
        error = capsys.readouterr().err
        assert code == 2 and error.count("\n") == 1 and why in error, error
        assert not (tmp_path / "run").exists()
    data_size = CONFIG[0].replace("reversed.py", "data_size.py")
    code = main(["sweep", data_size, where, f"--tracker={mine}:Strange"])
    assert code == 2 and "no 'Strange'" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
    code = main(["train", *CONFIG, where, f"--tracker={mine}:Mine", "--no_user_code"])
    assert code == 2 and "choose one" in capsys.readouterr().err


def test_an_observer_that_raises_is_said_once_and_the_run_goes_on(
    mine, tmp_path, capsys
):
    run = tmp_path / "run"
    names = f"--tracker={mine}:Failing,{mine}:Mine"
    assert main(["train", *CONFIG, f"--workdir={run}", names]) == 0
    (line,) = [
        line for line in capsys.readouterr().out.splitlines() if "told no more" in line
    ]
    assert "RuntimeError: no more" in line and f"{mine}:" in line
    assert ["logged", 4] in json.loads((run / "told.json").read_text())


def test_a_callback_is_told_and_what_it_raises_is_raised(tmp_path):
    class Steps(s2s.Observer):
        def __init__(self):
            self.told = []

        def logged(self, step, values):
            self.told.append(step)
            if step > 3:
                raise ArithmeticError("of the user's")

        def close(self):
            self.told.append("closed")

    steps, run = Steps(), tmp_path / "run"
    config = {
        "task": {"name": "copy", "length": 3, "num_train": 64, "num_valid": 8},
        "model": {"units": 4},
        "train": {"steps": 4, "log_every": 2, "eval_every": 2},
    }
    with pytest.raises(ArithmeticError):
        s2s.train(config, run, callbacks=[steps], tracker="none")
    assert steps.told == [2, 4, "closed"]
    assert not (run / "tensorboard").exists()


def test_whatever_a_tracker_raises_is_swallowed():
    class Broken(Observer):
        closed = 0

        def logged(self, step, values):
            raise OSError("the service is gone")

        def close(self):
            Broken.closed += 1
            raise OSError("still")

    said = []
    guarded = Guarded(Broken(), "broken")
    guarded.say = said.append
    for step in (1, 2):
        guarded.logged(step, {})
    guarded.close()
    assert said == [
        "the tracker broken is told no more of this run: the service is gone"
    ]
    assert Broken.closed == 1


def test_a_trial_in_a_process_of_its_own_is_told_its_trackers(tmp_path):
    words = sweeping._train(tmp_path, "mlflow,mine.py:Mine")
    assert words[-1] == "--tracker=mlflow,mine.py:Mine"
    assert not [word for word in sweeping._train(tmp_path) if "tracker" in word]


def test_each_trial_in_one_program_is_shown_once_it_has_ended(
    mine, tmp_path, monkeypatch
):
    experiment = tmp_path / "experiment.py"
    experiment.write_text(
        "from s2sjax.config import base_config\n"
        "from s2sjax.sweeps import grid\n"
        "def get_config():\n"
        "    config = base_config()\n"
        "    config.task.name = 'copy'\n"
        "    return config\n"
        "def sweep(config):\n"
        "    return grid({'seed': [0, 1]})\n"
    )
    sweep = tmp_path / "sweep"
    words = [f"--config={experiment}", *SMALL, f"--workdir={sweep}"]
    words += ["--backend=batched", f"--tracker={mine}:Mine,tensorboard"]
    monkeypatch.setattr(sys, "argv", ["s2sjax", "sweep", *words])  # what is recorded
    assert main(sys.argv[1:]) == 0
    with SweepDirectory(sweep) as opened:  # what it goes on with
        assert sweeping._remembered_tracker(opened) == "tensorboard"
    for trial in ("0000", "0001"):
        (path,) = (sweep / "trials").glob(f"*{trial}*")
        told = json.loads((path / "told.json").read_text())
        assert [each[:2] for each in told if each[0] != "drawn"] == [
            *(["logged", 2], ["evaluated", 2]),
            *(["logged", 4], ["evaluated", 4]),
            ["tested", 8],
        ]
        assert list((path / "tensorboard").iterdir())


class Stores:
    """A local store of MLflow and a folder that W&B writes to, offline."""

    def __init__(self, folder):
        self.folder = folder
        self.environment = {
            "MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.db'}",
            "WANDB_MODE": "offline",
        }

    @property
    def client(self):
        import mlflow

        return mlflow.MlflowClient(self.environment["MLFLOW_TRACKING_URI"])

    def runs(self, experiment):
        found = self.client.get_experiment_by_name(experiment)
        return self.client.search_runs([found.experiment_id])

    def curve(self, run, name):
        history = self.client.get_metric_history(run.info.run_id, name)
        return [(metric.step, metric.value) for metric in history]

    def artifacts(self, run, folder=""):
        return [f.path for f in self.client.list_artifacts(run.info.run_id, folder)]

    def records(self, run, kind):
        """What W&B has written of a run, of one kind of record, oldest first."""
        from wandb.proto import wandb_internal_pb2

        found = []
        for path in sorted(run.glob("trackers/wandb/offline-run-*/run-*.wandb")):
            for data in leveldb_log(path.read_bytes()[7:]):
                record = wandb_internal_pb2.Record()
                record.ParseFromString(data)
                if record.WhichOneof("record_type") == kind:
                    found.append(getattr(record, kind))
        return found

    def rows(self, run):
        """What W&B has logged, as dicts."""
        return [
            {
                item.key or "/".join(item.nested_key): json.loads(item.value_json)
                for item in record.item
            }
            for record in self.records(run, "history")
        ]


def leveldb_log(data, block=32768, header=7):
    """The records of a log as LevelDB writes it: parts of them, in blocks."""
    place, parts = header, b""  # the file's own header is in the first block
    data = bytes(header) + data
    while place + header <= len(data):
        if block - place % block < header:
            place += block - place % block
            continue
        size, kind = struct.unpack_from("<HB", data, place + 4)
        parts += data[place + header : place + header + size]
        place += header + size
        if kind in (1, 4):  # whole, or the last part
            yield parts
            parts = b""


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    pytest.importorskip("mlflow")
    pytest.importorskip("wandb")
    found = Stores(tmp_path_factory.mktemp("stores"))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in found.environment.items():
            patch.setenv(name, value)
        patch.chdir(found.folder)  # where MLflow puts artifacts
        yield found


REAL = pytest.mark.filterwarnings("ignore")  # of their clients


@pytest.fixture(scope="module")
def shown(stores):
    """A run that both were shown."""
    run = stores.folder / "run"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        code = main(["train", *CONFIG, f"--workdir={run}", "--tracker=mlflow,wandb"])
    assert code == 0
    return run


@REAL
def test_mlflow_has_config_curves_samples_pictures_and_results(shown, stores):
    (found,) = stores.runs("s2sjax")
    assert found.info.status == "FINISHED" and found.info.run_name == "run"
    assert found.data.params["model.units"] == "4"
    assert [step for step, _ in stores.curve(found, "train/loss")] == [2, 4]
    lines = [json.loads(line) for line in (shown / "metrics.jsonl").open()]
    exact = [(line["step"], line["exact"]) for line in lines if line["kind"] == "valid"]
    assert stores.curve(found, "valid/exact") == exact
    tested = json.loads((shown / "test.json").read_text())
    assert found.data.metrics["test/nll"] == pytest.approx(tested["nll"])
    assert {"config.json", "curves.png", "samples"} <= {*stores.artifacts(found)}
    assert len(stores.artifacts(found, "samples")) == 2
    assert trackers.remembered(shown) == "tensorboard,mlflow,wandb"


@REAL
def test_wandb_has_config_curves_samples_pictures_and_results(shown, stores):
    (record,) = stores.records(shown, "run")
    assert record.project == "s2sjax" and record.display_name == "run"
    config = {each.key: each.value_json for each in record.config.update}
    assert config["model.units"] == "4"
    rows = stores.rows(shown)
    assert [row["step"] for row in rows if "train/loss" in row] == [2, 4]
    assert [row["step"] for row in rows if "valid/exact" in row] == [2, 4]
    assert len([row for row in rows if any("samples" in key for key in row)]) == 2
    assert any("curves" in key for row in rows for key in row)
    summary = stores.records(shown, "summary")
    keys = {item.key for record in summary for item in record.update}
    assert {"test/nll", "ended"} <= keys


@REAL
def test_a_run_that_goes_on_is_in_the_same_record_and_repeats_nothing(stores):
    path = stores.folder / "lengths" / "trials" / "0000"
    path.mkdir(parents=True)
    for first, last, reason in ((0, 3, "signal"), (2, 5, "done")):
        for observer in trackers.create("mlflow,wandb", TrackedRun(path, Config())):
            observer.say = pytest.fail
            tell(observer, first, last, reason)
            observer.close()
        (found,) = stores.runs("lengths")  # the sweep whose trial it is
        assert found.info.status == {"signal": "KILLED"}.get(reason, "FINISHED")
        assert found.info.run_name == "lengths/0000"
        assert found.data.tags["sweep"] == "lengths"
    expected = [(step, 1 / step) for step in range(1, 6)]
    assert stores.curve(found, "train/loss") == expected
    assert len(stores.artifacts(found, "samples")) == 5

    assert len({record.run_id for record in stores.records(path, "run")}) == 1
    assert {record.run_group for record in stores.records(path, "run")} == {"lengths"}
    rows = stores.rows(path)
    assert [row["step"] for row in rows if "train/loss" in row] == [1, 2, 3, 4, 5]


@REAL
def test_a_run_that_does_not_end_has_failed(stores):
    path = stores.folder / "broken"
    path.mkdir()
    for observer in trackers.create("mlflow", TrackedRun(path, Config())):
        observer.say = pytest.fail
        observer.started(0, 10, "")
        observer.close()
    statuses = {run.info.run_name: run.info.status for run in stores.runs("s2sjax")}
    assert statuses["broken"] == "FAILED"
