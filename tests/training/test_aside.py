"""What compiled code prints, and that it aborts, is kept from the screen."""

import subprocess
import sys

import pytest

BEGIN = """
import ctypes, os, sys
from s2sjax.training import aside
with aside.printed() as file:
    print("of Python")
    print("for a person", file=sys.stderr)
    os.write(1, b"compiled\\n")
    os.write(2, b"its stack\\n")
"""
END = """
print("after", flush=True)
os.write(1, b"compiled again\\n")
file.closed or sys.exit("the file is open")
"""
ABORT = """
    def call():
        text = os.pread(file.fileno(), 100, 0)
        print("aborted after", text.split(), flush=True)
        {}
    with aside.on_abort(call):
        ctypes.CDLL(None).abort()
"""


@pytest.mark.parametrize(
    ("program", "code", "said"),
    [
        (END, 0, "of Python\nafter\ncompiled again\n"),
        (ABORT.format("os._exit(75)"), 75, "of Python\naborted after {}\n"),
        (ABORT.format("pass"), -6, "of Python\naborted after {}\n"),
    ],
    ids=["it ends", "it aborts and exits", "it aborts"],
)
def test_python_alone_is_seen(program, code, said):
    done = subprocess.run(
        [sys.executable, "-c", BEGIN + program], capture_output=True, text=True
    )
    assert done.returncode == code
    assert done.stdout == said.format([b"compiled", b"its", b"stack"])
    assert done.stderr == "for a person\n"
