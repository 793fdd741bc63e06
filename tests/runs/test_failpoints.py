import errno
import subprocess
import sys

import pytest

from s2sjax.errors import UsageError
from s2sjax.runs import failpoints


@pytest.fixture
def setting(monkeypatch):
    monkeypatch.setattr(failpoints, "_reached", failpoints.collections.Counter())
    return lambda text: monkeypatch.setenv(failpoints.VARIABLE, text)


def test_the_disk_is_full_at_the_nth_time_only(setting):
    setting("here:full:2")
    failpoints.reach("elsewhere")
    failpoints.reach("here")
    with pytest.raises(OSError, match="No space") as caught:
        failpoints.reach("here")
    assert caught.value.errno == errno.ENOSPC
    failpoints.reach("here")


@pytest.mark.parametrize(("action", "code"), [("kill", -9), ("term", -15)])
def test_a_signal_reaches_the_process(action, code):
    lines = (
        "from s2sjax.runs import failpoints\nfailpoints.reach('here')\nprint('alive')"
    )
    for point, expected in (("here", code), ("there", 0)):
        done = subprocess.run(
            [sys.executable, "-c", lines],
            env={failpoints.VARIABLE: f"{point}:{action}", "PYTHONPATH": "."},
            capture_output=True,
        )
        assert done.returncode == expected


@pytest.mark.parametrize("text", ["here", "here:", "here:fly", "here:full:x"])
def test_a_setting_that_cannot_be_read_is_said(setting, text):
    setting(text)
    with pytest.raises(UsageError):
        failpoints.reach("here")
