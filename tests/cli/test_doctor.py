"""Doctor finds the wrong sums, survives a hang, and says why a GPU is idle."""

import json
import os

import pytest

from s2sjax import environment
from s2sjax.cli import doctor, flags

pytestmark = pytest.mark.compat
RIGHT = {"right": True, "detail": "equal to numpy"}
WRONG = {"right": False, "detail": "row 7 is 3, not 4"}


def on_cpu(*, guarded):
    environ = dict(os.environ) | {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": ""}
    environ.pop("JAX_COMPILATION_CACHE_DIR", None)
    if guarded:
        environment.prepare(environ)
    return environ


def run(*argv):
    return doctor.main(flags.parse(doctor.COMMAND, argv))


def test_sums_are_right_with_the_guard():
    assert doctor.probe("reduction", on_cpu(guarded=True), 120)["right"]


@pytest.mark.skipif(
    environment.jaxlib_version() != "0.10.2", reason="this jaxlib gets no sums wrong"
)
def test_sums_are_wrong_without_the_guard():
    # If this fails, the probe finds nothing any more, or the guard is not needed.
    found = doctor.probe("reduction", on_cpu(guarded=False), 120)
    assert not found["right"] and "not 1073741824" in found["detail"]


def test_a_probe_that_hangs_is_cut_off():
    found = doctor.probe("initialisers", on_cpu(guarded=True), 0.05)
    assert found == {"right": False, "detail": "no answer within 0.05 s"}


def test_a_probe_that_fails_tells_its_last_line():
    found = doctor.probe("no_such_probe", on_cpu(guarded=True), 60)
    assert not found["right"] and "no_such_probe" in found["detail"]


@pytest.mark.parametrize(
    ("guarded", "bare", "code"),
    [(RIGHT, RIGHT, 0), (RIGHT, WRONG, 0), (WRONG, WRONG, 1)],
)
def test_exit_code_and_report(monkeypatch, capsys, guarded, bare, code):
    monkeypatch.setattr(environment, "jaxlib_version", lambda: "0.10.2")
    hangs = {"right": False, "detail": "no answer within 15 s"}

    def probe(name, environ, timeout):
        has_guard = environment.GUARD in environ.get("XLA_FLAGS", "")
        return {
            "devices": {"devices": ["cpu:0 cpu"], "platform": "cpu"},
            "reduction": guarded if has_guard else bare,
            "initialisers": hangs,
        }[name]

    monkeypatch.setattr(doctor, "probe", probe)
    monkeypatch.setenv("XLA_FLAGS", "")
    assert run("--json") == code
    report = json.loads(capsys.readouterr().out)
    assert report["checks"]["reduction"] == {
        "with_guard": guarded,
        "without_guard": bare,
    }
    assert report["free_disk_gib"] > 0 and report["versions"]["jax"]
    assert run() == code
    out = capsys.readouterr().out
    assert ("computes right" in out) == (code == 0)
    assert "never vmaps" in out and "cpu:0" in out


def test_a_guard_that_the_user_turned_off_stays_off(monkeypatch):
    # Doctor judges the machine as the user runs it.
    monkeypatch.setattr(environment, "jaxlib_version", lambda: "0.10.2")
    seen = []
    monkeypatch.setattr(
        doctor, "probe", lambda name, environ, timeout: seen.append(environ) or RIGHT
    )
    off = environment.GUARD.replace("-reduce", "dot")
    doctor.examine({"XLA_FLAGS": off})
    assert all(off in environ["XLA_FLAGS"].split() for environ in seen)
    assert all(environment.GUARD not in environ["XLA_FLAGS"] for environ in seen)


@pytest.mark.parametrize(
    ("environ", "plugins", "told"),
    [
        ({"JAX_PLATFORMS": "cpu"}, ["jax-cuda13-plugin"], "JAX_PLATFORMS=cpu"),
        ({}, [], "pip install '.[cuda13]'"),
        ({"CUDA_VISIBLE_DEVICES": ""}, ["jax-cuda13-plugin"], "hides it"),
        ({"JAX_PLATFORMS": "cuda"}, ["jax-cuda13-plugin"], "did not start: no driver"),
    ],
)
def test_why_a_gpu_is_not_used(environ, plugins, told):
    why = doctor.why_no_gpu(
        environ, present=True, plugins=plugins, platform="cpu", detail="no driver"
    )
    assert told in why


def test_a_gpu_that_is_used_or_not_there():
    assert doctor.why_no_gpu({}, present=True, plugins=[], platform="gpu") == "used"
    found = doctor.why_no_gpu({}, present=False, plugins=[], platform="cpu")
    assert found == "none found"
