"""The inputs of `decode` and `score`: from the command line or from a file."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from s2sjax.cli import start
from s2sjax.errors import UsageError, unknown

if TYPE_CHECKING:
    from s2sjax.tasks import Symbol, Task, Vocabulary

FIELDS = ("input", "output", "prefix", "required", "banned")


class Item(NamedTuple):
    """One input, with what is asked of its output; all in symbols."""

    where: str  # for messages, e.g. "--from_file=a.jsonl:3"
    input: list["Symbol"]
    output: list["Symbol"] | None = None  # what `score` is to score
    prefix: tuple["Symbol", ...] = ()
    required: tuple[tuple["Symbol", ...], ...] = ()
    banned: tuple["Symbol", ...] = ()


def from_arguments(arguments: Sequence[str], task: "Task") -> list[Item]:
    """The inputs that the command line holds."""
    vocabulary = task.source_vocabulary
    whole = vocabulary.kind == "integer"
    texts = [" ".join(arguments)] if whole else arguments
    return [Item("", vocabulary.split(text)) for text in texts]


def from_file(path: Path, task: "Task") -> list[Item]:
    """The inputs of a file: one a line, a JSON list, or JSON objects, one a line.

    An object has `input` and, as wanted, `prefix` (how the output begins), `required`
    (a list of symbols or phrases), `banned` (a list of symbols) and `output`.

    Raises:
      UsageError: the file cannot be read, or an item is none of these, with its place.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"--from_file={path} is not UTF-8: {error.reason}") from None
    except OSError as error:
        raise UsageError(f"--from_file={path}: {error.strerror}") from None
    begin = text.lstrip()[:1]
    kind = task.source_vocabulary.kind
    if begin == "{" and (kind == "integer" or _is_object(text.lstrip())):
        return _objects(path, text, task)
    if begin != "[":
        return _lines(path, text, task)
    try:
        items = json.loads(text)
    except (ValueError, RecursionError) as error:
        if kind != "integer":  # a text may begin with a bracket
            return _lines(path, text, task)
        raise UsageError(f"--from_file={path} is not JSON: {error}") from None
    found = []
    for place, item in enumerate(items):
        where = f"--from_file={path}: item {place}"
        if isinstance(item, dict):
            found.append(_item(where, item, task))
        else:
            found.append(
                Item(where, _sequence(where, item, task.source_vocabulary, "each item"))
            )
    return found


def encoded_source(item: Item, task: "Task") -> list[int]:
    """The ids of an input; unknown symbols are named in a warning.

    Raises:
      UsageError: a symbol outside an integer vocabulary.
    """
    from s2sjax.tasks import encode_source

    try:
        ids, strange = encode_source(task, item.input)
    except UsageError as error:
        if not item.where:
            raise
        raise UsageError(f"{item.where}: {error}") from None
    if strange:
        listed = ", ".join(repr(symbol) for symbol in strange)
        hint = task.source_vocabulary.known_form(item.input)
        start.warn([f"not in the vocabulary, read as unknown: {listed}{hint}"])
    return ids


def check_wishes(item: Item, task: "Task") -> dict[str, Any]:
    """What is asked of the output, as ids: `prefix`, `banned` and `required`.

    Raises:
      UsageError: a symbol that cannot be written, or wishes that contradict.
    """
    target = task.target_vocabulary
    try:
        for symbol in (*item.prefix, *sum(item.required, ())):
            if symbol in item.banned:
                raise UsageError(f"{symbol!r} is banned and asked for as well")
        return {
            "prefix": target.encode_known(item.prefix),
            "banned": target.encode_known(item.banned),
            "required": [target.encode_known(phrase) for phrase in item.required],
        }
    except UsageError as error:
        raise UsageError(f"{item.where}: {error}") from None


def _is_object(text: str) -> bool:
    try:
        found, _ = json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(found, dict) and "input" in found


def _objects(path: Path, text: str, task: "Task") -> list[Item]:
    found = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        where = f"--from_file={path}:{number}"
        try:
            item = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise UsageError(f"{where} is not JSON: {error}") from None
        if not isinstance(item, dict):
            raise UsageError(f"{where} is no JSON object, as the first line is")
        found.append(_item(where, item, task))
    return found


def _item(where: str, item: dict[str, Any], task: "Task") -> Item:
    for name in item:
        if name not in FIELDS:
            raise UsageError(f"{where}: {unknown('field', name, FIELDS)}")
    if "input" not in item:
        raise UsageError(f"{where} has no field 'input'")
    target = task.target_vocabulary

    def listed(name: str) -> list[Any]:
        value = item.get(name, [])
        if not isinstance(value, list):
            raise UsageError(f"{where}: '{name}' is {_short(value)}; it is a list")
        return value

    required = tuple(
        tuple(_sequence(where, _phrase(each), target, "each of 'required'"))
        for each in listed("required")
    )
    if not all(required):
        raise UsageError(f"{where}: 'required' holds an empty phrase")
    banned = []
    for each in listed("banned"):
        symbols = _sequence(where, _phrase(each), target, "each of 'banned'")
        if len(symbols) != 1:
            raise UsageError(
                f"{where}: 'banned' holds {_short(each)}, which is {len(symbols)} "
                f"symbols of this task; single symbols can be banned"
            )
        banned += symbols
    output = None
    if "output" in item:
        output = _sequence(where, item["output"], target, "'output'")
    return Item(
        where,
        _sequence(where, item["input"], task.source_vocabulary, "'input'"),
        output,
        tuple(_sequence(where, item.get("prefix", []), target, "'prefix'")),
        required,
        tuple(banned),
    )


def _phrase(each: Any) -> Any:
    return [each] if isinstance(each, int) and not isinstance(each, bool) else each


def _lines(path: Path, text: str, task: "Task") -> list[Item]:
    found = []
    lines = text.removesuffix("\n").split("\n") if text else []
    for number, line in enumerate(lines, start=1):
        where = f"--from_file={path}:{number}"
        try:
            symbols = task.source_vocabulary.split(line.removesuffix("\r"))
        except UsageError as error:
            raise UsageError(f"{where}: {error}") from None
        found.append(Item(where, symbols))
    return found


def _sequence(
    where: str, item: Any, vocabulary: "Vocabulary", what: str
) -> list["Symbol"]:
    kind = int if vocabulary.kind == "integer" else str
    if isinstance(item, str):
        try:
            return vocabulary.split(item)
        except UsageError as error:
            raise UsageError(f"{where}: {error}") from None
    if isinstance(item, list) and all(type(symbol) is kind for symbol in item):
        return item
    raise UsageError(
        f"{where} is {_short(item)}; {what} is a text or a list of "
        f"{'integers' if kind is int else 'symbols'}"
    )


def _short(value: Any) -> str:
    return json.dumps(value)[:60]
