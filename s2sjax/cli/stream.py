"""`s2sjax decode --stream`: a line of standard input, a line of answers.

A command imports it once jax's flags are set.
"""

import json
import sys
from collections.abc import Callable

from s2sjax.cli import inputs, printing
from s2sjax.commands.run import Decoded, Run
from s2sjax.errors import UsageError
from s2sjax.inference.predict import Query
from s2sjax.inference.stream import Answer
from s2sjax.runs.journal import plain


def answer(run: Run, written: Callable[[Decoded], str] | None) -> None:
    """Answers each line of standard input as it comes.

    To an aligned model a line is the next inputs of a sequence, which an empty one
    ends; to others it is a source.

    Args:
      run: that answers.
      written: what is decoded as a line of JSON; None: lines are texts, in and out.
    """
    queries = inputs.from_lines(run.task, as_json=written is not None)
    if run.config.model.architecture == "aligned":
        stream = run.stream()
        for query in queries:
            if any(query[1:5]) or query.features:
                raise UsageError(f"{query.where}: a stream takes 'input' alone")
            try:
                stream, said = (
                    stream.step(query.source) if query.source else stream.finish()
                )
            except UsageError as error:
                raise UsageError(f"{query.where}: {error}") from None
            _say(_answers(run, query, said, as_json=written is not None))
        _, said = stream.finish()
        if said:
            _say(_answers(run, Query([]), said, as_json=written is not None))
        return
    for query in queries:
        (decoded,) = run.decode_queries([query], one_program=True)
        _say(written(decoded) if written else decoded.text)


def _answers(run: Run, query: Query, said: list[Answer], *, as_json: bool) -> str:
    output = [each.symbol for each in said]
    if not as_json:
        return run.task.target_vocabulary.join(output)
    logprobs = [each.logprob for each in said]
    line = {"input": query.source, "output": output, "token_logprobs": logprobs}
    return json.dumps(plain(line))


def _say(text: str) -> None:
    printing.line(text)
    sys.stdout.flush()
