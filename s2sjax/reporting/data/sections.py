"""What is shown of a config's data, in order: tables and histograms."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from s2sjax.reporting.formats import cut, duration, number, percent
from s2sjax.reporting.table import Table, trivial

TEXT = 60  # columns of an example's text
SIDES = ("source", "target")


class Histogram(NamedTuple):
    """Shares of each split, in bars."""

    title: str
    labels: list[str]  # of the bars
    shares: dict[str, list[float]]  # of each bar, by split
    counts: dict[str, list[int]]


def sections(data: Mapping[str, Any]) -> Iterator[Table | Histogram]:
    """What there is to show of what `s2s.data` returns."""
    splits = data["splits"]
    if "numbers" in data:
        yield from _numbers(data)
        return
    yield _pairs(splits)
    for side in SIDES:
        yield _lengths(splits, side)
    yield _longest(splits)
    yield _vocabulary(data["vocabulary"])
    found = [each for each in data["found"].values() if each["splits"]]
    if found:
        yield _found(found, splits)
    if data["unreachable"]:
        yield _unreachable(data["unreachable"])
    for split, each in data["baselines"].items():
        yield trivial(each, f"How far one comes on {split}")
    yield _buckets(data["buckets"])
    yield _cost(data["cost"])


def _numbers(data: Mapping[str, Any]) -> Iterator[Table]:
    """What there is to show of numbers."""
    yield _windows(data["splits"])
    yield _columns(data["numbers"])
    header = ("without a model", "mean absolute error", "root mean square error")
    for split, each in data["baselines"].items():
        rows = [
            (name, f"{own['mae']:.4g}", f"{own['rmse']:.4g}")
            for name, own in each.items()
        ]
        yield Table(f"How far one comes on {split}", header, rows, header[1:])
    yield _cost(data["cost"])


def _windows(splits: Mapping[str, Any]) -> Table:
    rows = [
        (
            split,
            number(each["windows"]) + " drawn" * each["drawn"],
            number(each["series"]),
            *(f"{each[side][0]} to {each[side][1]}" for side in ("read", "forecast")),
            f"{each['from']} to {each['to']}" if "from" in each else "",
        )
        for split, each in splits.items()
    ]
    header = ("split", "windows", "series", "steps read", "forecast", "first steps at")
    return Table("Windows", header, rows, header[1:5])


def _columns(columns: list[dict[str, Any]]) -> Table:
    rows = []
    for each in columns:
        about = each["name"], each["role"]
        for split, own in each["splits"].items():
            sizes = (f"{own[name]:.4g}" for name in ("least", "mean", "most"))
            rows.append((*about, split, *sizes, percent(own["missing"])))
            about = "", ""
    header = ("column", "what it is", "split", "least", "mean", "most", "missing")
    return Table("Numbers, as windows have them", header, rows, header[3:])


def _pairs(splits: Mapping[str, Any]) -> Table:
    header = ("split", "pairs", "source symbols", "mean", "target symbols", "mean ")
    rows = [
        (
            split,
            number(each["pairs"]) + " drawn" * each["drawn"],
            *(
                text
                for side in SIDES
                for text in (
                    f"{each[side]['shortest']} to {each[side]['longest']}",
                    f"{each[side]['mean']:.1f}",
                )
            ),
        )
        for split, each in splits.items()
    ]
    return Table("Pairs", header, rows, header[1:])


def _lengths(splits: Mapping[str, Any], side: str) -> Histogram:
    bars = {split: each[side]["histogram"] for split, each in splits.items()}
    spans = max(bars.values(), key=len)
    first = min(
        place
        for each in bars.values()
        for place, (_, _, count) in enumerate(each)
        if count
    )
    labels = [str(a) if a == b else f"{a}-{b}" for a, b, _ in spans[first:]]
    counts = {
        split: [count for _, _, count in each[first:]]
        + [0] * (len(spans) - max(len(each), first))
        for split, each in bars.items()
    }
    shares = {
        split: [count / splits[split]["pairs"] for count in each]
        for split, each in counts.items()
    }
    return Histogram(f"Symbols of the {side}", labels, shares, counts)


def _longest(splits: Mapping[str, Any]) -> Table:
    rows = [
        (
            *(split, side, number(row["symbols"][SIDES.index(side)]), row["where"]),
            cut(row[side], TEXT),
        )
        for split, each in splits.items()
        for side in SIDES
        for row in each[side]["longest_rows"][:1]
    ]
    header = ("split", "side", "symbols", "where", "text")
    return Table("The longest", header, rows, ("symbols",))


def _vocabulary(vocabulary: Mapping[str, Any]) -> Table:
    held_out = [split for split in vocabulary["source"]["coverage"] if split != "train"]
    header = (
        *("side", "symbols", "stand once"),
        *(f"unknown in {split}" for split in held_out),
        "rarest",
    )
    rows = [
        (
            side,
            f"{each['symbols']:,} {_PLURALS.get(each['kind'], 'symbols')}"
            + f", {each['features']:,} features" * bool(each["features"]),
            number(each["once"]),
            *(_unknown(each["coverage"][split]) for split in held_out),
            " ".join(f"{symbol!r}" for symbol, _ in each["rarest"][:5])
            if each["kind"] == "char"
            else ", ".join(symbol for symbol, _ in each["rarest"][:5]),
        )
        for side, each in vocabulary.items()
    ]
    return Table("Vocabulary, of the training part", header, rows, header[1:-1])


_PLURALS = {
    "integer": "integers",
    "char": "characters",
    "word": "words",
    "subword": "subwords",
}


def _unknown(coverage: Mapping[str, int]) -> str:
    return percent(coverage["unknown"] / max(coverage["symbols"], 1))


def _found(found: list[dict[str, Any]], splits: Mapping[str, Any]) -> Table:
    header = ("pairs of which", *splits, "for example")
    rows = []
    for each in found:
        split, one = next(iter(each["splits"].items()))
        shown = one["examples"][0]
        text = cut(f"{shown['source']} | {shown['target']}", TEXT)
        rows.append(
            (
                each["what"],
                *(_count(each["splits"].get(s), splits[s]["pairs"]) for s in splits),
                f"{split}, {shown['where']}: {text}",
            )
        )
    return Table("What stands out", header, rows, tuple(splits))


def _count(found: Mapping[str, Any] | None, pairs: int) -> str:
    if found is None:
        return "0"
    return f"{found['pairs']:,} ({share(found['pairs'] / pairs)})"


def share(part: float) -> str:
    """A share of 1 with one decimal; only nothing is nothing.

    >>> share(0.0001), share(0.25)
    ('<0.1%', '25.0%')
    """
    return "<0.1%" if 0 < part < 0.0005 else f"{part:.1%}"


def _unreachable(unreachable: Mapping[str, Any]) -> Table:
    header = ("split", "references", "of the split", "length_extra", "or length_ratio")
    rows = [
        (
            split,
            number(each["pairs"]),
            percent(each["share"]),
            number(each["length_extra"]),
            number(each["length_ratio"]),
        )
        for split, each in unreachable.items()
    ]
    title = "References longer than an output may be, and decode.* that would do"
    return Table(title, header, rows, header[1:])


def _buckets(buckets: list[dict[str, Any]]) -> Table:
    header = ("bucket", "examples", "source width", "target width", "padding")
    rows = [
        (
            number(place),
            "endless" if each["examples"] is None else number(each["examples"]),
            number(each["source_width"]),
            number(each["target_width"]),
            percent(each["padding"]),
        )
        for place, each in enumerate(buckets, 1)
    ]
    return Table("Batches of training, EOS counted", header, rows, header)


def _cost(cost: Mapping[str, Any]) -> Table:
    step, steps = cost["step_seconds"], cost["steps"]
    gigaflops = cost["flops_per_second"] / 1e9
    rows = [
        ("parameters", number(cost["parameters"]), ""),
        ("memory", _bytes(cost["memory_bytes"]), "while it trains, and what XLA adds"),
        (
            "a step",
            f"{1000 * step:.3g} ms or more",
            f"of the widest batch, by its products at {gigaflops:.3g} GFLOP/s here",
        ),
        (
            f"{steps:,} steps",
            f"{duration(step * steps)} or more",
            "without evaluations",
        ),
    ]
    return Table("What it costs", ("what", "about", ""), rows, ("about",))


def _bytes(count: int) -> str:
    return f"{count / 2**20:,.3g} MiB" if count < 2**30 else f"{count / 2**30:,.3g} GiB"
