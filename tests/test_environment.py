"""The environment is edited only where the user has not spoken, and only once."""

import os
import pathlib
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s2sjax import environment
from s2sjax.errors import UsageError

pytestmark = pytest.mark.compat
GUARD_NAME = environment.GUARD.partition("=")[0]
FLAGS = st.sampled_from(
    ["--xla_a=1", "--xla_cpu_multi_thread_eigen=true", f"{GUARD_NAME}=", "--xla_b"]
)


@pytest.fixture
def wrong_jaxlib(monkeypatch):
    monkeypatch.setattr(environment, "jaxlib_version", lambda: "0.10.2")


@pytest.fixture
def right_jaxlib(monkeypatch):
    monkeypatch.setattr(environment, "jaxlib_version", lambda: "0.10.1")


def test_the_guard_is_added_and_said(wrong_jaxlib):
    environ = {}
    line, other = environment.prepare(environ)
    assert environ["XLA_FLAGS"] == f"{environment.GUARD} {environment.WIDE}"
    assert environment.GUARD in line and "0.10.2" in line
    assert environment.WIDE in other


@pytest.mark.parametrize("version", environment.FAULTY_JAXLIB)
def test_each_faulty_jaxlib_has_the_guard_and_its_fault(monkeypatch, version):
    monkeypatch.setattr(environment, "jaxlib_version", lambda: version)
    line = environment.prepare(environ := {})[0]
    assert environment.GUARD in environ["XLA_FLAGS"].split()
    assert f"jaxlib {version} {environment.FAULTY_JAXLIB[version]} without it" in line


def test_no_guard_for_a_jaxlib_not_known_to_be_wrong(right_jaxlib):
    # A jaxlib that does not know the flag would abort.
    environ = {}
    assert environment.prepare(environ) == []
    assert "XLA_FLAGS" not in environ


def test_all_choices(right_jaxlib):
    environ = {}
    lines = environment.prepare(environ, threads=1, deterministic=True, devices=2)
    assert environ["XLA_FLAGS"].split() == [
        environment.ONE_THREAD,
        environment.DETERMINISTIC,
        f"{environment.DEVICES}=2",
    ]
    assert len(lines) == 3 and all("\n" not in line for line in lines)


@settings(deadline=None)
@given(st.lists(FLAGS, unique_by=lambda flag: flag.partition("=")[0]))
def test_what_the_user_set_stays_and_nothing_comes_twice(flags):
    environ = {"XLA_FLAGS": " ".join(flags)}
    environment.prepare(environ, threads=1, deterministic=True)
    after = environ["XLA_FLAGS"].split()
    assert after[: len(flags)] == flags
    names = [flag.partition("=")[0] for flag in after]
    assert len(names) == len(set(names))
    again = dict(environ)
    environment.prepare(again, threads=1, deterministic=True)
    assert again == environ


def test_a_guard_turned_off_is_the_users_and_is_told(wrong_jaxlib):
    environ = {"XLA_FLAGS": f"{GUARD_NAME}=dot"}
    line, _ = environment.prepare(environ)
    assert environ["XLA_FLAGS"] == f"{GUARD_NAME}=dot {environment.WIDE}"
    assert "stays" in line


def test_a_file_of_flags_is_left_alone(wrong_jaxlib):
    environ = {"XLA_FLAGS": "flags.txt"}
    (line,) = environment.prepare(environ)
    assert environ["XLA_FLAGS"] == "flags.txt"
    assert environment.GUARD in line


def test_restore_repeats_a_runs_flags(wrong_jaxlib):
    environ, recorded = {}, {}
    environment.prepare(recorded, threads=1, deterministic=True)
    environment.restore(environ, recorded["XLA_FLAGS"])
    assert environ["XLA_FLAGS"] == recorded["XLA_FLAGS"]


def test_restore_adds_nothing_that_would_change_a_runs_bits(wrong_jaxlib):
    environ = {}
    environment.restore(environ, environment.GUARD)
    assert environ["XLA_FLAGS"] == environment.GUARD


def test_restore_forgets_a_guard_that_this_jaxlib_may_not_know(right_jaxlib):
    environ = {}
    environment.restore(environ, f"{environment.GUARD} {environment.ONE_THREAD}")
    assert environ["XLA_FLAGS"] == environment.ONE_THREAD


OTHERS = [
    "--xla_dump_to=/tmp/dumped",
    "--xla_no_such_flag=1",
    "--xla_cpu_multi_thread_eigen=yes",
    f"{GUARD_NAME}=dot",
    f"{environment.DEVICES}=",
    f"{environment.DEVICES}=-1",
    f"{environment.DEVICES}=0",
    f"{environment.DEVICES}=\u0663",
    f"{environment.DEVICES}={'9' * 5000}",
    "flags.txt",
    "\x1b[2J",
    "x" * 5000,
    f"{environment.DEVICES}={'0' * 5000}1",
]


@pytest.mark.parametrize("other", OTHERS)
def test_restore_sets_no_flag_that_s2sjax_does_not_write(right_jaxlib, other):
    environ = {}
    own = f"{environment.ONE_THREAD} {environment.DEVICES}=2"
    recorded = f"{other} {own} {other}"
    (said,) = environment.left_out(environ, recorded)
    environment.restore(environ, recorded)
    assert environ["XLA_FLAGS"] == own
    assert said.isprintable() and len(said) < 400


def test_nothing_is_said_of_a_flag_that_the_user_sets_too(right_jaxlib):
    environ = {"XLA_FLAGS": "--xla_mine=1"}
    assert environment.left_out(environ, "--xla_mine=1") == []
    assert environment.restore(environ, "--xla_mine=1") == []
    assert environ["XLA_FLAGS"] == "--xla_mine=1"


@pytest.mark.parametrize("wrong", [{"threads": 2}, {"devices": -1}])
def test_impossible_numbers(wrong):
    with pytest.raises(UsageError, match=next(iter(wrong))):
        environment.prepare({}, **wrong)


def test_the_cpu_is_split_into_devices():
    environ = dict(os.environ)
    environ["XLA_FLAGS"] = ""
    environment.prepare(environ, threads=1, devices=2)
    done = subprocess.run(
        [sys.executable, "-c", "import jax; print(jax.device_count())"],
        env=environ,
        cwd=pathlib.Path(__file__).parents[1],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.strip() == "2"
