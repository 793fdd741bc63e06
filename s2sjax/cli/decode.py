"""`s2sjax decode`: what trained models make of a person's own inputs."""

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from s2sjax import spec
from s2sjax.cli import inputs, members, printing, start
from s2sjax.cli.command import Command, Flag
from s2sjax.cli.flags import Parsed
from s2sjax.cli.inputs import Item
from s2sjax.errors import UsageError, cannot_write

if TYPE_CHECKING:
    from s2sjax.tasks import Symbol, Task
    from s2sjax.training.prediction import EncodedSource, Hypothesis
    from s2sjax.training.trained import Trained

COMMAND = Command(
    "decode",
    "Decodes inputs of yours with a trained model, or several together.\n"
    "For a task of integers all SYMBOLS are one sequence; for text each is one.\n"
    "FILE is a JSON list of sequences, or has one sequence a line, or one JSON object\n"
    'a line: {"input": .., "prefix": .., "required": [..], "banned": [..]}; it may be\n'
    "compressed (gzip, bzip2, xz), and - is standard input.",
    flags=(
        *members.FLAGS,
        Flag("decode", "a decoding strategy, e.g. beam:size=5,n=3", value="SPEC"),
        Flag("from_file", "inputs, instead of SYMBOLS", value="FILE"),
        Flag("checkpoint", "best, last or a step", "best", value="best|last|N"),
        Flag(
            "attention",
            "draws where the model looked",
            value="FILE.png|.pdf|.svg",
        ),
        Flag("panels", "inputs that it draws, at most", 6, type=int, least=1, most=99),
        Flag("states", "saves the encoder's states and memory", value="FILE.npz"),
        Flag("json", "one JSON object a line", False, type=bool),
    ),
    positional="SYMBOLS",
    memory="size or n of the decoding strategy, or decode.batch_size",
    examples=(
        "s2sjax decode --workdir=runs/reversed 0 1 2 3 4 5 6 7 8 9",
        's2sjax decode --workdir=runs/fra_eng --decode=beam:size=5,n=3 "Be nice."',
    ),
)


def main(parsed: Parsed) -> int:
    """Runs the command; returns the exit code."""
    values = parsed.values
    if bool(parsed.positional) == bool(values.from_file):
        came = "both" if values.from_file else "neither"
        raise UsageError(f"give SYMBOLS or --from_file=FILE; {came} came")
    start.check_output("attention", values.attention, start.PICTURES)
    start.check_output("states", values.states, (".npz",))
    paths = members.paths(values)
    config = start.reading(paths[0])
    if values.attention and config.model.attention == "none":
        raise UsageError(
            f"--attention={values.attention}: this model has no attention to draw"
        )

    from s2sjax.reporting.progress_line import ProgressLine
    from s2sjax.training import run_files
    from s2sjax.training.prediction import Wish, encode_sources, predict

    if values.no_user_code:
        start.refuse_user_code(config, f"--workdir={paths[0]}")
    trained = members.open_all(values, paths)
    task = trained.task
    start.tell_user_code(config, trained.path / run_files.DATA, named=False)
    items = (
        inputs.from_file(values.from_file, task)
        if values.from_file
        else inputs.from_arguments(parsed.positional, task)
    )
    wishes = [
        Wish(
            inputs.encoded_source(item, task),
            **inputs.check_wishes(item, task),
        )
        for item in items
    ]
    inputs.check(values, trained, items)
    if not wishes:
        return 0
    with ProgressLine("decoding") as passed:
        found = predict(
            trained.system, wishes, attention=bool(values.attention), passed=passed
        )
    for item, nbest in zip(items, found, strict=True):
        if values.json:
            printing.line(written(trained, item, nbest))
        else:
            _show(task, item, nbest)
    if values.attention:
        first = [nbest[0] for nbest in found]
        _draw(Path(values.attention), task, items, first, values.panels)
    if values.states:
        sources = [wish.source for wish in wishes]
        _save_states(Path(values.states), encode_sources(trained.system, sources))
    return 0


def written(trained: "Trained", item: Item, nbest: Sequence["Hypothesis"]) -> str:
    """The line of `--json`, which `--from_file` takes again."""
    from s2sjax.training.journal import plain

    rows = [_row(trained.task, hypothesis) for hypothesis in nbest]
    line: dict[str, Any] = {"input": item.input, **rows[0]}
    if spec.parse(trained.config.decode.strategy).name != "greedy":
        line["nbest"] = rows
    expected = _expected(trained.task, item)
    if expected is not None:
        line["expected"] = expected
    return json.dumps(plain(line))


def _show(task: "Task", item: Item, nbest: Sequence["Hypothesis"]) -> None:
    target, expected = task.target_vocabulary, _expected(task, item)
    printing.line(f"input     {task.source_vocabulary.join(item.input)}")
    for hypothesis in nbest:
        cut = "  (cut at its limit)" if hypothesis.truncated else ""
        printing.line(f"output    {target.join(target.decode(hypothesis.output))}{cut}")
        if len(nbest) > 1:
            printing.line(f"          {_numbers(hypothesis)}")
    if expected is not None:
        best = target.decode(nbest[0].output)
        right = best == expected and not nbest[0].truncated
        printing.line(
            f"expected  {target.join(expected)}  ({'right' if right else 'WRONG'})"
        )
    if len(nbest) == 1:
        printing.line(f"          {_numbers(nbest[0])}")
    printing.line()


def _numbers(hypothesis: "Hypothesis") -> str:
    numbers = {"logprob": hypothesis.logprob, "score": hypothesis.score}
    if hypothesis.score == hypothesis.logprob:
        del numbers["score"]
    numbers |= hypothesis.more
    return ", ".join(f"{name} {value:.4f}" for name, value in numbers.items())


def _expected(task: "Task", item: Item) -> list["Symbol"] | None:
    try:
        return task.expected(item.input)
    except UsageError as error:  # a user's pattern that cannot take this input
        start.warn([str(error)])
        return None


def _row(task: "Task", hypothesis: "Hypothesis") -> dict[str, Any]:
    return {
        "output": task.target_vocabulary.decode(hypothesis.output),
        "score": hypothesis.score,
        "logprob": hypothesis.logprob,
        "truncated": hypothesis.truncated,
        **hypothesis.more,
    }


def _draw(
    path: Path,
    task: "Task",
    items: Sequence[Item],
    hypotheses: Sequence["Hypothesis"],
    panels: int,
) -> None:
    from s2sjax.reporting.alignment import Alignment, draw_alignments

    drawn = []
    for item, hypothesis in zip(items, hypotheses, strict=True):
        assert hypothesis.attention is not None
        weights = hypothesis.attention
        if task.reverse_source:
            weights = weights[:, ::-1]
        written = task.target_vocabulary.decode(hypothesis.output)
        drawn.append(Alignment(weights, item.input, written))
    left_out = len(drawn) - draw_alignments(drawn, path, panels)
    if left_out:
        last = f"the last {left_out} inputs have" if left_out > 1 else "the last has"
        start.warn([f"--attention={path}: {last} no panel; --panels=N draws N"])
    printing.warn([f"attention: {path}"])


def _save_states(path: Path, encoded: Sequence["EncodedSource"]) -> None:
    """`memory_<input>` [S, C], and `state_<layer>_<direction>_<part>` [inputs, D]."""
    import numpy as np

    from s2sjax.training import atomic

    arrays: dict[str, Any] = {
        f"memory_{place}": source.memory for place, source in enumerate(encoded)
    }
    parts = ("h", "c")
    for layer, directions in enumerate(encoded[0].states):
        for direction, state in enumerate(directions):
            for part in range(len(state)):
                name = f"state_{layer}_{('forward', 'backward')[direction]}"
                arrays[f"{name}_{parts[part]}"] = np.stack(
                    [each.states[layer][direction][part] for each in encoded]
                )
    written = io.BytesIO()
    np.savez_compressed(written, **arrays)
    try:
        atomic.write_bytes(path, written.getvalue())
    except OSError as error:
        raise cannot_write(f"--states={path}", error) from None
    printing.warn([f"states: {path}"])
