"""Comparing two trained runs, or what they predicted, on the same examples."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from s2sjax.commands.run import Run, load, notice
from s2sjax.errors import UsageError
from s2sjax.inference import comparison
from s2sjax.inference.batches import Watch, nobody
from s2sjax.inference.comparison import Comparison, Prediction
from s2sjax.inference.load import Which
from s2sjax.reporting.comparison import draw_comparison

System = Run | str | os.PathLike[str]
"""A run, its directory, or a file of predictions, FILE.jsonl."""


def compare(
    a: System,
    b: System,
    split: str = "test",
    *,
    examples: int | None = None,
    strategy: str | None = None,
    checkpoint: Which = "best",
    out: str | os.PathLike[str] | None = None,
    no_user_code: bool = False,
    say: Callable[[str], None] = notice,
    watch: Watch = nobody,
) -> Comparison:
    """Compares two systems: which is better, whether by chance, and where.

    Args:
      a: a run, its directory, or a file that `eval --predictions=FILE.jsonl` wrote.
      b: the other.
      split: train, valid or test; of runs, as the following.
      examples: how many; None: all of the split.
      strategy: that both decode by; None: each by that of its config.
      checkpoint: "best", "last" or a step.
      out: a file for a picture of accuracy by length, .png, .pdf or .svg.
      no_user_code: refuse a run whose model or training is a Python file.
      say: takes one line for a person.
      watch: tells a person how far something is.

    Raises:
      UsageError: what is neither a run nor such a file, or two that are not of the
        same examples.
    """
    asked: dict[str, Any] = {"split": split, "examples": examples}
    asked |= {"strategy": strategy}

    def predicted(name: str, system: System) -> list[Prediction]:
        if not isinstance(system, Run):
            if Path(system).is_file():
                _refuse_of_a_file(name, system, asked | {"checkpoint": checkpoint})
                return comparison.read(Path(system))
            try:
                system = load(
                    system, checkpoint, no_user_code=no_user_code, say=say, watch=watch
                )
            except UsageError as error:
                raise UsageError(
                    *(line.replace("path=", f"{name}=", 1) for line in error.args)
                ) from None
        found: list[Prediction] = system.evaluate(**asked, predictions=True)[
            "predictions"
        ]
        return found

    names = tuple(
        str(system.path if isinstance(system, Run) else system) for system in (a, b)
    )
    first, second = predicted("a", a), predicted("b", b)
    found = comparison.compare((names[0], names[1]), first, second)
    if out is not None:
        draw_comparison(found, out)
    return found


_UNASKED = {"split": "test", "examples": None, "strategy": None, "checkpoint": "best"}


def _refuse_of_a_file(name: str, system: Any, asked: dict[str, Any]) -> None:
    for field, value in asked.items():
        if value != _UNASKED[field]:
            raise UsageError(
                f"{field}={value} is for runs, and {name}={system} is a file, whose "
                f"predictions are made"
            )
