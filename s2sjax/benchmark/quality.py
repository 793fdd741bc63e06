"""How good outputs are, and how well their probabilities tell."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from s2sjax import metrics
from s2sjax.benchmark.outputs import Outputs, References
from s2sjax.metrics import Outcomes
from s2sjax.training.predictor import edits
from s2sjax.types import EOS

BINS = 15


class Quality(NamedTuple):
    """Of the best outputs of all examples. See `metrics.summary` for the first three.

    `logprob` is the mean of log p(output), in nats, and `length_ratio` that of the
    output's tokens over the reference's, EOS counted in both, so that neither is
    empty.
    """

    exact: float
    token_accuracy: float
    edit_distance: float
    logprob: float
    length_ratio: float
    calibration_error: float
    truncated: float


def quality(found: Outputs, right: References) -> Quality:
    """What the best outputs of all examples are worth."""
    results = _outcomes(found, right)
    summary = metrics.summary(results)
    exact = metrics.is_exact(results)
    ratios = found.lengths[:, 0] / right.lengths
    return Quality(
        summary["exact"],
        summary["token_accuracy"],
        summary["edit_distance"],
        float(found.log_probs[:, 0].astype(np.float64).mean()),
        float(ratios.mean()),
        calibration_error(np.exp(found.log_probs[:, 0].astype(np.float64)), exact),
        summary["truncated"],
    )


def calibration_error(
    confidences: np.ndarray, right: np.ndarray, bins: int = BINS
) -> float:
    """Expected calibration error, over sequences.

        sum_b |B_b| / E | mean of right in B_b - mean confidence in B_b |

    B_b are the examples with a confidence in (b / bins, (b + 1) / bins]; the first
    holds 0 too. (Naeini et al. 2015; Guo et al. 2017, equation 3.)

    Args:
      confidences: [E] from 0 to 1, here p(output).
      right: [E] bool.

    >>> calibration_error(np.array([0.75, 0.75]), np.array([True, False]))
    0.25
    """
    edges = np.linspace(0, 1, bins + 1)[1:-1]
    places = np.digitize(confidences, edges, right=True)
    gaps = np.bincount(places, right.astype(float) - confidences, minlength=bins)
    return float(np.abs(gaps).sum()) / max(len(right), 1)


def _outcomes(found: Outputs, right: References) -> Outcomes:
    """The best outputs; what is teacher-forced is not looked at."""
    tokens, truncated = found.tokens[:, 0], found.truncated[:, 0]
    symbols = (found.lengths[:, 0] - (tokens == EOS).any(axis=1)).astype(np.int32)
    wanted = (right.lengths - 1).astype(np.int32)
    edited = np.asarray(
        edits(*map(jnp.asarray, (tokens, symbols, right.tokens, wanted)))
    )
    nothing = np.zeros(len(tokens))
    return Outcomes.of(
        *(tokens, symbols, truncated, right.tokens, wanted, edited),
        *(nothing, found.log_probs[:, 0], -right.log_probs, nothing.astype(np.int32)),
    )
