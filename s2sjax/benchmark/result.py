"""A line of the benchmark's table: one run, one strategy, one batch size."""

import csv
import dataclasses
import io
from collections.abc import Sequence


@dataclasses.dataclass(frozen=True)
class Result:
    """Measured quality, speed and memory; None where there is no such number.

    Quality is of all examples, speed of the batches that were timed. See
    `quality.Quality`, `search_errors` and `timing` for what the numbers count.
    """

    run: str
    strategy: str
    batch_size: int
    examples: int
    exact: float  # share of outputs all right
    token_accuracy: float
    edit_distance: float  # edits per reference token
    bleu: float | None  # of text
    chrf: float | None
    logprob: float  # mean log p(output) in nats
    target_logprob: float  # mean log p(reference)
    search_errors: float | None  # share of inputs for which better is known
    search_reference: str  # better than what
    proved: float | None  # share of inputs whose best is known for certain
    length_ratio: float  # mean of output over reference, EOS counted
    calibration_error: float  # expected, over sequences, 15 bins
    truncated: float  # share of outputs cut at their limit
    sequences_per_second: float  # of the median round
    tokens_per_second: float
    latency_median_ms: float  # of a batch alone
    latency_p90_ms: float
    timed_batches: int  # in a round
    compile_seconds: float  # of all programs; not in the other times
    programs: int  # one for each shape of batch
    compilations: int  # that were asked of the compiler for them
    resident_mib: float  # the process's peak while this decoded
    temporary_mib: float | None  # the largest program's, as compiled
    device_mib: float | None  # an accelerator's peak so far
    same_outputs: float  # share of timed outputs equal to those of the largest batch
    batches_at_once: int  # decoded at the same time, but for the latency
    # PyTorch, the fastest of its ways: the beam that is vectorised, and the plain one.
    torch_sequences_per_second: float | None = None
    torch_threads: int | None = None  # of an operation
    torch_at_once: int | None = None  # batches
    torch_same_outputs: float | None = None  # share equal to ours
    torch_ratio: float | None = None  # our sequences per second over PyTorch's
    torch_loop_sequences_per_second: float | None = None
    torch_loop_threads: int | None = None
    torch_loop_at_once: int | None = None
    torch_loop_same_outputs: float | None = None
    torch_loop_ratio: float | None = None


COLUMNS = tuple(field.name for field in dataclasses.fields(Result))


def as_csv(rows: Sequence[Result]) -> str:
    """The rows under a header; what is None is empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(dataclasses.asdict(row) for row in rows)
    return text.getvalue()
