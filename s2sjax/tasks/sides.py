"""The symbols of both sides of a text task: as a config asks, and as a run keeps them.

source.json, target.json    the vocabularies
source.model, target.model  the models of their subwords
"""

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path

from s2sjax import config as configs
from s2sjax import places
from s2sjax.config import TaskConfig
from s2sjax.errors import UsageError
from s2sjax.tasks import levels
from s2sjax.tasks.vocabulary import Vocabulary

SIDES = ("source", "target")
NAMES = tuple(f"{side}.json" for side in SIDES)
_LINE = 60  # characters of a symbol that a message shows


def asked(task: TaskConfig) -> tuple[Vocabulary, Vocabulary]:
    """What a config says of both sides: vocabularies, without symbols unless it has
    them in files.

    Raises:
      UsageError: fields that say nothing here, or a file that cannot be used.
    """
    source, target = (_asked(task, side) for side in SIDES)
    if task.graphemes and "grapheme" not in (source.kind, target.kind):
        raise UsageError(
            f"task.graphemes=true means nothing to task.level={task.level}; "
            f"task.level=char has characters"
        )
    counted = [side for side in (source, target) if not side.symbols]
    for field in ("min_count", "max_vocabulary"):
        value = getattr(task, field)
        if value != getattr(TaskConfig(), field) and not counted:
            raise UsageError(
                f"task.{field}={value} means nothing where all symbols come from files"
            )
    return source, target


def files(source: Vocabulary, target: Vocabulary) -> dict[str, bytes]:
    """What a run keeps of both sides, by the name of the file."""
    found = {}
    for side, vocabulary in zip(SIDES, (source, target), strict=True):
        found[f"{side}.json"] = vocabulary.to_json().encode()
        if vocabulary.model:
            found[f"{side}.model"] = vocabulary.model
    return found


def kept(files: Mapping[str, bytes]) -> tuple[Vocabulary, Vocabulary]:
    """The vocabularies of the files that a run keeps.

    Raises:
      UsageError: they are damaged.
    """
    source, target = (
        Vocabulary.from_json(files[f"{side}.json"], files.get(f"{side}.model", b""))
        for side in SIDES
    )
    return source, target


def check(task: TaskConfig, kept: tuple[Vocabulary, Vocabulary]) -> None:
    """Compares the files of symbols that a config names with what its run has of them,
    where they are there.

    Raises:
      UsageError: one holds something else.
    """
    for side, vocabulary in zip(SIDES, kept, strict=True):
        field, model = _model(task, side)
        if model and os.path.exists(model):
            now = levels.Subwords(_read(field, model))
            if now.model != vocabulary.model:
                raise UsageError(
                    f"{model} is not the model that this run was started with (its "
                    f"SHA-256 differs): it has {len(now.pieces())} subwords, that one "
                    f"{len(vocabulary.symbols)}; bring that one back, or start a new "
                    f"run"
                )
        field, file = _list(task, side)
        here = bool(file) and os.path.exists(file)
        if here and tuple(_lines(field, file)) != vocabulary.symbols:
            raise UsageError(
                f"{file} does not hold the symbols that this run was started with; "
                f"bring those back, or start a new run"
            )


def between(task: TaskConfig, side: str) -> str:
    """What stands between the symbols of a side where they are given one by one."""
    return "" if _kind(task, side) in ("char", "grapheme") else " "


def _kind(task: TaskConfig, side: str) -> str:
    kind = (_of_side(task, side, "level")[1] or "").partition(":")[0]
    return "grapheme" if kind == "char" and task.graphemes else kind


def _asked(task: TaskConfig, side: str) -> Vocabulary:
    level_field, model_file = _model(task, side)
    model = _read(level_field, model_file) if model_file else b""
    like = Vocabulary(_kind(task, side), (), task.normalise, task.lowercase, model)
    field, file = _list(task, side)
    if model:
        if file:
            raise UsageError(
                f"{field}={file} means nothing to subwords; their model has them"
            )
        try:
            pieces = levels.Subwords(model).pieces()
        except UsageError as error:
            raise UsageError(f"{level_field}=subword:{model_file}: {error}") from None
        return dataclasses.replace(like, symbols=pieces)
    return _listed(field, file, like) if file else like


def _listed(field: str, file: str, like: Vocabulary) -> Vocabulary:
    """The vocabulary of a file with one symbol a line.

    Raises:
      UsageError: a line that is empty, there twice, or no symbol of this level.
    """
    lines = _lines(field, file)
    seen: dict[str, int] = {}
    for number, symbol in enumerate(lines, start=1):
        what = f"{file}:{number}: {symbol[:_LINE]!r}"
        if seen.setdefault(symbol, number) != number:
            raise UsageError(f"{what} stands in line {seen[symbol]} already")
        split = like.split(symbol)
        if split != [symbol]:
            raise UsageError(
                f"{what} is read as {', '.join(map(repr, split[:5])) or 'nothing'}; a "
                f"line is one symbol, as texts have it"
            )
    if not lines:
        raise UsageError(f"{field}={file} holds no symbol")
    return dataclasses.replace(like, symbols=tuple(lines))


def _lines(field: str, file: str) -> list[str]:
    try:
        text = _read(field, file).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{file} is not UTF-8: byte {error.start}") from None
    # A line of blanks is a symbol where characters are.
    return [line.removesuffix("\r") for line in text.removesuffix("\n").split("\n")]


def _read(field: str, file: str) -> bytes:
    try:
        return Path(file).expanduser().read_bytes()
    except OSError as error:
        near = places.hint(Path(file).expanduser())
        raise UsageError(f"{field}: {file}: {error.strerror}{near}") from None


def _model(task: TaskConfig, side: str) -> tuple[str, str]:
    """The field with the level of a side, and the model that it names, or ''."""
    field, text = _of_side(task, side, "level")
    return field, configs.file_in(field, text)


def _list(task: TaskConfig, side: str) -> tuple[str, str]:
    """The field with the symbols of a side, and the file that it names, or ''."""
    field, text = _of_side(task, side, "vocabulary")
    return field, text or ""


def _of_side(task: TaskConfig, side: str, name: str) -> tuple[str, str | None]:
    """The field that counts for a side, and its value."""
    own = getattr(task, f"{side}_{name}")
    field = name if own is None else f"{side}_{name}"
    return f"task.{field}", getattr(task, field)
