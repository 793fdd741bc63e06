"""Inputs from files and standard input, and what is written so that it can be read."""

import bz2
import gzip
import io
import json
import lzma
import sys
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from s2sjax import config as configs
from s2sjax import rng
from s2sjax.cli import decode, inputs, main
from s2sjax.commands.run import Decoded, Output
from s2sjax.decoding.strategies import STRATEGIES
from s2sjax.errors import UsageError
from s2sjax.inference import system as predictor
from s2sjax.inference.system import System
from s2sjax.models.architectures import build_model
from s2sjax.reporting import progress_line
from s2sjax.tasks.vocabulary import Vocabulary
from s2sjax.types import SYMBOLS

# What `str.splitlines` and text mode take for the end of a line, and JSON does not.
NO_ENDS = "\u2028\u2029\x85\x0b\x0c\x1c\x1d\x1e\r"
COMPRESSED = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}


def task(source, target=None):
    return SimpleNamespace(
        source_vocabulary=source,
        target_vocabulary=target or source,
        expected=lambda symbols: None,
    )


CHARACTERS = task(Vocabulary("char", tuple("abc")))
INTEGERS = task(Vocabulary.integers(0, 10))


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """A file's path, for one content after another."""
    return tmp_path_factory.mktemp("inputs") / "given.jsonl"


def read(file, content, its=CHARACTERS):
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return [query.source for query in inputs.from_file(str(file), its)]


@pytest.mark.parametrize(
    "character", NO_ENDS, ids=lambda character: f"{ord(character):x}"
)
def test_only_a_newline_ends_a_line(file, character):
    text = f"a{character}b"
    assert read(file, f"{text}\nc\r\n") == [list(text), ["c"]]
    for ascii_only in (True, False):
        rows = [{"input": text}, {"input": [character]}]
        written = [json.dumps(row, ensure_ascii=ascii_only) for row in rows]
        assert read(file, "\r\n".join(written)) == [list(text), [character]]


SYMBOLS_OF = st.text(st.characters(codec="utf-8"), min_size=1, max_size=3) | (
    st.sampled_from(
        [*NO_ENDS, "\ud800", "\x00", "\ufeff", "{", "[", '"', "\\", "<unk>"]
    )
)


@given(st.data(), st.booleans())
def test_what_is_written_as_json_is_read_again(file, data, characters):
    drawn = data.draw(st.lists(SYMBOLS_OF, min_size=1, max_size=4, unique=True))
    symbols = tuple(dict.fromkeys("".join(drawn))) if characters else tuple(drawn)
    its = task(Vocabulary("char" if characters else "word", symbols))
    run = SimpleNamespace(
        task=its, config=configs.resolve({"train": {"steps": 1}, "decode": {}})
    )
    ids = st.lists(st.integers(SYMBOLS, SYMBOLS + len(symbols) - 1), max_size=5)
    lines, rows = [], []
    for _ in range(data.draw(st.integers(1, 3))):
        given_, made = data.draw(ids), data.draw(ids)
        source = its.source_vocabulary.decode(given_)
        written = its.target_vocabulary.decode(made)
        output = Output(written, "", -1.0, -1.0, False, {"kappa": -jnp.inf})
        lines.append(decode.written(run, Decoded(source, (output,), None)))
        rows.append((source, its.target_vocabulary.decode(made)))
    assert all(line.isascii() for line in lines)
    file.write_text("\n".join(lines) + "\n", encoding="ascii")
    again = inputs.from_file(str(file), its)
    assert [(query.source, query.output) for query in again] == rows


def test_all_that_a_strategy_says_of_an_output_can_be_read_again():
    config = configs.resolve({"train": {"steps": 1}, "model": {"units": 4}})
    model = build_model(config, 7, 7)
    params = jax.eval_shape(lambda: model.init(rng.root(0)))
    source, lengths = jnp.zeros((1, 3), jnp.int32), jnp.ones(1, jnp.int32)
    said = set()
    for name in STRATEGIES:
        its = configs.resolve({"train": {"steps": 1}, "decode": {"strategy": name}})
        system = System.of(model, its, params)
        found = jax.eval_shape(predictor.decode, system, source, lengths, lengths)
        said |= {name for name, leaf in found.aux.items() if leaf.ndim == 2}
    assert "proved" in said and "inclusion" in said
    assert said <= inputs.SAID


def test_a_list_and_integers_are_read_as_before(file):
    assert read(file, "[[1, 2], [3]]\n", INTEGERS) == [[1, 2], [3]]
    assert read(file, b"\xef\xbb\xbf1 2\r\n3,4", INTEGERS) == [[1, 2], [3, 4]]
    assert read(file, "", INTEGERS) == []
    assert read(file, "a\n\nb\n") == [["a"], [], ["b"]]


@pytest.mark.parametrize("kind", COMPRESSED)
def test_a_compressed_file_is_known_by_its_content(file, kind):
    content = b'{"input": "ab"}\n{"input": "c"}\n'
    packed = COMPRESSED[kind](content)
    assert read(file, packed) == [["a", "b"], ["c"]]
    for damaged in (packed[:-6], packed[:12] + b"\xff\xff\xff" + packed[15:]):
        with pytest.raises(
            UsageError, match=f"{file} is compressed and (damaged|ends)"
        ):
            read(file, damaged)


def test_a_text_may_begin_like_a_compressed_file(file):
    assert read(file, "BZh9 and more") == [list("BZh9 and more")]
    with pytest.raises(UsageError, match=r"as \.zip files are; unpack it"):
        read(file, b"PK\x03\x04and more")
    with pytest.raises(UsageError, match=r"is not UTF-8: invalid start byte at byte 1"):
        read(file, b"a\xff")


class Standard(io.TextIOWrapper):
    """A standard input that may be a terminal."""

    def __init__(self, content, terminal=False):
        super().__init__(io.BytesIO(content), encoding="ascii")
        self._terminal = terminal

    def isatty(self):
        return self._terminal


@pytest.mark.parametrize("end", ["", "\n"])
def test_standard_input(command, integers, monkeypatch, end):
    arguments = (f"--workdir={integers}", "--from_file=-", "--json")
    monkeypatch.setattr(sys, "stdin", Standard(f"3 1 4\n1 5{end}".encode()))
    decoded = command("decode", *arguments)
    assert (decoded.code, decoded.err) == (0, "")
    rows = [json.loads(line) for line in decoded.out.splitlines()]
    assert [row["input"] for row in rows] == [[3, 1, 4], [1, 5]]
    content = decoded.out.removesuffix("\n") + end
    monkeypatch.setattr(sys, "stdin", Standard(content.encode(), terminal=True))
    scored = command("score", *arguments)
    assert scored.code == 0
    assert [json.loads(line)["output"] for line in scored.out.splitlines()] == [
        row["output"] for row in rows
    ]
    assert scored.err == (
        "reading inputs from the terminal, one a line; Ctrl-D ends them\n"
    )


def test_bad_standard_input(command, integers, monkeypatch):
    monkeypatch.setattr(sys, "stdin", Standard(b"3\nx\n"))
    result = command("decode", f"--workdir={integers}", "--from_file=-")
    assert result.code == 2 and "--from_file=-:2: 'x'" in result.err
    monkeypatch.setattr(sys, "stdin", None)
    result = command("decode", f"--workdir={integers}", "--from_file=-")
    assert result.code == 2 and "there is no standard input" in result.err


@pytest.mark.parametrize("name", ["decode", "score"])
def test_a_file_without_inputs_is_told_once(command, integers, file, name):
    file.write_bytes(b"")
    result = command(name, f"--workdir={integers}", f"--from_file={file}")
    assert (result.code, result.out) == (0, "")
    assert result.err == f"--from_file={file} holds no input\n"


def printed(monkeypatch, encoding, *argv):
    """What a command writes to a terminal of an encoding."""
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding))
    assert main([str(word) for word in argv]) == 0
    sys.stdout.flush()
    return raw.getvalue().decode(encoding)


@pytest.mark.parametrize(("encoding", "code"), [("ascii", r"\xe9"), ("cp1252", "é")])
def test_what_a_terminal_cannot_write_is_a_code(
    text, file, monkeypatch, capsys, encoding, code
):
    pair = {"input": "é→", "output": "é→"}
    file.write_text(json.dumps(pair))
    run, given_ = f"--workdir={text}", f"--from_file={file}"
    for argv in (("decode", run, given_), ("score", run, given_)):
        assert rf"{code}\u2192" in printed(monkeypatch, encoding, *argv)
        assert printed(monkeypatch, encoding, *argv, "--json").isascii()
    for name in ("eval", "tasks"):
        argv = (name, *([run] if name == "eval" else []))
        assert printed(monkeypatch, encoding, *argv)
        assert printed(monkeypatch, encoding, *argv, "--json").isascii()


def test_what_takes_long_tells_on_standard_error(
    command, integers, file, tmp_path, monkeypatch
):
    monkeypatch.setattr(progress_line, "QUIET_SECONDS", 0.0)
    row = {"input": [1, 2, 3], "output": [3, 2, 1]}
    file.write_text(json.dumps(row) + "\n" + json.dumps({**row, "input": [4] * 9}))
    run, given_ = f"--workdir={integers}", f"--from_file={file}"
    bench = ("--strategy=greedy", "--batch_sizes=1", "--examples=2", "--repeats=1")
    for argv, said in (
        (("eval", run), "evaluation on test: 0 of 32 examples (0%)"),
        (("eval", run), "evaluation on test: counting what the outputs are worth"),
        (("decode", run, given_), "decoding: 0 of 2 examples (0%)"),
        (("score", run, given_), "scoring: 0 of 2 examples (0%)"),
        (("bench", run, *bench, f"--out={tmp_path}"), "greedy: 0 of 2 batches (0%)"),
    ):
        result = command(*argv, "--json")
        assert result.code == 0 and said in result.err
        assert all(json.loads(line) for line in result.out.splitlines())


def test_training_evaluates_some_validation_examples(command, integers):
    lines = (integers / "metrics.jsonl").read_text().splitlines()
    valid = [row for row in map(json.loads, lines) if row["kind"] == "valid"]
    assert {row["examples"] for row in valid} == {20}
    result = command("eval", f"--workdir={integers}", "--split=valid", "--json")
    assert json.loads(result.out)["examples"] == 32
