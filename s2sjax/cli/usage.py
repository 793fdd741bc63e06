"""What `--help` prints, for the program and for each command."""

import textwrap
from collections.abc import Sequence

from s2sjax.cli.command import Command, Flag

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
    rows += [(flag.written(), _told(flag)) for flag in command.flags]
    if rows:
        lines += ["", *_table(rows)]
    if command.examples:
        lines += ["", "examples:", *(f"  {example}" for example in command.examples)]
    return "\n".join(lines)


def _told(flag: Flag) -> str:
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
