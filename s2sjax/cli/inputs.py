"""The inputs of `decode` and `score`: from the command line or from a file.

A command imports it once jax's flags are set.
"""

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from s2sjax import compressed, places
from s2sjax.cli import printing
from s2sjax.commands.run import Run
from s2sjax.errors import UsageError, unknown
from s2sjax.foreign import shown
from s2sjax.inference.evaluate import chosen, enough
from s2sjax.inference.load import with_training
from s2sjax.inference.predict import Query
from s2sjax.inference.summary import parted
from s2sjax.tasks import Task, review
from s2sjax.tasks.files.rows import features_of, split_features
from s2sjax.tasks.vocabulary import symbols_of

FIELDS = ("input", "output", "prefix", "required", "banned", "features")
# What `decode --json` and `score --json` say besides, so that what they write can be
# read again; it asks for nothing.
SAID = frozenset(
    (
        *("score", "logprob", "truncated", "nbest", "expected"),
        *("token_logprobs", "attention"),
        *("bound", "proved", "inclusion", "kappa", "logq"),
    )
)
BLANK = " \t\r\n"  # what JSON takes for white space; Unicode has more


def from_arguments(
    arguments: Sequence[str], task: Task, features: str = ""
) -> list[Query]:
    """The inputs that the command line holds; each has the features."""
    vocabulary = task.source_vocabulary
    whole = vocabulary.kind == "integer"
    texts = [" ".join(arguments)] if whole else arguments
    tags = split_features(features)
    return [Query(vocabulary.split(text), features=tags) for text in texts]


def from_split(run: Run, split: str, examples: int | None) -> list[Query]:
    """The inputs of a split's examples, in the order of their numbers.

    Args:
      run: whose task it is.
      split: "train", "valid" or "test".
      examples: how many, the same ones every time; None: all.

    Raises:
      UsageError: an endless split and no number, or training files that are gone.
    """
    trained = with_training(run.trained) if split == "train" else run.trained
    buckets = enough(trained.task.buckets[split], split, examples)
    source = review.read(chosen(buckets, examples or 0)).source
    rows = np.split(source.tokens, source.offsets()[1:])
    parts = [parted(run.task, row.tolist()) for row in rows]
    return [Query(symbols, features=tags) for symbols, tags in parts]


def from_file(name: str, task: Task) -> list[Query]:
    """The inputs of a file: one a line, a JSON list, or JSON objects, one a line.

    An object has `input` and, as wanted, `prefix` (how the output begins), `required`
    (a list of symbols or phrases), `banned` (a list of symbols), `output` and
    `features` (tags, a list or a text with ; or blanks between). Only a newline, or a
    carriage return and a newline, ends a line.

    Args:
      name: the file, perhaps compressed by gzip, bzip2 or xz; `-` is standard input.
      task: whose symbols it holds.

    Raises:
      UsageError: the file cannot be read, or an item is none of these, with its place.
    """
    text = _content(name)
    begin = text.lstrip(BLANK)[:1]
    kind = task.source_vocabulary.kind
    if begin == "{" and (kind == "integer" or _is_object(text.lstrip(BLANK))):
        return _objects(name, text, task)
    if begin != "[":
        return _lines(name, text, task)
    try:
        items = json.loads(text)
    except (ValueError, RecursionError) as error:
        if kind != "integer":  # a text may begin with a bracket
            return _lines(name, text, task)
        raise UsageError(f"--from_file={name} is not JSON: {error}") from None
    found = []
    for place, item in enumerate(items):
        where = f"--from_file={name}: item {place}"
        if isinstance(item, dict):
            found.append(_query(where, item, task))
        else:
            source = symbols_of(where, item, task.source_vocabulary)
            found.append(Query(source, where=where))
    return found


def from_lines(task: Task, *, as_json: bool) -> Iterator[Query]:
    """The inputs of standard input, each as soon as its line is there.

    Args:
      task: whose symbols they are.
      as_json: whether a line is a JSON list, text or object; else it is a text.

    Raises:
      UsageError: a line that is no input, with its number.
    """
    lines = getattr(sys.stdin, "buffer", None)
    if lines is None:
        raise UsageError("--stream: there is no standard input")
    if sys.stdin.isatty():
        printing.warn(["reading from the terminal line by line; Ctrl-D ends it"])
    for number, content in enumerate(iter(lines.readline, b""), start=1):
        where = f"--stream: line {number}"
        try:
            text = content.decode("utf-8-sig" if number == 1 else "utf-8")
            item = json.loads(text) if as_json else text.rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise UsageError(
                f"{where} is not UTF-8: {error.reason} at byte {error.start}"
            ) from None
        except (ValueError, RecursionError) as error:
            raise UsageError(f"{where} is not JSON: {error}") from None
        if isinstance(item, dict):
            yield _query(where, item, task)
        else:
            source = symbols_of(where, item, task.source_vocabulary)
            yield Query(source, where=where)


def _is_object(text: str) -> bool:
    try:
        found, _ = json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(found, dict) and "input" in found


def _content(name: str) -> str:
    """The text of the file, or of standard input."""
    try:
        content = _standard_input() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        near = places.hint(Path(name))
        raise UsageError(f"--from_file={name}: {error.strerror}{near}") from None
    content = compressed.content(content, f"--from_file={name}")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(
            f"--from_file={name} is not UTF-8: {error.reason} at byte {error.start}"
        ) from None


def _standard_input() -> bytes:
    stream = getattr(sys.stdin, "buffer", None)
    if stream is None:
        raise UsageError("--from_file=-: there is no standard input")
    if sys.stdin.isatty():
        printing.warn(
            ["reading inputs from the terminal, one a line; Ctrl-D ends them"]
        )
    content: bytes = stream.read()
    return content


def _objects(name: str, text: str, task: Task) -> list[Query]:
    items = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip(BLANK):
            continue
        where = f"--from_file={name}:{number}"
        try:
            item = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise UsageError(f"{where} is not JSON: {error}") from None
        if not isinstance(item, dict):
            raise UsageError(f"{where} is no JSON object, as the first line is")
        items.append(_query(where, item, task))
    return items


def _query(where: str, item: dict[str, Any], task: Task) -> Query:
    for name in item:
        if name not in FIELDS and name not in SAID:
            raise UsageError(f"{where}: {unknown('field', name, FIELDS)}")
    if "input" not in item:
        raise UsageError(f"{where} has no field 'input'")
    target = task.target_vocabulary

    def listed(name: str) -> list[Any]:
        value = item.get(name, [])
        if not isinstance(value, list):
            raise UsageError(f"{where}: '{name}' is {shown(value)}; it is a list")
        return value

    required = [
        symbols_of(f"{where}: 'required'", _phrase(each), target)
        for each in listed("required")
    ]
    if not all(required):
        raise UsageError(f"{where}: 'required' holds an empty phrase")
    banned = []
    for each in listed("banned"):
        symbols = symbols_of(f"{where}: 'banned'", _phrase(each), target)
        if len(symbols) != 1:
            raise UsageError(
                f"{where}: 'banned' holds {shown(each)}, which is {len(symbols)} "
                f"symbols of this task; single symbols can be banned"
            )
        banned += symbols
    output = None
    if "output" in item:
        output = symbols_of(f"{where}: 'output'", item["output"], target)
    return Query(
        symbols_of(f"{where}: 'input'", item["input"], task.source_vocabulary),
        output,
        symbols_of(f"{where}: 'prefix'", item.get("prefix", []), target),
        required,
        banned,
        where,
        _features(where, item.get("features", [])),
    )


def _features(where: str, given: Any) -> tuple[str, ...]:
    try:
        return features_of("'features'", given)
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from None


def _phrase(each: Any) -> Any:
    return [each] if isinstance(each, int) and not isinstance(each, bool) else each


def _lines(name: str, text: str, task: Task) -> list[Query]:
    items = []
    lines = text.removesuffix("\n").split("\n") if text else []
    for number, line in enumerate(lines, start=1):
        where = f"--from_file={name}:{number}"
        try:
            symbols = task.source_vocabulary.split(line.removesuffix("\r"))
        except UsageError as error:
            raise UsageError(f"{where}: {error}") from None
        items.append(Query(symbols, where=where))
    return items
