"""The table of architectures, and the model of a config."""

import dataclasses
from collections.abc import Callable
from functools import partial

import jax

from s2sjax import spec
from s2sjax.config import Config, ModelConfig
from s2sjax.models import cells
from s2sjax.models.labeller import Aligned, Classifier, Labeller
from s2sjax.models.seq2seq import Seq2Seq, build_kinds
from s2sjax.types import SYMBOLS, Side

Model = Seq2Seq | Labeller
"""What training and inference take. They look at `config`, `source`, `target`, `cell`
and `ends`, and call `init(key)`, `encode`, and for all that is said where inputs are
known `model(source, lengths, inputs, dropout) -> StepOutput`."""

ARCHITECTURES: dict[str, Callable[[ModelConfig, Side, Side], Model]] = {
    "encoder_decoder": Seq2Seq,
    "aligned": Aligned,
    "classifier": Classifier,
}


def build_model(config: Config, source: Side, target: Side) -> Model:
    """The model of a config for vocabularies of these sizes, or for numbers."""
    make = ARCHITECTURES[config.model.architecture]
    model = make(config.model, source, target)
    if config.train.feeding == "none":
        model = model.clone(reads=False)
    return model


def check_kinds(config: ModelConfig) -> None:
    """Tries what a config names; of a user's own each by itself, with usual kinds.

    Nothing is computed: shapes alone are looked at.

    Raises:
      UsageError: a kind or argument that is not there or does not fit, whatever a
        user's code raises, or what it returns where something else is wanted.
    """
    usual = ModelConfig(bidirectional=config.bidirectional, bridge=config.bridge)
    if not config.has_decoder:
        usual = ModelConfig(bidirectional=config.bidirectional, bridge="zero")
    for field in ("cell", "attention"):
        text = getattr(config, field)
        if spec.parse(text).file:
            one = dataclasses.replace(usual, **{field: text})
            spec.tried(f"model.{field}", text, partial(_try, one))
    if config.has_decoder:
        build_kinds(config)
    else:
        cells.build(config.cell, config.units)


def _try(config: ModelConfig) -> None:
    model = Seq2Seq(config, SYMBOLS, SYMBOLS)
    jax.eval_shape(model.init, jax.random.key(0))
