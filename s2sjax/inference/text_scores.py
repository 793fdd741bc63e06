"""How good texts are beside their references: BLEU, chrF, TER and words that are wrong.

A text may have several references; which of them is right is not asked of BLEU, chrF
and TER, which take all (Papineni et al. 2002), and of words it is the nearest.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from sacrebleu.metrics import BLEU, CHRF, TER

from s2sjax.outcomes import Rows, distances, nearest
from s2sjax.tasks.vocabulary import UNKNOWN, Symbol, Vocabulary
from s2sjax.types import SYMBOLS

STRANGE = "\N{REPLACEMENT CHARACTER}"  # which no output has
USUAL = ("bleu", "chrf")  # TER tries out shifts, and may take a hundred times as long


def text_scores(
    outputs: Sequence[str],
    references: Sequence[Sequence[str]],
    names: Sequence[str] = USUAL,
) -> dict[str, float]:
    """Corpus BLEU, chrF and TER by sacrebleu, as percentages.

    All have sacrebleu's defaults: BLEU with 13a tokenisation, mixed case, 1- to
    4-grams and exponential smoothing; chrF2 with character 6-grams, without word
    n-grams; TER of words in lower case. Where every reference has less than four
    tokens, so that BLEU has no meaning, the orders that exist are used. No examples
    score 0.

    Sources: Papineni et al. 2002; Popović 2015; Snover et al. 2006; Post 2018.

    Args:
      outputs: a text for each example.
      references: of each example one or more.
      names: of the scores: bleu, chrf, ter.

    Raises:
      ValueError: there are not as many outputs as examples with references.

    >>> text_scores(["3 2 1", "9 8 7"], [["3 2 1"], ["1", "9 8 7"]])
    {'bleu': 100.0, 'chrf': 100.0}
    """
    if len(outputs) != len(references):
        raise ValueError(f"{len(outputs)} outputs for {len(references)} references")
    if not references:
        return dict.fromkeys(names, 0.0)
    streams = _streams(references)
    return {
        name: _rounded(
            name, _scorer(name, references).corpus_score(outputs, streams).score
        )
        for name in names
    }


def word_error_rate(
    outputs: Sequence[str], references: Sequence[Sequence[str]]
) -> float:
    """Insertions, deletions and substitutions of words, per word of the references.

    Words are what white space separates. Of several references it is the one with the
    fewest edits, the first if several have as few. The rate may exceed 1; without words
    it is the number of edits.

    Raises:
      ValueError: there are not as many outputs as examples with references.

    >>> word_error_rate(["Tom is here", "no"], [["Tom was here"], ["yes", "no"]])
    0.25
    """
    if len(outputs) != len(references):
        raise ValueError(f"{len(outputs)} outputs for {len(references)} references")
    numbers: dict[str, int] = {}

    def rows(texts: Iterable[str]) -> Rows:
        return Rows.from_lists(
            [
                [numbers.setdefault(word, SYMBOLS + len(numbers)) for word in split]
                for split in map(str.split, texts)
            ]
        )

    counts = np.array([len(own) for own in references], np.int32)
    wanted = rows(text for own in references for text in own)
    written = rows(outputs).take(np.repeat(np.arange(len(counts)), counts))
    edits = distances(written, wanted)
    chosen = nearest(edits, counts)
    return int(edits[chosen].sum()) / max(int(wanted.lengths[chosen].sum()), 1)


def of_tokens(
    vocabulary: Vocabulary,
    outputs: Iterable[Sequence[int]],
    references: Iterable[Sequence[Sequence[int]]],
    names: Sequence[str] = USUAL,
    written: Callable[[int, str], Sequence[str]] | None = None,
) -> dict[str, float]:
    """`text_scores` and word error rate, `wer`, of rows of token ids.

    Nothing where symbols are integers, which are no text.

    An unknown symbol in a reference matches nothing that is written.

    Args:
      vocabulary: of the outputs.
      outputs: ids of each example.
      references: ids of each example's references.
      names: see `text_scores`.
      written: of an example, by its number, and a reference as it is read, how people
        wrote it, which `text_scores` compares with; empty: so. See `casing.written`.
    """
    if vocabulary.kind == "integer":
        return {}

    def known(symbols: list[Symbol]) -> str:
        return vocabulary.join([STRANGE if s == UNKNOWN else s for s in symbols])

    texts = [vocabulary.join(vocabulary.decode(row)) for row in outputs]
    rows = [[vocabulary.decode(row) for row in own] for own in references]
    wanted = [[known(row) for row in own] for own in rows]
    rate = word_error_rate(texts, wanted)
    if written is not None:
        wanted = [
            [
                text
                for row in own
                for text in written(example, vocabulary.join(row)) or [known(row)]
            ]
            for example, own in enumerate(rows)
        ]
    return text_scores(texts, wanted, names) | {"wer": rate}


def segments(
    outputs: Sequence[str], references: Sequence[Sequence[str]], name: str
) -> tuple[np.ndarray, Callable[[np.ndarray], float]]:
    """What each text adds to a score of `text_scores`, [N, K], and that of a sum, [K].

    So that the score of any choice of the texts is soon known; see `text_scores` for
    the arguments. There is at least one text.
    """
    scorer = _scorer(name, references)
    # sacrebleu has these two for its own tests of significance.
    sums = np.array(
        scorer._extract_corpus_statistics(outputs, _streams(references)), np.float64
    )

    def value(total: np.ndarray) -> float:
        return _rounded(name, scorer._compute_score_from_stats(total.tolist()).score)

    return sums, value


def _streams(references: Sequence[Sequence[str]]) -> list[list[str | None]]:
    """The first of all examples, the second of all, .., as sacrebleu takes them."""
    return [
        [own[place] if place < len(own) else None for own in references]
        for place in range(max(map(len, references)))
    ]


def _scorer(name: str, references: Sequence[Sequence[str]]) -> Any:
    if name == "ter":
        return TER()
    if name == "chrf":
        return CHRF()
    # `force` keeps it from advising about texts that end in a separate full stop.
    bleu = BLEU(force=True)
    orders = max(
        len(bleu.tokenizer(text).split()) for own in references for text in own
    )
    return BLEU(force=True, effective_order=orders < bleu.max_ngram_order)


def _rounded(name: str, score: float) -> float:
    # sacrebleu's own 100 is 100.00000000000004.
    return round(score, 8) if name == "ter" else min(round(score, 8), 100.0)
