"""Starts `s2sjax train` in a process of its own, as tests that kill it need it."""

import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[1]
SMALL = (
    f"--config={ROOT / 'experiments' / 'reversed.py'}:smoke",
    "--config.model.attention=none",
)


def begin(workdir, *arguments, failpoint=""):
    """A process that trains; its two outputs are pipes, of text."""
    return subprocess.Popen(
        [sys.executable, "-m", "s2sjax", "train", f"--workdir={workdir}", *arguments],
        env=os.environ | {"S2SJAX_FAILPOINT": failpoint},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def train(workdir, *arguments, failpoint=""):
    """The exit code of such a process once it has ended, and what it said."""
    with begin(workdir, *arguments, failpoint=failpoint) as process:
        try:
            out, error = process.communicate(timeout=180)
        except BaseException:
            process.kill()
            raise
    return process.returncode, out + error
