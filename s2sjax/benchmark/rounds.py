"""One batch size: every strategy compiled, then timed in turn."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from s2sjax.benchmark.examples import Chunk, evenly
from s2sjax.benchmark.outputs import Outputs
from s2sjax.benchmark.peers import table
from s2sjax.benchmark.peers.run import TorchImplementation, Way
from s2sjax.benchmark.plan import Plan, chunks_of
from s2sjax.benchmark.quality import Evaluated
from s2sjax.benchmark.result import Result
from s2sjax.benchmark.timing import (
    Entry,
    Ours,
    Peak,
    Say,
    Speed,
    counted,
    decode_all,
    device_peak_mib,
    rounds,
    speed,
)
from s2sjax.inference.load import Trained

MOST_BATCHES = 64  # in a round of timing
MOST_ALONE = 16  # batches of a round that are timed one at a time


class Prepared(NamedTuple):
    """A strategy ready to be timed, with its counterparts in PyTorch."""

    evaluated: Evaluated
    ours: Ours
    chunks: list[Chunk]
    peers: dict[str, list[TorchImplementation]]  # by name, in all ways tried
    tokens: int  # in the best outputs of a round
    same_outputs: float
    resident_mib: float


def time_all(
    runs: Mapping[str, Trained],
    evaluated: Sequence[Evaluated],
    batch_size: int,
    plan: Plan,
    ways: Sequence[Way],
    say: Say,
) -> tuple[list[Result], list[str]]:
    """Times all strategies of all runs at one batch size: rows, and notes on them.

    `ways` are those in which PyTorch is tried; none: without it.
    """
    timed = {
        name: evenly(chunks_of(trained, plan, batch_size), MOST_BATCHES)
        for name, trained in runs.items()
    }
    largest = batch_size == max(plan.batch_sizes)
    every = []
    for each in evaluated:
        chunks = timed[each.run]
        if largest:
            ours = each.ours
        else:
            say(f"{each.run}: {each.strategy}, batch {batch_size}: compiling")
            ours = Ours(each.system, chunks)
        every.append(_prepare(each, ours, chunks, ways))
    entries: list[Entry] = []
    for one in every:
        entries.append(Entry(one.ours, one.chunks, evenly(one.chunks, MOST_ALONE)))
        for implementations in one.peers.values():
            entries += [
                Entry(implementation, one.chunks) for implementation in implementations
            ]
    say(f"batch {batch_size}: timing {plan.repeats} rounds")
    with counted() as compilations:
        seconds = iter(rounds(entries, plan.repeats))
    notes = [
        f"PyTorch: no counterpart of {one.evaluated.strategy}"
        for one in every
        if plan.peers and not one.peers
    ]
    if compilations.count:
        notes.append(
            f"batch {batch_size}: {compilations.count} compilations while timed"
        )
    rows = []
    for one in every:
        sequences = batch_size * len(one.chunks)
        own = speed(next(seconds), sequences, one.tokens)
        row = _row(one, batch_size, own)
        for name, implementations in one.peers.items():
            speeds = [
                sequences / np.median(next(seconds).rounds) for _ in implementations
            ]
            place = int(np.argmax(speeds))
            row = _compared(
                row, one, name, implementations[place], float(speeds[place])
            )
            times = [
                f"{peer.way.threads} x {peer.way.at_once} {rate:,.0f}"
                for peer, rate in zip(implementations, speeds, strict=True)
            ]
            what = f"{one.evaluated.run}, {one.evaluated.strategy}, batch {batch_size}"
            notes.append(f"{what}: {name} a second: {', '.join(times)}")
        rows.append(row)
    return rows, notes


def _prepare(
    evaluated: Evaluated, ours: Ours, chunks: list[Chunk], ways: Sequence[Way]
) -> Prepared:
    """Decodes once what will be timed."""
    peak = Peak()
    with peak.watched():
        outputs = decode_all(ours, chunks)
    theirs = (
        table.implementations(evaluated.system, evaluated.strategy, chunks, ways)
        if ways
        else {}
    )
    return Prepared(
        evaluated,
        ours,
        chunks,
        theirs,
        sum(int(each.lengths[:, 0].sum()) for each in outputs),
        _share_same(
            evaluated.outputs,
            chunks,
            [np.asarray(each.tokens[:, 0]) for each in outputs],
        ),
        peak.resident_mib,
    )


def _share_same(
    known: Outputs, timed: Sequence[Chunk], tokens: Sequence[np.ndarray]
) -> float:
    """The share of outputs, the best of each row, that are as known."""
    same = [
        known.same(int(place), row)
        for chunk, rows in zip(timed, tokens, strict=True)
        for place, row in zip(chunk.places, rows, strict=True)
    ]
    return float(np.mean(same))


def _row(one: Prepared, batch_size: int, own: Speed) -> Result:
    return Result(
        run=one.evaluated.run,
        strategy=one.evaluated.strategy,
        batch_size=batch_size,
        timed_batches=len(one.chunks),
        compile_seconds=one.ours.compile_seconds,
        programs=len(one.ours.programs),
        compilations=one.ours.compilations,
        resident_mib=one.resident_mib,
        temporary_mib=one.ours.temporary_mib,
        device_mib=device_peak_mib(),
        same_outputs=one.same_outputs,
        batches_at_once=one.ours.at_once,
        **one.evaluated.numbers,
        **own._asdict(),
    )


def _compared(
    row: Result,
    one: Prepared,
    name: str,
    fastest: TorchImplementation,
    speed_of_peer: float,
) -> Result:
    """The row with the numbers of a peer."""
    tokens = decode_all(fastest, one.chunks)
    numbers: dict[str, Any] = {
        "sequences_per_second": speed_of_peer,
        "threads": fastest.way.threads,
        "at_once": fastest.at_once,
        "same_outputs": _share_same(one.evaluated.outputs, one.chunks, tokens),
        "ratio": row.sequences_per_second / speed_of_peer,
    }
    named = {f"{name}_{key}": value for key, value in numbers.items()}
    return dataclasses.replace(row, **named)
