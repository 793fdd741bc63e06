"""Compiled programs are kept for the user alone, within a bound, and change no bit."""

import os
import pathlib
import stat
import subprocess
import sys

import numpy as np
import pytest

from s2sjax import program_cache
from s2sjax.program_cache import ENABLED, FOLDER
from s2sjax.runs.checkpoint import CheckpointReader
from s2sjax.sweeps.pools.processes import Processes

ROOT = pathlib.Path(__file__).parents[1]


@pytest.fixture
def environ(tmp_path):
    """What a user's environment says of the cache: nothing."""
    return {"XDG_CACHE_HOME": str(tmp_path / "cache")}


def test_a_folder_is_private_and_named_after_what_programs_are_for(environ, tmp_path):
    assert program_cache.keep(environ) == []
    folder = pathlib.Path(environ[FOLDER])
    assert folder.is_relative_to(tmp_path / "cache" / "s2sjax" / "programs")
    assert folder.name.startswith("jaxlib-") and program_cache.processor() in str(
        folder
    )
    for each in (folder, folder.parent):
        assert stat.S_IMODE(each.stat().st_mode) == 0o700


def test_what_the_user_says_wins(tmp_path):
    for said in ({FOLDER: "mine"}, {FOLDER: ""}, {ENABLED: "false"}, {ENABLED: "0"}):
        environ = {"XDG_CACHE_HOME": str(tmp_path), **said}
        assert program_cache.keep(environ) == []
        assert environ == {"XDG_CACHE_HOME": str(tmp_path), **said}
        assert list(tmp_path.iterdir()) == []


def test_a_folder_of_others_is_left_unused(environ, tmp_path, monkeypatch):
    program_cache.keep(environ)
    folder = pathlib.Path(environ.pop(FOLDER))
    folder.chmod(0o770)
    (told,) = program_cache.keep(environ)
    assert str(folder) in told and "not yours alone" in told and FOLDER not in environ
    folder.chmod(0o700)
    monkeypatch.setattr(os, "getuid", lambda: os.stat(folder).st_uid + 1)
    assert "not yours alone" in program_cache.keep(environ)[0]
    monkeypatch.undo()
    folder.rmdir()
    folder.symlink_to(tmp_path)
    assert "not yours alone" in program_cache.keep(environ)[0]
    folder.unlink()
    folder.write_text("a file")
    assert program_cache.keep(environ) == [] and FOLDER not in environ


def test_what_was_read_longest_ago_goes(environ):
    program_cache.keep(environ)
    folder = pathlib.Path(environ.pop(FOLDER))
    for name, age in (("old", 9), ("read", 1), ("new", 5)):
        (folder / name).write_bytes(bytes(100))
        os.utime(folder / name, (10**9 - age, 10**9 - 9))
    program_cache.keep(environ, most=250)
    assert sorted(path.name for path in folder.iterdir()) == ["new", "read"]
    environ.pop(FOLDER)
    program_cache.keep(environ, most=100)
    assert [path.name for path in folder.iterdir()] == ["read"]


def test_the_processes_of_a_sweep_share_what_is_kept(monkeypatch, tmp_path):
    for said in ({FOLDER: str(tmp_path)}, {ENABLED: "false"}):
        with monkeypatch.context() as patch:
            patch.delenv(FOLDER, raising=False)
            for name, value in said.items():
                patch.setenv(name, value)
            pool = Processes(1)
            assert pool._compiled == {}
            pool.close()


def run(workdir, environ, *arguments):
    """The bits of a tiny run's last checkpoint, and what it said on standard error."""
    command = [sys.executable, "-m", "s2sjax", "train", f"--workdir={workdir}"]
    kept = {k: v for k, v in os.environ.items() if not k.startswith("JAX_")}
    done = subprocess.run(
        [*command, *arguments],
        env=kept | {"JAX_PLATFORMS": "cpu"} | environ,
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stderr
    saved, arrays = CheckpointReader(
        workdir / "checkpoints", metric_better="max"
    )._load("last")
    bits = {path: np.asarray(array).tobytes() for path, array in arrays.items()}
    return {"step": saved.step, **bits}, done.stderr


@pytest.mark.slow
@pytest.mark.compat
def test_a_warm_cache_changes_no_bit_and_damage_costs_a_compilation(environ, tmp_path):
    config = (
        f"--config={ROOT / 'experiments' / 'reversed.py'}:smoke",
        "--config.train.schedule=constant",
    )
    cold, _ = run(tmp_path / "off", {ENABLED: "false"}, *config)
    assert not (tmp_path / "cache").exists()
    kept, said = run(tmp_path / "cold", environ, *config)
    assert kept == cold
    there = sorted(path.name for path in (tmp_path / "cache").rglob("*"))
    programs = list((tmp_path / "cache").rglob("jit_run_steps*"))
    assert programs, (said, there)
    run(tmp_path / "warm", environ, *config, "--config.train.steps=5")
    assert run(tmp_path / "warm", environ, *config)[0] == cold  # goes on, to 10 steps
    for program in programs:
        program.write_bytes(program.read_bytes()[:1000])
    again, said = run(tmp_path / "damaged", environ, *config)
    assert again == cold and "cache" not in said
