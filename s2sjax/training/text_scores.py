"""BLEU and chrF of outputs, as published tables have them."""

from collections.abc import Iterable, Sequence

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


def of_tokens(
    vocabulary: Vocabulary,
    outputs: Iterable[Sequence[int]],
    targets: Iterable[Sequence[int]],
) -> dict[str, float]:
    """`text_scores` of rows of token ids; nothing where symbols are integers.

    An unknown symbol in a target matches nothing that is written.
    """
    if vocabulary.kind == "integer":
        return {}
    wanted = [
        [STRANGE if symbol == UNKNOWN else symbol for symbol in symbols]
        for symbols in map(vocabulary.decode, targets)
    ]
    written = map(vocabulary.decode, outputs)
    return text_scores(
        [vocabulary.join(symbols) for symbols in written],
        [vocabulary.join(symbols) for symbols in wanted],
    )
