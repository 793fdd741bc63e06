"""The contract of what a model writes at a step, and reads at the next."""

from typing import Protocol

from jax import Array

from s2sjax.models.base import Dot, Draw, Parameters, Weights
from s2sjax.models.inputs import Inputs
from s2sjax.types import Batch


class Readout(Protocol):
    """What is made of what the last layer says: raw values, such as logits.

    It is hashable, and reads no parameter but through what it is given.
    """

    def __hash__(self) -> int: ...

    @property
    def kind(self) -> "Readout":
        """This, but for how many symbols there are: what training depends on."""

    @property
    def size(self) -> int:
        """How many raw values a step has, P."""

    def parameters(self, units: int) -> dict[str, Draw]:
        """Every parameter by name, and how it is drawn, for h of size `units`."""

    def weights(self, params: Parameters, embed: Inputs) -> Weights:
        """The matrices that a step multiplies with: `output`, and whatever else."""

    def read(self, dot: Dot, h: Array) -> Array:
        """The raw values, [..., units] -> [..., P], of one step or of all."""

    @property
    def gaps(self) -> bool:
        """Whether gold may be missing, so that no step can be fed gold alone."""

    @property
    def filler(self) -> int | float:
        """What can be written, and stands where a target has nothing."""

    def real(self, batch: Batch) -> Array:
        """Where the target has something, bool of its shape."""

    def counts(self, batch: Batch) -> Array:
        """How much of each example that is, [B]."""

    def gold(self, batch: Batch) -> Array:
        """What the decoder reads where it is fed the target, [B, T, ...]."""
