"""Exported programs: run by a bare process, they give the bits that the run gives."""

import hashlib
import json
import pathlib
import shutil
import subprocess
import sys

import jax
import numpy as np
import pytest

from s2sjax import config as configs
from s2sjax import json_objects, tasks
from s2sjax.commands.run import Run
from s2sjax.errors import UsageError
from s2sjax.inference import programs, stablehlo
from s2sjax.inference import stream as streaming
from s2sjax.inference.load import Trained
from s2sjax.inference.system import System
from s2sjax.models.architectures import build_model
from s2sjax.types import BOS, SYMBOLS
from tests import copying

pytest.importorskip("flatbuffers")
CELL = """
import jax.numpy as jnp
from s2sjax.models.cells.stepped import Additive


class Mine(Additive):
    names, gates = ("h",), 1

    def activate(self, a, state):
        return (jnp.sin(a),)
"""
# Of 5 inputs of up to 8 symbols these are the shapes that `decode` has.
SOURCES = [[0, 1, 2, 3, 4], [], [3, 3], [4, 2, 0, 1, 3, 2, 4, 1], [2]]
SHAPES = {"batch": 8, "width": 8}
# A cell of a user's own, and two runs that decode together.
KINDS = {
    "beam": ({"cell": "mine.py:Mine", "attention": "bahdanau"}, "beam:size=3,n=2", 1),
    "sample": ({"cell": "lstm", "layers": 2}, "sample:n=2", 2),
    "aligned": (
        {"cell": "gru", "architecture": "aligned", "lookahead": 1},
        *("greedy", 1, {"name": "copy", "reverse_source": False}),
    ),
}


def opened(model, strategy, count, task=()):
    config = configs.resolve(
        {
            "task": {
                "length": 8,
                "cardinality": 5,
                "reverse_source": True,
                **dict(task),
            },
            "model": {"units": 6, "embedding": 4, **model},
            "train": {"steps": 1},
            "decode": {"strategy": strategy},
        }
    )
    task = tasks.create(config)
    built = build_model(
        config, len(task.source_vocabulary), len(task.target_vocabulary)
    )
    shapes = jax.eval_shape(built.init, jax.random.key(0))
    params = tuple(copying.drawn(shapes, seed=seed, scale=1.0) for seed in range(count))
    system = System((built,) * count, config, params)
    return Run(Trained(pathlib.Path("run"), config, task, system, 7), say=print)


# What runs where there is no s2sjax.
BARE = """
import json, sys
import numpy as np
sys.modules["s2sjax"] = None
out, sources = sys.argv[1], json.loads(sys.argv[2])
for kind in sys.argv[3:]:
    sys.path.insert(0, f"{out}/{kind}")
    sys.modules.pop("programs", None)
    import programs
    assert programs.__file__.startswith(out)
    model = programs.load(f"{out}/{kind}")
    with open(f"{out}/{kind}.json", "w") as file:
        json.dump(model.decode(sources), file)
    if kind == "aligned":
        stream, first = model.advance(model.begin(), sources[0])
        source, count = np.int32(sources[3] * 8), np.int32(8)
        said = model.program("advance")(model.parameters, stream[0], source, count)
        np.savez(f"{out}/{kind}.npz", **said[1], said=first + model.finish(stream))
        continue
    memory, state = model.start(sources)
    tokens, logits = np.ones(model.about["batch"], np.int32), []
    for _ in range(3):
        state, said = model.step(memory, state, tokens)
        logits.append(np.asarray(said["logits"]))
        tokens = logits[-1].argmax(-1)
    np.save(f"{out}/{kind}.npy", np.stack(logits))
"""


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """The runs, and the folder where their programs lie and have run."""
    folder = tmp_path_factory.mktemp("exported")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        pathlib.Path("mine.py").write_text(CELL)
        runs = {kind: opened(*arguments) for kind, arguments in KINDS.items()}
        for kind, run in runs.items():
            run.export(folder / kind, format="stablehlo", **SHAPES)
    done = subprocess.run(
        [sys.executable, "-c", BARE, str(folder), json.dumps(SOURCES), *KINDS],
        cwd=folder / "beam",
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return runs, folder


@pytest.mark.parametrize("kind", KINDS)
def test_a_bare_process_decodes_to_the_same_bits(exported, kind):
    runs, folder = exported
    found = json.loads((folder / f"{kind}.json").read_text())
    for here, there in zip(runs[kind].decode(SOURCES), found, strict=True):
        rows = there.get("nbest", [there])
        for one, other in zip(here.outputs, rows, strict=True):
            wanted = {name: getattr(one, name) for name in ("score", "logprob")}
            wanted |= {"output": one.symbols, "truncated": one.truncated}
            assert other == wanted


@pytest.mark.parametrize("kind", ["beam", "sample"])
def test_a_bare_process_steps_to_the_same_bits(exported, kind):
    runs, folder = exported
    system = runs[kind].trained.system
    source, lengths = np.zeros((8, 8), np.int32), np.zeros(8, np.int32)
    for row, each in enumerate(SOURCES):
        source[row, : len(each)] = np.array(each[::-1]) + SYMBOLS
        lengths[row] = len(each)
    memory, state = jax.jit(stablehlo._start)(system, source, lengths)
    # A closure's parameters would be constants, which are folded: other bits.
    step = jax.jit(lambda system, memory, *x: stablehlo._step(system, memory)(*x))
    tokens = np.full(8, BOS, np.int32)
    for logits in np.load(folder / f"{kind}.npy"):
        state, output = step(system, memory, state, tokens)
        np.testing.assert_array_equal(logits, output.logits)
        tokens = logits.argmax(-1)


def test_a_bare_process_reads_a_stream_on_to_the_same_bits(exported):
    runs, folder = exported
    run, found = runs["aligned"], np.load(folder / "aligned.npz")
    stream, said = run.stream().step(SOURCES[0])
    answers = said + stream.finish()[1]
    assert found["said"].tolist() == [answer.symbol for answer in answers]
    source = np.tile(np.array(SOURCES[3], np.int32), 8)
    states = stream.rows[0].states
    _, wanted = streaming.advance(run.trained.system, states, source, np.int32(8))
    for name, leaf in wanted._asdict().items():
        np.testing.assert_array_equal(found[name], leaf)


def test_the_metadata_say_what_goes_in_and_out(exported):
    about = programs.load(exported[1] / "beam").about
    assert about["platforms"] == list(stablehlo.PLATFORMS)
    assert about["strategy"] == "beam:size=3,n=2" and about["step"] == 7
    taken = about["programs"]["decode"]["inputs"]
    assert taken == ["int32[8, 8]", "int32[8]", "int32[8]"]
    assert about["programs"]["decode"]["outputs"]["tokens"] == "int32[8, 2, 26]"
    assert about["programs"]["step"]["outputs"][1]["logits"] == "float32[8, 9]"
    assert about["target_vocabulary"] == {"kind": "integer", "symbols": [0, 5]}


def edited(folder, **fields):
    """Another `about.json`, whole."""
    about = json.loads((folder / "about.json").read_text())
    del about["crc32"]
    (folder / "about.json").write_text(json_objects.encode(about | fields))


def flipped(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda f: flipped(f / "decode.stablehlo"), "decode.stablehlo is damaged"),
        (lambda f: flipped(f / "parameters.npz"), "parameters.npz is damaged"),
        (lambda f: (f / "step.stablehlo").unlink(), "step.stablehlo: No such file"),
        (lambda f: (f / "about.json").write_text("{"), "about.json is damaged"),
        (lambda f: (f / "about.json").unlink(), "about.json: No such file"),
        (lambda f: flipped(f / "about.json"), "about.json is damaged"),
        (lambda f: edited(f, programs_version=2), "programs_version 2; this file"),
        (
            lambda f: edited(f, calling_convention=99, jax="9.9"),
            "written by jax 9.9, in version 99 of its convention",
        ),
        (lambda f: edited(f, platforms=["tpu"]), "written for tpu; this is cpu"),
    ],
)
def test_damage_and_other_versions_are_told(exported, tmp_path, damage, told):
    folder = shutil.copytree(exported[1] / "beam", tmp_path / "beam")
    damage(folder)
    with pytest.raises(programs.CannotRun, match=told) as error:
        programs.load(folder)
    assert "\n" not in str(error.value)


def test_a_program_that_this_jax_cannot_read_is_told(exported, tmp_path):
    folder = shutil.copytree(exported[1] / "beam", tmp_path / "beam")
    content = b"\x00" * 64
    (folder / "decode.stablehlo").write_bytes(content)
    files = json.loads((folder / "about.json").read_text())["files"]
    files["decode.stablehlo"] = hashlib.sha256(content).hexdigest()
    edited(folder, files=files)
    with pytest.raises(programs.CannotRun, match=r"cannot read what jax .* wrote"):
        programs.load(folder).decode([[1]])


def test_inputs_that_do_not_fit_are_told(exported):
    model = programs.load(exported[1] / "beam")
    with pytest.raises(programs.CannotRun, match=r"input 1 has 9 symbols.*read 8"):
        model.decode([[1], [1] * 9])
    with pytest.raises(programs.CannotRun, match="5 is not among the integers 0 to 4"):
        model.decode([[5]])
    with pytest.raises(programs.CannotRun, match="9 inputs; a batch has 8"):
        model.start([[1]] * 9)


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"format": "stablhlo"}, "did you mean 'stablehlo'"),
        ({"width": 4}, "width=4 is of format=stablehlo"),
        ({"format": "stablehlo", "batch": 0}, "batch=0 is not a number from 1"),
        ({"format": "stablehlo", "out": "."}, "out=. is there already"),
        ({"format": "stablehlo", "out": "no/such"}, "out=no/such: there is no such"),
    ],
)
def test_what_cannot_be_exported_is_told(exported, tmp_path, monkeypatch, asked, told):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=told):
        exported[0]["beam"].export(**({"out": "a"} | asked))
    assert not any(tmp_path.iterdir())


def test_a_platform_that_cannot_is_left_out(monkeypatch):
    def lowered(chosen, platforms):
        if "tpu" in platforms or not chosen:
            raise NotImplementedError(f"no rule for {platforms[-1]}\nand more")
        return dict.fromkeys(chosen, platforms)

    said = []
    monkeypatch.setattr(stablehlo, "_lowered", lowered)
    found = stablehlo._exported({"step": ...}, said.append)
    assert found == {"step": ["cpu", "cuda"]}
    assert said == ["format=stablehlo: not for tpu: no rule for tpu"]
    with pytest.raises(UsageError, match="no platform takes this model: no rule for c"):
        stablehlo._exported({}, said.append)
