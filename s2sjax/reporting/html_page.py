"""Pages of HTML that open from disk: a template of `assets`, and what fills it."""

import re
from collections.abc import Mapping
from importlib import resources
from pathlib import Path

from s2sjax.errors import writing
from s2sjax.runs import atomic


def asset(*names: str) -> str:
    """The text of some files of `assets`, one after another."""
    folder = resources.files("s2sjax.reporting") / "assets"
    return "\n".join((folder / name).read_text(encoding="utf-8") for name in names)


def write(path: Path, template: str, parts: Mapping[str, str]) -> None:
    """Writes the template with each `{{part}}` in its place.

    Raises:
      UsageError, RunError: the file cannot be written.
    """
    # In one pass, so that braces in the parts are not replaced again.
    text = re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], asset(template))
    with writing(str(path)):
        atomic.write_text(path, text)
