"""What a complete hypothesis scores: log p, normalised by its length, and the coverage
penalty for what its attention did not look at.
"""

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jax import Array

from s2sjax.decoding.base import Request
from s2sjax.errors import UsageError, unknown
from s2sjax.spec import between

KINDS = ("none", "average", "gnmt")
_USUAL = {"average": 1.0, "gnmt": 0.6}
_TINY = 1e-6  # attention below this counts as this: the penalty stays finite


@dataclass(frozen=True)
class Normaliser:
    """A kind of normalisation with its exponent.

        none      log p
        average   log p / n^alpha
        gnmt      log p / ((5 + n) / 6)^alpha    (Wu et al. 2016, equation 14)

    >>> Normaliser("average", 1.0).divisors(3).tolist()
    [1.0, 1.0, 2.0, 3.0]
    """

    kind: str = "none"
    alpha: float = 0.0

    @classmethod
    def named(cls, kind: str | None, alpha: float | None) -> "Normaliser":
        """The normaliser of a strategy's arguments `normaliser` and `alpha`.

        `alpha` alone means `average`; a kind alone has its usual alpha, 1 for `average`
        and 0.6 for `gnmt`; neither means `none`.

        Raises:
          UsageError: unknown kind, or `none` with an alpha.

        >>> Normaliser.named(None, 0.5)
        Normaliser(kind='average', alpha=0.5)
        """
        if kind is None:
            kind = "none" if alpha is None else "average"
        if kind not in KINDS:
            raise unknown("normaliser", str(kind), KINDS)
        if alpha is not None:
            between("alpha", alpha, -10, 10)
        if kind == "none":
            if alpha:
                raise UsageError(
                    f"alpha={alpha} has no effect with normaliser=none; use average or "
                    "gnmt"
                )
            return cls()
        return cls(kind, _USUAL[kind] if alpha is None else float(alpha))

    def divisors(self, width: int) -> np.ndarray:
        """The divisor of each length from 0 to `width`, [width + 1] float32.

        Length 0, which only an output without tokens has, counts as 1.
        """
        lengths = np.maximum(np.arange(width + 1), 1).astype(np.float64)
        base = (5 + lengths) / 6 if self.kind == "gnmt" else lengths
        power = base**self.alpha if self.kind != "none" else np.ones_like(base)
        return power.astype(np.float32)

    def score(self, log_probs: Array, lengths: Array, width: int) -> Array:
        """Log-probabilities of hypotheses of these lengths, normalised."""
        return log_probs / jnp.asarray(self.divisors(width))[lengths]

    def bound(self, log_probs: Array, least: Array, most: Array, width: int) -> Array:
        """The best score that a live hypothesis can still end with.

        Its log-probability only falls, and it ends with at least `least` and at most
        `most` tokens. It is not positive, so the largest divisor in that range bounds
        its score: that of `most` where the divisor grows with the length, and that of
        `least` where it falls. Divisors come from one table and are monotone in it,
        as are float32 sums and quotients, so the bound holds to the last bit.
        """
        return self.score(log_probs, most if self.alpha > 0 else least, width)


def reachable(
    normaliser: Normaliser, request: Request, log_probs: Array, lengths: Array
) -> Array:
    """The best scores that live prefixes [B, ...] of these lengths can still get."""

    def of_row(leaf: Array) -> Array:
        return jnp.expand_dims(leaf, range(1, log_probs.ndim))

    least, most = lengths + 1, of_row(request.limits)
    if request.minimums is not None:
        least = jnp.maximum(least, of_row(request.minimums))
    return normaliser.bound(log_probs, jnp.minimum(least, most), most, request.width)


def attention_of(aux: dict[str, Array]) -> Array:
    """The attention of a step.

    Raises:
      UsageError: the step function gives none.
    """
    if "attention" not in aux:
        raise UsageError("coverage needs a model with attention; this one has none")
    return aux["attention"]


def penalty(coverage: Array, source_lengths: Array, beta: float) -> Array:
    """beta sum_s log min(sum_t a_ts, 1), at most 0 (Wu et al. 2016, equation 14).

    Over the symbols of the source; padding does not count. It is part of the score of
    complete hypotheses alone: what an unfinished one has not looked at, it still may.

    Shapes: coverage [B, K, S], source_lengths [B] -> [B, K].
    """
    places = jnp.arange(coverage.shape[-1])[None, None]
    real = places < source_lengths[:, None, None]
    missing = jnp.log(jnp.clip(coverage, _TINY, 1))
    return beta * jnp.sum(jnp.where(real, missing, 0), axis=-1)
