"""`s2sjax config show` and `s2sjax config diff`: what a run will do, before it does."""

import json
import os
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

from s2sjax import config, experiment, places
from s2sjax.cli import printing, start
from s2sjax.cli.command import Command, Flag
from s2sjax.cli.flags import Parsed
from s2sjax.config import Config, ConfigError
from s2sjax.errors import Problems, UsageError

SHOW = Command(
    "config show",
    "Prints every field of a config with its value, type and comment.\n"
    "What train would refuse of it, this refuses too.\n"
    "Without --config and --workdir it prints the defaults.",
    flags=(
        Flag("workdir", "a run, instead of --config", value="DIR", argument="path"),
        Flag("json", "one JSON object, by dotted field", False, type=bool),
    ),
    config="optional",
    check=start.check_names,
    examples=("s2sjax config show --config=experiments/reversed.py:smoke",),
)
DIFF = Command(
    "config diff",
    "Prints the fields in which two configs or runs differ.\n"
    "Each of A and B is FILE[:variant], a config.json or a run's directory.\n"
    "What train would refuse of one of them, this refuses too.",
    flags=(
        Flag(
            "json",
            "one JSON object: field to [value in A, value in B]",
            False,
            type=bool,
        ),
    ),
    positional="A B",
    examples=("s2sjax config diff runs/one experiments/reversed.py",),
)


def show(parsed: Parsed) -> int:
    """Runs `config show`; returns the exit code."""
    workdir = parsed.values.workdir
    if workdir and parsed.config:
        raise UsageError("--config and --workdir came; give one of them")
    shown = _checked(workdir, _of_run) if workdir else parsed.config
    if parsed.config is not None:
        from s2sjax.training.check import check

        check(parsed.config)
    values = config.flatten(shown if shown is not None else config.base_config())
    described = {
        path: {
            "value": values[path],
            "type": field.type.__name__ + " or none" * field.optional,
            "doc": field.metadata["doc"],
            "possible": field.possible,
        }
        for path, field in config.fields().items()
    }
    if parsed.values.json:
        printing.lines(json.dumps(described, indent=1).splitlines())
        return 0
    rows = [
        (path, _cell(item["value"]), item["type"], _comment(path, item))
        for path, item in described.items()
    ]
    _print_table(("field", "value", "type", "comment"), rows)
    return 0


def diff(parsed: Parsed) -> int:
    """Runs `config diff`; returns the exit code."""
    if len(parsed.positional) != 2:
        raise UsageError(
            f"config diff takes two configs or runs; {len(parsed.positional)} came"
        )
    one, other = parsed.positional
    problems, found = Problems(), []
    for text in (one, other):
        with problems:
            found.append(_checked(text, load))
    problems.tell()
    differing = config.difference(*found)
    if parsed.values.json:
        printing.line(
            json.dumps({path: list(pair) for path, pair in differing.items()})
        )
        return 0
    if not differing:
        printing.line("no difference")
        return 0
    rows = [(path, _cell(a), _cell(b)) for path, (a, b) in differing.items()]
    _print_table(("field", one, other), rows)
    return 0


def load(text: str) -> Config:
    """The config of `FILE[:variant]`, of a config.json, or of a run's directory.

    Raises:
      UsageError: it is none of them.
    """
    path = pathlib.Path(text)
    return _of_run(text) if os.path.isdir(path) else experiment.load_config(text)


def _checked(text: str, read: Callable[[str], Config]) -> Config:
    """The config that `text` names, tried as `train` tries it.

    Raises:
      UsageError: all that is wrong with it, with its name.
    """
    from s2sjax.training.check import check, check_names

    problems, is_new = Problems(), not os.path.isdir(text)
    with problems:
        try:
            found = read(text)
            check(found, is_new=is_new)
            return found
        except ConfigError as error:
            if error.rest is not None:
                with problems:
                    raise error
                check_names(error.rest, error.wrong, is_new=is_new)
            raise
    lines = problems.found
    raise UsageError(*(x if text in x else f"{text}: {x}" for x in lines))


def _comment(path: str, item: dict[str, Any]) -> str:
    choices = config.fields()[path].metadata["choices"]
    return f"{item['doc']} ({item['possible']})" if choices else item["doc"]


def _cell(value: Any) -> str:
    return config.written(value) or "''"


def _of_run(workdir: str) -> Config:
    from s2sjax.runs import run_files

    path = pathlib.Path(workdir)
    if not os.path.isfile(path / run_files.CONFIG):
        raise UsageError(f"'{workdir}' {places.not_a_run(path)}")
    return run_files.read_config(path)


def _print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from s2sjax.reporting.screen import Screen
    from s2sjax.reporting.table import Table, show

    show(Table("", header, rows), Screen(), bare=True)
