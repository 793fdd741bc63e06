"""Kinds of attention: where the decoder looks, and what it finds there.

Each is a module with the methods of `base.Attention`. `ATTENTIONS` names them; what can
be given in a spec, `multi_head:heads=8`, are their attributes.
"""

from collections.abc import Callable
from functools import partial

from s2sjax import spec
from s2sjax.models.attention.bahdanau import BahdanauAttention
from s2sjax.models.attention.dot import (
    DotAttention,
    GeneralAttention,
    Multiplicative,
    ScaledDotAttention,
)
from s2sjax.models.attention.location_sensitive import LocationSensitiveAttention
from s2sjax.models.attention.multi_head import MultiHeadAttention
from s2sjax.models.base import Attention

__all__ = ["ATTENTIONS", "BahdanauAttention", "Multiplicative", "build_attention"]


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
    # It belongs to the module that it is handed to, whoever builds it.
    table = {
        name: partial(kind, parent=None) if isinstance(kind, type) else kind
        for name, kind in ATTENTIONS.items()
    }
    hidden = "name", "parent"
    built: Attention | None = spec.call(
        "model.attention", text, table, state, values, hidden=hidden
    )
    return built
