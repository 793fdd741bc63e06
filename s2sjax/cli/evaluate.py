"""`s2sjax eval`: what a trained model gets right, free-running and forced."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from s2sjax.cli import printing, runs, start
from s2sjax.cli.command import Command, Flag
from s2sjax.cli.flags import Parsed
from s2sjax.errors import UsageError, writing
from s2sjax.schema import STRATEGY

COMMAND = Command(
    "eval",
    "Evaluates a run, free-running and teacher-forced.\n"
    "exact, token_accuracy and edit_distance are free-running; nll and\n"
    "forced_token_accuracy are teacher-forced.",
    flags=(
        *runs.FLAGS,
        runs.SPLIT,
        Flag(
            "examples",
            "how many, the same ones every time; unset: the whole split, and of train "
            "2,000",
            type=int,
            least=1,
            argument="examples",
        ),
        Flag("strategy", STRATEGY, value="SPEC", argument="strategy"),
        runs.CHECKPOINT,
        Flag("seed", "of generated test data", type=int, least=0),
        Flag(
            "predictions",
            "saves each output beside its references, the worst first, a line of JSON "
            "each; `s2sjax compare` reads two such files",
            value="FILE.jsonl",
        ),
        Flag("wrong", "save only the predictions that are wrong", False, type=bool),
        Flag(
            "oracle_length",
            "each output is told the length of its reference, and ends there",
            False,
            type=bool,
            argument="oracle_length",
        ),
        Flag(
            "picture",
            "draws which symbol comes for which, and how often outputs are right by "
            "how sure the model was; of numbers forecasts as fans, and beside it, as "
            "FILE_calibration, what came below each quantile",
            value="FILE.png|.pdf|.svg",
        ),
        Flag("confusion", "a symbol-by-symbol table too", False, type=bool),
        Flag(
            "ter",
            "of texts the translation edit rate too, which takes long",
            False,
            type=bool,
        ),
        Flag("all", "every number and every table on the screen", False, type=bool),
        Flag("json", "one JSON object", False, type=bool),
    ),
    memory="size or n of the decoding strategy, or decode.batch_size",
    examples=(
        "s2sjax eval --workdir=runs/reversed_prefix --examples=1000 --json",
        "s2sjax eval --workdir=runs/reversed --predictions=wrong.jsonl --wrong",
    ),
)


def main(parsed: Parsed) -> int:
    """Runs the command; returns the exit code."""
    values = parsed.values
    if values.wrong and values.predictions is None:
        raise UsageError("--wrong needs --predictions=FILE.jsonl, where they are saved")
    start.check_output("predictions", values.predictions, (".jsonl",))
    start.check_output("picture", values.picture, start.PICTURES)
    paths = runs.paths(values)
    config = start.reading(paths[0])
    if config.task.of_numbers:
        _check_numbers(values)
    split = runs.split(values)
    if values.seed is not None and split == "train":
        raise UsageError(f"--seed={values.seed} is for valid or test, not for train")

    from s2sjax.reporting import table
    from s2sjax.reporting.screen import Screen

    run = runs.open_all(parsed, paths, values.seed)
    result = run.evaluate(
        split,
        examples=values.examples,
        oracle_length=values.oracle_length,
        confusion=not config.task.of_numbers
        and (values.confusion or values.picture is not None),
        ter=values.ter,
        predictions=values.predictions is not None
        or (config.task.of_numbers and values.picture is not None),
    )
    if values.picture is not None and config.task.of_numbers:
        from s2sjax.reporting.forecasts import draw_predictions

        drawn = draw_predictions(result["predictions"], Path(values.picture))
        printing.warn([f"picture: {path}" for path in drawn])
    elif values.picture is not None:
        from s2sjax.reporting.answers import draw

        draw(result, values.picture)
        printing.warn([f"picture: {values.picture}"])
        if not values.confusion:
            del result["confusion"]
    rows = result.pop("predictions", ())
    if values.predictions is not None:
        _save_predictions(values.predictions, rows, wrong=values.wrong)
    if values.json:
        printing.line(json.dumps(result))
    else:
        titled = ("split", "step", "decode", "seed", "oracle_length")
        table.show_evaluation(
            {name: value for name, value in result.items() if name not in titled},
            Screen(),
            f"{', '.join(paths)}: {result['split']}, step {result['step']}, "
            f"{result['decode']}{', oracle length' * values.oracle_length}",
            chosen=run.config.train.metric,
            whole=values.all,
        )
    return 0


def _check_numbers(values: Any) -> None:
    """Refuses what is asked of symbols."""
    for name in ("wrong", "oracle_length", "confusion", "ter"):
        if getattr(values, name):
            raise UsageError(f"--{name} is of symbols; this run forecasts numbers")


def _save_predictions(
    name: str, rows: Sequence[dict[str, Any]], *, wrong: bool
) -> None:
    from s2sjax.inference.summary import write_predictions, wrong_ones

    rows = wrong_ones(rows) if wrong else rows
    with writing(f"--predictions={name}"):
        write_predictions(Path(name), rows)
    printing.warn([f"predictions: {len(rows):,} in {name}"])
