"""`s2sjax decode`: decodes a person's own inputs with trained models."""

import io
import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from s2sjax.cli import forecast, printing, runs, start
from s2sjax.cli.command import Command, Flag
from s2sjax.cli.flags import Parsed
from s2sjax.errors import UsageError, writing
from s2sjax.schema import STRATEGY

if TYPE_CHECKING:
    from s2sjax.commands.run import Decoded, Run
    from s2sjax.tasks import Task

IN_JSON = "-"  # what `--attention` says for weights in the lines of `--json`
COMMAND = Command(
    "decode",
    "Decodes inputs of yours with a trained model, or several together.\n"
    "For a task of integers all SYMBOLS are one sequence; for text each is one.\n"
    "FILE is a JSON list of sequences, or has one sequence a line, or one JSON object\n"
    'a line: {"input": .., "features": .., "prefix": .., "required": [..], "banned": '
    "[..]};\nit may be compressed (gzip, bzip2, xz), and - is standard input.\n"
    "Of a run that forecasts numbers it is a file of series, which it continues.",
    flags=(
        *runs.FLAGS,
        Flag("strategy", STRATEGY, value="SPEC", argument="strategy"),
        Flag("features", "tags beside SYMBOLS, ; or blanks between", value="V;PST"),
        Flag("from_file", "inputs, instead of SYMBOLS", value="FILE"),
        Flag(
            "stream",
            "answers each line of standard input as it comes: an input a line; of an "
            "aligned model the next of a sequence, which an empty line ends",
            False,
            type=bool,
        ),
        Flag(
            "split",
            "inputs of the run's train, valid or test, instead of SYMBOLS",
            value="NAME",
            argument="split",
        ),
        Flag(
            "examples",
            "of the split, the same ones every time; unset: all",
            type=int,
            least=1,
            argument="examples",
        ),
        runs.CHECKPOINT,
        Flag(
            "attention",
            "draws where the model looked; -: lists of its weights, in the lines of "
            "--json",
            value="FILE.png|.pdf|.svg|-",
            argument="attention",
        ),
        Flag(
            "out",
            "numbers: a file of forecasts, with their quantiles; unset: they are "
            "printed",
            value="FILE.csv",
        ),
        Flag(
            "horizon",
            "numbers of --from_file: steps that are forecast; unset: as in training",
            type=int,
            least=1,
            argument="horizon",
        ),
        Flag("panels", "inputs that it draws, at most", 6, type=int, least=1, most=99),
        Flag(
            "states",
            "saves the encoder's states and memory, the code of a bottleneck, and the "
            "decoder's states and attention at each token of the best output",
            value="FILE.npz",
        ),
        Flag(
            "json",
            "one JSON object a line, with the log-probability of each token",
            False,
            type=bool,
        ),
    ),
    positional="SYMBOLS",
    memory="size or n of the decoding strategy, or decode.batch_size",
    examples=(
        "s2sjax decode --workdir=runs/reversed 0 1 2 3 4 5 6 7 8 9",
        "s2sjax decode --workdir=runs/codes --split=valid --states=codes.npz",
        "s2sjax decode --workdir=runs/sales --from_file=sales.csv --out=ahead.csv",
        's2sjax decode --workdir=runs/fra_eng --strategy=beam:size=5,n=3 "Be nice."',
    ),
)


def main(parsed: Parsed) -> int:
    """Runs the command; returns the exit code."""
    values = parsed.values
    if values.stream:
        return _stream(parsed)
    given = [bool(each) for each in (parsed.positional, values.from_file, values.split)]
    if sum(given) != 1:
        came = "neither" if not any(given) else "both" if sum(given) == 2 else "all"
        raise UsageError(f"give SYMBOLS, --from_file=FILE or --split=NAME; {came} came")
    paths = runs.paths(values)
    config = start.reading(paths[0])
    start.check_output("out", values.out, (".csv",))
    if config.task.of_numbers:
        forecast.check(values, parsed.positional)
        split = runs.split(values) if values.split else ""
        return forecast.main(runs.open_all(parsed, paths), values, split)
    for name in ("out", "horizon"):
        if getattr(values, name) is not None:
            raise UsageError(
                f"--{name}={getattr(values, name)} is of numbers; this run writes "
                f"symbols"
            )
    if values.features and not parsed.positional:
        raise UsageError(
            f"--features={values.features} is of SYMBOLS; in --from_file=FILE a line "
            f"of JSON has its own"
        )
    if values.examples is not None and not values.split:
        raise UsageError(f"--examples={values.examples} is of --split=NAME")
    split = runs.split(values) if values.split else ""
    picture = None if values.attention == IN_JSON else values.attention
    start.check_output("attention", picture, start.PICTURES)
    if values.attention == IN_JSON and not values.json:
        raise UsageError("--attention=- writes into the lines of --json; give that too")
    start.check_output("states", values.states, (".npz",))
    has_attention = config.model.looks
    if values.attention and not has_attention:
        raise UsageError(
            f"--attention={values.attention}: this model has no attention to show"
        )

    from s2sjax.cli import inputs

    run = runs.open_all(parsed, paths)
    if split:
        queries = inputs.from_split(run, split, values.examples)
    elif values.from_file:
        queries = inputs.from_file(values.from_file, run.task)
    else:
        tags = values.features or ""
        queries = inputs.from_arguments(parsed.positional, run.task, tags)
    if not queries:
        printing.warn([f"--from_file={values.from_file} holds no input"])
        return 0
    decoded = run.decode_queries(
        queries,
        attention=bool(values.attention or (values.states and has_attention)),
        states=bool(values.states),
        token_logprobs=values.json,
    )
    for each in decoded:
        if values.json:
            weights = values.attention == IN_JSON
            printing.line(written(run, each, attention=weights))
        else:
            _show(run.task, each)
    if picture:
        _draw(Path(picture), decoded, values.panels)
    if values.states:
        _save_states(Path(values.states), run, decoded)
    return 0


def _stream(parsed: Parsed) -> int:
    values = parsed.values
    others = ("from_file", "split", "features", "attention", "states")
    clash = [f"--{name}" for name in others if getattr(values, name)]
    if parsed.positional or clash:
        came = clash[0] if clash else "SYMBOLS"
        raise UsageError(f"--stream reads standard input line by line; {came} came too")
    paths = runs.paths(values)
    config = start.reading(paths[0])

    from s2sjax.cli import stream
    from s2sjax.inference.stream import check

    if config.model.architecture == "aligned":
        check(config)
    run = runs.open_all(parsed, paths)
    stream.answer(run, partial(written, run) if values.json else None)
    return 0


def written(run: "Run", decoded: "Decoded", *, attention: bool = False) -> str:
    """The line of `--json`, which `--from_file` takes again."""
    from s2sjax.commands.run import is_list
    from s2sjax.runs.journal import plain

    rows = [output.to_json(attention=attention) for output in decoded]
    line: dict[str, Any] = {"input": decoded.input}
    if decoded.features:
        line["features"] = decoded.features
    line |= rows[0]
    if is_list(run.config.decode.strategy):
        line["nbest"] = rows
    if decoded.expected is not None:
        line["expected"] = decoded.expected
    return json.dumps(plain(line))


def _show(task: "Task", decoded: "Decoded") -> None:
    printing.line(f"input     {task.source_vocabulary.join(decoded.input)}")
    if decoded.features:
        printing.line(f"features  {';'.join(decoded.features)}")
    for output in decoded:
        cut = "  (cut at its limit)" if output.truncated else ""
        printing.line(f"output    {output.text}{cut}")
        if len(decoded) > 1:
            printing.line(f"          {output.numbers()}")
    if decoded.expected is not None:
        right = decoded.output == decoded.expected and not decoded.best.truncated
        expected = task.target_vocabulary.join(decoded.expected)
        printing.line(f"expected  {expected}  ({'right' if right else 'WRONG'})")
    if len(decoded) == 1:
        printing.line(f"          {decoded.best.numbers()}")
    printing.line()


def _draw(path: Path, decoded: "Sequence[Decoded]", panels: int) -> None:
    from s2sjax.reporting.alignment import draw_alignments

    drawn = [each.attention for each in decoded if each.attention is not None]
    left_out = len(drawn) - draw_alignments(drawn, path, panels)
    if left_out:
        last = f"the last {left_out} inputs have" if left_out > 1 else "the last has"
        printing.warn([f"--attention={path}: {last} no panel; --panels=N draws N"])
    printing.warn([f"attention: {path}"])


def _save_states(path: Path, run: "Run", decoded: "Sequence[Decoded]") -> None:
    """What the encoder and the decoder hold; docs/decoding.md names the arrays."""
    import numpy as np

    from s2sjax.runs import atomic

    written = io.BytesIO()
    np.savez_compressed(written, **run.states(decoded))
    with writing(f"--states={path}"):
        atomic.write_bytes(path, written.getvalue())
    printing.warn([f"states: {path}"])
