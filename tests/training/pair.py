"""Two processes that train one run over the loopback device, as tests start them."""

import contextlib
import socket
import time

import pytest

from s2sjax.runs import journal
from tests.starting import SMALL, begin

START = (
    *SMALL,
    "--config.train.steps=20",
    "--config.train.log_every=1",
    "--config.train.eval_every=10",
    "--config.train.batch_size=15",
    "--config.model.units=8",
)


def free_port():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


@contextlib.contextmanager
def two(workdir, *arguments, failpoint=""):
    """Both processes of a run; `failpoint` is process 0's."""
    port = free_port()
    processes = [
        begin(
            workdir,
            *arguments,
            "--multihost",
            f"--coordinator=127.0.0.1:{port}",
            "--processes=2",
            f"--process_id={index}",
            failpoint=failpoint if index == 0 else "",
        )
        for index in range(2)
    ]
    try:
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.wait()


def ended(processes, timeout=120):
    """Exit codes, and what each said; skips where the CPU has no collectives."""
    texts = [process.communicate(timeout=timeout) for process in processes]
    said = [out + error for out, error in texts]
    if any("aren't implemented on the CPU" in text for text in said):
        pytest.skip("this jax has no collectives between processes on the CPU")
    return [process.returncode for process in processes], said


def training(workdir):
    lines = journal.read(workdir / "metrics.jsonl")
    return [line for line in lines if line["kind"] == "train"]


def wait_for_steps(workdir, processes, count):
    """Waits until a run of two has logged so many steps."""
    deadline = time.monotonic() + 120
    while not (
        (workdir / "metrics.jsonl").is_file() and training(workdir)[count - 1 :]
    ):
        assert time.monotonic() < deadline
        assert all(process.poll() is None for process in processes)
        time.sleep(0.05)
