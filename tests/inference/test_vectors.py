"""Vectors of a file: read, begun with, kept frozen or trained, and not needed again."""

import bz2
import dataclasses
import gzip
import json
import lzma

import jax
import numpy as np
import pytest

import s2sjax as s2s
from s2sjax import config as configs
from s2sjax import rng, tasks
from s2sjax.errors import UsageError
from s2sjax.inference import vectors, weights
from s2sjax.inference.load import open_trained
from s2sjax.models.architectures import build_model
from s2sjax.runs import arrays
from s2sjax.runs.checkpoint import CheckpointReader
from s2sjax.sweeps import trial_files
from s2sjax.sweeps import trials as definition
from s2sjax.training.recipe import recipe
from s2sjax.training.state import first_state, numbers
from s2sjax.types import SYMBOLS

# Four steps teach nothing.
pytestmark = pytest.mark.filterwarnings("ignore:.*the model has collapsed")

GLOVE = b"0 1 2 3\n7 -1 0.5 2e-1\nx . 4 5 6\nseven 1 1 1\n7 9 9 9\n"
WORD2VEC = b"5 3\n" + GLOVE.replace(b"\n", b" \n")
TABBED = GLOVE.replace(b" ", b"\t")
ROWS = {"0": [1, 2, 3], "7": [-1, 0.5, 0.2]}


def config(file="", **model):
    return configs.resolve(
        {
            "task": {"length": 3, "min_length": 1, "num_valid": 20, "num_test": 20},
            "model": {
                **{"units": 4, "embedding": 3, "embedding_file": str(file)},
                **model,
            },
            "train": {
                **{"steps": 4, "batch_size": 4, "optimizer": "adamw:weight_decay=0.1"},
                **{"learning_rate": 0.1, "clip_norm": 0.5, "eval_every": 4},
            },
            "decode": {"batch_size": 16},
        }
    )


def written(folder, content, name="vectors.txt"):
    path = folder / name
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("content", [GLOVE, WORD2VEC, TABBED, GLOVE[:-1]])
@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress, lzma.compress])
def test_each_form_gives_the_rows_of_the_vocabulary(tmp_path, content, pack):
    file = written(tmp_path, pack(content))
    made = config(file)
    vectors.check(made.model)
    (found,) = vectors.read(made, tasks.create(made)).values()
    known, rows = found.vectors
    symbols = [str(i - SYMBOLS) for i in np.flatnonzero(known)]
    assert symbols == sorted(ROWS) and known.shape == (14,)
    np.testing.assert_allclose(rows[known], list(ROWS.values()), rtol=1e-6)
    assert "2 of 10 symbols have a vector (20.0%)" in found.note
    assert found.noted["found"] == 2 and len(found.noted["sha256"]) == 64


def test_what_one_trial_has_read_others_read_no_more(tmp_path, monkeypatch):
    file, kept = written(tmp_path, GLOVE), tmp_path / "data"
    made = config(file)
    task, read = tasks.create(made), vectors._rows
    (first,) = vectors.read(made, task, kept).values()
    monkeypatch.setattr(vectors, "_rows", pytest.fail)
    (again,) = vectors.read(made, task, kept).values()
    assert again[1:] == first[1:]
    for one, other in zip(again.vectors, first.vectors, strict=True):
        np.testing.assert_array_equal(one, other)
    # Not of another file or vocabulary, and nothing that is damaged.
    monkeypatch.setattr(vectors, "_rows", read)
    written(tmp_path, GLOVE.replace(b"1 2 3", b"4 2 3 "))
    (new,) = vectors.read(made, task, kept).values()
    assert new.vectors.rows[SYMBOLS, 0] == 4 and len(list(kept.iterdir())) == 2
    for path in kept.iterdir():
        path.write_bytes(path.read_bytes()[:-9])
    (mended,) = vectors.read(made, task, kept).values()
    np.testing.assert_array_equal(mended.vectors.rows, new.vectors.rows)
    monkeypatch.setattr(vectors, "_rows", pytest.fail)
    assert vectors.read(made, task, kept).values()


def test_trials_of_a_sweep_leave_it_beside_them(tmp_path):
    made = config(written(tmp_path, GLOVE))
    (tmp_path / "sweep" / "trials").mkdir(parents=True)
    (trial,) = definition.resolve(made, [{}])
    path = trial_files.create(tmp_path / "sweep" / "trials", trial, "s2sjax train")
    with pytest.warns(UserWarning, match="2 of 10 symbols have a vector"):
        s2s.train(path, path)
    (left,) = (tmp_path / "sweep" / "data").iterdir()
    assert left.name.startswith("vectors-")


REFUSED = [
    (b"0 1 2\n7 1 2\n", ["have 2 numbers", "model.embedding=3", "embedding=2"]),
    (b"9 2\n7 1 2\n", ["have 2 numbers", "model.embedding=3"]),
    (b"0 1 2 3\n7 1 2\n", [":2 is not a symbol and 3 numbers"]),
    (b"0 1 2 3\n7 1 2 3 4\n", [":2 is not a symbol and 3 numbers"]),
    (b"0 1 2 3\n7 1 x 3\n", [":2 has what is no finite number"]),
    (b"0 1 2 3\n7 1 nan 3\n", [":2 has what is no finite number"]),
    (b"3 3\n0 1 2 3\n7 1 2 3\n", ["says that it has 3 vectors and has 2"]),
    (b"a 1 2 3\nb 1 2 3\n", ["0 of 10 symbols have a vector"]),
    (b"", [":1 is no vector"]),
    (b"zero one two\n", [":1 is no vector"]),
    (gzip.compress(GLOVE * 99, mtime=0)[:60], ["is compressed and ends early"]),
    (None, ["there is no file"]),
]


@pytest.mark.parametrize(("content", "words"), REFUSED)
def test_a_file_that_cannot_be_is_refused_and_leaves_nothing(tmp_path, content, words):
    file = tmp_path / "vectors.txt"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(UsageError) as refused:
        s2s.train(config(file), tmp_path / "run")
    assert [word for word in words if word not in str(refused.value)] == []
    assert str(file) in str(refused.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ({"freeze_embedding": True}, "freeze_embedding=True means nothing"),
        ({"embedding": 0, "tie_output": True}, "tie_output=True means nothing with"),
        ({"embedding": 0, "share_embeddings": True}, "share_embeddings=True means"),
        ({"embedding": 0, "embedding_file": "a"}, "embedding_file=a means nothing"),
        (
            {"target_embedding_file": "a", "share_embeddings": True},
            "target_embedding_file=a means nothing with model.share_embeddings=True",
        ),
    ],
)
def test_what_means_nothing_is_refused(model, words):
    with pytest.raises(UsageError) as refused:
        config(**model)
    assert words in str(refused.value)


def test_two_vocabularies_cannot_be_shared():
    with pytest.raises(UsageError, match="target=6 is more than source=5"):
        s2s.Seq2Seq(s2s.ModelConfig(share_embeddings=True), 5, 6)
    one = config(share_embeddings=True)
    task = configs.TaskConfig(name="digits_to_words")
    with pytest.raises(UsageError, match="the task digits_to_words reads the char"):
        tasks.create(dataclasses.replace(one, task=task))


FIELDS = {"embedding_file": "encoder", "target_embedding_file": "decoder"}


def first(made, read):
    model = build_model(made, 14, 14)
    given = vectors.of_fields(read)
    own = recipe(made.train, 4), numbers(made)
    return first_state(model, *own, None, given).params


def test_vectors_take_the_place_of_the_draw_and_change_nothing_else(tmp_path):
    file = written(tmp_path, GLOVE)
    made = config(file, target_embedding_file=str(file))
    read = vectors.read(made, tasks.create(made))
    one, other = first(made, {}), first(made, read)
    for side in FIELDS.values():
        table, drawn = (
            np.array(each[side]["embed"].pop("table")) for each in (other, one)
        )
        known = read["embedding_file"].vectors.known
        np.testing.assert_array_equal(table[~known], drawn[~known])
        np.testing.assert_allclose(table[known], list(ROWS.values()), rtol=1e-6)
    same_bits(one, other)


def same_bits(one, other):
    assert jax.tree.structure(one) == jax.tree.structure(other)
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        assert np.asarray(a).tobytes() == np.asarray(b).tobytes()


@pytest.fixture(scope="module")
def frozen(tmp_path_factory):
    """A run with frozen source vectors, stopped, its file gone, and continued."""
    folder = tmp_path_factory.mktemp("frozen")
    file = written(folder, GLOVE)
    made = config(file, freeze_embedding=True)
    with pytest.warns(UserWarning, match="2 of 10 symbols have a vector"):
        s2s.train(made, folder / "run")
    begun = first(made, vectors.read(made, tasks.create(made)))
    longer = {"train.steps": 8}
    with pytest.warns(UserWarning, match="the others begin with a draw"):
        straight = s2s.train(made, folder / "straight", overrides=longer)
    file.unlink()
    more = s2s.train(made, folder / "run", overrides=longer)
    return folder, made, begun, straight, more


def test_a_run_goes_on_to_the_bit_without_the_file(frozen):
    folder, _, _, straight, more = frozen
    last = [open_trained(each.path, "last").params for each in (straight, more)]
    same_bits(*last)
    assert more.evaluate("test") == straight.evaluate("test")
    noted = json.loads((folder / "run" / "run.json").read_text())["embeddings"]
    assert noted["model.embedding_file"]["found"] == 2


def test_what_is_frozen_does_not_move_and_has_no_state(frozen):
    folder, _, begun, _, more = frozen
    params = open_trained(more.path, "last").params
    same_bits(begun["encoder"]["embed"], params["encoder"]["embed"])
    moved = np.abs(np.asarray(params["decoder"]["embed"]["table"]))
    assert np.abs(moved - np.abs(begun["decoder"]["embed"]["table"])).max() > 0.01
    saved = CheckpointReader(folder / "run" / "checkpoints", metric_better="max").last()
    paths = [leaf.path for leaf in saved.leaves if "embed" in leaf.path]
    assert {path[1] for path in paths if path[0] == "params"} == {"encoder", "decoder"}
    assert {path[-3] for path in paths if path[0] == "opt_state"} == {"decoder"}


def test_it_is_exported_and_begun_with_elsewhere(frozen):
    folder, made, _, straight, _ = frozen
    weights.export(open_trained(straight.path), folder / "out.safetensors")
    with pytest.warns(UserWarning, match="embedding_file is not read: all parameters"):
        other = s2s.train(made, folder / "other", init_from=folder / "out.safetensors")
    table = open_trained(other.path, "last").params["encoder"]["embed"]
    same_bits(open_trained(straight.path).params["encoder"]["embed"], table)


def test_another_file_of_that_name_is_another_run(frozen):
    folder, made, _, straight, _ = frozen
    (folder / "elsewhere").mkdir()
    file = written(folder / "elsewhere", GLOVE)
    there = {"train.steps": 8, "model.embedding_file": str(file)}
    s2s.train(made, straight.path, overrides=there)  # the same bytes
    file = written(folder, WORD2VEC)
    there["model.embedding_file"] = str(file)
    with pytest.raises(UsageError, match="is not the file that this run began with"):
        s2s.train(made, straight.path, overrides=there)


def test_a_joint_vocabulary_is_of_both_sides(tmp_path):
    lines = [f"a{i} b{i % 7}\tb{i % 7} c{i % 5}\n" for i in range(60)]
    path = written(tmp_path, "".join(lines).encode(), "pairs.tsv")
    made = configs.resolve(
        {
            "task": {"name": "text", "path": str(path), "level": "word"},
            "model": {"units": 4, "embedding": 3, "share_embeddings": True},
            "train": {"steps": 2},
        }
    )
    task = tasks.create(made, tmp_path / "data")
    assert task.source_vocabulary == task.target_vocabulary
    symbols = set(task.source_vocabulary.symbols)
    assert {f"b{i}" for i in range(7)} | {f"c{i}" for i in range(5)} < symbols
    assert tasks.load(made, tmp_path / "data").source_vocabulary.index == (
        task.target_vocabulary.index
    )
    bucket = task.buckets["test"][0]
    batch = bucket.fetch(bucket.store, np.arange(2))
    assert np.asarray(batch.source)[0, 1] == np.asarray(batch.target)[0, 0]


def test_each_option_leaves_the_draws_of_the_others():
    def drawn(**option):
        return arrays.paths(build_model(config(**option), 14, 14).init(rng.root(0)))

    plain = drawn()
    for option in ("tie_output", "share_embeddings"):
        one = drawn(**{option: True})
        common = plain.keys() & one.keys()
        assert len(common) >= 8
        for path in common:
            np.testing.assert_array_equal(plain[path], one[path], err_msg=str(path))
