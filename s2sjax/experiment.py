"""An experiment file: found, executed, and overridden field by field.

`FILE[:variant]` names a Python file whose `get_config(variant)` returns a config;
dotted overrides edit it through ml_collections' `config_flags`, which knows the type
of every field. The file may describe sweeps beside it: `sweep(config)`, and
`sweep_NAME(config)` for as many more as it likes; and a space to search in,
`search(config)`. Imports no jax.
"""

import ast
import decimal
import functools
import inspect
import os
import pathlib
import re
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from absl import flags as absl_flags
from ml_collections import ConfigDict, config_flags

from s2sjax import config, places, user_code
from s2sjax.config import Config, ConfigError
from s2sjax.errors import Problems, UsageError, unknown
from s2sjax.foreign import shown
from s2sjax.schema import written

SWEEP = "sweep"  # the function that a sweep without a name is
SEARCH = "search"
# How files end that people have and that are no program.
DATA = (".tsv", ".csv", ".txt", ".jsonl", ".src", ".trg", ".gz", ".bz2", ".xz")


Source: TypeAlias = str | os.PathLike[str] | Config | ConfigDict | Mapping[str, Any]
"""What a config comes from: the path of a file, or the fields themselves."""


def load_config(
    source: Source,
    overrides: Mapping[str, Any] | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> Config:
    """The config of `FILE[:variant]`, or of fields, with `overrides` by dotted field.

    What is overridden wins: a field that it leaves nothing to say, such as
    `train.epochs` beside `train.steps`, goes back to its default.

    Args:
      source: a file, a config, or its fields.
      overrides: values by dotted field, or texts of them.
      say: takes one line for a person.

    Raises:
      UsageError: no such file, or a file that fails.
      ConfigError: impossible fields or values, of file and overrides together.
    """
    wrong: ConfigError | None = None
    if isinstance(source, str | os.PathLike):
        name = os.fspath(source)
        edited = load(name)
    else:
        fields_ = config.flatten(source)
        name, edited = "config", _edited(fields_)
    given = {name: written(value) for name, value in (overrides or {}).items()}
    try:
        override(edited, given)
    except ConfigError as error:
        wrong, given = error, {n: t for n, t in given.items() if n not in error.wrong}
    values = config.flatten(edited)
    for field, by in config.displaced(values, given).items():
        _assign(edited, field, config.fields()[field].default)
        say(f"{by}={given[by]} wins over {field}={values[field]} of {name}")
    return config.resolve(edited, wrong)


def locate(text: str) -> tuple[pathlib.Path, str | None]:
    """Splits `FILE[:variant]`; a colon may be part of the path of a file that exists.

    Of a run's directory FILE is its `config.json`.

    Raises:
      UsageError: there is no such file.
    """
    if not text:
        raise UsageError("config is empty; it takes FILE[:variant]")
    if text.startswith("~/"):  # which no shell expands behind an equals sign
        text = os.path.expanduser(text)
    cuts = [at for at, letter in enumerate(text) if letter == ":"] + [len(text)]
    for cut in cuts:
        for path in (pathlib.Path(text[:cut]), pathlib.Path(text[:cut], places.CONFIG)):
            if os.path.isfile(path):
                return path, text[cut + 1 :] or None
    path = pathlib.Path(text[: text.find(".py:") + 3] if ".py:" in text else text)
    if os.path.isdir(path):
        raise UsageError(
            f"config={text}: {path} {places.not_a_run(path)}; it takes a FILE.py or "
            f"a run"
        )
    raise UsageError(f"config={text}: there is no file '{path}'{places.hint(path)}")


def load(text: str) -> ConfigDict:
    """Executes the file and returns its config, typed by the schema and locked.

    The config of a run, or a JSON file of one, is read, and nothing is executed.

    Raises:
      UsageError: no such file, or whatever is wrong in it, as `FILE:LINE: what`.
    """
    path, variant = locate(text)
    if is_json(path):
        if variant is not None:
            raise UsageError(f"{path} has no variants, but ':{variant}' came")
        return _edited(config.flatten(config.read(path)))
    module = _execute(path)
    return user_code.call(
        str(path), lambda: _edited(_returned(_get_config(module, variant)))
    )


def sweeps(
    text: str, names: Sequence[str], base: Config
) -> dict[str, list[dict[str, Any]]]:
    """What the sweeps of `FILE[:variant]` yield for a config, by name.

    Args:
      text: `FILE[:variant]`.
      names: of sweeps, `NAME` for the function `sweep_NAME`; none: `sweep` itself.
      base: the resolved config, which each function receives.

    Raises:
      UsageError: no such sweep, or whatever goes wrong in it.
    """
    path = _program(text, SWEEP)
    functions = _sweep_functions(path, _execute(path))
    if not functions:
        raise UsageError(f"{path} has no sweep; write a function sweep(config)")
    if not names and SWEEP not in functions:
        raise UsageError(
            f"{path} has several sweeps; choose with sweep=NAME,... "
            f"(one of: {', '.join(functions)})"
        )
    chosen = {}
    for name in names or [SWEEP]:
        if name not in functions:
            raise unknown(f"sweep of {path}", name, functions)
        chosen[name] = user_code.call(
            str(path), functools.partial(_trials, functions[name], base)
        )
    return chosen


def search(text: str, base: Config) -> dict[str, Any]:
    """The space that `search(config)` of `FILE[:variant]` returns, by dotted field.

    Raises:
      UsageError: there is no such function, or whatever goes wrong in it.
    """
    path = _program(text, SEARCH)
    function = vars(_execute(path)).get(SEARCH)
    if type(function) is not types.FunctionType:
        raise UsageError(f"{path} has no search; write a function search(config)")
    return user_code.call(str(path), functools.partial(_space, function, base))


def is_json(path: pathlib.Path) -> bool:
    """Whether a config is kept as JSON, as runs do, and needs no execution."""
    return path.suffix == ".json"


def override(edited: ConfigDict, overrides: Mapping[str, str]) -> None:
    """Sets fields from the text of the command line; `none` unsets an optional one.

    Raises:
      ConfigError: unknown fields, whole groups, or values that a field does not take;
        the others are set.
    """
    problems, given, right = Problems(), {}, set()
    for name, text in overrides.items():
        with problems:
            given[name] = _typed_text(name, text)
    arguments = [
        f"--config.{name}={text}" for name, text in given.items() if text is not None
    ]
    values = absl_flags.FlagValues()
    # The flags are defined from the arguments, so that a type is known for each.
    config_flags.DEFINE_config_dict(
        "config", edited, flag_values=values, lock_config=True, sys_argv=arguments
    )
    for argument in arguments:
        name, _, text = argument.removeprefix("--config.").partition("=")
        field = config.fields()[name]
        with problems:
            try:
                values(["s2sjax", argument])
            except absl_flags.Error:
                raise _impossible(field, text) from None
            config.checked(field, config.flatten(edited)[name])
            right.add(name)
    for name in given:
        if given[name] is None:
            _assign(edited, name, None)
            right.add(name)
    if problems.found:
        raise ConfigError(problems.found, overrides.keys() - right)


def check_field(name: str) -> config.Field:
    """The field of a dotted name.

    Raises:
      UsageError: there is none, or NAME is a group of fields.
    """
    known = config.fields()
    if name in known:
        return known[name]
    group = [field for field in known if field.startswith(f"{name}.")]
    if group:
        raise UsageError(
            f"{name} is a group of fields; set one field at a time, e.g. {group[0]}=..."
        )
    raise config.unknown_field(name)


def _typed_text(name: str, text: str) -> str | None:
    """The text that `config_flags` is given, or None to unset the field."""
    field = check_field(name)
    if text in ("None", "none") and field.optional:
        return None
    if field.type is str:
        if text == "None":
            raise UsageError(
                f"{name}=None would be the text 'None'; it takes {field.possible}"
            )
        if _is_collection(text):
            raise _impossible(field, text)
    return whole_number(text) if field.type is int else text


def whole_number(text: str) -> str:
    """`1e3` as `1000`; what is no such number, or plain digits, as it is.

    >>> whole_number("1e3"), whole_number("9007199254740993"), whole_number("0.5")
    ('1000', '9007199254740993', '0.5')
    """
    if re.fullmatch(r"[+-]?\d{1,20}(\.\d{0,20})?([eE][+-]?\d{1,2})?", text):
        number = decimal.Decimal(text)
        if number == number.to_integral_value():
            return str(int(number))
    return text


def _is_collection(text: str) -> bool:
    try:
        return isinstance(ast.literal_eval(text), tuple | list | dict | set)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return False


def _impossible(field: config.Field, text: str) -> UsageError:
    return UsageError(f"{field.path}={text} is not {field.possible}")


def _assign(edited: ConfigDict, name: str, value: Any) -> None:
    field = config.fields()[name]
    parent, _, last = name.rpartition(".")
    try:
        (edited[parent] if parent else edited)[last] = value
    except (TypeError, ValueError, KeyError):
        raise UsageError(f"{name}={shown(value)} is not {field.possible}") from None


def _program(text: str, function: str) -> pathlib.Path:
    path, _ = locate(text)
    if is_json(path):
        raise UsageError(
            f"config={text} is the config of a run and has no {function}; write a "
            f"FILE.py with a function {function}(config)"
        )
    return path


def _execute(path: pathlib.Path) -> types.ModuleType:
    if path.suffix in DATA:
        raise UsageError(
            f"config={path} holds data, and an experiment is a FILE.py; one that reads "
            f"yours: config=experiments/text.py with the override task.path={path}"
        )
    try:
        source = path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    return user_code.execute(source, str(path), path.stem)


def _get_config(module: types.ModuleType, variant: str | None) -> Any:
    function = getattr(module, "get_config", None)
    if not callable(function):
        raise UsageError("the file has no function get_config(arg)")
    try:
        takes = len(inspect.signature(function).parameters)
    except ValueError:  # a class of Python's own has none
        takes = 0
    if takes == 0 and variant is not None:
        raise UsageError(f"the file has no variants, but ':{variant}' came")
    return function(*[variant][:takes])


def _returned(returned: Any) -> dict[str, Any]:
    """What `get_config` returned, by dotted field."""
    if not isinstance(returned, ConfigDict):
        raise UsageError(
            f"get_config returned {type(returned).__name__}, not a ConfigDict; "
            "edit and return s2sjax.config.base_config()"
        )
    return config.flatten(returned)


def _edited(values: Mapping[str, Any]) -> ConfigDict:
    """Values by dotted field in a config of our own."""
    edited, known = config.base_config(), config.fields()
    for name, value in values.items():
        if name not in known:
            raise config.unknown_field(name)
        value = config.coerced(known[name], value)
        if type(value) is int and abs(value) >= 2**63:  # not all can be written down
            config.checked(known[name], value)
        _assign(edited, name, value)
    return edited


def _sweep_functions(
    path: pathlib.Path, module: types.ModuleType
) -> dict[str, Callable[[Config], Any]]:
    """The sweeps of a file by name; an imported function is none."""
    functions = {}
    for name, function in vars(module).items():
        own = type(function) is types.FunctionType and (
            function.__code__.co_filename == str(path)
        )
        if own and (name == SWEEP or name.startswith(f"{SWEEP}_")):
            functions[name.removeprefix(f"{SWEEP}_")] = function
    return functions


def _trials(function: Callable[[Config], Any], base: Config) -> list[dict[str, Any]]:
    """What a sweep returns, or yields, as plain data."""
    name, yielded = function.__name__, function(base)
    if not isinstance(yielded, Iterable) or isinstance(yielded, Mapping):
        raise UsageError(f"{name} returns {shown(yielded)}, not a list of trials")
    trials = []
    for number, trial in enumerate(yielded):
        if not isinstance(trial, dict):
            raise UsageError(
                f"{name} yields {shown(trial)} as trial {number}, not a dict such "
                'as {"task.length": 8, "seed": 1}'
            )
        trials.append({str(field): _plain(value) for field, value in trial.items()})
    return trials


def _plain(value: Any) -> Any:
    """A number of numpy's, or of a class derived from one, as a plain number."""
    value = value.item() if hasattr(value, "item") else value
    if isinstance(value, int | float) and type(value) is not bool:
        return float(value) if isinstance(value, float) else int(value)
    return value


def _space(function: Callable[[Config], Any], base: Config) -> dict[str, Any]:
    returned = function(base)
    if not isinstance(returned, dict) or not returned:
        raise UsageError(
            f"search returns {shown(returned)}, not a dict such as "
            '{"train.learning_rate": log_uniform(1e-4, 1e-1)}'
        )
    return {str(field): distribution for field, distribution in returned.items()}
