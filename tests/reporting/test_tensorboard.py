"""Event files, read back by their framing."""

import errno
import struct

from tensorboardX import RecordWriter
from tensorboardX.proto.event_pb2 import Event

from s2sjax.reporting.tensorboard import TensorBoard


def events(directory):
    """The events of all files, in the order in which TensorBoard reads them."""
    found = []
    for path in sorted(directory.iterdir()):
        data = path.read_bytes()
        while data:
            (length,) = struct.unpack_from("<Q", data)
            found.append(Event.FromString(data[12 : 12 + length]))
            data = data[12 + length + 4 :]
    return found


def scalars(directory):
    return {
        (event.step, value.tag): value.simple_value
        for event in events(directory)
        for value in event.summary.value
    }


def test_scalars_can_be_read_at_once(tmp_path):
    said = []
    board = TensorBoard(tmp_path / "tensorboard", said.append)
    board.started(0, 10, "")
    board.logged(5, {"loss": 0.5, "epoch": 1, "name": "x", "grad_norm": None})
    board.evaluated(10, {"exact": 0.25}, [], best=True)
    assert scalars(tmp_path / "tensorboard") == {
        (5, "train/loss"): 0.5,
        (5, "train/epoch"): 1.0,
        (10, "valid/exact"): 0.25,
    }
    board.ended(10, "done")
    board.logged(11, {"loss": 0.5})
    assert len(scalars(tmp_path / "tensorboard")) == 3 and not said


def test_a_run_that_goes_on_hides_later_steps(tmp_path):
    for begin in (0, 4):
        board = TensorBoard(tmp_path, print)
        board.started(begin, 10, "")
        board.logged(begin + 5, {"loss": 0.5})
        board.ended(begin + 5, "signal")
    assert len(list(tmp_path.iterdir())) == 2
    starts = [event.step for event in events(tmp_path) if event.HasField("session_log")]
    assert starts == [1, 5]


def test_an_error_is_said_once_and_swallowed(tmp_path):
    (tmp_path / "file").write_text("")
    said = []
    board = TensorBoard(tmp_path / "file" / "tensorboard", said.append)
    board.started(0, 10, "")
    board.logged(5, {"loss": 0.5})
    board.evaluated(10, {"exact": 0.25}, [], best=True)
    board.ended(10, "done")
    assert len(said) == 1 and "TensorBoard" in said[0] and "\n" not in said[0]


def test_a_disk_that_fills_up_is_said_once(tmp_path, monkeypatch):
    def full(writer):
        raise OSError(errno.ENOSPC, "No space left on device")

    said = []
    board = TensorBoard(tmp_path, said.append)
    board.started(0, 10, "")
    monkeypatch.setattr(RecordWriter, "flush", full)
    for step in (5, 10):
        board.evaluated(step, {"exact": 0.25}, [], best=True)
    board.ended(10, "done")
    assert len(said) == 1 and "No space left on device" in said[0]
