"""`s2sjax decode`: what a trained model makes of a person's own inputs."""

import io
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from s2sjax.cli import start
from s2sjax.cli.command import Command, Flag
from s2sjax.cli.flags import Parsed
from s2sjax.errors import UsageError, cannot_write

if TYPE_CHECKING:
    from s2sjax.tasks import Symbol, Task
    from s2sjax.training.trained import Prediction

COMMAND = Command(
    "decode",
    "Decodes inputs of yours with a trained model.\n"
    "For a task of integers all SYMBOLS are one sequence; for text each is one.\n"
    "FILE is a JSON list of sequences, or has one sequence a line.",
    flags=(
        Flag("workdir", "the run", value="DIR", required=True),
        Flag("decode", "a decoding strategy, e.g. greedy", value="SPEC"),
        Flag("from_file", "inputs, instead of SYMBOLS", value="FILE"),
        Flag("checkpoint", "best, last or a step", "best", value="best|last|N"),
        Flag("attention", "draws where the model looked", value="FILE.png"),
        Flag("states", "saves the encoder's states and memory", value="FILE.npz"),
        Flag("json", "one JSON object a line", False, type=bool),
    ),
    positional="SYMBOLS",
    examples=(
        "s2sjax decode --workdir=runs/reversed 0 1 2 3 4 5 6 7 8 9",
        's2sjax decode --workdir=runs/fra_eng "Be nice."',
    ),
)


def main(parsed: Parsed) -> int:
    """Runs the command; returns the exit code."""
    values = parsed.values
    if bool(parsed.positional) == bool(values.from_file):
        came = "both" if values.from_file else "neither"
        raise UsageError(f"give SYMBOLS or --from_file=FILE; {came} came")
    for flag, ending in (("attention", ".png"), ("states", ".npz")):
        _check_output(flag, getattr(values, flag), ending)
    config = start.reading(values.workdir)
    if values.attention and config.model.attention == "none":
        raise UsageError(
            f"--attention={values.attention}: this model has no attention to draw"
        )

    from s2sjax.cli.evaluate import checkpoint
    from s2sjax.tasks import encode_source
    from s2sjax.training.trained import check_length, open_trained, predict

    trained = open_trained(
        values.workdir,
        checkpoint(values.checkpoint),
        decoding=values.decode,
        say=lambda line: start.warn([line]),
    )
    task = trained.task
    inputs = (
        read_inputs(Path(values.from_file), task)
        if values.from_file
        else from_arguments(parsed.positional, task)
    )
    sources = []
    for number, symbols in enumerate(inputs, start=1):
        try:
            ids, unknown = encode_source(task, symbols)
        except UsageError as error:
            if not values.from_file:
                raise
            where = f"--from_file={values.from_file}: input {number}"
            raise UsageError(f"{where}: {error}") from None
        if unknown:
            listed = ", ".join(repr(symbol) for symbol in unknown)
            start.warn([f"not in the vocabulary, read as unknown: {listed}"])
        sources.append(ids)
    if not sources:
        return 0
    longer = check_length(trained, max(map(len, sources)))
    if longer:
        start.warn([longer])
    predictions = predict(trained, sources)
    for symbols, prediction in zip(inputs, predictions, strict=True):
        _print(task, symbols, prediction, as_json=values.json)
    if values.attention:
        _draw(Path(values.attention), task, inputs, predictions)
    if values.states:
        _save_states(Path(values.states), predictions)
    return 0


def from_arguments(arguments: Sequence[str], task: "Task") -> list[list["Symbol"]]:
    """The sequences that the command line holds."""
    vocabulary = task.source_vocabulary
    if vocabulary.kind == "integer":
        return [vocabulary.split(" ".join(arguments))]
    return [vocabulary.split(argument) for argument in arguments]


def read_inputs(path: Path, task: "Task") -> list[list["Symbol"]]:
    """The sequences of a file: a JSON list of them, or one a line.

    Raises:
      UsageError: the file cannot be read, or an item is no sequence, with its place.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"--from_file={path} is not UTF-8: {error.reason}") from None
    except OSError as error:
        raise UsageError(f"--from_file={path}: {error.strerror}") from None
    vocabulary = task.source_vocabulary
    if not text.lstrip().startswith("["):
        return _lines(path, text, task)
    try:
        items = json.loads(text)
    except (ValueError, RecursionError) as error:
        if vocabulary.kind != "integer":  # a text may begin with a bracket
            return _lines(path, text, task)
        raise UsageError(f"--from_file={path} is not JSON: {error}") from None
    return [_sequence(path, place, item, task) for place, item in enumerate(items)]


def _lines(path: Path, text: str, task: "Task") -> list[list["Symbol"]]:
    found = []
    lines = text.removesuffix("\n").split("\n") if text else []
    for number, line in enumerate(lines, start=1):
        try:
            found.append(task.source_vocabulary.split(line.removesuffix("\r")))
        except UsageError as error:
            raise UsageError(f"--from_file={path}:{number}: {error}") from None
    return found


def _sequence(path: Path, place: int, item: Any, task: "Task") -> list["Symbol"]:
    vocabulary = task.source_vocabulary
    kind = int if vocabulary.kind == "integer" else str
    if isinstance(item, str):
        return vocabulary.split(item)
    if isinstance(item, list) and all(type(symbol) is kind for symbol in item):
        return item
    raise UsageError(
        f"--from_file={path}: item {place} is {json.dumps(item)[:60]}; each item is a "
        f"text or a list of {'integers' if kind is int else 'symbols'}"
    )


def _check_output(flag: str, path: str | None, ending: str) -> None:
    if path is None:
        return
    if not path.endswith(ending):
        raise UsageError(f"--{flag}={path} does not end with {ending}")
    if not Path(path).absolute().parent.is_dir():
        raise UsageError(f"--{flag}={path}: there is no such folder")


def _print(
    task: "Task", symbols: list["Symbol"], prediction: "Prediction", *, as_json: bool
) -> None:
    target = task.target_vocabulary
    output = target.decode(prediction.output)
    try:
        expected = task.expected(symbols)
    except UsageError as error:  # a user's pattern that cannot take this input
        start.warn([str(error)])
        expected = None
    if as_json:
        line: dict[str, Any] = {
            "input": symbols,
            "output": output,
            "logprob": prediction.logprob,
            "truncated": prediction.truncated,
        }
        if expected is not None:
            line["expected"] = expected
        print(json.dumps(line, ensure_ascii=False))
        return
    print(f"input     {task.source_vocabulary.join(symbols)}")
    cut = "  (cut at its limit)" if prediction.truncated else ""
    print(f"output    {target.join(output)}{cut}")
    if expected is not None:
        right = output == expected and not prediction.truncated
        print(f"expected  {target.join(expected)}  ({'right' if right else 'WRONG'})")
    print(f"logprob   {prediction.logprob:.4f}\n")


def _draw(
    path: Path,
    task: "Task",
    inputs: Sequence[Sequence["Symbol"]],
    predictions: Sequence["Prediction"],
) -> None:
    from s2sjax.reporting.alignment import Alignment, draw_alignments

    drawn = []
    for symbols, prediction in zip(inputs, predictions, strict=True):
        assert prediction.attention is not None
        weights = prediction.attention
        if task.reverse_source:
            weights = weights[:, ::-1]
        written = task.target_vocabulary.decode(prediction.output)
        drawn.append(Alignment(weights, symbols, written))
    left_out = len(drawn) - draw_alignments(drawn, path)
    if left_out:
        start.warn([f"--attention={path}: the last {left_out} inputs have no panel"])
    print(f"attention: {path}", file=sys.stderr)


def _save_states(path: Path, predictions: Sequence["Prediction"]) -> None:
    """`memory_<input>` [S, C], and `state_<layer>_<direction>_<part>` [inputs, D]."""
    import numpy as np

    from s2sjax.training import atomic

    arrays: dict[str, Any] = {
        f"memory_{place}": prediction.memory
        for place, prediction in enumerate(predictions)
    }
    parts = ("h", "c")
    for layer, directions in enumerate(predictions[0].states):
        for direction, state in enumerate(directions):
            for part in range(len(state)):
                name = f"state_{layer}_{('forward', 'backward')[direction]}"
                arrays[f"{name}_{parts[part]}"] = np.stack(
                    [each.states[layer][direction][part] for each in predictions]
                )
    written = io.BytesIO()
    np.savez_compressed(written, **arrays)
    try:
        atomic.write_bytes(path, written.getvalue())
    except OSError as error:
        raise cannot_write(f"--states={path}", error) from None
    print(f"states: {path}", file=sys.stderr)
