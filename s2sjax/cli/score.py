"""`s2sjax score`: how probable given outputs are to trained models."""

import json
from typing import Any

from s2sjax.cli import printing, runs, start
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
        runs.CHECKPOINT,
        Flag("json", "one JSON object a line", False, type=bool),
    ),
    memory="decode.batch_size, or the lengths of what is scored",
    examples=("s2sjax score --workdir=runs/reversed --from_file=pairs.jsonl",),
)


def main(parsed: Parsed) -> int:
    """Runs the command; returns the exit code."""
    values = parsed.values
    paths = runs.paths(values)
    config = start.reading(paths[0])
    if config.task.of_numbers:
        raise UsageError(
            f"the task {config.task.name} forecasts numbers; `s2sjax eval` says how "
            f"probable what came was (nll)"
        )

    from s2sjax.cli import inputs
    from s2sjax.commands.run import END
    from s2sjax.runs.journal import plain

    run = runs.open_all(parsed, paths)
    task = run.task
    queries = inputs.from_file(values.from_file, task)
    if not queries:
        printing.warn([f"--from_file={values.from_file} holds no input"])
    end = [END] * run.trained.system.ends
    for scored in run.score_queries(queries):
        line: dict[str, Any] = {
            "input": scored.input,
            "output": scored.output,
            "logprob": scored.logprob,
            "token_logprobs": scored.token_logprobs.tolist(),
        }
        if scored.features:
            line["features"] = scored.features
        if values.json:
            printing.line(json.dumps(plain(line)))
            continue
        printing.line(f"input    {task.source_vocabulary.join(scored.input)}")
        if scored.features:
            printing.line(f"features {';'.join(scored.features)}")
        printing.line(f"output   {task.target_vocabulary.join(scored.output)}")
        printing.line(f"logprob  {scored.logprob:.4f}")
        named = zip([*scored.output, *end], line["token_logprobs"], strict=True)
        listed = "  ".join(f"{symbol!s} {each:.4f}" for symbol, each in named)
        printing.lines([f"tokens   {listed}", ""])
    return 0
