"""Kinds of attention: where the decoder looks, and what it finds there.

Each is a module with the methods of `base.Attention`. `ATTENTIONS` names them; what can
be given in a spec, `multi_head:heads=8`, are their attributes.
"""

import functools
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from s2sjax import spec
from s2sjax.errors import UsageError
from s2sjax.models.attention.bahdanau import BahdanauAttention
from s2sjax.models.attention.dot import (
    DotAttention,
    GeneralAttention,
    Multiplicative,
    ScaledDotAttention,
)
from s2sjax.models.attention.location_sensitive import LocationSensitiveAttention
from s2sjax.models.attention.multi_head import MultiHeadAttention
from s2sjax.models.base import Attention, Encoded
from s2sjax.models.scan import product
from s2sjax.types import described

__all__ = [
    "ATTENTIONS",
    "BahdanauAttention",
    "Multiplicative",
    "build_attention",
    "check",
]


def no_attention(state: int, values: int) -> None:
    """The decoder does not look back: all it knows is the state it starts from."""


ATTENTIONS: dict[str, Callable[..., Attention | None]] = {
    "none": no_attention,
    "bahdanau": BahdanauAttention,
    "dot": DotAttention,
    "general": GeneralAttention,
    "scaled_dot": ScaledDotAttention,
    "location_sensitive": LocationSensitiveAttention,
    "multi_head": MultiHeadAttention,
}


def build_attention(text: str, state: int, values: int) -> Attention | None:
    """The attention of a spec, for queries of size `state` and a memory of `values`.

    Raises:
      UsageError: an unknown kind or argument (with the nearest), or sizes that do not
        fit it.
    """
    kind, parsed = spec.find("model.attention", text, ATTENTIONS), spec.parse(text)
    if isinstance(kind, type):
        # It belongs to the module that it is handed to, whoever builds it.
        kind = partial(kind, parent=None)
    built: Attention | None = spec.apply(
        "model.attention", parsed, kind, state, values, hidden=("name", "parent")
    )
    return built


@functools.lru_cache
def check(attention: Any, state: int, values: int) -> None:
    """Tries one look of a module on shapes alone.

    Args:
      attention: the module.
      state: size D of the query.
      values: size C of the memory.

    Raises:
      UsageError: something that `base.Attention` has is missing, or a look gives a
        context, a state or weights of another shape than it must.

    >>> check("dot", 8, 8)
    Traceback (most recent call last):
    s2sjax.errors.UsageError: attention 'dot' has no memory; see models.base.Attention
    """
    what = f"attention {attention!r}"
    if hasattr(attention, "init"):
        what = f"attention {type(attention).__name__}"
    for name in (name for name in vars(Attention) if not name.startswith("_")):
        if not hasattr(attention, name):
            raise UsageError(f"{what} has no {name}; see models.base.Attention")
    rows, symbols = 2, 3

    def look(key: Array, encoded: Encoded, query: Array) -> Any:
        drawn = attention.init(key, encoded, method="memory")
        # Some are float64 where jax has that for a default.
        bound = attention.bind(jax.tree.map(lambda a: a.astype(jnp.float32), drawn))
        memory = bound.memory(encoded)
        weights = bound.weights(memory)
        first = attention.start(memory)
        context, new, aux = attention.look(
            lambda name, *lhs: product(lhs, weights[name]), query, memory, first
        )
        return first, new, context, aux

    def shape(*axes: int, dtype: Any = jnp.float32) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(axes, dtype)

    mask: Any = shape(rows, symbols, dtype=bool)
    read: Any = shape(rows, symbols, values)
    encoded = Encoded(read, mask, ())
    first, new, context, aux = jax.eval_shape(
        look, jax.random.key(0), encoded, shape(rows, state)
    )
    _same(f"{what}: the context", context, shape(rows, values))
    _same(f"{what}: the new state", new, first)
    _same(f"{what}: aux['attention']", aux.get("attention"), shape(rows, symbols))


def _same(what: str, came: Any, wanted: Any) -> None:
    """Raises a UsageError where two trees of arrays differ in form."""
    if described(came) != described(wanted):
        raise UsageError(
            f"{what} is {described(came)} for a batch of 2, and not {described(wanted)}"
        )
