"""`s2sjax decode`: what trained models make of a person's own inputs."""

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from s2sjax import spec
from s2sjax.cli import inputs, printing, runs, start
from s2sjax.cli.command import Command, Flag
from s2sjax.cli.flags import Parsed
from s2sjax.errors import UsageError, cannot_write
from s2sjax.schema import STRATEGY

if TYPE_CHECKING:
    import numpy as np

    from s2sjax.inference.load import Trained
    from s2sjax.inference.predict import Hypothesis, Query
    from s2sjax.tasks import Symbol, Task

IN_JSON = "-"  # what `--attention` says for weights in the lines of `--json`
COMMAND = Command(
    "decode",
    "Decodes inputs of yours with a trained model, or several together.\n"
    "For a task of integers all SYMBOLS are one sequence; for text each is one.\n"
    "FILE is a JSON list of sequences, or has one sequence a line, or one JSON object\n"
    'a line: {"input": .., "prefix": .., "required": [..], "banned": [..]}; it may be\n'
    "compressed (gzip, bzip2, xz), and - is standard input.",
    flags=(
        *runs.FLAGS,
        Flag("decode", STRATEGY, value="SPEC"),
        Flag("from_file", "inputs, instead of SYMBOLS", value="FILE"),
        Flag("checkpoint", "best, last or a step", "best", value="best|last|N"),
        Flag(
            "attention",
            "draws where the model looked; -: lists of its weights, in the lines of "
            "--json",
            value="FILE.png|.pdf|.svg|-",
        ),
        Flag("panels", "inputs that it draws, at most", 6, type=int, least=1, most=99),
        Flag(
            "states",
            "saves the encoder's states and memory, and the decoder's states and "
            "attention at each token of the best output",
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
        's2sjax decode --workdir=runs/fra_eng --decode=beam:size=5,n=3 "Be nice."',
    ),
)


def main(parsed: Parsed) -> int:
    """Runs the command; returns the exit code."""
    values = parsed.values
    if bool(parsed.positional) == bool(values.from_file):
        came = "both" if values.from_file else "neither"
        raise UsageError(f"give SYMBOLS or --from_file=FILE; {came} came")
    picture = None if values.attention == IN_JSON else values.attention
    start.check_output("attention", picture, start.PICTURES)
    if values.attention == IN_JSON and not values.json:
        raise UsageError("--attention=- writes into the lines of --json; give that too")
    start.check_output("states", values.states, (".npz",))
    paths = runs.paths(values)
    config = start.reading(paths[0])
    if values.attention and config.model.attention == "none":
        raise UsageError(
            f"--attention={values.attention}: this model has no attention to show"
        )

    from s2sjax.inference.predict import predict, with_token_logprobs
    from s2sjax.reporting.progress_line import ProgressLine
    from s2sjax.runs import run_files

    if values.no_user_code:
        start.refuse_user_code(config, f"--workdir={paths[0]}")
    trained = runs.open_all(values, paths)
    task = trained.task
    start.tell_user_code(config, trained.path / run_files.DATA, named=False)
    queries = (
        inputs.from_file(values.from_file, task)
        if values.from_file
        else inputs.from_arguments(parsed.positional, task)
    )
    queries = [query._replace(output=None) for query in queries]
    ids = inputs.encoded(values, trained, queries)
    if not ids:
        return 0
    with ProgressLine("decoding") as passed:
        nbests = predict(
            trained.system,
            ids,
            attention=bool(values.attention or values.states),
            states=bool(values.states),
            passed=passed,
        )
    if values.json:
        with ProgressLine("scoring tokens") as passed:
            nbests = with_token_logprobs(trained.system, ids, nbests, passed)
    for query, nbest in zip(queries, nbests, strict=True):
        if values.json:
            weights = values.attention == IN_JSON
            printing.line(written(trained, query, nbest, attention=weights))
        else:
            _show(task, query, nbest)
    best = [nbest[0] for nbest in nbests]
    if picture:
        _draw(Path(picture), task, queries, best, values.panels)
    if values.states:
        _save_states(Path(values.states), trained, ids, best)
    return 0


def written(
    trained: "Trained",
    query: "Query",
    nbest: Sequence["Hypothesis"],
    *,
    attention: bool = False,
) -> str:
    """The line of `--json`, which `--from_file` takes again."""
    from s2sjax.runs.journal import plain

    rows = [_row(trained.task, each, attention=attention) for each in nbest]
    line: dict[str, Any] = {"input": query.source, **rows[0]}
    if spec.parse(trained.config.decode.strategy).name != "greedy":
        line["nbest"] = rows
    expected = _expected(trained.task, query)
    if expected is not None:
        line["expected"] = expected
    return json.dumps(plain(line))


def _show(task: "Task", query: "Query", nbest: Sequence["Hypothesis"]) -> None:
    target, expected = task.target_vocabulary, _expected(task, query)
    printing.line(f"input     {task.source_vocabulary.join(query.source)}")
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


def _expected(task: "Task", query: "Query") -> list["Symbol"] | None:
    try:
        return task.expected(query.source)
    except UsageError as error:  # a user's pattern that cannot take this input
        start.warn([str(error)])
        return None


def _row(task: "Task", hypothesis: "Hypothesis", *, attention: bool) -> dict[str, Any]:
    row = {
        "output": task.target_vocabulary.decode(hypothesis.output),
        "score": hypothesis.score,
        "logprob": hypothesis.logprob,
        "truncated": hypothesis.truncated,
        **hypothesis.more,
    }
    if hypothesis.token_logprobs is not None:
        row["token_logprobs"] = hypothesis.token_logprobs
    if attention:
        row["attention"] = _in_reading_order(task, _weights(hypothesis))
    return row


def _weights(hypothesis: "Hypothesis") -> "np.ndarray":
    assert hypothesis.attention is not None
    return hypothesis.attention


def _in_reading_order(task: "Task", columns: "np.ndarray") -> "np.ndarray":
    """An array whose last axis is the source as the user gives it."""
    return columns[..., ::-1] if task.reverse_source else columns


def _draw(
    path: Path,
    task: "Task",
    queries: Sequence["Query"],
    hypotheses: Sequence["Hypothesis"],
    panels: int,
) -> None:
    from s2sjax.reporting.alignment import Alignment, draw_alignments

    drawn = []
    for query, hypothesis in zip(queries, hypotheses, strict=True):
        weights = _in_reading_order(task, _weights(hypothesis))
        written = task.target_vocabulary.decode(hypothesis.output)
        drawn.append(Alignment(weights, query.source, written))
    left_out = len(drawn) - draw_alignments(drawn, path, panels)
    if left_out:
        last = f"the last {left_out} inputs have" if left_out > 1 else "the last has"
        start.warn([f"--attention={path}: {last} no panel; --panels=N draws N"])
    printing.warn([f"attention: {path}"])


def _save_states(
    path: Path,
    trained: "Trained",
    queries: Sequence["Query"],
    hypotheses: Sequence["Hypothesis"],
) -> None:
    """What the encoder and the decoder hold; docs/decoding.md names the arrays."""
    import numpy as np

    from s2sjax.inference.predict import encode_sources
    from s2sjax.runs import atomic

    task = trained.task
    names = trained.system.models[0].cell.names
    encoded = encode_sources(trained.system, [query.source for query in queries])
    arrays: dict[str, Any] = {}
    for place, (source, hypothesis) in enumerate(zip(encoded, hypotheses, strict=True)):
        arrays[f"memory_{place}"] = _in_reading_order(task, source.memory.T).T
        for name, states in (hypothesis.states or {}).items():
            arrays[name.replace("decoder", f"decoder_{place}")] = states
        if hypothesis.attention is not None:
            weights = _in_reading_order(task, hypothesis.attention)
            arrays[f"attention_{place}"] = weights
    for layer, directions in enumerate(encoded[0].states):
        for direction, state in enumerate(directions):
            for part in range(len(state)):
                name = f"state_{layer}_{('forward', 'backward')[direction]}"
                arrays[f"{name}_{names[part]}"] = np.stack(
                    [each.states[layer][direction][part] for each in encoded]
                )
    written = io.BytesIO()
    np.savez_compressed(written, **arrays)
    try:
        atomic.write_bytes(path, written.getvalue())
    except OSError as error:
        raise cannot_write(f"--states={path}", error) from None
    printing.warn([f"states: {path}"])
