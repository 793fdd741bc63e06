"""Recurrent sequence-to-sequence research in JAX and Flax.

    import s2sjax as s2s

gives models, batches, losses, decoding and whole runs by the names in `__all__`; what
each of them is made of lies in `s2sjax.models`, `s2sjax.decoding`, `s2sjax.training`
and their neighbours, the command line in `s2sjax.cli`.

The import itself loads no jax: a name is looked up when it is first used. Where the
installed jaxlib needs a flag to compute right, it is set here, for XLA reads its flags
when jax starts.
"""

import importlib
import os
import warnings
from typing import TYPE_CHECKING, Any

from s2sjax import environment

if TYPE_CHECKING:
    from s2sjax.commands.bench import bench as bench
    from s2sjax.commands.compare import compare as compare
    from s2sjax.commands.data import data as data
    from s2sjax.commands.run import Decoded as Decoded
    from s2sjax.commands.run import Output as Output
    from s2sjax.commands.run import Run as Run
    from s2sjax.commands.run import Scored as Scored
    from s2sjax.commands.run import export as export
    from s2sjax.commands.run import load as load
    from s2sjax.commands.sweep import sweep as sweep
    from s2sjax.commands.sweep import trials as trials
    from s2sjax.commands.train import train as train
    from s2sjax.config import Config as Config
    from s2sjax.config import ModelConfig as ModelConfig
    from s2sjax.config import base_config as base_config
    from s2sjax.decoding.beam import beam as beam
    from s2sjax.decoding.diverse_beam import diverse_beam as diverse_beam
    from s2sjax.decoding.exact import exact as exact
    from s2sjax.decoding.sampling import greedy as greedy
    from s2sjax.decoding.sampling import sample as sample
    from s2sjax.decoding.stochastic_beam import stochastic_beam as stochastic_beam
    from s2sjax.errors import RunError as RunError
    from s2sjax.errors import UsageError as UsageError
    from s2sjax.models.labeller import Aligned as Aligned
    from s2sjax.models.labeller import Classifier as Classifier
    from s2sjax.models.seq2seq import Seq2Seq as Seq2Seq
    from s2sjax.reporting.alignment import Alignment as Alignment
    from s2sjax.training.by_hand import batch as batch
    from s2sjax.training.by_hand import loss as loss
    from s2sjax.training.by_hand import nll as nll
    from s2sjax.training.observer import Observer as Observer
    from s2sjax.types import BOS as BOS
    from s2sjax.types import EOS as EOS
    from s2sjax.types import PAD as PAD
    from s2sjax.types import UNK as UNK
    from s2sjax.types import Batch as Batch
    from s2sjax.types import Hypotheses as Hypotheses
    from s2sjax.types import StepOutput as StepOutput

__version__ = "0.1.0"

# Where each name of the face is.
_MODULES = {
    "commands.bench": ("bench",),
    "commands.compare": ("compare",),
    "commands.data": ("data",),
    "commands.run": ("Decoded", "Output", "Run", "Scored", "export", "load"),
    "commands.sweep": ("sweep", "trials"),
    "commands.train": ("train",),
    "config": ("Config", "ModelConfig", "base_config"),
    "decoding.beam": ("beam",),
    "decoding.diverse_beam": ("diverse_beam",),
    "decoding.exact": ("exact",),
    "decoding.sampling": ("greedy", "sample"),
    "decoding.stochastic_beam": ("stochastic_beam",),
    "errors": ("RunError", "UsageError"),
    "models.labeller": ("Aligned", "Classifier"),
    "models.seq2seq": ("Seq2Seq",),
    "reporting.alignment": ("Alignment",),
    "training.by_hand": ("batch", "loss", "nll"),
    "training.observer": ("Observer",),
    "types": ("BOS", "EOS", "PAD", "UNK", "Batch", "Hypotheses", "StepOutput"),
}
_PLACES = {name: module for module, names in _MODULES.items() for name in names}

__all__ = sorted(_PLACES)


def __getattr__(name: str) -> Any:
    """A name of the face, from the module that it is of."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_PLACES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]


_late = environment.guard(os.environ)
if _late:
    warnings.warn(_late, stacklevel=2)
