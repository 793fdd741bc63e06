"""How well one output serves where another would have been right.

Each takes tokens without their EOS, a hypothesis [T] of n and a reference [S] of m,
and gives a number, larger for the better: the utilities of minimum Bayes risk.

    exact           1 if they are equal, else 0
    edit_distance   minus the edits from one to the other; not divided by a length,
                    since the metric of the same name adds edits up before it divides
    bleu            BLEU up to 4-grams of tokens, from 0 to 1, smoothed as sacreBLEU
                    smooths sentences: "exp", with effective order (Chen and Cherry
                    2014, method 3)
    chrf            chrF2 up to 6-grams of tokens, from 0 to 1: where tokens are
                    characters it is chrF with spaces counted (Popovic 2015)

Two empty outputs are equal: 1, or 0 edits. sacreBLEU says 0 there.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array, lax

Utility = Callable[[Array, Array, Array, Array], Array]
"""`utility(hypothesis [T], n [], reference [S], m []) -> []` float32."""


def pairwise(utility: Utility, tokens: Array, lengths: Array) -> Array:
    """The utility of each hypothesis, were each other one right.

    One hypothesis of each row at a time, so that what is compared stays small.

    Shapes: tokens [B, N, T], lengths [B, N] -> [B, N, N], hypothesis by reference.
    """
    of_references = jax.vmap(utility, in_axes=(None, None, 0, 0))
    of_rows = jax.vmap(of_references)

    def compare(hypothesis: tuple[Array, Array]) -> Array:
        return of_rows(*hypothesis, tokens, lengths)

    by_candidate = (jnp.moveaxis(tokens, 1, 0), jnp.moveaxis(lengths, 1, 0))
    return jnp.moveaxis(lax.map(compare, by_candidate), 0, 1)


def edits(hypothesis: Array, n: Array, reference: Array, m: Array) -> Array:
    """The Levenshtein distance, in insertions, deletions, substitutions.

        d[i, j] = min(d[i-1, j] + 1, d[i, j-1] + 1, d[i-1, j-1] + [h_i != r_j])

    A row of d is computed at once: the insertions along it are a running minimum of
    d[i, j] - j.

    Shapes: [T], [], [S], [] -> [] int32.
    """
    columns = jnp.arange(reference.shape[0] + 1)

    def row(above: Array, symbol_and_index: tuple[Array, Array]) -> tuple[Array, None]:
        symbol, index = symbol_and_index
        replaced = above[:-1] + (reference != symbol)
        best = jnp.minimum(above[1:] + 1, replaced)
        best = jnp.concatenate([above[:1] + 1, best])
        best = lax.cummin(best - columns) + columns
        return jnp.where(index < n, best, above), None

    symbols = hypothesis, jnp.arange(hypothesis.shape[0])
    last, _ = lax.scan(row, columns, symbols)
    return last[m]


def exact(hypothesis: Array, n: Array, reference: Array, m: Array) -> Array:
    """1 if they are equal, else 0."""
    return (edit_distance(hypothesis, n, reference, m) == 0).astype(jnp.float32)


def edit_distance(hypothesis: Array, n: Array, reference: Array, m: Array) -> Array:
    """Minus the edits between them."""
    return -edits(hypothesis, n, reference, m).astype(jnp.float32)


def bleu(hypothesis: Array, n: Array, reference: Array, m: Array) -> Array:
    """Sentence BLEU of tokens.

    >>> import jax.numpy as jnp
    >>> the, cat, sat = 4, 5, 6
    >>> five = bleu(jnp.array([the, cat]), jnp.int32(2), jnp.array([the, cat, sat]),
    ...             jnp.int32(3))
    >>> round(float(five), 3)  # exp(1 - 3 / 2): both n-grams match, one token lacks
    0.607
    """
    matches = clipped_matches(hypothesis, n, reference, m, orders=4)
    total = jnp.maximum(n - jnp.arange(4), 0)
    misses = jnp.cumsum((matches == 0) & (total > 0))  # each halves the next one's
    smoothed = jnp.where(matches == 0, 0.5**misses, matches) / jnp.maximum(total, 1)
    logs = jnp.where(total > 0, jnp.log(smoothed), 0)
    mean = jnp.sum(logs) / jnp.maximum(jnp.sum(total > 0), 1)
    brevity = jnp.minimum(1 - m / jnp.maximum(n, 1), 0)
    score = jnp.where(matches[0] > 0, jnp.exp(brevity + mean), 0)
    return _equal_if_empty(score, n, m)


def chrf(hypothesis: Array, n: Array, reference: Array, m: Array) -> Array:
    """chrF2 of tokens: F_2 of precision and recall averaged over the n-gram orders."""
    matches = clipped_matches(hypothesis, n, reference, m, orders=6)
    written = jnp.maximum(n - jnp.arange(6), 0)
    wanted = jnp.maximum(m - jnp.arange(6), 0)
    counts = (written > 0) & (wanted > 0)
    orders = jnp.maximum(jnp.sum(counts), 1)
    precision = jnp.sum(jnp.where(counts, matches / jnp.maximum(written, 1), 0))
    recall = jnp.sum(jnp.where(counts, matches / jnp.maximum(wanted, 1), 0))
    weighted = 4 * precision + recall
    score = 5 * precision * recall / jnp.where(weighted > 0, weighted, 1) / orders
    return _equal_if_empty(score, n, m)


def clipped_matches(
    hypothesis: Array, n: Array, reference: Array, m: Array, orders: int
) -> Array:
    """How many n-grams match, each at most as often as it stands in the reference.

    The k-th occurrence of an n-gram counts if the reference has at least k.

    Shapes: [T], [], [S], [] -> [orders] int32, from order 1 on.
    """
    inside = jnp.arange(hypothesis.shape[0]) < n
    wanted = jnp.arange(reference.shape[0]) < m
    same = (hypothesis[:, None] == reference[None]) & inside[:, None] & wanted[None]
    own = (hypothesis[:, None] == hypothesis[None]) & inside[:, None] & inside[None]
    with_reference, with_itself, matches = same, own, []
    for order in range(orders):
        if order:
            with_reference &= _ahead(same, order)
            with_itself &= _ahead(own, order)
        earlier = jnp.sum(jnp.tril(with_itself, -1), axis=1)
        available = jnp.sum(with_reference, axis=1)
        matches.append(jnp.sum(earlier < available))
    return jnp.stack(matches)


def _ahead(equal: Array, offset: int) -> Array:
    """Whether the tokens `offset` places further on are equal; beyond the end, not."""
    rows, columns = equal.shape
    ahead = equal[offset:, offset:]
    return jnp.pad(ahead, ((0, rows - ahead.shape[0]), (0, columns - ahead.shape[1])))


def _equal_if_empty(score: Array, n: Array, m: Array) -> Array:
    return jnp.where((n == 0) & (m == 0), 1, score).astype(jnp.float32)


UTILITIES: dict[str, Utility] = {
    "exact": exact,
    "edit_distance": edit_distance,
    "bleu": bleu,
    "chrf": chrf,
}
