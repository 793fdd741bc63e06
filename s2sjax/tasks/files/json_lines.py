"""Files of a JSON object a line."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from s2sjax import json_objects
from s2sjax.errors import UsageError, unknown
from s2sjax.tasks.files.rows import (
    NAMES,
    Asked,
    Row,
    features_of,
    lines,
    weight_of,
)

REFERENCES = "references"
ENDINGS = (".jsonl", ".ndjson", ".json")


def looks(name: str, first: str) -> bool:
    """Whether a file is one, by its name or by its first line."""
    if name.endswith(ENDINGS):
        return True
    try:
        return first.startswith("{") and isinstance(json_objects.loads(first), dict)
    except ValueError:
        return False


def rows(files: tuple[Path, ...], asked: Asked) -> Iterator[Row]:
    """The rows of a file of objects, each with `source` and `target`.

    `references` has further targets, `features` tags, `weight` a number. Sources and
    targets are texts, or lists of symbols.

    Raises:
      UsageError: as FILE:LINE: no object, a field that lacks or is of another kind.
    """
    (path,) = files
    names = _names(asked)
    for number, item in _items(path):
        where = f"{path}:{number}"

        def field(name: str, where: str = where, item: dict[str, Any] = item) -> Any:
            if names[name] not in item:
                raise UsageError(f"{where}: {unknown('field', names[name], item)}")
            return item[names[name]]

        source, target = (
            _text(field(name), join, f"{where}: '{names[name]}'")
            for name, join in zip(NAMES[:2], asked.joins, strict=True)
        )
        references = item.get(REFERENCES, [])
        if not isinstance(references, list):
            raise UsageError(f"{where}: '{REFERENCES}' is not a list")
        weight: Any = 1.0
        if "weight" in asked.columns or names["weight"] in item:
            weight = field("weight")
            if isinstance(weight, bool) or not isinstance(weight, int | float):
                raise UsageError(f"{where}: '{names['weight']}' is not a number")
        features: tuple[str, ...] = ()
        if "features" in asked.columns or names["features"] in item:
            features = features_of(f"{where}: '{names['features']}'", field("features"))
        yield Row(
            source,
            target,
            features,
            weight_of(weight, where),
            tuple(
                _text(each, asked.joins[1], f"{where}: each of '{REFERENCES}'")
                for each in references
            ),
            number,
        )


def unused(files: tuple[Path, ...], asked: Asked) -> list[str]:
    """The fields of the first object that nobody asked for."""
    names = {*_names(asked).values(), REFERENCES}
    for _, item in _items(files[0]):
        return [name for name in item if name not in names]
    return []


def _names(asked: Asked) -> dict[str, str]:
    return {name: asked.columns.get(name, name) for name in NAMES}


def _items(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(lines(path), 1):
        if not line.strip():
            continue
        try:
            item = json_objects.loads(line)
        except ValueError as error:
            raise UsageError(f"{path}:{number} is not JSON: {error}") from None
        if not isinstance(item, dict):
            raise UsageError(f"{path}:{number} is not a JSON object; each line is one")
        yield number, item


def _text(value: Any, join: str, what: str) -> str:
    if isinstance(value, str):
        return value
    symbols = value if isinstance(value, list) else [None]
    if all(isinstance(each, str | int) for each in symbols):
        texts = [str(each) for each in symbols]
        if join and any(text.split() != [text] for text in texts):
            raise UsageError(f"{what} is a list with a symbol that is blank inside")
        return join.join(texts)
    raise UsageError(f"{what} is neither a text nor a list of symbols")
