"""What `--help` prints, for the program and for each command."""

import re
import textwrap
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from s2sjax.config import Config

Kind = type[str] | type[int] | type[bool]


@dataclass(frozen=True)
class Flag:
    """`--name=VALUE`: a value of `type`, or `default` where the flag is not given."""

    name: str
    doc: str
    default: Any = None
    type: Kind = str
    value: str = ""  # what the help calls it, e.g. "DIR"
    required: bool = False
    least: int | None = None
    most: int = 2**31 - 1  # the int32 of compiled code
    many: bool = False  # a text that may come again; the value is a tuple, or None
    argument: str = ""  # what the library calls it, whose messages name it

    def written(self) -> str:
        """How the flag is written, e.g. `--workdir=DIR`."""
        if self.type is bool:
            return f"--{self.name}"
        return f"--{self.name}={self.value or ('N' if self.type is int else 'TEXT')}"

    def possible(self) -> str:
        """What it takes, in words.

        >>> Flag("examples", "how many", type=int, least=1).possible()
        'a whole number from 1 to 2147483647'
        """
        if self.type is int:
            least = f"from {self.least}" if self.least is not None else "up"
            return f"a whole number {least} to {self.most}"
        return "true or false" if self.type is bool else self.value or "a text"


@dataclass(frozen=True)
class Command:
    """A sub-command: what it takes, and what its help says."""

    name: str  # may be two words, e.g. "config show"
    doc: str  # the first line stands in the list of commands
    flags: tuple[Flag, ...] = ()
    config: Literal["none", "optional", "required"] = "none"
    positional: str = ""  # what the help calls them, e.g. "SYMBOLS"; empty: none taken
    examples: tuple[str, ...] = ()
    memory: str = ""  # what to lower where it has run out
    # Tries what else a config names, some of whose fields are wrong.
    check: Callable[[Config, Collection[str]], None] | None = None

    def in_flags(self, line: str, overrides: Collection[str] = ()) -> str:
        """A line of the library, which names arguments, as one that names flags.

        Args:
          line: with `argument=value`, or `argument=` for the argument itself; and
            `the override field=value`.
          overrides: fields that the command line overrides.

        >>> train = Command("train", "", (Flag("workdir", "", argument="path"),))
        >>> train.in_flags("path=a is in use; choose another path= for model.units=3")
        '--workdir=a is in use; choose another --workdir for model.units=3'
        """
        names = {flag.argument: flag.name for flag in self.flags if flag.argument}
        names |= {} if self.config == "none" else {"config": "config"}
        names |= {field: f"config.{field}" for field in overrides}
        if not names:
            return line
        known = "|".join(map(re.escape, names))

        def flag(found: re.Match[str]) -> str:
            return f"--{names[found[1]]}" + ("=" if found[2] is None else "")

        # What stands behind another character is part of a spec or of a path.
        words = rf"(?<![^\s(])({known})=(True\b|(?=[\s,;]|$))?"
        line = re.sub(words, flag, line)
        if self.config != "none":
            line = re.sub(r"\bthe override ([a-z_.]+)=", r"--config.\1=", line)
        return line

    def usage(self) -> str:
        """How the command is written, folded to the width of the help."""
        words = [f"s2sjax {self.name}"]
        if self.config != "none":
            text = "--config=FILE[:variant] [--config.FIELD=VALUE ...]"
            words.append(text if self.config == "required" else f"[{text}]")
        words += [
            flag.written() if flag.required else f"[{flag.written()}]"
            for flag in self.flags
        ]
        if self.positional:
            words.append(f"[--] [{self.positional} ...]")
        folded = textwrap.wrap(" ".join(words), 84, break_on_hyphens=False)
        return "\n    ".join(folded)


_CONFIG = (
    (
        "--config=FILE[:variant]",
        "an experiment file; :smoke shrinks it to seconds; or a run's directory, for "
        "its config",
    ),
    (
        "--config.FIELD=VALUE",
        "overrides a field, after --config, as often as needed; "
        "`s2sjax config show --config=FILE` lists the fields",
    ),
)


def of_program(doc: str, commands: Sequence[Command]) -> str:
    """The help of `s2sjax --help`."""
    rows = [(command.name, command.doc.splitlines()[0]) for command in commands]
    return "\n".join(
        [
            *textwrap.wrap(doc, 88),
            "",
            "usage: s2sjax COMMAND [--FLAG=VALUE ...]",
            "",
            *_table(rows),
            "",
            "`s2sjax COMMAND --help` lists the flags of a command, "
            "`s2sjax config show` the fields",
            "of a config. An experiment is a file: see the folder experiments.",
        ]
    )


def of_command(command: Command) -> str:
    """The help of `s2sjax COMMAND --help`."""
    lines = [*command.doc.splitlines(), "", f"usage: {command.usage()}"]
    rows = list(_CONFIG) if command.config != "none" else []
    rows += [(flag.written(), _comment(flag)) for flag in command.flags]
    if rows:
        lines += ["", *_table(rows)]
    if command.examples:
        lines += ["", "examples:", *(f"  {example}" for example in command.examples)]
    return "\n".join(lines)


def _comment(flag: Flag) -> str:
    if flag.required:
        return f"{flag.doc} (needed)"
    if flag.many:
        return f"{flag.doc} (as often as needed)"
    plain = flag.default is None or flag.default is False or flag.default == ""
    return flag.doc if plain else f"{flag.doc} (default: {flag.default})"


def _table(rows: Sequence[tuple[str, str]]) -> list[str]:
    width = max(len(name) for name, _ in rows if len(name) <= 30)
    lines = []
    for name, doc in rows:
        folded = textwrap.wrap(doc, 84 - width)
        if len(name) > width:
            folded.insert(0, "")  # a name that long has a line of its own
        lines.append(f"  {name:<{width}}  {''.join(folded[:1])}".rstrip())
        lines += [f"  {'':<{width}}  {more}" for more in folded[1:]]
    return lines
