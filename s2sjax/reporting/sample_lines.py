"""Sample predictions, one or two lines each, readable without colour."""

from rich.cells import cell_len
from rich.text import Text

from s2sjax.reporting.formats import cut, printable
from s2sjax.training.observer import Sample

NOTHING = "(nothing)"


def sample_lines(sample: Sample, columns: int, unicode: bool = True) -> list[Text]:
    """`source → output` with a tick, or with a cross and the target.

    Where the three do not fit in a line, the target stands below the output, so that
    the two can be compared; what is still too long is cut.

    >>> [str(line) for line in sample_lines(Sample("1 2 3", "3 2 2", "3 2 1"), 80)]
    ['✗ 1 2 3 → 3 2 2  (target 3 2 1)']
    """
    arrow, ellipsis = (" → ", "…") if unicode else (" -> ", "...")
    tick, cross = ("✓ ", "✗ ") if unicode else ("ok  ", "not ")
    mark, style = (tick, "bold green") if sample.right else (cross, "bold red")
    source, output, target = (printable(part) or NOTHING for part in sample)
    room = columns - cell_len(mark) - cell_len(arrow)
    remark = "" if sample.right else f"  (target {target})"
    if cell_len(source) + cell_len(output) + cell_len(remark) <= room:
        whole = (mark, style), source, (arrow, "dim"), output, (remark, "dim")
        return [Text.assemble(*whole)]
    # Whatever the source leaves, at least half, is for the output.
    widest = max(cell_len(output), 0 if sample.right else cell_len(target))
    source = cut(source, max(room - widest, room // 2), ellipsis)
    left = room - cell_len(source)
    first = (mark, style), source, (arrow, "dim"), cut(output, left, ellipsis)
    lines = [Text.assemble(*first)]
    if not sample.right:
        label = "target "
        indent = max(columns - room + cell_len(source) - len(label), 0)
        below = Text(" " * indent + label + cut(target, left, ellipsis), "dim")
        lines.append(below)
    return lines
