"""The contracts that the parts of s2sjax meet in, and the legend of axes.

Axes, as suffixes of names and in docstrings:

    B  batch            T  target time      V  vocabulary     N  n-best
    S  source time      K  beam             D  features       R  replica

and of numbers F at a step of the source, G at a step of the target, and C known ahead.

Token ids: `PAD`, `BOS`, `EOS`, `UNK`, then the symbols from `SYMBOLS` on. People
see symbols (integers, characters, words), never ids.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from jax import Array
else:  # contracts and token ids are read where jax is not imported yet
    Array = Any

PAD, BOS, EOS, UNK = 0, 1, 2, 3
SYMBOLS = 4  # the id of the first symbol of every vocabulary


class Given(NamedTuple):
    """What stands beside targets that are numbers.

    A number is `shift + scale * value`, where `value` is what the model reads and
    writes.
    """

    first: Array  # [B, G] what enters the decoder first: the last value observed
    known: Array  # [B, T, C] known ahead of each step; C may be 0
    shift: Array  # [B, G]
    scale: Array  # [B, G] above 0


class Batch(NamedTuple):
    """Examples, padded to common widths.

    What stands beyond a row's length never changes a result. Rows that only fill
    the batch up have weight 0. Of numbers the source is float32 [B, S, F], ready to
    enter, and the target float32 [B, T, G], NaN where one is missing and without EOS.
    """

    source: Array  # [B, S] int32, token ids without EOS
    source_lengths: Array  # [B] int32, may be 0
    target: Array  # [B, T] int32, token ids, EOS last
    target_lengths: Array  # [B] int32, EOS counted, so at least 1 in a real row
    ids: Array  # [B] int32, which example this is: the seed of its own randomness
    weights: Array  # [B] float32, 1 for an example, 0 for filler
    given: Any = ()  # `Given`, where the target is numbers

    def __repr__(self) -> str:
        return described_fields(self)


class Numbers(NamedTuple):
    """Rows of numbers, where a vocabulary would be."""

    size: int  # how many are read or written at a step
    known: int = 0  # of a target: how many enter beside them that are known ahead
    gaps: bool = False  # of a target: whether some may be missing


Side = int | Numbers
"""What is read, or written, at a step: one of so many symbols, or numbers."""

Carry = Any  # a pytree with leading axis B; an algorithm never looks inside


class StepOutput(NamedTuple):
    """What a decoder says at one step."""

    logits: Array  # [B, V] float, -inf where a token can never be emitted; of numbers
    # the raw values of their readout, [B, P]
    aux: dict[str, Array]  # e.g. "attention" [B, S]; leading axis B


StepFn = Callable[[Carry, Array], tuple[Carry, StepOutput]]
"""One decoder step: `step(carry, x) -> (carry, StepOutput)`.

It closes over parameters and the encoded source. `x` is token ids [B] int32, or a
distribution over the vocabulary [B, V] float.
"""


class Hypotheses(NamedTuple):
    """What every decoding strategy returns: an n-best list per input, best first."""

    tokens: Array  # [B, N, T] int32, EOS included, PAD after it
    scores: Array  # [B, N] float32, the strategy's score; for greedy the sum of
    # log-probabilities, EOS included
    lengths: Array  # [B, N] int32, EOS counted
    valid: Array  # [B, N] bool, False where there is no such hypothesis
    truncated: Array  # [B, N] bool, cut at its limit: no EOS
    aux: dict[str, Array]  # per step, e.g. "attention" [B, N, T, S]

    def __repr__(self) -> str:
        return described_fields(self)


def described(tree: Any) -> str:
    """A tree with the type and shape of each array, e.g. `(float32[2, 7], {})`."""
    import jax
    import jax.numpy as jnp

    def shown(leaf: Any) -> str:
        try:
            return f"{jnp.result_type(leaf)}{list(jnp.shape(leaf))}"
        except TypeError:
            return type(leaf).__name__

    return str(jax.tree.map(shown, tree)).replace("'", "")


def described_fields(record: Any) -> str:
    """A named tuple of trees in a line, each field as `described` has it."""
    fields = (f"{name}={described(leaf)}" for name, leaf in record._asdict().items())
    return f"{type(record).__name__}({', '.join(fields)})"
