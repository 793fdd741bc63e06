"""Results of an evaluation: the numbers of `eval --json`, and its predictions."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sacrebleu.metrics import BLEU, CHRF

from s2sjax import json_objects, metrics, spec, user_code
from s2sjax.config import Config, placeless
from s2sjax.errors import RunError
from s2sjax.metrics import Outcomes
from s2sjax.runs import atomic, run_files
from s2sjax.runs.journal import plain
from s2sjax.tasks.task import Task, decode_source
from s2sjax.tasks.vocabulary import UNKNOWN, Symbol, Vocabulary

STRANGE = "\N{REPLACEMENT CHARACTER}"  # which no output has


def text_scores(outputs: Sequence[str], targets: Sequence[str]) -> dict[str, float]:
    """Corpus BLEU and chrF by sacrebleu, both from 0 to 100.

    Both have sacrebleu's defaults: BLEU with 13a tokenisation, mixed case, 1- to
    4-grams and exponential smoothing; chrF2 with character 6-grams, without word
    n-grams. Where every target has less than four tokens, so that BLEU has no meaning,
    the orders that exist are used. No examples score 0.

    Sources: Papineni et al. 2002; Popović 2015; Post 2018.

    Raises:
      ValueError: there are not as many outputs as targets.

    >>> text_scores(["3 2 1", "9 8 7"], ["3 2 1", "9 8 7"])
    {'bleu': 100.0, 'chrf': 100.0}
    """
    if len(outputs) != len(targets):
        raise ValueError(f"{len(outputs)} outputs for {len(targets)} targets")
    if not targets:
        return {"bleu": 0.0, "chrf": 0.0}
    # `force` keeps it from advising about texts that end in a separate full stop.
    bleu = BLEU(force=True)
    orders = max(len(bleu.tokenizer(target).split()) for target in targets)
    bleu = BLEU(force=True, effective_order=orders < bleu.max_ngram_order)
    scores = (
        ("bleu", bleu.corpus_score(outputs, [targets])),
        ("chrf", CHRF().corpus_score(outputs, [targets])),
    )
    # sacrebleu's own 100 is 100.00000000000004.
    return {name: min(round(score.score, 8), 100.0) for name, score in scores}


def word_error_rate(outputs: Sequence[str], targets: Sequence[str]) -> float:
    """Insertions, deletions and substitutions of words, per word of the targets.

    Words are what white space separates. The rate may exceed 1; without words it is
    the number of edits.

    Raises:
      ValueError: there are not as many outputs as targets.

    >>> word_error_rate(["Tom is here", "no"], ["Tom was here", "no"])
    0.25
    """
    pairs = zip(outputs, targets, strict=True)
    edits = sum(_edits(output.split(), target.split()) for output, target in pairs)
    return edits / max(sum(len(target.split()) for target in targets), 1)


def _edits(output: list[str], target: list[str]) -> int:
    """The edit distance of words, by the recurrence of `similarity.edits`."""
    numbers = {word: number for number, word in enumerate({*output, *target})}
    wanted = np.array([numbers[word] for word in target], np.int64)
    columns = np.arange(len(target) + 1)
    row = columns
    for word in output:
        replaced = row[:-1] + (wanted != numbers[word])
        best = np.concatenate([row[:1] + 1, np.minimum(row[1:] + 1, replaced)])
        row = np.minimum.accumulate(best - columns) + columns
    return int(row[-1])


def of_tokens(
    vocabulary: Vocabulary,
    outputs: Iterable[Sequence[int]],
    targets: Iterable[Sequence[int]],
) -> dict[str, float]:
    """BLEU, chrF and word error rate, `wer`, of rows of token ids.

    Nothing where symbols are integers, which are no text.

    An unknown symbol in a target matches nothing that is written.
    """
    if vocabulary.kind == "integer":
        return {}
    wanted = [
        [STRANGE if symbol == UNKNOWN else symbol for symbol in symbols]
        for symbols in map(vocabulary.decode, targets)
    ]
    written = map(vocabulary.decode, outputs)
    texts = (
        [vocabulary.join(symbols) for symbols in written],
        [vocabulary.join(symbols) for symbols in wanted],
    )
    return text_scores(*texts) | {"wer": word_error_rate(*texts)}


def measured(task: Task, results: Outcomes, metric: str) -> dict[str, Any]:
    """How good outputs are, in numbers: of validation while training as of a test.

    Those of `metrics.summary`, of `of_tokens`, and `metric` where that is a user's own.
    An integer is a word, so that there `wer` is `edit_distance`.
    """
    values = metrics.summary(results)
    values["wer"] = values["edit_distance"]
    own = metrics.own(metric)
    if own is not None:
        parsed = spec.parse(metric)
        values[parsed.name] = user_code.call(parsed.file, lambda: own.mean(results))
    return values | of_tokens(
        task.target_vocabulary, results.output.tolist(), results.target.tolist()
    )


def evaluation(
    task: Task,
    config: Config,
    step: int,
    split: str,
    results: Outcomes,
    sources: Sequence[list[int]],
    *,
    confusion: bool = False,
) -> dict[str, Any]:
    """The numbers of one evaluation by name; no times and no paths.

    Args:
      task: that was evaluated.
      config: of the run.
      step: of the parameters.
      split: that the examples are of.
      results: what became of them.
      sources: their rows of ids, without padding.
      confusion: whether to count which symbol came for which.
    """
    target = task.target_vocabulary

    def named(token: int) -> str:
        return str((target.decode([token]) or ["<eos>"])[0])

    found = measured(task, results, config.train.metric) | {
        "split": split,
        "step": step,
        "decode": placeless(config.decode.strategy),
        "seed": config.seed,
        "unseen": task.unseen(list(sources), step * config.train.batch_size),
        "by_length": metrics.by_length(results),
        "by_position": metrics.by_position(results),
        "by_symbol": {
            named(token): row for token, row in metrics.by_symbol(results).items()
        },
    }
    if confusion:
        found["confusion"] = {
            named(token): {named(came): count for came, count in row.items()}
            for token, row in metrics.confusion(results).items()
        }
    return found


def predictions(
    task: Task,
    results: Outcomes,
    sources: Sequence[list[int]],
    *,
    wrong: bool = False,
) -> list[dict[str, Any]]:
    """Each output beside its reference, the worst first.

    Those that are wrong come before those that are right. Of the wrong ones, those
    with more edits per reference symbol come first, and of equally many the more
    probable output, which the model was surer of; of the right ones, the least
    probable. Integers are lists, other symbols are joined to a text.

    Args:
      task: that was evaluated.
      results: what became of the examples.
      sources: their rows of ids, without padding.
      wrong: whether to leave out what is right.
    """
    source, target = task.source_vocabulary, task.target_vocabulary

    def shown(vocabulary: Vocabulary, symbols: list[Symbol]) -> list[Symbol] | str:
        is_integer = vocabulary.kind == "integer"
        return symbols if is_integer else vocabulary.join(symbols)

    right = metrics.is_exact(results)
    error_rate = results.edits / np.maximum(results.target_lengths, 1)
    surest = np.where(right, results.log_probs, -results.log_probs)
    order = np.lexsort((surest, -error_rate, right))  # the last key counts most
    outputs, references = results.output.tolist(), results.target.tolist()
    return [
        {
            "source": shown(source, decode_source(task, sources[place])),
            "output": shown(target, target.decode(outputs[place])),
            "reference": shown(target, target.decode(references[place])),
            "right": bool(right[place]),
            "edits": int(results.edits[place]),
            "truncated": bool(results.truncated[place]),
            "score": float(results.scores[place]),
            "logprob": float(results.log_probs[place]),
            "reference_logprob": -float(results.nll[place]),
        }
        for place in order.tolist()
        if not (wrong and right[place])
    ]


def write_predictions(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Writes them as JSON, an example a line.

    Raises:
      OSError: the file could not be written; what was there before is intact.
    """
    lines = (json.dumps(plain(row)) + "\n" for row in rows)
    atomic.write_text(path, "".join(lines))


def write(run: Path, results: dict[str, Any]) -> None:
    """Keeps the evaluation of a run that has ended, on test data.

    Raises:
      RunError: it could not be written.
    """
    path = run / run_files.TEST
    try:
        atomic.write_text(path, json_objects.encode(plain(results)))
    except OSError as error:
        raise RunError(f"{path}: {error.strerror}") from None
