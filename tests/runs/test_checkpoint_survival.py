"""A kill or a full disk at any point costs no committed step."""

import json
import subprocess
import sys

import numpy as np
import pytest

from s2sjax.errors import RunError
from s2sjax.runs import failpoints
from s2sjax.runs.checkpoint import Checkpoints

POINTS = (
    "checkpoint.before_save",
    "checkpoint.after_arrays",
    "checkpoint.before_commit",
    "checkpoint.after_commit",
    "checkpoint.before_delete",
    "checkpoint.during_delete",
)


@pytest.mark.parametrize("point", POINTS)
def test_a_full_disk_stops_with_path_and_bytes_and_costs_nothing(
    saved, tmp_path, point, monkeypatch
):
    checkpoints = saved.opened(tmp_path, keep_last=1)
    for step in (1, 2):
        checkpoints.save(step, saved.value(step), {}, 0.1 * step)
    monkeypatch.setenv(failpoints.VARIABLE, f"{point}:full")
    monkeypatch.setattr(failpoints, "_reached", failpoints.collections.Counter())
    with pytest.raises(RunError, match=r"needs \d+ bytes") as caught:
        checkpoints.save(3, saved.value(3), {}, 0.9)
    assert str(tmp_path) in str(caught.value)
    assert not list(tmp_path.glob("tmp-*"))
    monkeypatch.delenv(failpoints.VARIABLE)
    again = saved.opened(tmp_path, keep_last=1)
    assert again.restore(saved.value(0), "last").step in (2, 3)
    again.save(4, saved.value(4), {}, 0.2)
    assert 4 in again.steps()
    assert all(path.name.isdigit() for path in tmp_path.iterdir())


@pytest.fixture
def small_disk(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no right to mount a file system")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize("checked", [True, False])
def test_a_disk_that_is_really_full(saved, small_disk, checked, monkeypatch):
    random = np.random.default_rng(0)
    big = {"w": random.integers(0, 256, 1_200_000, np.uint8)}
    checkpoints = saved.opened(small_disk / "checkpoints", keep_last=1)
    checkpoints.save(1, big, {}, 0.5)
    if not checked:  # the space may go after it was looked at
        monkeypatch.setattr(Checkpoints, "_check_space", lambda self, needed: None)
    for _ in range(3):
        with pytest.raises(RunError, match="disk full: checkpoint 2 needs") as caught:
            checkpoints.save(2, {"w": big["w"] ^ 1}, {})
    assert "step 1 is intact" in str(caught.value)
    saved.same_bits(checkpoints.restore(big, "last").state, saved.to_device(big))
    assert [path.name for path in (small_disk / "checkpoints").iterdir()] == ["1"]


# Children are forked from a process that has imported everything and started nothing,
# so that each costs a fraction of a second.
NURSERY = """
import json, os, random, signal, sys, time
import numpy as np
import jax
from s2sjax.runs.checkpoint import Checkpoints

def train(directory):
    checkpoints = Checkpoints(directory, metric_better="max", keep_last=1)
    for step in range(1, 200):
        checkpoints.save(step, {"params": {"w": np.full(3, step, np.float32)}},
                         {"n": step}, [0.5, 0.4, 0.9, 0.1][step % 4])
        open(directory + ".half", "w").write(str(step))
        os.replace(directory + ".half", directory + ".done")

for directory, setting, seconds in json.loads(sys.argv[1]):
    child = os.fork()
    if child == 0:
        os.environ["S2SJAX_FAILPOINT"] = setting
        train(directory)
        os._exit(0)
    if seconds:
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    print(os.waitstatus_to_exitcode(status))
"""


def test_a_save_killed_at_any_point_costs_no_committed_step(saved, tmp_path):
    random = np.random.default_rng(0)
    jobs = [(p, f"{p}:kill:{n}", 0) for p in POINTS for n in (1, 3)]
    jobs += [(f"time{i}", "", random.uniform(0.3, 0.9)) for i in range(6)]
    argument = json.dumps(
        [(str(tmp_path / f"{n}-{i}"), s, t) for i, (n, s, t) in enumerate(jobs)]
    )
    done = subprocess.run(
        [sys.executable, "-c", NURSERY, argument],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert done.stdout.split() == ["-9"] * len(jobs)
    for i, (name, setting, _) in enumerate(jobs):
        directory = tmp_path / f"{name}-{i}"
        marker = tmp_path / f"{name}-{i}.done"
        committed = int(marker.read_text() or 0) if marker.exists() else 0
        lines = []
        reading = saved.reader(directory, lines)
        checkpoints = saved.opened(directory, lines, keep_last=1)
        last = max(checkpoints.steps(), default=0)
        assert last in (committed, committed + 1), setting
        assert reading.steps() == checkpoints.steps()
        if last:
            for which, step in (("last", last), ("best", checkpoints.best_step())):
                restored = checkpoints.restore(saved.value(0), which)
                assert (restored.step, restored.progress) == (step, {"n": step})
                saved.same_bits(restored.state, saved.to_device(saved.value(step)))
        metrics = [None, *([0.5, 0.4, 0.9, 0.1][s % 4] for s in range(1, last + 1))]
        assert checkpoints.best_step() == saved.ranked_oracle(metrics, "max")
        assert not lines
        if directory.exists():
            assert all(path.name.isdigit() for path in directory.iterdir())
