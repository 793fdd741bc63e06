"""Kinds from a file of one's own: executed from the run's copy, and refused well."""

import json
import pathlib
import shutil

import pytest

from s2sjax.cli import main
from s2sjax.inference.load import open_trained
from s2sjax.runs.directory import open_for_reading

EXPERIMENTS = pathlib.Path(__file__).parents[2] / "experiments"
CODE = """
import jax
import jax.numpy as jnp
import numpy as np
from s2sjax.decoding.beam import beam
from s2sjax.models.attention import Multiplicative
from s2sjax.models.attention.dot import DotMemory
from s2sjax.models.cells.stepped import Additive


class Sine(Additive):
    names = ("h",)
    gates = 1

    def activate(self, a, state):
        return (jnp.sin(a),)


class Sharp(Multiplicative):
    state: int
    values: int
    by: float = 2.0

    def memory(self, encoded):
        keys = self.by * encoded.memory.swapaxes(1, 2)
        return DotMemory(keys, encoded.memory, encoded.mask)


def squared():
    def objective(output, batch):
        found = jax.nn.log_softmax(output.logits)
        return jnp.take_along_axis(found, batch.target[..., None], -1)[..., 0] ** 2

    return objective


def second():
    return lambda logits, key: jnp.argsort(logits)[-2].astype(jnp.int32)


def begun_right(*, symbols: int = 1):
    '''Outputs that begin \\x1b[31mright.'''
    def counts(outcomes):
        begun = [a[:symbols] == b[:symbols] for a, b in
                 zip(outcomes.output.tolist(), outcomes.target.tolist())]
        return np.array(begun, float), np.ones(len(begun))

    return counts


def wide(step, carry, request, *, by: int = 2):
    return beam(step, carry, request, size=2 * by, n=by)
"""
KINDS = {
    "model.cell": "Sine",
    "model.attention": "Sharp:by=3",
    "train.objective": "squared",
    "train.feeding": "second",
    "train.metric": "begun_right:symbols=2",
    "decode.strategy": "wide:by=1",
}
SMALL = (
    *("task.num_valid=8", "task.num_test=8", "task.length=4", "model.units=8"),
    *("train.steps=6", "train.save_every=2", "train.eval_every=2"),
    *("train.feeding_probability=0.5", "train.schedule=constant"),
)


def written(folder):
    """The file, and the overrides that name all that is in it."""
    file = folder / "mine.py"
    file.write_text(CODE)
    named = [f"{field}={file}:{name}" for field, name in KINDS.items()]
    config = f"--config={EXPERIMENTS / 'reversed.py'}:smoke"
    return file, [config, *(f"--config.{each}" for each in (*SMALL, *named))]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run of all of them, and its file, which is away by now."""
    folder = tmp_path_factory.mktemp("kinds")
    file, overrides = written(folder)
    assert main(["train", *overrides, f"--workdir={folder / 'run'}"]) == 0
    file.unlink()
    return folder / "run", file, overrides


def test_every_kind_takes_part(made):
    run, _, _ = made
    lines = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    valid = [line for line in lines if line["kind"] == "valid"]
    assert all(0 <= line["begun_right"] <= 1 for line in valid)
    params = open_trained(run).params
    kernels = params["decoder"]["layer_0"]
    assert kernels["recurrent_kernel"].shape == (8, 8)  # one gate


@pytest.mark.parametrize(
    "words",
    [
        ["eval", "--json"],
        ["decode", "--json", "--", "1", "2"],
        ["decode", "--strategy=beam:size=3,n=2", "1", "2"],
        ["bench", "--strategy=greedy", "--batch_sizes=8", "--repeats=1"],
        ["export", "--out=OUT.safetensors"],
        ["train"],
        ["report"],
    ],
    ids=lambda words: words[0] + words[1][:9] if len(words) > 1 else words[0],
)
def test_every_command_executes_the_copy_and_says_so(made, words, command, tmp_path):
    run, _, _ = made
    words = [word.replace("OUT", str(tmp_path / "out")) for word in words]
    done = command(words[0], f"--workdir={run}", *words[1:])
    assert done.code == 0, done.err
    told = [line for line in done.err.splitlines() if "is executed" in line]
    if words[0] != "report":
        assert len(told) == len(KINDS)
        assert f"{run / 'code' / 'model.cell' / 'mine.py'} (SHA-256 " in done.err


def test_a_metric_says_what_it_means(made, command):
    done = command("eval", f"--workdir={made[0]}")
    (line,) = [line for line in done.out.splitlines() if line.startswith("begun right")]
    assert line.endswith(r"  Outputs that begin \x1b[31mright.")


def test_none_is_executed_where_that_is_refused(made, command, tmp_path):
    run, _, _ = made
    for words in (["eval"], ["decode", "1", "2"], ["train"]):
        done = command(words[0], f"--workdir={run}", "--no_user_code", *words[1:])
        assert done.code == 2 and done.err.count("\n") == 1
        assert "--no_user_code: " in done.err
        assert "would execute a Python file, of model.cell=" in done.err
        assert "--no_user_code: " in done.err


def test_a_run_goes_on_to_the_bit_without_the_file(made, command, tmp_path):
    run, _, _ = made
    config = open_for_reading(run).config
    assert config.model.cell.endswith("code/model.cell/mine.py:Sine")
    file, overrides = written(tmp_path)
    whole, split = tmp_path / "whole", tmp_path / "split"
    assert command("train", *overrides, f"--workdir={whole}").code == 0
    few = "--config.train.steps=3"
    assert command("train", *overrides, few, f"--workdir={split}").code == 0
    file.unlink()
    more = ["--config.train.steps=6", f"--workdir={split}"]
    done = command("train", *overrides, *more)
    assert done.code == 0, done.err
    assert (whole / "test.json").read_text() == (split / "test.json").read_text()


def test_another_file_is_refused_and_a_damaged_copy_too(made, command, tmp_path):
    run, file, overrides = made
    shutil.copytree(run, tmp_path / "run")
    run = tmp_path / "run"
    file.write_text(CODE + "# edited\n")
    done = command("train", *overrides, f"--workdir={run}")
    file.unlink()
    assert done.code == 2 and "is not the file that this run was started" in done.err
    copy = run / "code" / "model.attention" / "mine.py"
    copy.write_text(copy.read_text() + "# edited\n")
    for words in (["eval"], ["train"]):
        done = command(words[0], f"--workdir={run}")
        assert done.code == 2 and f"{copy} is damaged" in done.err


WRONG = """
import jax.numpy as jnp
from s2sjax.models.attention.bahdanau import BahdanauAttention
from s2sjax.models.cells.lstm import LSTM

class Cut(BahdanauAttention):
    def look(self, dot, query, memory, state):
        context, state, aux = super().look(dot, query, memory, state)
        return context[:, 1:], state, aux

class Raises(BahdanauAttention):
    def look(self, dot, query, memory, state):
        raise RuntimeError("no")

class Half(LSTM):
    def step(self, dot, vectors, rest, state, context):
        h, c = super().step(dot, vectors, rest, state, context)
        return h, c.astype(jnp.float16)

class Nothing:
    def __init__(self, units):
        pass

def one():
    return lambda output, batch: output.logits

def words():
    return lambda logits, key: "word"

def single():
    return lambda outcomes: 1

def three(step, carry, request):
    return 3
"""


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("model.attention", "FILE:Cut", "Cut: the context is float32[2, 127]"),
        (
            "model.attention",
            "FILE:Raises",
            ":13: model.attention: Raises raised RuntimeError: no",
        ),
        ("model.attention", "FILE:Cot", "has no function 'Cot' (it has: Cut, Raises"),
        ("model.attention", "FILE:Cut:unit=3", "did you mean 'units'?"),
        ("model.attention", "wrang.py:Cut", "wrang.py does not exist"),
        ("model.cell", "FILE:Half", "float16"),
        ("model.cell", "FILE:Nothing", "no names"),
        ("train.objective", "FILE:one", "returned float32[2, 3, 7]; wanted"),
        ("train.feeding", "FILE:words", "train.feeding"),
        ("train.metric", "FILE:single", "FILE"),
        ("decode.strategy", "FILE:three", "Hypotheses wanted"),
    ],
)
def test_what_does_not_fit_is_one_line(field, value, told, command, tmp_path):
    file = tmp_path / "wrong.py"
    file.write_text(WRONG)
    value = value.replace("FILE", str(file))
    done = command(
        *("train", f"--config={EXPERIMENTS / 'reversed.py'}:smoke"),
        *(f"--config.{field}={value}", f"--workdir={tmp_path / 'run'}"),
    )
    assert done.code == 2, done.err
    (line,) = [x for x in done.err.splitlines() if not x.startswith("XLA_FLAGS")]
    assert told.replace("FILE", str(file)) in line
    assert not (tmp_path / "run").exists()
