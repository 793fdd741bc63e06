"""BLEU, chrF and word error rate of outputs, as published tables have them."""

from collections.abc import Iterable, Sequence

import numpy as np
from sacrebleu.metrics import BLEU, CHRF

from s2sjax.tasks.vocabulary import UNKNOWN, Vocabulary

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
    """The edit distance of words, by the recurrence of `metrics.edit_distance`."""
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
