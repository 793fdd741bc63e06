"""The pages of the documentation that are made from code: see `docs/conf.py`.

gallery/     an experiment a page, from its docstring and source
api/         the face of the package, and the protocols
commands.md  the help of each command
fields.md    the fields of a config
changelog.md, contributing.md   from the root of the checkout
"""

import ast
import importlib
import inspect
import re
import shutil
from pathlib import Path

import s2sjax
from s2sjax.cli import COMMANDS
from s2sjax.cli.command import of_command

ROOT = Path(__file__).resolve().parents[1]
FOLDER = "generated"  # below docs/, and ignored by git

# What was drawn of an experiment, below docs/images.
PICTURES = {
    "data_size": ["sweep_data_size.png"],
    "fra_eng_words": ["beam_size.png"],
    "length_cardinality": ["sweep_length_cardinality.png"],
    "length_generalisation": ["sweep_by_length.png"],
    "reversed": ["attention.png", "curves.png"],
}
# Where the reference goes beyond the face: title, and modules with what they are.
PROTOCOLS = {
    "contracts": ("The contracts", ["s2sjax.types", "s2sjax.decoding.base"]),
    "models": (
        "Models",
        [
            "s2sjax.models.base",
            "s2sjax.models.seq2seq",
            "s2sjax.models.cells.stepped",
            "s2sjax.models.context",
            "s2sjax.models.scan",
        ],
    ),
    "training": (
        "Training",
        [
            "s2sjax.training.objectives",
            "s2sjax.training.feeding",
            "s2sjax.training.recipe",
            "s2sjax.training.state",
            "s2sjax.training.step",
            "s2sjax.metrics",
        ],
    ),
    "decoding": (
        "Decoding strategies",
        [
            "s2sjax.decoding.sampling",
            "s2sjax.decoding.beam",
            "s2sjax.decoding.diverse_beam",
            "s2sjax.decoding.constrained_beam",
            "s2sjax.decoding.stochastic_beam",
            "s2sjax.decoding.exact",
            "s2sjax.decoding.rerank",
        ],
    ),
    "observers": (
        "Observers and trackers",
        ["s2sjax.training.observer", "s2sjax.reporting.trackers.base"],
    ),
    "sweeps": ("Sweeps", ["s2sjax.sweeps.algebra", "s2sjax.sweeps.draws"]),
    "tasks": ("Tasks", ["s2sjax.tasks.task", "s2sjax.tasks.vocabulary"]),
}


def write(docs: Path) -> list[str]:
    """Makes all pages anew below `docs/generated`; their names without ending."""
    pages = {
        **gallery(),
        **reference(),
        "commands": commands(),
        "fields": fields(),
        "changelog": from_root("CHANGELOG.md"),
        "contributing": from_root("CONTRIBUTING.md"),
    }
    folder = docs / FOLDER
    shutil.rmtree(folder, ignore_errors=True)
    for name, text in pages.items():
        path = folder / f"{name}.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return [f"{FOLDER}/{name}" for name in pages]


# Experiments.


def experiments() -> dict[str, str]:
    """The docstring of each experiment, by name."""
    return {
        path.stem: ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""
        for path in sorted((ROOT / "experiments").glob("*.py"))
    }


def measured(note: str) -> str:
    """The first sentence of what a note says was measured; empty where nothing is.

    >>> measured("A title. Measured: exact 1.0 on ten; two\\nminutes. (They have 0.9.)")
    'exact 1.0 on ten; two minutes.'
    """
    found = re.search(
        r"\bMeasured(?: here)?:? (.*?)(?:\.(?=\s|\Z)|\n\n|\Z)", note, re.DOTALL
    )
    return f"{' '.join(found[1].split())}." if found else ""


def as_markdown(note: str) -> str:
    """A docstring with its indented commands fenced, and without its title."""
    _, _, rest = note.partition("\n")
    rest = re.sub(
        r"(?<=\S) {4,}--", " \\\\\n      --", rest
    )  # a command that is folded
    parts = []
    for part in rest.strip("\n").split("\n\n"):
        if part.startswith("    "):
            lines = [line.removeprefix("    ") for line in part.splitlines()]
            parts.append("\n".join(["```sh", *lines, "```"]))
        else:
            parts.append(part)
    return "\n\n".join(parts)


def gallery() -> dict[str, str]:
    """A page for each experiment, and one that lists them."""
    notes = experiments()
    rows, pictures = [], []
    pages = {}
    for name, note in notes.items():
        title = note.partition("\n")[0].rstrip(".")
        source = (ROOT / "experiments" / f"{name}.py").read_text(encoding="utf-8")
        first = _after_docstring(source)
        drawn = [f"../../images/{picture}" for picture in PICTURES.get(name, ())]
        shown = "\n".join(f"![{title}]({path})" for path in drawn)
        rows.append(f"| [{name}]({name}.md) | {title} | {measured(note)} |")
        for path in drawn:
            pictures.append(f'[![{title}]({path}){{width="47%"}}]({name}.md)')
        pages[f"gallery/{name}"] = "\n\n".join(
            [
                f"# {name}",
                title,
                shown,
                as_markdown(note),
                "`:smoke` shrinks it to seconds.",
                "## The file",
                f"```{{literalinclude}} ../../../experiments/{name}.py\n"
                f":language: python\n:lines: {first}-\n```\n",
            ]
        )
    pages["gallery/index"] = "\n".join(
        [
            "# Gallery of experiments\n",
            "Each is a file of the folder `experiments`, a lab note that is a config:"
            " what it does, the command, what was measured.\n",
            *pictures,
            "",
            "| experiment | what | measured |",
            "|---|---|---|",
            *rows,
            "\n```{toctree}\n:hidden:\n",
            *notes,
            "```\n",
        ]
    )
    return pages


def _after_docstring(source: str) -> int:
    """The first line of a file after its docstring and the empty line behind it."""
    return (ast.parse(source).body[0].end_lineno or 0) + 2


# The reference.


def reference() -> dict[str, str]:
    """The face, where the package has one, and the protocols behind it."""
    pages = {}
    numbers = {
        name: value
        for name in s2sjax.__all__
        if isinstance(value := getattr(s2sjax, name), int)
    }
    names = [name for name in s2sjax.__all__ if name not in numbers]
    # Functions first, then what they take and return.
    names.sort(key=lambda name: (isinstance(getattr(s2sjax, name), type), name))
    parts = ["# The face\n", s2sjax.__doc__ or "", "\n```{eval-rst}"]
    parts += [_documented("s2sjax", name) for name in names]
    parts += ["```\n", "## Token ids\n", "| name | id |", "|---|---|"]
    parts += [f"| `s2sjax.{name}` | {number} |" for name, number in numbers.items()]
    pages["api/face"] = "\n".join([*parts, ""])
    for page, (title, modules) in PROTOCOLS.items():
        there = [name for name in modules if _is_there(name)]
        parts = [f"# {title}\n"]
        for name in there:
            parts += [
                f"## {name.removeprefix('s2sjax.')}\n",
                "```{eval-rst}",
                f".. automodule:: {name}",
            ]
            parts += ["   :members:", "```\n"]
        pages[f"api/{page}"] = "\n".join(parts)
    pages["api/index"] = "\n".join(
        [
            "# Reference\n",
            "What `import s2sjax` gives is [the face](face.md). What a cell, an"
            " attention, a strategy or an observer of your own must be is in the"
            " protocols behind it.\n",
            "```{toctree}\n",
            "face",
            *PROTOCOLS,
            "```\n",
        ]
    )
    return pages


def _is_there(module: str) -> bool:
    try:
        importlib.import_module(module)
    except ModuleNotFoundError:
        return False
    return True


def _documented(module: str, name: str) -> str:
    value = getattr(importlib.import_module(module), name)
    if isinstance(value, type):
        return f".. autoclass:: {module}.{name}\n   :members:\n"
    if callable(value):
        return f".. autofunction:: {module}.{name}\n"
    return f".. autodata:: {module}.{name}\n"


def comments(record: type) -> dict[str, str]:
    """What the comments beside a record's fields say: axes, type, meaning."""
    try:
        lines = inspect.getsource(record).splitlines()
    except (OSError, TypeError):
        return {}
    found: dict[str, str] = {}
    above: list[str] = []
    for line in lines:
        field = re.match(r"    (\w+): .*?(?:  # (.*))?$", line)
        if field and field[1] in getattr(record, "__annotations__", {}):
            text = " ".join([*above, field[2] or ""]).strip()
            found[field[1]] = text.replace("`", "``")
        comment = re.match(r"    # (.*)$", line)
        above = [*above, comment[1]] if comment else []
    return found if any(found.values()) else {}


def commands() -> str:
    """The help of each command."""
    parts = ["# Commands\n", "What `s2sjax COMMAND --help` says.\n"]
    for command in COMMANDS:
        parts += [
            f"## s2sjax {command.name}\n",
            "```text",
            of_command(command),
            "```\n",
        ]
    return "\n".join(parts)


def fields() -> str:
    """Every field of a config."""
    from s2sjax import config, schema

    rows = []
    values = config.flatten(config.base_config())
    documented = schema.fields()
    for path, value in values.items():
        field = documented[path]
        about = f"{field.metadata['doc']}; {field.possible}".replace("|", "\\|")
        rows.append(
            f"| `{path}` | `{schema.written(value) or chr(34) * 2}` | {about} |"
        )
    return "\n".join(
        [
            "# Fields of a config\n",
            "What `s2sjax config show` lists: each can be set in a config file, and on"
            " the command line by `--config.FIELD=VALUE`.\n",
            "| field | default | what it is |",
            "|---|---|---|",
            *rows,
            "",
        ]
    )


def from_root(name: str) -> str:
    """A page of the checkout's root, with links that hold below docs/generated."""
    text = (ROOT / name).read_text(encoding="utf-8")
    text = re.sub(r"\]\(docs/", "](../", text)
    return text
