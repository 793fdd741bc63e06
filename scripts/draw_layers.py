"""Draws the layers of the package, as `tests/test_house.py` has them.

python scripts/draw_layers.py > docs/images/layers.svg
"""

import ast
import html
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "s2sjax"

WIDTH, LEFT, GAP, LINE = 860, 44, 10, 17  # in pixels
LETTER = 6.6  # the width of one, about
BAND, BOX, EDGE = "#eef2f7", "#ffffff", "#b6c2d1"
INK, FAINT = "#1b2733", "#51606f"


def layers() -> list[list[str]]:
    """The rooms of each layer, low to high, as the test of imports lists them."""
    tree = ast.parse((ROOT / "tests" / "test_house.py").read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "LAYERS":
            code = compile(ast.Expression(node.value), "LAYERS", "eval")
            return [sorted(rooms) for rooms in eval(code)]
    raise ValueError("tests/test_house.py has no LAYERS")


def about(room: str) -> str:
    """The first sentence of a folder's docstring, or of the package's for its face."""
    path = PACKAGE / ("__init__.py" if room == "__init__" else f"{room}/__init__.py")
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return text.partition("\n")[0].strip().rstrip(".").replace("`", "")


def boxes(rooms: list[str]) -> list[tuple[str, str]]:
    """Title and text of each box of a layer; single files share one."""
    folders = [room for room in rooms if (PACKAGE / room).is_dir()]
    files = [room for room in rooms if room not in (*folders, "__main__", "__init__")]
    found = [(room, about(room)) for room in folders]
    if "__init__" in rooms:
        found.insert(0, ("import s2sjax", about("__init__")))
    if files:
        found.append(("files that stand on none of these", ", ".join(files)))
    return found


def svg() -> str:
    """The picture."""
    parts: list[str] = []
    top = 14
    for rooms in reversed(layers()):
        row = boxes(rooms)
        width = (WIDTH - LEFT - GAP * (len(row) + 1)) / len(row)
        folded = [textwrap.wrap(text, int((width - 20) / LETTER)) for _, text in row]
        height = 30 + LINE * max(map(len, folded))
        parts.append(_rectangle(LEFT, top, WIDTH - LEFT, height + 2 * GAP, BAND, 8))
        for place, ((title, _), lines) in enumerate(zip(row, folded, strict=True)):
            left = LEFT + GAP + place * (width + GAP)
            parts.append(_rectangle(left, top + GAP, width, height, BOX, 5, EDGE))
            parts.append(_text(left + 10, top + GAP + 19, title, INK, "600"))
            for number, line in enumerate(lines):
                y = top + GAP + 38 + LINE * number
                parts.append(_text(left + 10, y, line, FAINT))
        top += height + 2 * GAP + GAP
    arrow = (
        f'<path d="M22 18 V{top - 16} m-6 -9 l6 9 l6 -9" fill="none" '
        f'stroke="{FAINT}" stroke-width="1.6"/>'
    )
    label = (
        f'<text transform="translate(15 {top / 2:.0f}) rotate(-90)" fill="{FAINT}" '
        f'text-anchor="middle">imports point down</text>'
    )
    whole = _rectangle(0, 0, WIDTH + GAP, top + 4, "#f8fafc", 10)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH + GAP}" '
            f'height="{top + 4}" viewBox="0 0 {WIDTH + GAP} {top + 4}" '
            f'font-family="sans-serif" font-size="12.5">',
            "<title>The layers of s2sjax</title>",
            *(whole, arrow, label, *parts),
            "</svg>",
            "",
        ]
    )


def _rectangle(
    left: float,
    top: float,
    width: float,
    height: float,
    fill: str,
    radius: int,
    edge: str = "none",
) -> str:
    return (
        f'<rect x="{left:.0f}" y="{top:.0f}" width="{width:.0f}" '
        f'height="{height:.0f}" rx="{radius}" fill="{fill}" stroke="{edge}"/>'
    )


def _text(left: float, top: float, text: str, fill: str, weight: str = "400") -> str:
    return (
        f'<text x="{left:.0f}" y="{top:.0f}" fill="{fill}" font-weight="{weight}">'
        f"{html.escape(text)}</text>"
    )


if __name__ == "__main__":
    print(svg(), end="")
