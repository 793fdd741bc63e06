"""Numbers: the raw values of a distribution, or of one value each."""

from dataclasses import dataclass
from functools import partial

from jax import Array
from jax.nn import initializers

from s2sjax.models.base import Dot, Draw, Parameters, Weights
from s2sjax.models.inputs import Inputs
from s2sjax.models.layer import symmetric
from s2sjax.models.readout.raw import Output


@dataclass(frozen=True)
class Numeric:
    """raw = V h + d, of which `output` makes numbers.

    Attributes:
      output: the kind.
      numbers: how many are written at a step, G.
    """

    output: Output
    numbers: int

    @property
    def size(self) -> int:
        return self.output.size(self.numbers)

    def parameters(self, units: int) -> dict[str, Draw]:
        draw = symmetric(units**-0.5)
        return {
            "output_kernel": partial(draw, shape=(self.size, units)),
            "output_bias": partial(initializers.zeros, shape=(self.size,)),
        }

    def weights(self, params: Parameters, embed: Inputs) -> Weights:
        return {"output": (params["output_kernel"].T, params["output_bias"])}

    def read(self, dot: Dot, h: Array) -> Array:
        return dot("output", h)
