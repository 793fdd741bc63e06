"""Engines that are started for the tests, and launchers that are killed by them."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import pytest

from s2sjax.json_objects import encode
from tests.engines import slurm_cluster

LAUNCHER = pathlib.Path(__file__).with_name("launcher.py")
ROOT = pathlib.Path(__file__).parents[2]
DONE = encode({"exact": 0.5, "step": 4}, indent=None).rstrip()
DONE = f"""echo '{DONE}' >"$1/test.json\""""
# A trial that notes each of its starts, saves when it is asked to, and ends once there
# is a file `go`. Its lock tells a second one.
TRAINS = f"""
exec 9>>"$1/lock"; flock -n 9 || {{ touch "$1/../../twice"; exit 2; }}
echo "$$ ${{SLURM_JOB_ID:-}}" >>"$1/starts"
trap 'mkdir -p "$1/checkpoints/$(wc -l <"$1/starts")"; exit 143' TERM
while [ ! -e "$1/../../go" ]; do sleep 0.1 9>&- & wait $!; done
{DONE}
"""


def pytest_collection_modifyitems(items):
    for item in items:
        if pathlib.Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.engines)


def wait(for_what, seconds=30):
    """What it gives, once that is something."""
    until = time.monotonic() + seconds
    while not (found := for_what()):
        assert time.monotonic() < until, "it does not come to that"
        time.sleep(0.05)
    return found


class Launch:
    """A launcher that runs; it is killed at the end of the test, if it still does."""

    def __init__(self, path, backend, script, environ, flags):
        self.path = path
        words = [sys.executable, str(LAUNCHER), str(path), backend, script]
        words += [f"--{name}={value}" for name, value in flags.items()]
        self._log = path.with_name(f"{path.name}.{time.monotonic_ns()}.log")
        paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
        environ = {**environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
        with open(self._log, "wb") as log:
            self.process = subprocess.Popen(words, env=environ, stdout=log, stderr=log)

    @property
    def said(self):
        return self._log.read_text()

    def says(self, words, seconds=30):
        """Waits until it says that."""
        wait(lambda: words in self.said or self._has_ended(), seconds)
        assert words in self.said, self.said

    def end(self, seconds=60):
        """How its trials stand at its end, by number."""
        self.process.wait(seconds)
        return json.loads(self.said.splitlines()[-1])

    def signal(self, number=signal.SIGTERM, seconds=10):
        """Seconds until it has ended of a signal."""
        begun = time.monotonic()
        self.process.send_signal(number)
        self.process.wait(seconds)
        return time.monotonic() - begun

    def close(self):
        if not self._has_ended():
            self.process.kill()
            self.process.wait()
        print(self.said)  # shown where the test fails

    def _has_ended(self):
        return self.process.poll() is not None

    def of(self, index):
        """The directory of a trial."""
        return next(iter(self.path.glob(f"trials/{index:04d}-*")), self.path)

    def starts(self, index):
        """The process and the job of each start of a trial."""
        file = self.of(index) / "starts"
        lines = file.read_text().splitlines() if file.exists() else []
        return [line.split() for line in lines]

    def runs(self, index, count=1, seconds=30):
        """Waits for so many starts of a trial; the last one's process, and job."""
        return wait(lambda: self.starts(index)[count - 1 :], seconds)[0]

    def result(self, index):
        return json.loads((self.of(index) / "result.json").read_text())

    def go(self):
        """Lets the trials come to their end."""
        (self.path / "go").touch()


@pytest.fixture
def launch(tmp_path):
    """Starts a launcher of a sweep that stays from call to call."""
    begun = []

    def start(backend, *, path=None, script=TRAINS, environ=os.environ, **flags):
        path = path or tmp_path / "sweep"
        begun.append(Launch(path, backend, script, environ, flags))
        return begun[-1]

    yield start
    for each in begun:
        each.close()


@pytest.fixture(scope="session", params=["without accounting", "with accounting"])
def a_slurm(request):
    """A Slurm that lives as long as it is used."""
    has_accounting = request.param == "with accounting"
    lacks = slurm_cluster.lacking(has_accounting)
    if lacks:
        pytest.skip(f"Slurm {request.param}: {lacks}")
    folder = pathlib.Path(tempfile.mkdtemp(prefix="s2sjax-slurm-", dir="/tmp"))
    try:
        cluster = slurm_cluster.Cluster(folder, has_accounting)
        yield cluster
        cluster.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def slurm(a_slurm, monkeypatch):
    """The same, with nothing in its queue, for programs that are started here."""
    for name in ("PATH", "SLURM_CONF"):
        monkeypatch.setenv(name, a_slurm.environ[name])
    yield a_slurm
    a_slurm.settle()
