"""What a benchmark found, as tables and pictures."""

from collections.abc import Callable, Sequence
from pathlib import Path

from s2sjax import spec
from s2sjax.benchmark.result import Result
from s2sjax.decoding.goals import goal
from s2sjax.reporting.benchmark.beam_sizes import Widths, draw_beam_sizes
from s2sjax.reporting.benchmark.pareto import Panel, Point, draw_quality_speed
from s2sjax.reporting.formats import number, percent
from s2sjax.reporting.screen import Screen
from s2sjax.reporting.table import Table, show

Column = Callable[[Result], str]

_QUALITY: dict[str, Column] = {
    "exact": lambda row: percent(row.exact),
    "BLEU": lambda row: _some(row.bleu, ".2f"),
    "log p": lambda row: number(row.logprob, 3),
    "search errors": lambda row: percent(row.search_errors),
    "told by": lambda row: row.search_reference,
    "length ratio": lambda row: number(row.length_ratio, 3),
    "ECE": lambda row: number(row.calibration_error, 3),
    "cut": lambda row: percent(row.truncated),
}
_SPEED: dict[str, Column] = {
    "batch": lambda row: str(row.batch_size),
    "seq/s": lambda row: f"{row.sequences_per_second:,.0f}",
    "tokens/s": lambda row: f"{row.tokens_per_second:,.0f}",
    "ms": lambda row: f"{row.latency_median_ms:.2f}",
    "p90 ms": lambda row: f"{row.latency_p90_ms:.2f}",
    "compile s": lambda row: f"{row.compile_seconds:.1f}",
    "MiB": lambda row: f"{row.resident_mib:,.0f}",
    "program": lambda row: _some(row.temporary_mib, ",.1f"),
    "device": lambda row: _some(row.device_mib, ",.1f"),
}
_PEERS: dict[str, Column] = {
    "batch": lambda row: str(row.batch_size),
    "seq/s": lambda row: f"{row.sequences_per_second:,.0f}",
    "at once": lambda row: str(row.batches_at_once),
    "PyTorch": lambda row: _some(row.torch_sequences_per_second, ",.0f"),
    "way": lambda row: _way(row.torch_threads, row.torch_at_once),
    "equal": lambda row: _share(row.torch_same_outputs),
    "s2sjax is": lambda row: _times(row.torch_ratio),
    "plain": lambda row: _some(row.torch_loop_sequences_per_second, ",.0f"),
    "plain way": lambda row: _way(row.torch_loop_threads, row.torch_loop_at_once),
    "plain equal": lambda row: _share(row.torch_loop_same_outputs),
    "and": lambda row: _times(row.torch_loop_ratio),
}


def show_benchmark(
    rows: Sequence[Result], notes: Sequence[str], screen: Screen, split: str
) -> None:
    """Shows the rows: quality once for each strategy, speed for each batch size.

    `split` is that of the examples.
    """
    once = list({(row.run, row.strategy): row for row in rows}.values())
    title = f"Quality, {rows[0].examples:,} {split} examples of each run"
    legend = (
        "log p: mean of outputs, in nats; length ratio: output over reference; "
        "ECE: expected calibration error; more in bench.csv"
    )
    show(_table(title, once, _QUALITY, legend), screen)
    at_once = max(row.batches_at_once for row in rows)
    together = f"with {at_once:,} batches at once" if at_once > 1 else "batch by batch"
    legend = (
        f"medians of rounds taken in turn, compilation apart; seq/s and tokens/s: "
        f"{together}; ms: of a batch alone; MiB: the process's peak, and of it the "
        f"program's own"
    )
    show(_table("Speed", rows, _SPEED, legend), screen)
    both = [row for row in rows if row.torch_ratio is not None]
    if both:
        legend = (
            "the same weights in eager PyTorch, vectorised, and plain: a loop over "
            "sentences; way: threads of an operation x batches at once, the fastest"
        )
        show(_table("Sequences per second", both, _PEERS, legend), screen)
    for note in notes:
        screen.line(note)


def _table(
    title: str, rows: Sequence[Result], columns: dict[str, Column], note: str
) -> Table:
    """A table of the columns in which any row says something."""
    named: dict[str, Column] = {"strategy": lambda row: row.strategy, **columns}
    if len({row.run for row in rows}) > 1:
        named = {"run": lambda row: row.run, **named}
    cells = {name: [cell(row) for row in rows] for name, cell in named.items()}
    cells = {name: column for name, column in cells.items() if any(column)}
    right = [name for name in cells if name in columns and name != "told by"]
    body = list(zip(*cells.values(), strict=True))
    return Table(title, list(cells), body, right, note)


def draw_benchmark(
    rows: Sequence[Result],
    comparable: Sequence[Sequence[str]],
    folder: Path,
    title: str,
    format: str = "png",
) -> list[Path]:
    """Draws `quality_speed`, and `beam_size` where sizes can be compared.

    Args:
      rows: of all runs.
      comparable: the names of runs that have the same task, group by group.
      folder: where the pictures go.
      title: above them.
      format: one of `figure.FORMATS`.

    Returns:
      What was drawn.

    Raises:
      RunError: a picture cannot be written.
    """
    several = len({row.run for row in rows}) > 1
    panels = []
    for names in comparable:
        own = [row for row in rows if row.run in names]
        value, measure = _measure(own)
        points = [
            Point(
                _named(row, row.strategy, several),
                f"batch {row.batch_size}",
                row.sequences_per_second,
                value(row),
            )
            for row in own
        ]
        panels.append(
            Panel(", ".join(names) if len(comparable) > 1 else "", measure, points)
        )
    drawn = [folder / f"quality_speed.{format}"]
    draw_quality_speed(panels, drawn[0], title)
    widths = _widths(rows, several)
    if widths:
        drawn.append(folder / f"beam_size.{format}")
        draw_beam_sizes(widths, _measure(rows)[1], drawn[1], title)
    return drawn


def _measure(rows: Sequence[Result]) -> tuple[Callable[[Result], float], str]:
    """What quality is: BLEU where all rows have it, else exact match."""
    if all(row.bleu is not None for row in rows):
        return lambda row: float(row.bleu or 0), "BLEU"
    return lambda row: 100 * row.exact, "exact match, %"


def _named(row: Result, text: str, several: bool) -> str:
    return f"{row.run}: {text}" if several else text


def _widths(rows: Sequence[Result], several: bool) -> list[Widths]:
    """The kinds of beam that come in two sizes or more.

    Greedy decoding is a beam of size 1, where the normaliser favours no long outputs.
    """
    value, _ = _measure(rows)
    once = {(row.run, row.strategy): row for row in rows}.values()
    kinds: dict[tuple[str, str], dict[int, Result]] = {}
    for row in once:
        parsed = spec.parse(row.strategy)
        if parsed.name == "beam":
            rest, size = parsed.split({"size"})
            beam_size = dict(size.arguments).get("size", 5)
            kinds.setdefault((row.run, str(rest)), {})[beam_size] = row
    for row in once:
        for (run, kind), sizes in kinds.items():
            if row.strategy == "greedy" and row.run == run and _like_greedy(kind):
                sizes.setdefault(1, row)
    lines = []
    for (_, kind), sizes in kinds.items():
        if len(sizes) < 2:
            continue
        chosen = [sizes[size] for size in sorted(sizes)]
        lines.append(
            Widths(
                _named(chosen[0], kind, several),
                sorted(sizes),
                [value(row) for row in chosen],
                [row.search_errors for row in chosen],
                [row.logprob for row in chosen],
                chosen[0].target_logprob,
            )
        )
    return lines


def _like_greedy(kind: str) -> bool:
    aim = goal(kind)
    return aim is not None and aim == goal("greedy")


def _some(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def _way(threads: int | None, at_once: int | None) -> str:
    return "" if threads is None else f"{threads} x {at_once}"


def _times(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:.2f} x"


def _share(value: float | None) -> str:
    return "" if value is None else percent(value)
