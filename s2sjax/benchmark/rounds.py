"""One batch size: every strategy compiled, then timed in turn."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from s2sjax.benchmark.examples import Chunk, evenly
from s2sjax.benchmark.outputs import Outputs
from s2sjax.benchmark.peers import table
from s2sjax.benchmark.peers.run import TorchContender, Way
from s2sjax.benchmark.plan import Plan, chunks_of
from s2sjax.benchmark.quality import Judged
from s2sjax.benchmark.result import Row
from s2sjax.benchmark.timing import (
    Entry,
    Ours,
    Peak,
    Say,
    Speed,
    counted,
    device_peak_mib,
    rounds,
    speed,
    together,
)
from s2sjax.inference.load import Trained

MOST_BATCHES = 64  # in a round of timing
MOST_ALONE = 16  # batches of a round that are timed one at a time


class Turn(NamedTuple):
    """A strategy ready to be timed, with its counterparts in PyTorch."""

    judged: Judged
    ours: Ours
    chunks: list[Chunk]
    peers: dict[str, list[TorchContender]]  # by name, in all ways tried
    tokens: int  # in the best outputs of a round
    same_outputs: float
    resident_mib: float


def time_all(
    runs: Mapping[str, Trained],
    judged: Sequence[Judged],
    batch_size: int,
    plan: Plan,
    ways: Sequence[Way],
    say: Say,
) -> tuple[list[Row], list[str]]:
    """Times all strategies of all runs at one batch size: rows, and notes on them.

    `ways` are those in which PyTorch is tried; none: without it.
    """
    timed = {
        name: evenly(chunks_of(trained, plan, batch_size), MOST_BATCHES)
        for name, trained in runs.items()
    }
    largest = batch_size == max(plan.batch_sizes)
    turns = []
    for each in judged:
        chunks = timed[each.run]
        if largest:
            ours = each.ours
        else:
            say(f"{each.run}: {each.strategy}, batch {batch_size}: compiling")
            ours = Ours(each.system, chunks)
        turns.append(_prepare(each, ours, chunks, ways))
    entries: list[Entry] = []
    for turn in turns:
        entries.append(Entry(turn.ours, turn.chunks, evenly(turn.chunks, MOST_ALONE)))
        for contenders in turn.peers.values():
            entries += [Entry(contender, turn.chunks) for contender in contenders]
    say(f"batch {batch_size}: timing {plan.repeats} rounds")
    with counted() as compilations:
        seconds = iter(rounds(entries, plan.repeats))
    notes = [
        f"PyTorch: no counterpart of {turn.judged.strategy}"
        for turn in turns
        if plan.peers and not turn.peers
    ]
    if compilations.count:
        notes.append(
            f"batch {batch_size}: {compilations.count} compilations while timed"
        )
    rows = []
    for turn in turns:
        sequences = batch_size * len(turn.chunks)
        own = speed(next(seconds), sequences, turn.tokens)
        row = _row(turn, batch_size, own)
        for name, contenders in turn.peers.items():
            speeds = [sequences / np.median(next(seconds).rounds) for _ in contenders]
            place = int(np.argmax(speeds))
            row = _compared(row, turn, name, contenders[place], float(speeds[place]))
            told = [
                f"{peer.way.threads} x {peer.way.at_once} {its:,.0f}"
                for peer, its in zip(contenders, speeds, strict=True)
            ]
            what = f"{turn.judged.run}, {turn.judged.strategy}, batch {batch_size}"
            notes.append(f"{what}: {name} a second: {', '.join(told)}")
        rows.append(row)
    return rows, notes


def _prepare(
    judged: Judged, ours: Ours, chunks: list[Chunk], ways: Sequence[Way]
) -> Turn:
    """Decodes once what will be timed."""
    peak = Peak()
    with peak.watched():
        found = together(ours, chunks)
    theirs = (
        table.contenders(judged.system, judged.strategy, chunks, ways) if ways else {}
    )
    return Turn(
        judged,
        ours,
        chunks,
        theirs,
        sum(int(each.lengths[:, 0].sum()) for each in found),
        _share_same(
            judged.outputs, chunks, [np.asarray(each.tokens[:, 0]) for each in found]
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


def _row(turn: Turn, batch_size: int, own: Speed) -> Row:
    judged = turn.judged
    return Row(
        run=judged.run,
        strategy=judged.strategy,
        batch_size=batch_size,
        examples=len(judged.outputs.tokens),
        bleu=judged.texts.get("bleu"),
        chrf=judged.texts.get("chrf"),
        target_logprob=judged.target_logprob,
        search_errors=judged.errors.share,
        search_reference=judged.errors.reference,
        proved=judged.errors.proved,
        timed_batches=len(turn.chunks),
        compile_seconds=turn.ours.compile_seconds,
        programs=len(turn.ours.programs),
        compilations=turn.ours.compilations,
        resident_mib=turn.resident_mib,
        temporary_mib=turn.ours.temporary_mib,
        device_mib=device_peak_mib(),
        same_outputs=turn.same_outputs,
        batches_at_once=turn.ours.at_once,
        **judged.quality._asdict(),
        **own._asdict(),
    )


def _compared(
    row: Row, turn: Turn, name: str, fastest: TorchContender, its_speed: float
) -> Row:
    """The row with the numbers of a peer."""
    tokens = together(fastest, turn.chunks)
    numbers: dict[str, Any] = {
        "sequences_per_second": its_speed,
        "threads": fastest.way.threads,
        "at_once": fastest.at_once,
        "same_outputs": _share_same(turn.judged.outputs, turn.chunks, tokens),
        "ratio": row.sequences_per_second / its_speed,
    }
    named = {f"{name}_{key}": value for key, value in numbers.items()}
    return dataclasses.replace(row, **named)
