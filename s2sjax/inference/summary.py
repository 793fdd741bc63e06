"""Results of an evaluation: the numbers of `eval --json`, and its predictions."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from s2sjax import json_objects, metrics, spec, user_code
from s2sjax.config import Config, placeless
from s2sjax.decoding.goals import TOLERANCE, goal
from s2sjax.errors import RunError
from s2sjax.inference import text_scores
from s2sjax.inference.system import output_lengths
from s2sjax.outcomes import Outcomes, is_exact
from s2sjax.runs import atomic, run_files
from s2sjax.runs.journal import plain
from s2sjax.tasks import casing
from s2sjax.tasks.levels import Feature
from s2sjax.tasks.task import Task, decode_source
from s2sjax.tasks.vocabulary import Symbol, Vocabulary
from s2sjax.types import UNK

MOST_ALIKE = 0.5  # of the outputs may be one string, before a line tells
SHOWN = 40  # characters of that string
ONLY_WRONG = "only_wrong"  # of a prediction whose right neighbours were left out
FEWEST = 10  # outputs, below which a few equal ones say nothing


def measured(
    task: Task,
    results: Outcomes,
    sources: Sequence[list[int]],
    metric: str,
    texts: Sequence[str] = text_scores.USUAL,
) -> dict[str, Any]:
    """How good outputs are, in numbers: of validation while training as of a test.

    Those of `metrics.summary`, of `text_scores.of_tokens`, and `metric` where that is a
    user's own. An integer is a word, so that there `wer` is `edit_distance`.

    Args:
      task: that was evaluated.
      results: what became of the examples.
      sources: their rows of ids, without padding.
      metric: `train.metric`.
      texts: the scores of texts that are wanted, besides `metric`.
    """
    values = metrics.summary(results)
    values["wer"] = values["edit_distance"]
    own = metrics.own(metric)
    if own is not None:
        parsed = spec.parse(metric)
        values[parsed.name] = user_code.call(parsed.file, lambda: own.mean(results))
    more = [metric] if metric == "ter" else []
    return values | text_scores.of_tokens(
        task.target_vocabulary,
        results.output.tolist(),
        results.references.by_example(),
        list(dict.fromkeys([*texts, *more])),
        casing.written(task, sources),
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
    ter: bool = False,
    baselines: bool = False,
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
      ter: whether texts have a translation edit rate, which takes long.
      baselines: whether to say how far one comes without a model.
    """
    target = task.target_vocabulary
    texts = (*text_scores.USUAL, *(["ter"] if ter else []))
    lengths = np.array([len(source) for source in sources])

    def named(token: int) -> str:
        return str((target.decode([token]) or ["<eos>"])[0])

    found = measured(task, results, sources, config.train.metric, texts) | {
        "split": split,
        "step": step,
        "decode": placeless(config.decode.strategy),
        "seed": config.seed,
        "unseen": task.unseen(list(sources), step * config.train.batch_size),
        "search_errors": _search_errors(config, results, lengths),
        "most_frequent_output": _most_frequent(target, results),
        "reliability": metrics.reliability(results),
        "by_length": metrics.by_length(results),
        "by_source_length": metrics.by_length(results, lengths),
        "by_position": metrics.by_position(results),
        "exposure_by_position": metrics.exposure_by_position(results),
        "by_symbol": {
            named(token): row for token, row in metrics.by_symbol(results).items()
        },
    }
    if task.source_vocabulary.features:
        tags = [parted(task, source)[1] for source in sources]
        found["by_feature"] = metrics.by_group(results, tags)
    if baselines:
        found["baselines"] = task.baselines(split)
    if confusion:
        found["confusion"] = {
            named(token): {named(came): count for came, count in row.items()}
            for token, row in metrics.confusion(results).items()
        }
    return found


def parted(task: Task, source: Sequence[int]) -> tuple[list[Symbol], list[str]]:
    """The symbols of a source's text, and its features."""
    symbols = decode_source(task, source)
    tags = [each.name for each in symbols if isinstance(each, Feature)]
    return [each for each in symbols if not isinstance(each, Feature)], tags


def _search_errors(
    config: Config, results: Outcomes, source_lengths: np.ndarray
) -> float | None:
    """The share of outputs that score less than a reference that could be written.

    The best output may score more still: `s2sjax bench` looks for it. None where the
    strategy has no goal to compare by, or rules that a reference may break.
    """
    aim, decode = goal(config.decode.strategy), config.decode
    if (
        not config.model.has_decoder
        or aim is None
        or aim.rules.no_repeat
        or not len(source_lengths)
    ):
        return None
    limits = output_lengths(decode, int(source_lengths.max()))
    least, most = (np.array(column)[source_lengths] for column in limits)
    lengths = results.forced_lengths
    written = results.output_lengths + ~results.truncated
    divisors = aim.normaliser.divisors(int(max(lengths.max(), written.max())))
    wanted = -results.nll / divisors[lengths]
    came = results.log_probs / divisors[written]
    can_be = (lengths >= least) & (lengths <= most)
    return float((can_be & (results.truncated | (came < wanted - TOLERANCE))).mean())


def _most_frequent(vocabulary: Vocabulary, results: Outcomes) -> dict[str, Any] | None:
    """The output that comes most often, its share, and for how many it is right."""
    if not len(results.edits):
        return None
    row, share = metrics.most_frequent(results.output)
    known = UNK not in row
    right = [known and row in some for some in results.references.by_example()]
    return {
        "output": shown(vocabulary, vocabulary.decode(row)),
        "share": share,
        "right": float(np.mean(right)),
    }


def collapse(found: Mapping[str, Any]) -> str:
    """What to say where most outputs are one string; empty where they are not.

    Args:
      found: the numbers of an evaluation.

    >>> often = {"output": "no", "share": 0.75, "right": 0.1}
    >>> collapse({"examples": 20, "most_frequent_output": often, "distinct": 0.3})
    "75.0 % of the outputs are 'no', which is right for 10.0 %: the model has collapsed"
    """
    often = found.get("most_frequent_output")
    if not often or found["examples"] < FEWEST or often["share"] <= MOST_ALIKE:
        return ""
    if often["right"] > MOST_ALIKE:
        return ""
    output = often["output"]
    text = output if isinstance(output, str) else " ".join(map(str, output))
    short = text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
    return (
        f"{100 * often['share']:.1f} % of the outputs are {short!r}, which is right "
        f"for {100 * often['right']:.1f} %: the model has collapsed"
    )


def shown(vocabulary: Vocabulary, symbols: list[Symbol]) -> list[Symbol] | str:
    """Symbols as files have them: integers a list, others joined to a text."""
    return symbols if vocabulary.kind == "integer" else vocabulary.join(symbols)


def predictions(
    task: Task,
    results: Outcomes,
    sources: Sequence[list[int]],
) -> list[dict[str, Any]]:
    """Each output beside its references, the worst first.

    Those that are wrong come before those that are right. Of the wrong ones, those
    with more edits per reference symbol come first, and of equally many the more
    probable output, which the model was surer of; of the right ones, the least
    probable. Integers are lists, other symbols are joined to a text.

    Args:
      task: that was evaluated.
      results: what became of the examples.
      sources: their rows of ids, without padding.
    """
    source, target = task.source_vocabulary, task.target_vocabulary
    right = is_exact(results)
    error_rate = results.edits / np.maximum(results.target_lengths, 1)
    surest = np.where(right, results.log_probs, -results.log_probs)
    order = np.lexsort((surest, -error_rate, right))  # the last key counts most
    outputs, nearest = results.output.tolist(), results.target.tolist()
    references = results.references.by_example()
    written = casing.written(task, sources)

    def given(place: int) -> dict[str, Any]:
        symbols, tags = parted(task, sources[place])
        features = {"features": tags} if source.features else {}
        return {"source": shown(source, symbols), **features}

    def cased(place: int) -> dict[str, Any]:
        if written is None:
            return {}
        texts = [target.join(target.decode(each)) for each in references[place]]
        return {"cased": [t for text in texts for t in written(place, text) or [text]]}

    return [
        {
            **given(place),
            "output": shown(target, target.decode(outputs[place])),
            "reference": shown(target, target.decode(nearest[place])),
            "references": [
                shown(target, target.decode(each)) for each in references[place]
            ],
            **cased(place),
            "lengths": [len(each) for each in references[place]],
            "right": bool(right[place]),
            "edits": int(results.edits[place]),
            "truncated": bool(results.truncated[place]),
            "score": float(results.scores[place]),
            "logprob": float(results.log_probs[place]),
            "reference_logprob": -float(results.nll[place]),
        }
        for place in order.tolist()
    ]


def wrong_ones(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those that are wrong, each marked as one that is not all there is."""
    return [row | {ONLY_WRONG: True} for row in rows if not row["right"]]


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
