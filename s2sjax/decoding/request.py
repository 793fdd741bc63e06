"""What is asked of the hypotheses of each input."""

from typing import NamedTuple

from jax import Array


class Request(NamedTuple):
    """How long each output may be, what must and must not be in it, and its keys.

    What is None is not asked for and costs nothing. Built inside a compiled function:
    `width` and `no_repeat` are plain numbers, the rest are arrays.
    """

    width: int  # T, the largest limit there can be
    limits: Array  # [B] int32, most tokens, EOS counted
    keys: Array  # [B], each input's own
    source_lengths: Array | None = None  # [B] int32, for the coverage penalty
    minimums: Array | None = None  # [B] int32, fewest tokens, EOS counted
    prefixes: Array | None = None  # [B, P] int32, the first tokens, PAD after them
    banned: Array | None = None  # [B, V] bool, tokens that must not be written
    required: Array | None = None  # [B, C, L] int32, phrases to write, PAD after each
    no_repeat: int = 0  # no n-gram of this order is written twice; 0: any may be
