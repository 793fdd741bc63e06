"""How the documentation is built: see `scripts/docs.sh`."""

import os
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "scripts")]

import docs_pages  # noqa: E402 (found by the line above)

from s2sjax import __version__  # noqa: E402

project = "s2sjax"
author = "the authors of s2sjax"
version = release = __version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
]
exclude_patterns = ["README.md", "images"]
html_theme = "furo"
html_title = f"s2sjax {__version__}"
html_show_sphinx = False
html_static_path: list[str] = []
pygments_style, pygments_dark_style = "friendly", "monokai"

# Guides are Markdown that reads well where it lies, too.
myst_enable_extensions = ["attrs_inline", "dollarmath", "html_image"]
myst_heading_anchors = 4
nb_execution_mode = "auto"  # notebooks are kept without what they print
nb_execution_timeout = 300
nb_execution_raise_on_error = True
os.environ["PYTHONPATH"] = str(HERE.parent)  # where a notebook finds this checkout

# Docstrings are in the style of Google's; a word in `backticks` is code.
default_role = "code"
napoleon_google_docstring, napoleon_numpy_docstring = True, False
napoleon_use_ivar = True  # attributes of a dataclass are described once
toc_object_entries_show_parents = "hide"
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 80

# The contents, which the front page has hidden: title and pages of each part.
CONTENTS = {
    "Guides": [
        "data",
        "numbers",
        "training",
        "library",
        "streams",
        "models",
        "extending",
        "decoding",
        "sweeps",
        "trackers",
        "accelerators",
        "tpu",
    ],
    "Examples": ["examples/notebook", "generated/gallery/index"],
    "Reference": [
        "generated/api/index",
        "generated/commands",
        "generated/fields",
    ],
    "Behind it": [
        "architecture",
        "reproductions",
        "benchmarks",
        "reliability",
        "generated/contributing",
        "generated/changelog",
    ],
}


def contents(app: Any, name: str, source: list[str]) -> None:
    """Adds the contents to the front page."""
    if name == "index":
        for title, pages in CONTENTS.items():
            listed = "\n".join(pages)
            source[0] += (
                f"\n```{{toctree}}\n:hidden:\n:caption: {title}\n\n{listed}\n```\n"
            )


_PLAIN: dict[str, list[str]] = {}  # docstrings that napoleon leaves alone


def before_napoleon(
    app: Any, what: str, name: str, value: Any, options: Any, lines: list[str]
) -> None:
    """Takes an indented paragraph of a docstring, an equation or a table, as it is;
    says of a record what its fields are, whose comments stand beside them."""
    text: list[str] = []
    before = ""  # the last line that is not empty
    for line in lines:
        begins = line.startswith("    ") and text and not text[-1]
        if begins and before[:1].strip() and not before.startswith((">>>", "- ")):
            text += ["::", ""]
        text.append(line)
        before = line or before
    lines[:] = text
    if what == "class":
        comments = docs_pages.comments(value)
        if comments:
            lines += ["", ".. list-table::", "   :widths: auto", ""]
            for field, comment in comments.items():
                lines += [f"   * - ``{field}``", f"     - {comment}"]
            lines.append("")
    if what in ("attribute", "data", "property"):
        _PLAIN[name] = list(lines)  # napoleon takes what precedes a colon for a type


def after_napoleon(
    app: Any, what: str, name: str, value: Any, options: Any, lines: list[str]
) -> None:
    """Puts back what napoleon took for something else."""
    if name in _PLAIN:
        lines[:] = _PLAIN.pop(name)


def skipped(
    app: Any, what: str, name: str, value: Any, skip: bool, options: Any
) -> bool | None:
    """Leaves out the fields of named tuples, which their class lists."""
    return True if type(value).__name__ == "_tuplegetter" else None


def setup(app: Any) -> None:
    """Makes the pages that come from code."""
    docs_pages.write(HERE)
    app.connect("source-read", contents)
    app.connect("autodoc-process-docstring", before_napoleon, priority=400)
    app.connect("autodoc-process-docstring", after_napoleon, priority=600)
    app.connect("autodoc-skip-member", skipped)
