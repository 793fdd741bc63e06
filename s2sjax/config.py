"""A run's config: checked, frozen, compared and written down.

An experiment file edits a `ConfigDict` (`base_config()`); the command line overrides
it; `resolve` checks everything and freezes it into a `Config`, which is what the
library takes and, as canonical JSON, what a run keeps. This module imports no jax,
so that flags which must precede it can be chosen from a config.
"""

import dataclasses
import functools
import hashlib
import json
import math
import operator
import os
import pathlib
import types
import typing
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ml_collections import ConfigDict, config_dict

from s2sjax import json_objects
from s2sjax.errors import Problems, UsageError, unknown
from s2sjax.schema import (
    LEVELS,
    Config,
    DecodeConfig,
    Field,
    ModelConfig,
    TaskConfig,
    TrainConfig,
    checked,
    coerced,
    fields,
    unknown_field,
    written,
)

__all__ = [
    "MAY_DIFFER",
    "Config",
    "ConfigError",
    "DecodeConfig",
    "Field",
    "ModelConfig",
    "TaskConfig",
    "TrainConfig",
    "base_config",
    "canonical_json",
    "check_model",
    "checked",
    "coerced",
    "config_hash",
    "data_files",
    "difference",
    "displaced",
    "embedding_files",
    "fields",
    "flatten",
    "is_user_code",
    "parse_arg",
    "read",
    "relocated",
    "resolve",
    "unknown_field",
    "user_files",
    "with_files",
    "written",
]

# Fields in which a continued run may differ from the run in its directory.
MAY_DIFFER = (
    "train.steps",
    "train.epochs",
    "train.log_every",
    "train.samples",
    "train.steps_per_dispatch",
    "decode.batch_size",
)


# Fields that say where pairs of the user's lie.
CORPUS = ("task.path", "task.train", "task.valid", "task.test")
# Fields that may name a file with data of the user's, and what stands before it. The
# same bytes elsewhere are the same data: whoever compares configs compares those.
DATA_FILES = {
    **dict.fromkeys(CORPUS, ""),
    "task.level": "subword:",
    "task.source_level": "subword:",
    "task.target_level": "subword:",
    "task.vocabulary": "",
    "task.source_vocabulary": "",
    "task.target_vocabulary": "",
}
PLACES = ("task.name", *DATA_FILES)

# Fields that may name a kind of the user's own, `FILE.py:name`.
CODE = (
    *("model.cell", "model.attention", "train.objective", "train.feeding"),
    *("train.metric", "decode.strategy"),
)

# Fields that name a file of vectors, which is read when a run begins and never again.
EMBEDDING_FILES = ("model.embedding_file", "model.target_embedding_file")

# Fields of what only a decoder does.
_OF_DECODERS = (
    *("model.attention", "model.context", "model.bridge", "model.dropout_state"),
    *("model.latent", "model.direct"),
    *("model.share_embeddings", "model.tie_output", "model.target_embedding_file"),
    *("train.feeding", "train.feeding_probability", "train.feeding_schedule"),
    *("train.feeding_unit", "decode.length_ratio", "decode.length_extra"),
)

_SET = object()  # stands for every value of a field but its default
# A field, the value of it that leaves another one nothing to say, that other one, which
# is then at its default, and a value that would use it.
_SILENCES = (
    ("train.feeding", "gold", "train.feeding_probability", "argmax"),
    ("train.feeding", "gold", "train.feeding_schedule", "argmax"),
    ("train.feeding", "gold", "train.feeding_unit", "argmax"),
    *(
        ("train.feeding", "none", f"train.feeding_{name}", "argmax")
        for name in ("probability", "schedule", "unit")
    ),
    ("model.attention", "none", "model.context", "general"),
    ("model.context", "constant", "model.attention", "cell"),
    # Attention would look past the bottleneck, and another bridge go past it.
    ("model.latent", _SET, "model.attention", "0"),
    ("model.latent", _SET, "model.bridge", "0"),
    *(
        ("model.embedding", 0, f"model.{name}", "64")
        for name in (
            *("embedding_file", "target_embedding_file"),
            *("share_embeddings", "tie_output"),
        )
    ),
    ("model.share_embeddings", True, "model.target_embedding_file", "false"),
    ("model.bidirectional", True, "model.lookahead", "false"),
    ("model.bidirectional", True, "train.tbptt", "false"),
    ("task.sampling", "replacement", "train.tbptt", "epochs"),
    *(
        ("model.architecture", architecture, path, other)
        for path, other in (
            ("model.lookahead", "aligned"),
            ("model.pooling", "classifier"),
            ("train.tbptt", "aligned"),
            *((path, "encoder_decoder") for path in _OF_DECODERS),
        )
        for architecture in ("encoder_decoder", "aligned", "classifier")
        if architecture != other
    ),
    # An output stands beside each input, in the order in which inputs are read.
    *(
        ("model.architecture", "aligned", f"task.{name}", "encoder_decoder")
        for name in ("reverse_source", "source_eos", "features")
    ),
)
_EITHER = ("train.steps", "train.epochs")  # one of them is set


class ConfigError(UsageError):
    """Fields of a config are wrong, or do not fit one another.

    Args:
      found: what is wrong, a line each.
      wrong: the dotted names of fields whose values cannot be.
      rest: the config with defaults in their place, so that what else is wrong can be
        told too; None: there is none yet.
    """

    def __init__(
        self, found: Sequence[str], wrong: Collection[str], rest: Config | None = None
    ):
        super().__init__(*found)
        self.wrong, self.rest = frozenset(wrong), rest


def base_config() -> ConfigDict:
    """The defaults as a locked ConfigDict, for an experiment file to edit.

    >>> config = base_config()
    >>> config.model.units = 64
    """
    nested: dict[str, Any] = {}
    for path, field in fields().items():
        *parents, name = path.split(".")
        node = nested
        for parent in parents:
            node = node.setdefault(parent, {})
        node[name] = (
            config_dict.placeholder(field.type) if field.optional else field.default
        )
    return ConfigDict(nested).lock()


def parse_arg(arg: str | None, **spec: Any) -> Any:
    """Parses the text after the colon of `FILE:arg` against typed defaults.

    `smoke,units=32` sets a boolean and a number. The result has an attribute per
    name in `spec`.

    Raises:
      UsageError: an unknown name, or a value of another type than the default's.

    >>> parse_arg("smoke,units=32", smoke=False, units=128)
    namespace(smoke=True, units=32)
    """
    values = dict(spec)
    for item in filter(None, (part.strip() for part in (arg or "").split(","))):
        name, equals, text = item.partition("=")
        if name not in spec:
            raise unknown("variant", name, spec)
        values[name] = _variant_value(name, text if equals else "true", spec[name])
    return types.SimpleNamespace(**values)


def resolve(
    config: ConfigDict | dict[str, Any], before: ConfigError | None = None
) -> Config:
    """Checks every field and freezes the config; where data lie becomes absolute.

    Args:
      config: the values; fields that it lacks have their defaults.
      before: what is wrong with it already, to be told together with the rest.

    Raises:
      ConfigError: an unknown, missing or impossible field, by its dotted name.
    """
    flat, known = flatten(config), fields()
    problems, values = Problems(), {}
    wrong = set() if before is None else set(before.wrong)
    with problems:
        if before is not None:
            raise before
    for path in flat:
        if path not in known:
            with problems:
                raise unknown_field(path)
    for path, field in known.items():
        with problems:
            values[path] = checked(field, flat.get(path, field.default))
    wrong |= known.keys() - values.keys()
    defaults = {path: field.default for path, field in known.items()}
    resolved = _build(Config, "", defaults | values)
    with problems:
        _check_together(resolved, wrong)
    if resolved.task.of_numbers:
        resolved = _with_usual_numbers(resolved)
    files = user_files(resolved)
    resolved = with_files(resolved, {field: _absolute(files[field]) for field in files})
    with problems:
        resolved = _with_symbol_weights(resolved)
    if problems.found:
        raise ConfigError(problems.found, wrong, resolved)
    return resolved


@functools.lru_cache(maxsize=256)
def check_model(model: ModelConfig) -> None:
    """Checks a model's fields, of which a library need not make a whole config.

    Raises:
      ConfigError: an impossible field, by its dotted name.
    """
    resolve({"model": vars(model), "train": {"steps": 1}})


def displaced(values: Mapping[str, Any], chosen: Collection[str]) -> dict[str, str]:
    """The fields that a choice leaves nothing to say, each with the one that does it.

    Args:
      values: of all fields, by dotted path.
      chosen: the fields that somebody has chosen; they are not displaced.

    >>> values = flatten(base_config()) | {"train.epochs": 3, "train.steps": 20}
    >>> displaced(values, ["train.steps"])
    {'train.epochs': 'train.steps'}
    """
    pairs = [(by, path) for by, path, _ in _silenced(values)]
    pairs += [pair for pair in (_EITHER, _EITHER[::-1]) if values[pair[0]] is not None]
    return {
        path: by
        for by, path in pairs
        if by in chosen
        and path not in chosen
        and values[path] != fields()[path].default
    }


def _silenced(values: Mapping[str, Any]) -> typing.Iterator[tuple[str, str, str]]:
    """What values leave other fields nothing to say: rows of `_SILENCES` that hold."""
    for by, value, path, other in _SILENCES:
        holds = values[by] != fields()[by].default
        if value is not _SET:
            holds = values[by] == value
        # A constant context is that of no attention.
        speaks = (by, values[path]) == ("model.attention", "constant")
        if holds and not speaks:
            yield by, path, other


def read(path: str | pathlib.Path) -> Config:
    """Reads the JSON that `canonical_json` wrote.

    Raises:
      UsageError: there is no such file, or it is not a config.
    """
    try:
        given = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    except ValueError as error:
        raise UsageError(f"{path} is not JSON: {error}") from None
    if not isinstance(given, dict):
        raise UsageError(f"{path} is not a config: it holds no JSON object")
    try:
        return resolve(given)
    except UsageError as error:
        raise UsageError(*(f"{path}: {line}" for line in error.args)) from None


def canonical_json(config: Config) -> str:
    """The config as JSON with sorted keys: what a run keeps and what is hashed."""
    return json.dumps(_nested(config), sort_keys=True, indent=1)


def config_hash(config: Config) -> str:
    """The first 8 hex digits of the SHA-256 of the canonical JSON.

    Of the path to data or code the last part counts, so that the hash is the same on
    another machine.
    """
    files = user_files(config)
    config = with_files(config, {name: placeless(files[name]) for name in files})
    return hashlib.sha256(canonical_json(config).encode()).hexdigest()[:8]


def data_files(config: Config) -> dict[str, str]:
    """The files and folders of data that a config reads, or its pattern, by field.

    >>> data_files(Config(task=TaskConfig(name="mine.py:double")))
    {'task.name': 'mine.py'}
    """
    return _files(config, PLACES)


def code_files(config: Config) -> dict[str, str]:
    """The user's files that a config executes but for a task's, by field.

    >>> code_files(Config(model=ModelConfig(cell="mine.py:Cell:size=3")))
    {'model.cell': 'mine.py'}
    """
    return _files(config, CODE)


def embedding_files(config: Config) -> dict[str, str]:
    """The files of vectors that a config begins with, by field.

    >>> embedding_files(Config(model=ModelConfig(embedding_file="glove.txt")))
    {'model.embedding_file': 'glove.txt'}
    """
    return _files(config, EMBEDDING_FILES)


def user_files(config: Config) -> dict[str, str]:
    """All files and folders of the user's that a config reads, by field.

    >>> user_files(Config(task=TaskConfig(name="text", path="pairs.tsv")))
    {'task.path': 'pairs.tsv'}
    """
    return data_files(config) | code_files(config) | embedding_files(config)


def _files(config: Config, names: Sequence[str]) -> dict[str, str]:
    named = {field: operator.attrgetter(field)(config) for field in names}
    files = {field: file_in(field, text) for field, text in named.items()}
    return {field: file for field, file in files.items() if file}


def file_in(field: str, text: str | None) -> str:
    """The file of the user's that the value of a field names; empty where it does not.

    >>> file_in("task.level", "subword:a.model"), file_in("task.level", "word")
    ('a.model', '')
    """
    if field not in (*DATA_FILES, *EMBEDDING_FILES):
        return file_of(text or "")
    before = DATA_FILES.get(field, "")
    return text[len(before) :] if text and text.startswith(before) else ""


def with_files(config: Config, files: Mapping[str, str]) -> Config:
    """The config with other files in the place of those that its fields name."""
    for field, file in files.items():
        name, _, leaf = field.partition(".")
        group = getattr(config, name)
        text = getattr(group, leaf)
        moved = {leaf: text.replace(file_in(field, text), file, 1)}
        config = dataclasses.replace(
            config, **{name: dataclasses.replace(group, **moved)}
        )
    return config


def relocated(config: Config, old: str, new: str) -> Config:
    """The config that reads `new` where it read the file or folder `old`.

    Code keeps the name of its file, by which a run finds its copy, and so do vectors.
    """
    same_name = os.path.basename(old) == os.path.basename(new)
    files = user_files(config) if same_name else data_files(config)
    return with_files(config, {field: new for field in files if files[field] == old})


def file_of(text: str) -> str:
    """The file of a spec, `FILE.py:name`; empty where it names none.

    >>> file_of("a/mine.py:double:by=2"), file_of("beam:size=2")
    ('a/mine.py', '')
    """
    before, ending, rest = text.rpartition(".py:")
    return f"{before}.py" if ending and rest else ""


def placeless(text: str) -> str:
    """A spec, or a file, without the folder that its file lies in.

    >>> placeless("a/mine.py:double:by=2")
    'mine.py:double:by=2'
    """
    file = file_of(text) or text
    return os.path.basename(file) + text.removeprefix(file)


def flatten(config: Config | ConfigDict | Mapping[str, Any]) -> dict[str, Any]:
    """The values by dotted path, in the order of the schema, unknown ones last.

    A dict is nested, as `canonical_json` writes it.

    >>> flatten(base_config())["model.units"]
    128
    """
    given = config.to_dict() if isinstance(config, ConfigDict) else config
    flat = dict(_flatten(_nested(given) if isinstance(given, Config) else given, ""))
    return {path: flat[path] for path in fields() if path in flat} | flat


def is_user_code(task_name: str) -> bool:
    """Whether a `task.name` is a Python function of the user's own.

    >>> is_user_code("pattern.py:twice"), is_user_code("copy")
    (True, False)
    """
    file, _, function = task_name.rpartition(":")
    return file.endswith(".py") and function.isidentifier()


def difference(one: Config, other: Config) -> dict[str, tuple[Any, Any]]:
    """The fields in which two configs differ, with both values."""
    a, b = flatten(one), flatten(other)
    return {path: (a[path], b[path]) for path in a if a[path] != b[path]}


# What is usual of symbols, and of numbers.
_OF_NUMBERS = {"train.metric": "mae", "decode.strategy": "mean"}


def _with_usual_numbers(config: Config) -> Config:
    """The config with what is usual of numbers where it has what is of symbols."""
    for path, usual in _OF_NUMBERS.items():
        name, _, leaf = path.partition(".")
        group = getattr(config, name)
        if getattr(group, leaf) == fields()[path].default:
            group = dataclasses.replace(group, **{leaf: usual})
            config = dataclasses.replace(config, **{name: group})
    return config


def _with_symbol_weights(config: Config) -> Config:
    """The config with the weights of symbols in place, also where a file holds them."""
    text = config.train.symbol_weights
    if not text:
        return config
    try:
        if not text.startswith("{") and "=" in text:
            pairs = [each.rpartition("=") for each in text.split(",")]
            weights = {name.strip(): float(weight) for name, _, weight in pairs}
        else:
            found = text
            if not text.startswith("{"):
                found = pathlib.Path(os.path.expanduser(text)).read_text("utf-8")
            weights = json_objects.checked(json_objects.loads(found), dict[str, float])
        if not all(0 <= weight < math.inf for weight in weights.values()):
            raise ValueError("a weight is no finite number from 0")
    except OSError as error:
        why = f"{error.strerror}; it takes SYMBOL=WEIGHT,.. or a file of a JSON object"
        raise UsageError(f"train.symbol_weights={text:.60}: {why}") from None
    except ValueError as error:
        raise UsageError(
            f"train.symbol_weights={text:.60} is not weights by symbol: {error}; write "
            f"e.g. <eos>=2, or a JSON object into a file"
        ) from None
    written = {name: float(weight) for name, weight in sorted(weights.items())}
    train = dataclasses.replace(config.train, symbol_weights=json.dumps(written))
    return dataclasses.replace(config, train=train)


def _absolute(path: str) -> str:
    try:
        return str(pathlib.Path(os.path.expanduser(path)).absolute())
    except OSError as error:  # the current folder has been removed
        raise UsageError(f"{path}: the current folder: {error.strerror}") from None


def _build(cls: type, prefix: str, values: dict[str, Any]) -> Any:
    hints = _hints(cls)
    return cls(
        **{
            item.name: (
                _build(hints[item.name], f"{prefix}{item.name}.", values)
                if dataclasses.is_dataclass(hints[item.name])
                else values[prefix + item.name]
            )
            for item in dataclasses.fields(cls)
        }
    )


@functools.cache
def _hints(cls: type) -> dict[str, Any]:
    return typing.get_type_hints(cls)


def _nested(config: Any) -> dict[str, Any]:
    """As `dataclasses.asdict` has it, which copies every value."""
    return {
        name: _nested(value) if dataclasses.is_dataclass(value) else value
        for name, value in vars(config).items()
    }


def _flatten(node: Any, prefix: str) -> typing.Iterator[tuple[str, Any]]:
    for name, value in node.items():
        if isinstance(value, dict):
            yield from _flatten(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _variant_value(name: str, text: str, default: Any) -> Any:
    if isinstance(default, bool):
        if text.lower() in ("true", "1", "false", "0"):
            return text.lower() in ("true", "1")
        raise UsageError(f"variant {name}={text} is not true or false")
    try:
        return type(default)(text)
    except ValueError:
        raise UsageError(f"variant {name}={text} is not like {default!r}") from None


def _check_together(config: Config, wrong: Collection[str]) -> None:
    """Raises what does not fit together, but for what names a field that is `wrong`."""
    task, train = config.task, config.train
    problems = []
    if task.min_length is not None and task.min_length > task.length:
        problems.append(
            f"task.min_length={task.min_length} is above task.length={task.length}"
        )
    if (train.steps is None) == (train.epochs is None):
        came = "neither" if train.steps is None else "both"
        problems.append(f"set train.steps or train.epochs; {came} came")
    flat = flatten(config)
    problems += [
        f"{path}={flat[path]} means nothing with {by}={flat[by]}; use e.g. {by}={other}"
        for by, path, other in _silenced(flat)
        if flat[path] != fields()[path].default
    ]
    if config.model.freeze_embedding and not embedding_files(config):
        problems.append(
            "model.freeze_embedding=True means nothing without vectors of a file; use "
            "e.g. model.embedding_file=glove.txt"
        )
    if task.valid_share + task.test_share >= 1:
        problems.append(
            f"task.valid_share={task.valid_share} and task.test_share="
            f"{task.test_share} leave nothing to train on"
        )
    problems += _wrong_levels(flat)
    problems = [line for line in problems if not any(field in line for field in wrong)]
    if problems:
        raise UsageError(*problems)


def _wrong_levels(values: Mapping[str, Any]) -> list[str]:
    found = []
    for field in ("task.level", "task.source_level", "task.target_level"):
        text = values[field]
        if text is None:
            continue
        kind, colon, _ = text.partition(":")
        takes_file = kind == "subword"
        if kind not in LEVELS:
            found.append(str(unknown(field, kind, LEVELS)))
        elif takes_file and not file_in(field, text):
            found.append(f"{field}={text} lacks its model; write subword:FILE.model")
        elif colon and not takes_file:
            found.append(f"{field}={text}: {kind} takes no argument")
    return found
