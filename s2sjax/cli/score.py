"""`s2sjax score`: how probable given outputs are to trained models."""

import json
from typing import TYPE_CHECKING, Any

from s2sjax.cli import inputs, printing, runs, start
from s2sjax.cli.command import Command, Flag
from s2sjax.cli.flags import Parsed
from s2sjax.errors import UsageError

if TYPE_CHECKING:
    from s2sjax.cli.inputs import Item
    from s2sjax.tasks import Task

COMMAND = Command(
    "score",
    "Scores given outputs: log-probabilities in nats, per token and in total.\n"
    'FILE has one JSON object a line: {"input": .., "output": ..}; it may be\n'
    "compressed (gzip, bzip2, xz), and - is standard input. The end of an output is a\n"
    "token of its own, and counted.",
    flags=(
        *runs.FLAGS,
        Flag("from_file", "inputs with outputs", value="FILE", required=True),
        Flag("checkpoint", "best, last or a step", "best", value="best|last|N"),
        Flag("json", "one JSON object a line", False, type=bool),
    ),
    memory="decode.batch_size, or the lengths of what is scored",
    examples=("s2sjax score --workdir=runs/reversed --from_file=pairs.jsonl",),
)
END = "<eos>"  # how the end of an output is shown


def main(parsed: Parsed) -> int:
    """Runs the command; returns the exit code."""
    values = parsed.values
    paths = runs.paths(values)
    start.reading(paths[0])

    from s2sjax.inference.predict import score
    from s2sjax.reporting.progress_line import ProgressLine
    from s2sjax.runs.journal import plain

    trained = runs.open_all(values, paths)
    task = trained.task
    items = inputs.from_file(values.from_file, task)
    pairs = [
        (inputs.encoded_source(item, task), _encoded_output(item, task))
        for item in items
    ]
    inputs.check(values, trained, items)
    if not pairs:
        return 0
    with ProgressLine("scoring") as passed:
        scored = score(trained.system, pairs, passed)
    for item, tokens in zip(items, scored, strict=True):
        assert item.output is not None
        line: dict[str, Any] = {
            "input": item.input,
            "output": item.output,
            "logprob": float(tokens.sum()),
            "token_logprobs": tokens.tolist(),
        }
        if values.json:
            printing.line(json.dumps(plain(line)))
            continue
        printing.line(f"input    {task.source_vocabulary.join(item.input)}")
        printing.line(f"output   {task.target_vocabulary.join(item.output)}")
        printing.line(f"logprob  {line['logprob']:.4f}")
        named = zip([*item.output, END], line["token_logprobs"], strict=True)
        told = "  ".join(f"{symbol!s} {each:.4f}" for symbol, each in named)
        printing.lines([f"tokens   {told}", ""])
    return 0


def _encoded_output(item: "Item", task: "Task") -> list[int]:
    if item.output is None:
        raise UsageError(f"{item.where} has no field 'output' to score")
    vocabulary = task.target_vocabulary
    ids, strange = vocabulary.encode(item.output)
    if strange and vocabulary.kind == "integer":
        raise UsageError(
            f"{item.where}: 'output' holds {', '.join(map(str, strange))}; symbols "
            f"are {vocabulary.described()}"
        )
    if strange:
        listed = ", ".join(repr(symbol) for symbol in strange)
        start.warn([f"not in the vocabulary, scored as unknown: {listed}"])
    return ids
