"""What a model writes: what is made of what its last layer says.

`OUTPUTS` names what can be made of numbers; symbols have one kind, `Categorical`.
"""

from collections.abc import Callable

from s2sjax import spec
from s2sjax.config import Config, ModelConfig
from s2sjax.models.readout.base import Readout
from s2sjax.models.readout.categorical import SYMBOLIC, Categorical
from s2sjax.models.readout.gaussian import Gaussian
from s2sjax.models.readout.mixture import Mixture
from s2sjax.models.readout.negative_binomial import NegativeBinomial
from s2sjax.models.readout.numeric import Numeric
from s2sjax.models.readout.point import Point
from s2sjax.models.readout.quantile import Quantile
from s2sjax.models.readout.raw import Output
from s2sjax.models.readout.student_t import StudentT
from s2sjax.types import Numbers, Side

__all__ = [
    "OUTPUTS",
    "SYMBOLIC",
    "Categorical",
    "Numeric",
    "Output",
    "Readout",
    "build_readout",
]

OUTPUTS: dict[str, Callable[..., Output]] = {
    "gaussian": Gaussian,
    "point": Point,
    "student_t": StudentT,
    "negative_binomial": NegativeBinomial,
    "mixture": Mixture,
    "quantile": Quantile,
}


def build_readout(config: ModelConfig, written: Side) -> Readout:
    """The readout of a config, for a vocabulary of this size or for numbers.

    Raises:
      UsageError: an unknown output or argument, or one of symbols for numbers.
    """
    if not isinstance(written, Numbers):
        tied = config.embedding if config.tie_output else 0
        return Categorical(written, tied, config.has_decoder)
    output = spec.call("model.output", config.output or "gaussian", OUTPUTS)
    return Numeric(output, written.size, written.gaps)


def readout_of(config: Config) -> Readout:
    """What a run of this config writes, before its data are read: a vocabulary of some
    size, or one number at a step.

    Raises:
      UsageError: an unknown output or argument.
    """
    written: Side = Numbers(1) if config.task.of_numbers else SYMBOLIC.size
    return build_readout(config.model, written).kind
