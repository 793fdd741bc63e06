"""`s2sjax eval`: what a trained model gets right, free-running and forced."""

import json
from typing import TYPE_CHECKING, Any

from s2sjax.cli import members, printing, start
from s2sjax.cli.command import Command, Flag
from s2sjax.cli.flags import Parsed
from s2sjax.errors import UsageError, unknown
from s2sjax.schema import STRATEGY

if TYPE_CHECKING:
    from s2sjax.training.trained import Trained

COMMAND = Command(
    "eval",
    "Evaluates a run, free-running and teacher-forced.\n"
    "exact, token_accuracy and edit_distance are free-running; nll and\n"
    "forced_token_accuracy are teacher-forced.",
    flags=(
        *members.FLAGS,
        Flag("examples", "how many; unset: the whole split", type=int, least=1),
        Flag("split", "train, valid or test", "test", value="NAME"),
        Flag("decode", STRATEGY, value="SPEC"),
        Flag("checkpoint", "best, last or a step", "best", value="best|last|N"),
        Flag("seed", "of generated test data", type=int, least=0),
        Flag("confusion", "a symbol-by-symbol table too", False, type=bool),
        Flag("json", "one JSON object", False, type=bool),
    ),
    memory="size or n of the decoding strategy, or decode.batch_size",
    examples=("s2sjax eval --workdir=runs/reversed_prefix --examples=1000 --json",),
)


def main(parsed: Parsed) -> int:
    """Runs the command; returns the exit code."""
    values = parsed.values
    if values.seed is not None and values.split == "train":
        raise UsageError(f"--seed={values.seed} is for valid or test, not for train")
    paths = members.paths(values)
    start.reading(paths[0])

    from s2sjax.reporting import tables
    from s2sjax.reporting.screen import Screen
    from s2sjax.training.journal import plain

    trained = members.open_all(values, paths, values.seed)
    result = evaluate(
        trained, values.split, values.examples, confusion=values.confusion
    )
    if values.json:
        printing.line(json.dumps(plain(result)))
    else:
        titled = ("split", "step", "decode", "seed")
        tables.show_evaluation(
            {name: value for name, value in result.items() if name not in titled},
            Screen(),
            f"{', '.join(paths)}: {result['split']}, step {result['step']}, "
            f"{result['decode']}",
        )
    return 0


def evaluate(
    trained: "Trained",
    split: str = "test",
    examples: int | None = None,
    *,
    confusion: bool = False,
) -> dict[str, Any]:
    """Everything that `s2sjax eval --json` prints; holds no times and no paths."""
    from s2sjax.reporting.progress_line import ProgressLine
    from s2sjax.training.evaluate import enough, long_ones, outcomes
    from s2sjax.training.evaluation import evaluation

    task = trained.task
    if split == "train" and split not in task.buckets:
        raise UsageError("--split=train: a run keeps its valid and test pairs alone")
    if split not in task.buckets:
        raise unknown("split", split, task.buckets)
    buckets = enough(task.buckets[split], examples)
    long = long_ones(trained.system, buckets)
    if long:
        start.warn([f"{split}: {long}"])
    with ProgressLine(f"evaluation on {split}") as passed:
        results, sources = outcomes(trained.system, buckets, examples, passed)
        passed.then(f"counting what {len(sources):,} outputs are worth")
    if examples is not None and len(sources) < examples:
        start.warn([f"--examples={examples}: {split} has {len(sources)}"])
    return evaluation(
        task, trained.config, trained.step, split, results, sources, confusion=confusion
    )
