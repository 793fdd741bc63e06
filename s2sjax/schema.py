"""Every field of a run, with its default, its comment and what is possible.

`s2sjax.config` edits and checks what is declared here; import the classes from there.
"""

import dataclasses
from typing import Any

SIZE = 10**6  # the most of what is an axis of an array, or is unrolled
COUNT = 2**31 - 1  # the most of what is counted: the int32 of compiled code
LARGE = 1e38  # the most of what may be any number: its float32
# What a spec of a strategy may name; `decoding.strategies` has each.
STRATEGY = (
    "a decoding strategy, e.g. beam:size=5,alpha=1.0 (one of greedy, sample, beam, "
    "diverse_beam, stochastic_beam, constrained, exact, mbr, rerank)"
)


def option(
    default: Any,
    doc: str,
    *,
    least: float | None = None,
    most: float | None = None,
    choices: tuple[str, ...] | None = None,
) -> Any:
    """A field with its default, its comment and what is possible.

    A number has a least and a most.
    """
    return dataclasses.field(
        default=default,
        metadata={"doc": doc, "least": least, "most": most, "choices": choices},
    )


@dataclasses.dataclass(frozen=True)
class TaskConfig:
    """Where the sequences come from."""

    name: str = option("reversed", "a name from `s2sjax tasks`, or FILE.py:function")
    length: int = option(10, "symbols in the longest source", least=1, most=SIZE)
    min_length: int | None = option(
        None, "symbols in the shortest source; unset: length", least=0, most=SIZE
    )
    test_length: int | None = option(
        None,
        "symbols in the longest source of the test split; unset: length",
        least=1,
        most=SIZE,
    )
    cardinality: int = option(10, "how many symbols there are", least=1, most=SIZE)
    first_symbol: int = option(0, "the smallest integer", least=-(10**9), most=10**9)
    prefix: int = option(
        3, "reversed_prefix: symbols in the target", least=1, most=SIZE
    )
    num_train: int = option(
        0,
        "size of a finite training set; 0: fresh examples at every step",
        least=0,
        most=COUNT,
    )
    num_valid: int = option(1000, "validation examples", least=1, most=COUNT)
    num_test: int = option(10_000, "test examples", least=1, most=COUNT)
    path: str = option("", "text: a tab-separated file, or a folder of parallel files")
    level: str = option("char", "text: what a symbol is", choices=("char", "word"))
    normalise: str | None = option(
        None,
        "text: Unicode normal form that texts are brought into; unset: none",
        choices=("nfc", "nfkc"),
    )
    min_count: int = option(
        1, "text: symbols seen fewer times in training are unknown", least=1, most=COUNT
    )
    max_length: int = option(
        400, "text: training pairs with a longer side are left out", least=1, most=SIZE
    )
    valid_share: float = option(
        0.1,
        "tab-separated text: share of the first part kept to choose the best epoch",
        least=0.0,
        most=0.9,
    )
    test_share: float = option(
        0.2,
        "tab-separated text: share of the lines held out, from the end",
        least=0.0,
        most=0.9,
    )
    reverse_source: bool = option(False, "the encoder reads its input backwards")


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """Encoder, attention and decoder."""

    cell: str = option("lstm", "recurrent cell", choices=("lstm", "gru", "rnn"))
    units: int = option(128, "state size of each layer", least=1, most=SIZE)
    layers: int = option(1, "recurrent layers on each side", least=1, most=1000)
    embedding: int = option(
        64, "size of learned embeddings; 0: one-hot input", least=0, most=SIZE
    )
    bidirectional: bool = option(False, "the encoder reads in both directions")
    attention: str = option(
        "none", "what the decoder looks back with", choices=("none", "bahdanau")
    )
    attention_units: int = option(
        0, "size of the attention layer; 0: units", least=0, most=SIZE
    )
    bridge: str = option(
        "copy",
        "how the decoder starts: the encoder's states, a dense layer of them, or zero",
        choices=("copy", "dense", "zero"),
    )
    dropout_embedding: float = option(
        0.0, "dropout on embeddings", least=0.0, most=0.99
    )
    dropout_state: float = option(
        0.0, "dropout on states passed to the decoder", least=0.0, most=0.99
    )
    dropout_output: float = option(
        0.0, "dropout on the outputs of layers", least=0.0, most=0.99
    )


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """How the parameters are found."""

    batch_size: int = option(32, "examples a step", least=1, most=SIZE)
    steps: int | None = option(None, "training steps (or epochs)", least=1, most=COUNT)
    epochs: int | None = option(
        None, "passes over a finite training set", least=1, most=COUNT
    )
    optimizer: str = option("adam", "an optax optimiser, e.g. adam:b2=0.98")
    learning_rate: float = option(1e-3, "peak learning rate", least=0.0, most=LARGE)
    schedule: str = option(
        "constant", "constant, cosine:warmup=100,final=0.0 or rsqrt:warmup=100"
    )
    clip_norm: float = option(
        0.0, "largest gradient norm; 0: unlimited", least=0.0, most=LARGE
    )
    feeding: str = option(
        "gold",
        "the decoder's inputs: gold tokens, or its own argmax or probabilities",
        choices=("gold", "argmax", "probabilities"),
    )
    feeding_probability: float = option(
        1.0,
        "how often its own output goes in, where feeding is not gold",
        least=0.0,
        most=1.0,
    )
    log_every: int = option(100, "steps between lines of metrics", least=1, most=COUNT)
    eval_every: int = option(
        1000, "steps between free-running evaluations", least=1, most=COUNT
    )
    valid_examples: int = option(
        2000,
        "most validation examples of an evaluation while training, the same ones every "
        "time; 0: all",
        least=0,
        most=COUNT,
    )
    save_every: int = option(1000, "steps between checkpoints", least=1, most=COUNT)
    metric: str = option(
        "exact",
        "what the best checkpoint is chosen by, on the validation examples",
        choices=(
            "exact",
            "token_accuracy",
            "edit_distance",
            "nll",
            "bleu",
            "chrf",
            "wer",
        ),
    )
    patience: int = option(
        0,
        "evaluations without improvement before stopping; 0: never",
        least=0,
        most=COUNT,
    )
    samples: int = option(3, "predictions shown at each evaluation", least=0, most=SIZE)
    steps_per_dispatch: int = option(
        100, "most steps inside one compiled call", least=1, most=SIZE
    )
    buckets: int = option(
        0,
        "length buckets of a stored training set; 0: up to 4, of 100 batches or more",
        least=0,
        most=1000,
    )
    bucket_run: int = option(
        1,
        "batches of one length bucket in a row; more take fewer calls, and learn worse",
        least=1,
        most=SIZE,
    )
    precision: str = option(
        "default", "of matrix products", choices=("default", "high", "highest")
    )
    threads: int = option(
        0,
        "threads in one matrix product on the CPU: 1, or 0 for all cores",
        least=0,
        most=1,
    )
    deterministic: bool = option(False, "the same bits every time on a GPU, slower")


@dataclasses.dataclass(frozen=True)
class DecodeConfig:
    """How a trained model is read out."""

    strategy: str = option("greedy", STRATEGY)
    batch_size: int = option(256, "sequences decoded together", least=1, most=SIZE)
    length_ratio: float = option(
        2.0,
        "longest output: length_ratio * source length + length_extra",
        least=0.0,
        most=1000.0,
    )
    length_extra: int = option(10, "see length_ratio", least=1, most=SIZE)
    ensemble: str = option(
        "probability",
        "the mean of what several runs read out together say",
        choices=("probability", "logprob"),
    )


@dataclasses.dataclass(frozen=True)
class Config:
    """A whole run."""

    # A larger one overflows as an argument of compiled code, and from 2**32 on
    # jax.random.key quietly repeats the keys of smaller ones.
    seed: int = option(0, "of everything random", least=0, most=COUNT)
    task: TaskConfig = dataclasses.field(default_factory=TaskConfig)
    model: ModelConfig = dataclasses.field(default_factory=ModelConfig)
    train: TrainConfig = dataclasses.field(default_factory=TrainConfig)
    decode: DecodeConfig = dataclasses.field(default_factory=DecodeConfig)
