"""The command line, declared: each sub-command lists its flags and gets them typed.

Every parse has its own private absl `FlagValues`; nothing global is touched, and
everything that a person can mistype ends in one line. Imports no jax.
"""

import difflib
import itertools
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from absl import flags as absl_flags

from s2sjax import experiment
from s2sjax.cli import command as usage
from s2sjax.cli import printing
from s2sjax.cli.command import Command, Flag
from s2sjax.config import Config, ConfigError
from s2sjax.errors import Problems, UsageError, unknown
from s2sjax.schema import named_field, near_field

__all__ = ["Command", "Flag", "Parsed", "parse", "read"]

_NUMBER = re.compile(r"-\d+")  # a symbol of an integer task, not a flag
_FLAG = re.compile(r"--?([A-Za-z_][^=]*)(=(.*))?", re.DOTALL)


@dataclass(frozen=True)
class Parsed:
    """What came: `values` has an attribute for every flag of the command."""

    command: Command
    values: SimpleNamespace
    positional: tuple[str, ...] = ()
    config: Config | None = None  # resolved, overrides applied
    overrides: dict[str, str] = field(default_factory=dict)  # by dotted field, as text
    config_file: str = ""  # what --config named
    notes: tuple[str, ...] = ()  # what a person should know of it, a line each

    def in_flags(self, line: str) -> str:
        """A line of the library, with the flags that this command line has."""
        return self.command.in_flags(line, self.overrides)

    def say(self, line: str) -> None:
        """Prints a line of the library for a person."""
        printing.warn([self.in_flags(line)])


def read(doc: str, commands: Sequence[Command], argv: Sequence[str]) -> Parsed | str:
    """Parses `argv` (without the program's name), or returns the help asked for.

    Raises:
      UsageError: no command, or anything that it cannot take.

    >>> show = Command("show", "Shows.", (Flag("size", "how much", 1, type=int),))
    >>> read("Program.", [show], ["show", "--size=3"]).values.size
    3
    """
    before = argv[: argv.index("--")] if "--" in argv else argv
    wanted = any(item in ("--help", "-help", "-h", "--helpfull") for item in before)
    words = [*itertools.takewhile(lambda item: not item.startswith("-"), argv[:2])]
    for command in commands:
        if words[: len(command.name.split())] == command.name.split():
            if wanted:
                return usage.of_command(command)
            return parse(command, argv[len(command.name.split()) :])
    within = [c for c in commands if c.name.split()[0] in words[:1]]
    if wanted:
        return usage.of_program(doc, within or commands)
    if within:
        names = ", ".join(command.name for command in within)
        came = (
            f"'{' '.join(words)}' is not" if words[1:] else f"'{words[0]}' alone is not"
        )
        raise UsageError(f"{came} a command; one of: {names}")
    if argv:
        raise unknown("command", argv[0], dict.fromkeys(c.name for c in commands))
    names = ", ".join(command.name for command in commands)
    raise UsageError(f"no command; one of: {names} (s2sjax --help says more)")


def parse(command: Command, argv: Sequence[str]) -> Parsed:
    """Parses what follows the name of `command`.

    Raises:
      UsageError: one line that names the argument, what came and what is possible.
    """
    given: dict[str, str] = {}
    repeated: dict[str, tuple[str, ...]] = {
        flag.name: () for flag in command.flags if flag.many
    }
    overrides: dict[str, str] = {}
    positional: list[str] = []
    problems = Problems()
    for name, text in _tokens(command, argv, problems):
        if name is None:
            positional.append(text)
        elif name.startswith("config."):
            if "config" not in given:
                raise UsageError(
                    f"--{name}={text} needs --config=FILE before it: put --config=FILE "
                    "first, then what it overrides"
                )
            overrides.pop(name.removeprefix("config."), None)
            overrides[name.removeprefix("config.")] = text
        elif name == "config" and name in given:
            raise UsageError(
                f"--config is given twice: {given[name]} and {text}; one is possible"
            )
        else:
            given[name] = text
            if name in repeated:
                repeated[name] += (text,)
    if positional and not command.positional:
        raise UsageError(
            f"unexpected argument '{positional[0]}' for {command.name}; it takes flags "
            "only, written --NAME=VALUE"
        )
    values = SimpleNamespace()
    with problems:
        values = _typed(command, given)
    for name, texts in repeated.items():
        if "" in texts:
            raise UsageError(f"--{name} is empty once; each time it takes a value")
        setattr(values, name, texts or None)
    for flag in command.flags:
        if flag.required and flag.name not in given:
            with problems:
                raise UsageError(
                    f"{command.name} needs --{flag.name}={flag.value or 'VALUE'} "
                    f"({flag.doc})"
                )
    config: Config | None = None
    notes: list[str] = []
    wrong: Collection[str] = ()
    with problems:
        try:
            if "config" in given:
                config = experiment.load_config(
                    given["config"],
                    overrides,
                    lambda line: notes.append(command.in_flags(line, overrides)),
                )
            elif command.config == "required":
                raise UsageError(f"{command.name} needs --config=FILE[:variant]")
        except UsageError as error:
            if isinstance(error, ConfigError):
                config, wrong = error.rest, error.wrong
            messages = [command.in_flags(line, overrides) for line in error.args]
            raise UsageError(*messages) from None
    if problems.found and config is not None and command.check is not None:
        with problems:  # what would be told as soon as these are mended
            command.check(config, wrong)
    problems.tell()
    return Parsed(
        command,
        values,
        tuple(positional),
        config,
        overrides,
        given.get("config", ""),
        tuple(notes),
    )


def _tokens(
    command: Command, argv: Sequence[str], problems: Problems
) -> Iterator[tuple[str | None, str]]:
    """Yields (flag, text) in order, and (None, text) for positional arguments.

    What is wrong with a flag is one of the `problems`. After one without an equals
    sign nothing else can be told: what follows may be its value.
    """
    types = {flag.name: flag.type for flag in command.flags}
    if command.config != "none":
        types["config"] = str
    items = list(argv)
    while items:
        item = items.pop(0)
        if item == "--":
            yield from ((None, text) for text in items)
            return
        if not item.startswith("-") or item == "-" or _is_symbol(command, item):
            yield None, item
            continue
        form = _FLAG.fullmatch(item)
        written, equals, text = form.groups("") if form else (item, "", "")
        known = None
        with problems:
            known = _known(command, types, written, item)
        if known is None and not equals:
            problems.tell()
        if known is None:
            continue
        name, kind, negated = known
        if negated:
            if equals:
                raise UsageError(f"{item}: write --{name}={text} or --no{name}")
            yield name, "false"
        elif equals:
            yield name, text
        elif kind is bool:
            if items and not command.positional and not items[0].startswith("-"):
                raise UsageError(
                    f"stray '{items[0]}' after --{name}; write --{name}={items[0]}"
                )
            yield name, "true"
        elif not items or items[0].startswith("--"):
            raise UsageError(f"--{name} needs a value: --{name}=VALUE")
        else:
            yield name, items.pop(0)


def _is_symbol(command: Command, item: str) -> bool:
    return bool(command.positional and _NUMBER.fullmatch(item))


def _known(
    command: Command, types: dict[str, Any], name: str, item: str
) -> tuple[str, type, bool]:
    """The flag's name, its type, and whether it is written `--noNAME`."""
    if name in types:
        return name, types[name], False
    if types.get(name.removeprefix("no")) is bool:
        return name.removeprefix("no"), bool, True
    dotted = re.fullmatch(r"(no)?config\.(.+)", name)
    if dotted and command.config != "none":
        try:
            kind = experiment.check_field(dotted[2]).type
        except UsageError as wrong:
            raise UsageError(f"--config.{dotted[2]}: {wrong}") from None
        if dotted[1] and kind is not bool:
            raise UsageError(f"{item}: config.{dotted[2]} is not true or false")
        return f"config.{dotted[2]}", kind, bool(dotted[1])
    if dotted or name == "config":
        raise UsageError(
            f"{item}: {command.name} takes no config; it reads the one of --workdir"
            if "workdir" in types
            else f"{item}: {command.name} takes no config"
        )
    if command.positional and not item.startswith("--"):
        raise UsageError(
            f"'{item}' begins with - and is not a flag; put -- before text that does: "
            f"s2sjax {command.name} ... -- '{item}'"
        )
    hint = f"; put -- before text: -- '{item}'" if command.positional else ""
    known = {*types, "help"}
    near = named_field(name)
    if not near and not difflib.get_close_matches(name, known, n=1):
        near = near_field(name)
    if near and command.config != "none":
        raise UsageError(
            f"unknown flag of {command.name} '--{name}'; did you mean "
            f"'--config.{near}'?{hint}"
        )
    error = unknown(f"flag of {command.name}", name, known, written="--{}".format)
    raise UsageError(f"{error}{hint}")


def _typed(command: Command, given: dict[str, str]) -> SimpleNamespace:
    values = absl_flags.FlagValues()
    defining: dict[type, Callable[..., Any]] = {
        str: absl_flags.DEFINE_string,
        int: absl_flags.DEFINE_integer,
        bool: absl_flags.DEFINE_boolean,
    }
    for flag in command.flags:
        defining[flag.type](flag.name, flag.default, flag.doc, flag_values=values)
    problems = Problems()
    for flag in command.flags:
        with problems:
            if flag.name in given:
                _take(flag, given[flag.name], values)
    problems.tell()
    values.mark_as_parsed()
    return SimpleNamespace(
        **{flag.name: values[flag.name].value for flag in command.flags}
    )


def _take(flag: Flag, text: str, values: absl_flags.FlagValues) -> None:
    if not text:
        raise UsageError(f"--{flag.name} is empty; it takes {flag.possible()}")
    plain = experiment.whole_number(text) if flag.type is int else text
    try:
        values(["s2sjax", f"--{flag.name}={plain}"])
        number: Any = values[flag.name].value
        possible = flag.type is not int or (
            (flag.least is None or number >= flag.least) and number <= flag.most
        )
    except absl_flags.Error:
        possible = False
    if not possible:
        raise UsageError(f"--{flag.name}={text} is not {flag.possible()}")
