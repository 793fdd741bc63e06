"""A config's data as one page: opens from disk, needs neither network nor script."""

import html
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from s2sjax.foreign import printable
from s2sjax.reporting import html_page
from s2sjax.reporting.data.sections import Histogram, sections, share
from s2sjax.reporting.table import Table


def write_page(data: Mapping[str, Any], path: Path) -> None:
    """Writes the page of what `s2s.data` returns; what looks like markup is text.

    Raises:
      UsageError, RunError: the file cannot be written.
    """
    parts = {
        "title": _text(_title(data)),
        "style": html_page.asset("page.css", "data.css"),
        "warnings": _warnings(data["warnings"]),
        "sections": "".join(
            _histogram(each) if isinstance(each, Histogram) else _table(each)
            for each in sections(data)
        ),
    }
    html_page.write(path, "data.html", parts)


def _title(data: Mapping[str, Any]) -> str:
    names = ", ".join(Path(file).name for file in data["files"])
    return f"The data of {names or data['task']}"


def _warnings(lines: list[str]) -> str:
    if not lines:
        return '<p class="soft">Nothing to warn of.</p>'
    return f"<ul>{''.join(f'<li>{_text(line)}</li>' for line in lines)}</ul>"


def _table(table: Table) -> str:
    right = [name in table.right for name in table.header]
    head = "".join(
        f"<th{_side(to_right)}>{_text(name)}</th>"
        for name, to_right in zip(table.header, right, strict=True)
    )
    body = "".join(
        "<tr>"
        + "".join(
            f"<td{_side(to_right)}>{_text(cell)}</td>"
            for cell, to_right in zip(row, right, strict=True)
        )
        + "</tr>"
        for row in table.rows
    )
    return _section(
        table.title,
        f'<div class="wide"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>",
    )


def _histogram(histogram: Histogram) -> str:
    most = max(max(shares) for shares in histogram.shares.values())
    head = "".join(f"<th>{_text(split)}</th>" for split in histogram.shares)
    rows = []
    for place, label in enumerate(histogram.labels):
        cells = "".join(
            f'<td class="bars" title="{histogram.counts[split][place]:,} pairs">'
            f'<i style="width:{100 * shares[place] / most:.2f}%"></i>'
            f"<span>{_text(share(shares[place])) if shares[place] else ''}</span></td>"
            for split, shares in histogram.shares.items()
        )
        rows.append(f'<tr><th scope="row">{_text(label)}</th>{cells}</tr>')
    return _section(
        histogram.title,
        f'<table class="histogram"><thead><tr><th></th>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table>",
    )


def _section(title: str, inside: str) -> str:
    return f"<section><h2>{_text(title)}</h2>{inside}</section>\n"


def _side(to_right: bool) -> str:
    return ' class="number"' if to_right else ""


def _text(text: str) -> str:
    return html.escape(printable(text))
