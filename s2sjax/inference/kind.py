"""What evaluation makes of outputs: of symbols, or of numbers."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple


class Kind(NamedTuple):
    """The functions of one kind of output. Results are its own: `Outcomes` of symbols,
    `Forecasts` of numbers; sources are rows of what was read, without padding."""

    rows_at_once: Callable[..., int]
    """`(system, bucket)`: the rows of a batch."""
    columns: Callable[..., tuple[Any, ...]]
    """`(system, batch, each, oracle_length=)`: what becomes of a batch, [B, ...]."""
    of_columns: Callable[..., Any]
    """`(columns, bucket, chunk)`: results."""
    concatenate: Callable[[Any], Any]
    rows_of: Callable[[Any, int], list[Any]]
    """`(batch, count)`: sources."""
    spread: Callable[..., Sequence[Any]]
    """`(task, count, results, sources)`: some predictions, in words for a person."""
    measured: Callable[..., dict[str, Any]]
    """`(task, results, sources, metric, ...)`: how good outputs are."""
    evaluation: Callable[..., dict[str, Any]]
    """`(task, config, step, split, results, sources, ...)`: the numbers of `eval`."""
    predictions: Callable[..., list[dict[str, Any]]]
    """`(task, results, sources, wrong=)`: each output beside what was right."""
    remarks: Callable[[Any], list[str]]
    """`(numbers of an evaluation)`: lines about what a person should know of it."""


def alone(function: Callable[..., Any], *arguments: Any) -> Any:
    """A function of one run; see `Kind.columns`."""
    return function(*arguments)


class Sample(NamedTuple):
    """One prediction, in words for a person."""

    source: str
    output: str
    target: str

    @property
    def right(self) -> bool:
        """Whether the output is the target."""
        return self.output == self.target
