"""How an output becomes an input where it is a symbol: a token, or a distribution."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from s2sjax import spec
from s2sjax.errors import UsageError
from s2sjax.models.padding import cut
from s2sjax.training.feeding.base import Feeding
from s2sjax.types import Batch, described

Feedback = Callable[[Array, Array], Array]
"""`feedback(logits, key) -> x`: what an example's decoder said, [V], as its next input:
a token id, [] int32, or a distribution, [V], of which the embedding is the mean. `key`
is that of the example and the step."""


def argmax() -> Feedback:
    """The most probable token; no gradient passes through the choice."""
    return lambda logits, key: jnp.argmax(logits).astype(jnp.int32)


def probabilities(*, temperature: float = 1.0) -> Feedback:
    """softmax(logits / temperature), the whole of it; gradients pass through."""
    _check_temperature(temperature)
    return lambda logits, key: jax.nn.softmax(logits / temperature)


def sample(*, temperature: float = 1.0) -> Feedback:
    """A token drawn from softmax(logits / temperature); without a gradient."""
    _check_temperature(temperature)

    def feedback(logits: Array, key: Array) -> Array:
        drawn = jax.random.categorical(key, logits / temperature)
        return drawn.astype(jnp.int32)

    return feedback


def straight_through(*, temperature: float = 1.0) -> Feedback:
    """The most probable token as a one-hot vector, with the gradient of
    softmax(logits / temperature) (the straight-through estimator of Bengio et al. 2013,
    section 4)."""
    _check_temperature(temperature)

    def feedback(logits: Array, key: Array) -> Array:
        soft = jax.nn.softmax(logits / temperature)
        hard = jax.nn.one_hot(jnp.argmax(logits), len(logits), dtype=soft.dtype)
        return hard + (soft - lax.stop_gradient(soft))

    return feedback


def _check_temperature(temperature: float) -> None:
    spec.between("temperature", temperature, 1e-3, 1e3)


FEEDINGS: dict[str, Callable[..., Feedback | None]] = {
    "gold": lambda: None,
    "none": lambda: None,  # the model reads nothing, whatever it is fed
    "argmax": argmax,
    "probabilities": probabilities,
    "sample": sample,
    "straight_through": straight_through,
}


@dataclass(frozen=True)
class SymbolFeeding(Feeding):
    """As `Feeding`, of symbols; `feedback` is a `Feedback`."""

    def beside(self, batch: Batch, vocabulary: Array | None, time: int) -> Array | None:
        return None if vocabulary is None else jnp.full(time, vocabulary)

    def feed(
        self, raw: Array, gold: Array, own: Array, keys: Array, beside: Any
    ) -> Array:
        """The next inputs: tokens [B] or distributions [B, V].

        Args:
          raw: the logits that the decoder said last, [B, V].
          gold: tokens, [B].
          own: where its output goes in instead, [B] bool.
          keys: of the examples at this step, [B].
          beside: the size of the vocabulary, [], where logits are padded.
        """
        assert self.feedback is not None
        logits = cut(raw, beside)
        fed = jax.vmap(self.feedback)(logits, keys)
        _check_fed(self.feedback, fed, logits.shape)
        if fed.ndim == 1:
            return jnp.where(own, fed, gold)
        gold = jax.nn.one_hot(gold, logits.shape[-1], dtype=fed.dtype)
        return jnp.where(own[:, None], fed, gold)


def _check_fed(feedback: Feedback, fed: Any, shape: tuple[int, ...]) -> None:
    if isinstance(fed, Array):
        is_whole = jnp.issubdtype(fed.dtype, jnp.integer)
        if fed.shape == (shape[:1] if is_whole else shape):
            return
    name = getattr(feedback, "__name__", feedback)
    raise UsageError(
        f"train.feeding: {name} returned {described(fed)} for {shape[0]} examples; "
        f"wanted token ids, int[{shape[0]}], or distributions, float{list(shape)}"
    )
