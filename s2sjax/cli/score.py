"""`s2sjax score`: how probable given outputs are to trained models."""

import json
from typing import Any

from s2sjax.cli import inputs, printing, runs, start
from s2sjax.cli.command import Command, Flag
from s2sjax.cli.flags import Parsed
from s2sjax.errors import UsageError

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
    queries = inputs.from_file(values.from_file, task)
    for query in queries:
        if query.output is None:
            raise UsageError(f"{query.where} has no field 'output' to score")
    ids = inputs.encoded(values, trained, queries)
    if not ids:
        return 0
    with ProgressLine("scoring") as passed:
        scored = score(trained.system, ids, passed)
    for query, tokens in zip(queries, scored, strict=True):
        output = list(query.output or ())
        line: dict[str, Any] = {
            "input": query.source,
            "output": output,
            "logprob": float(tokens.sum()),
            "token_logprobs": tokens.tolist(),
        }
        if values.json:
            printing.line(json.dumps(plain(line)))
            continue
        printing.line(f"input    {task.source_vocabulary.join(query.source)}")
        printing.line(f"output   {task.target_vocabulary.join(output)}")
        printing.line(f"logprob  {line['logprob']:.4f}")
        named = zip([*output, END], line["token_logprobs"], strict=True)
        shown = "  ".join(f"{symbol!s} {each:.4f}" for symbol, each in named)
        printing.lines([f"tokens   {shown}", ""])
    return 0
