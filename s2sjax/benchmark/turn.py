"""One batch size: every strategy compiled, then timed in turn."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from s2sjax.benchmark import peers
from s2sjax.benchmark.compilations import counted
from s2sjax.benchmark.contender import Contender, Ours
from s2sjax.benchmark.examples import Chunk, evenly
from s2sjax.benchmark.judging import Judged
from s2sjax.benchmark.memory import Peak, device_peak_mib
from s2sjax.benchmark.outputs import Outputs
from s2sjax.benchmark.plan import Plan, chunks_of
from s2sjax.benchmark.row import Row
from s2sjax.benchmark.timing import Entry, Say, Speed, rounds, speed
from s2sjax.benchmark.torch_search import TorchContender
from s2sjax.training.trained import Trained

MOST_BATCHES = 64  # in a round of timing


class Turn(NamedTuple):
    """A strategy ready to be timed, with its counterparts in PyTorch."""

    judged: Judged
    ours: Ours
    chunks: list[Chunk]
    peers: list[TorchContender]
    tokens: int  # in the best outputs of a round
    same_outputs: float
    resident_mib: float


def time_all(
    runs: Mapping[str, Trained],
    judged: Sequence[Judged],
    batch_size: int,
    plan: Plan,
    say: Say,
) -> tuple[list[Row], list[str]]:
    """Times all strategies of all runs at one batch size: rows, and notes on them."""
    timed = {
        name: evenly(chunks_of(trained, plan, batch_size), MOST_BATCHES)
        for name, trained in runs.items()
    }
    threads = peers.thread_counts() if plan.peers else ()
    largest = batch_size == max(plan.batch_sizes)
    turns = []
    for each in judged:
        chunks = timed[each.run]
        if largest:
            ours = each.ours
        else:
            say(f"{each.run}: {each.strategy}, batch {batch_size}: compiling")
            ours = Ours(each.system, chunks)
        turns.append(_prepare(each, ours, chunks, threads))
    entries: list[Entry] = []
    for turn in turns:
        contenders: list[Contender] = [turn.ours, *turn.peers]
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
        others = [
            speed(next(seconds), sequences, turn.tokens).sequences_per_second
            for _ in turn.peers
        ]
        rows.append(_row(turn, batch_size, own, others))
    return rows, notes


def _prepare(
    judged: Judged, ours: Ours, chunks: list[Chunk], threads: Sequence[int]
) -> Turn:
    """Decodes once what will be timed."""
    peak = Peak()
    with peak.watched():
        found = [ours.decode(chunk) for chunk in chunks]
    theirs = (
        peers.contenders(judged.system, judged.strategy, chunks, threads)
        if threads
        else []
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


def _row(turn: Turn, batch_size: int, own: Speed, others: Sequence[float]) -> Row:
    judged = turn.judged
    row = Row(
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
        **judged.quality._asdict(),
        **own._asdict(),
    )
    if not others:
        return row
    place = int(np.argmax(others))
    fastest = turn.peers[place]
    tokens = [fastest.decode(chunk) for chunk in turn.chunks]
    return dataclasses.replace(
        row,
        torch_sequences_per_second=others[place],
        torch_threads=fastest.threads,
        torch_same_outputs=_share_same(judged.outputs, turn.chunks, tokens),
        torch_ratio=own.sequences_per_second / others[place],
    )
