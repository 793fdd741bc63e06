"""What the benchmarks run: two trainings and a decoding, with the work they imply."""

import dataclasses
import runpy
from pathlib import Path

from s2sjax.config import (
    Config,
    DecodeConfig,
    ModelConfig,
    TaskConfig,
    TrainConfig,
    resolve,
)

EXPERIMENTS = Path(__file__).resolve().parent.parent / "experiments"
SPECIALS = 4  # PAD, BOS, EOS, UNK: also in the vocabularies of the peers
LEARNING_RATE = 1e-3


@dataclasses.dataclass(frozen=True)
class Workload:
    """A model and its data, the same in every framework."""

    name: str
    config: Config
    steps: int  # in a round of measuring
    attention: bool

    @property
    def batch(self) -> int:
        """Sequences in a step."""
        return self.config.train.batch_size

    @property
    def source(self) -> int:
        """Tokens in a source."""
        return self.config.task.length

    @property
    def target(self) -> int:
        """Tokens in a target, EOS counted."""
        return self.config.task.prefix + 1

    @property
    def vocabulary(self) -> int:
        """Size of both vocabularies."""
        return self.config.task.cardinality + SPECIALS

    @property
    def units(self) -> int:
        """Size of a state, and of the attention layer."""
        return self.config.model.units

    @property
    def tokens(self) -> int:
        """Target tokens in a step, EOS counted."""
        return self.batch * self.target

    def forward_flops(self, batch: int | None = None) -> int:
        """Floating point operations of the matrix products of one forward pass.

        A multiplication and an addition are two. Gathered rows (one-hot inputs and
        embeddings) and everything elementwise count nothing.
        """
        units, embedding = self.units, self.config.model.embedding
        recurrence = (embedding + units) * 4 * units
        encoder = recurrence
        decoder = recurrence + units * self.vocabulary
        if self.attention:
            encoder += units * units  # the keys
            context_to_gates = units * 4 * units
            query, readout = units * units, 2 * units * units
            scores_and_context = 2 * self.source * units
            decoder += context_to_gates + query + readout + scores_and_context
        products = self.source * encoder + self.target * decoder
        return 2 * products * (self.batch if batch is None else batch)

    def training_flops(self) -> int:
        """Of one step: the forward pass, and twice as much for the gradients."""
        return 3 * self.forward_flops()


def workload(name: str) -> Workload:
    """A workload by its name in `WORKLOADS`."""
    return WORKLOADS[name]()


def _reversed_prefix() -> Workload:
    """The experiment's model, data and batches; the optimiser is plain Adam."""
    module = runpy.run_path(str(EXPERIMENTS / "reversed_prefix.py"))
    config = module["get_config"]()
    config.train.optimizer = "adam"
    config.train.learning_rate = LEARNING_RATE
    config.train.schedule = "constant"
    config.train.clip_norm = 0.0
    return Workload("reversed_prefix", resolve(config), steps=1000, attention=False)


def _attention() -> Workload:
    """Sources and targets of 20 tokens: a prefix of 19 and EOS."""
    config = Config(
        task=TaskConfig(name="reversed_prefix", length=20, prefix=19, cardinality=50),
        model=ModelConfig(units=256, embedding=64, attention="bahdanau"),
        train=TrainConfig(
            batch_size=128, steps=1_000_000, learning_rate=LEARNING_RATE, threads=1
        ),
        decode=DecodeConfig(length_ratio=0.0, length_extra=20),
    )
    return Workload("attention", config, steps=12, attention=True)


WORKLOADS = {"reversed_prefix": _reversed_prefix, "attention": _attention}
