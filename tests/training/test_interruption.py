import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from s2sjax.training import interruption

# The main thread waits inside one compiled loop, as it does for a dispatch; where it
# ends, the process says so and exits as the training loop does.
INSIDE_C = """
import sys
import jax, jax.numpy as jnp
from s2sjax.training import interruption
turns = int(sys.argv[1])
loop = jax.jit(lambda n: jax.lax.while_loop(
    lambda c: c[0] < n, lambda c: (c[0] + 1, jnp.sin(c[1])), (0, 1.0)))
loop(3)[1].block_until_ready()
with interruption.watch() as signals:
    print("inside", flush=True)
    loop(turns)[1].block_until_ready()
    print("finished", signals.received is not None, flush=True)
sys.exit(signals.exit_code)
"""
ENDLESS = 2**31 - 1


def start(turns):
    process = subprocess.Popen(
        [sys.executable, "-c", INSIDE_C, str(turns)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "inside\n"
    return process


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)]
)
def test_a_second_signal_exits_at_once_even_inside_compiled_code(number, code):
    with start(ENDLESS) as process:
        time.sleep(0.1)
        process.send_signal(number)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=0.3)  # the first is only noted
        begin = time.monotonic()
        process.send_signal(number)
        assert process.wait(timeout=30) == code
        assert time.monotonic() - begin < 2
        assert process.stdout.read() == ""


def test_the_first_signal_lets_the_dispatch_finish():
    with start(20_000_000) as process:
        process.send_signal(signal.SIGTERM)
        assert process.stdout.read() == "finished True\n"
        assert process.wait(timeout=30) == 143


def handlers():
    return [signal.getsignal(number) for number in interruption.SIGNALS]


def wait_until(condition):
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


@pytest.mark.parametrize("number", interruption.SIGNALS)
def test_one_signal_is_noted_and_handlers_are_restored(number):
    before, threads = handlers(), threading.active_count()
    open_before = len(os.listdir("/proc/self/fd"))
    with interruption.watch() as signals:
        assert signals.exit_code == 0
        os.kill(os.getpid(), number)
        wait_until(lambda: signals.received)
        assert signals.received == number
        assert signals.exit_code == 128 + number
    assert handlers() == before
    assert signal.set_wakeup_fd(-1) == -1
    assert threading.active_count() == threads
    assert len(os.listdir("/proc/self/fd")) == open_before


def test_handlers_are_restored_after_an_error():
    before = handlers()
    with pytest.raises(KeyError), interruption.watch():
        raise KeyError
    assert handlers() == before


def test_other_signals_are_not_counted():
    heard = []
    old = signal.signal(signal.SIGUSR1, lambda *_: heard.append(1))
    try:
        with interruption.watch() as signals:
            for _ in range(3):
                os.kill(os.getpid(), signal.SIGUSR1)
            wait_until(lambda: heard)
        assert signals.received is None
    finally:
        signal.signal(signal.SIGUSR1, old)


def test_outside_the_main_thread_nothing_is_noted():
    seen = []

    def body():
        with interruption.watch() as signals:
            seen.append(signals.exit_code)

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    assert seen == [0]
