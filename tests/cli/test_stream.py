"""`decode --stream`: lines in, lines out, each as soon as it can be said."""

import dataclasses
import io
import json
import pathlib
import sys
from types import SimpleNamespace

import pytest

import s2sjax as s2s
from s2sjax.cli import main, start
from s2sjax.inference.system import decode

EXPERIMENTS = pathlib.Path(__file__).parents[2] / "experiments"


@pytest.fixture(scope="module")
def tags(tmp_path_factory):
    """A run of `tagging.py:smoke` that answers one symbol later."""
    workdir = tmp_path_factory.mktemp("tags") / "run"
    config = f"--config={EXPERIMENTS / 'tagging.py'}:smoke"
    ahead, few = "--config.model.lookahead=1", "--config.train.steps=1"
    assert main(["train", config, ahead, few, f"--workdir={workdir}"]) == 0
    return workdir


@pytest.fixture
def lines(command, monkeypatch):
    """What `--stream` says of a text on standard input."""

    def run(workdir, text, *flags):
        buffer = io.BytesIO(text.encode())
        standard = SimpleNamespace(buffer=buffer, isatty=lambda: False)
        monkeypatch.setattr(sys, "stdin", standard)
        return command("decode", f"--workdir={workdir}", "--stream", *flags)

    return run


def test_an_aligned_model_goes_on_from_line_to_line(lines, tags):
    symbols = [3, 1, 4, 1, 5, 9, 2]
    expected = s2s.load(tags).decode(symbols).output
    said = lines(tags, "3 1 4\n1\n5 9 2\n\n3 1 4 1 5 9 2\n").out.split("\n")
    texts = [" ".join(map(str, expected[a:b])) for a, b in ((0, 2), (2, 3), (3, 6))]
    # The empty line ends a sequence; so does the end of the input.
    assert said[:4] == [*texts, str(expected[6])]
    assert said[4].split() == list(map(str, expected[:6])) and said[5] == said[3]
    assert said[6:] == [""]


def test_lines_of_json(lines, tags):
    result = lines(tags, '[3, 1]\n{"input": [4]}\n', "--json")
    said = [json.loads(line) for line in result.out.splitlines()]
    assert [each["input"] for each in said] == [[3, 1], [4], []]
    assert [len(each["output"]) for each in said] == [1, 1, 1]
    assert all(each["token_logprobs"][0] < 0 for each in said)


def test_a_decoder_takes_each_line_for_a_source(lines, command, integers):
    sources = ["0 1 2 3 4", "", "7", "0 1 2 3 4 5 6 7 8 9"]
    before = decode._cache_size()
    result = lines(integers, "\n".join(sources) + "\n")
    assert decode._cache_size() - before <= 1  # one program for all lengths
    wanted = s2s.load(integers).decode([list(map(int, s.split())) for s in sources])
    assert result.out.splitlines() == [each.text for each in wanted]
    told = lines(integers, "[0, 1]\n", "--json", "--strategy=beam:size=2,n=2").out
    assert json.loads(told)["input"] == [0, 1] and "nbest" in json.loads(told)


@pytest.mark.parametrize(
    ("text", "flags", "told"),
    [
        ("3\nx\n", [], "--stream: line 2: 'x' is not a sequence of integers"),
        ("3\n\n12\n", [], "--stream: line 3: symbol 12 is not among"),
        ("[1\n", ["--json"], "--stream: line 1 is not JSON"),
        ("{}\n", ["--json"], "--stream: line 1 has no field 'input'"),
        ('{"input": [1], "banned": [2]}\n', ["--json"], "line 1: a stream takes"),
        ("", ["1", "2"], "--stream reads standard input line by line; SYMBOLS came"),
        ("", ["--from_file=a"], "--from_file came too"),
        ("", ["--states=a.npz"], "--states came too"),
    ],
)
def test_what_is_wrong_is_told(lines, tags, text, flags, told):
    result = lines(tags, text, *flags)
    assert result.code == 2 and told in result.err.splitlines()[-1]


def test_a_model_that_reads_backwards_is_refused(lines, tags, monkeypatch):
    read = start.reading
    both = {"lookahead": 0, "bidirectional": True}
    monkeypatch.setattr(start, "reading", lambda path: edited(read(path), **both))
    result = lines(tags, "1 2\n")
    assert result.code == 2 and "reads from the end of a source too" in result.err


def edited(config, **fields):
    model = dataclasses.replace(config.model, **fields)
    return dataclasses.replace(config, model=model)
