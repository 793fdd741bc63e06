"""Event files, read back by their framing."""

import errno
import struct

from tensorboardX import RecordWriter
from tensorboardX.proto.event_pb2 import Event

from s2sjax.config import Config
from s2sjax.inference.kind import Sample
from s2sjax.reporting.trackers import Guarded, TrackedRun
from s2sjax.reporting.trackers.tensorboard import TensorBoard


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
        if value.HasField("simple_value")
    }


def guarded(run, said):
    """The tracker of a run, with what it says."""
    board = Guarded(TensorBoard(TrackedRun(run, Config())), "tensorboard")
    board.say = said.append
    return board


def test_scalars_can_be_read_at_once(tmp_path):
    said = []
    board = guarded(tmp_path, said)
    board.started(0, 10, "")
    board.logged(5, {"loss": 0.5, "epoch": 1, "name": "x", "grad_norm": None})
    board.evaluated(10, {"exact": 0.25}, [Sample("1 2", "2 1", "2 1")], best=True)
    assert scalars(tmp_path / "tensorboard") == {
        (5, "train/loss"): 0.5,
        (5, "train/epoch"): 1.0,
        (10, "valid/exact"): 0.25,
    }
    board.ended(10, "done")
    picture = tmp_path / "curves.png"
    picture.write_bytes(b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", 7, 5))
    board.drawn(picture)
    board.tested({"nll": 0.5})
    board.close()
    board.logged(11, {"loss": 0.5})
    assert len(scalars(tmp_path / "tensorboard")) == 4 and not said
    summaries = [event.summary for event in events(tmp_path / "tensorboard")]
    values = {value.tag: value for each in summaries for value in each.value}
    image = values["curves"].image
    assert (image.width, image.height) == (7, 5)
    assert b"1 2" in values["samples/text_summary"].tensor.string_val[0]
    assert b"model.units" in values["config/text_summary"].tensor.string_val[0]


def test_a_run_that_goes_on_hides_later_steps(tmp_path):
    for begin in (0, 4):
        board = TensorBoard(TrackedRun(tmp_path, Config()))
        board.started(begin, 10, "")
        board.logged(begin + 5, {"loss": 0.5})
        board.close()
    folder = tmp_path / "tensorboard"
    assert len(list(folder.iterdir())) == 2
    starts = [event.step for event in events(folder) if event.HasField("session_log")]
    assert starts == [1, 5]


def test_an_error_is_said_once_and_swallowed(tmp_path):
    (tmp_path / "file").write_text("")
    said = []
    board = guarded(tmp_path / "file", said)
    board.started(0, 10, "")
    board.logged(5, {"loss": 0.5})
    board.evaluated(10, {"exact": 0.25}, [], best=True)
    board.ended(10, "done")
    assert len(said) == 1 and "tensorboard" in said[0] and "\n" not in said[0]


def test_a_disk_that_fills_up_is_said_once(tmp_path, monkeypatch):
    def full(writer):
        raise OSError(errno.ENOSPC, "No space left on device")

    said = []
    board = guarded(tmp_path, said)
    board.started(0, 10, "")
    monkeypatch.setattr(RecordWriter, "flush", full)
    for step in (5, 10):
        board.evaluated(step, {"exact": 0.25}, [], best=True)
    board.ended(10, "done")
    assert len(said) == 1 and "No space left on device" in said[0]
