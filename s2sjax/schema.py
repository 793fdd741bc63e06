"""Every field of a run, with its default, its comment and what is possible.

`s2sjax.config` edits and checks what is declared here; import the classes from there.
"""

import dataclasses
import difflib
import functools
import math
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any

from s2sjax.errors import UsageError, unknown
from s2sjax.foreign import shown

_KINDS = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "a text",
}


@dataclasses.dataclass(frozen=True)
class Field:
    """One line of `s2sjax config show`."""

    path: str  # dotted, e.g. "model.units"
    type: type
    optional: bool
    default: Any
    metadata: typing.Mapping[str, Any]

    @property
    def possible(self) -> str:
        """What the field takes, in words.

        >>> fields()["model.units"].possible
        'a whole number from 1 to 1000000'
        """
        kind = _KINDS[self.type]
        least, most = self.metadata["least"], self.metadata["most"]
        if self.metadata["choices"]:
            none = ("none",) if self.optional else ()
            return "one of " + ", ".join((*self.metadata["choices"], *none))
        if least is not None:
            kind = f"{kind} from {least} to {most}"
        return f"{kind}, or none" if self.optional else kind


@functools.cache
def fields() -> Mapping[str, Field]:
    """All fields of the schema by dotted path, in order; nobody can change them."""
    return types.MappingProxyType({field.path: field for field in _fields(Config, "")})


def coerced(field: Field, value: Any) -> Any:
    """`value` in the field's type where that loses nothing, else as it is.

    >>> coerced(fields()["model.units"], 1e2), coerced(fields()["model.units"], 0.5)
    (100, 0.5)
    """
    if isinstance(value, bool):
        return value
    if field.type is float and isinstance(value, int | float):
        try:
            return float(value)
        except OverflowError:
            return math.inf
    if field.type is int and isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def checked(field: Field, value: Any) -> Any:
    """`value` as the field takes it.

    Raises:
      UsageError: it does not; the message names the field and what it takes.
    """
    if value is None:
        if field.optional:
            return None
        raise UsageError(f"{field.path} is not set; it takes {field.possible}")
    value = coerced(field, value)
    if type(value) is not field.type:
        raise UsageError(f"{field.path}={shown(value)} is not {field.possible}")
    least, most = field.metadata["least"], field.metadata["most"]
    choices = field.metadata["choices"]
    if choices and value not in choices:
        raise unknown(field.path, str(value), choices)
    # Written so that NaN, which is in no order, is refused.
    if least is not None and not least <= value <= most:
        raise UsageError(f"{field.path}={shown(value)} is not {field.possible}")
    return value


def written(value: Any) -> str:
    """A value as the command line takes it, before a shell's quotation.

    >>> written(None), written(True), written(0.5)
    ('none', 'true', '0.5')
    """
    is_word = value is None or isinstance(value, bool)
    return str(value).lower() if is_word else str(value)


def unknown_field(path: str) -> UsageError:
    """The error for a dotted name that is not in the schema, with the nearest one.

    >>> print(unknown_field("model.unit"))
    unknown field 'model.unit'; did you mean 'model.units'?
    """
    near = named_field(path) or near_field(path)
    hint = f"did you mean '{near}'?" if near else "`s2sjax config show` lists them"
    return UsageError(f"unknown field '{path}'; {hint}")


def named_field(path: str) -> str:
    """The field that a name stands for without its group, or by its initials.

    >>> named_field("units"), named_field("lr"), named_field("model.learning_rate")
    ('model.units', 'train.learning_rate', 'train.learning_rate')
    """
    last = path.rpartition(".")[2]
    by_last = _by_last()
    initials = [
        name
        for name in by_last
        if "_" in name and last == "".join(word[:1] for word in name.split("_"))
    ]
    return _first(path, [last] if last in by_last else initials)


def near_field(path: str) -> str:
    """The field whose name is nearest to one that is not in the schema."""
    last = path.rpartition(".")[2]
    matches = difflib.get_close_matches(last, _by_last(), n=2)
    matches = matches or [name for name in _by_last() if name in last.split("_")]
    return _first(path, matches or [n for n in _by_last() if last in n.split("_")])


def _by_last() -> dict[str, list[str]]:
    """The fields by their name without a group."""
    by_last: dict[str, list[str]] = {}
    for name in fields():
        by_last.setdefault(name.rpartition(".")[2], []).append(name)
    return by_last


def _first(path: str, matches: Sequence[str]) -> str:
    near = [name for match in matches for name in _by_last()[match]]
    # Of equally near names, the one in the group that was asked for.
    near.sort(key=lambda name: name.rpartition(".")[0] != path.rpartition(".")[0])
    return near[0] if near else ""


def _fields(cls: type, prefix: str) -> typing.Iterator[Field]:
    hints = typing.get_type_hints(cls)
    for item in dataclasses.fields(cls):
        path, hint = prefix + item.name, hints[item.name]
        if dataclasses.is_dataclass(hint):
            yield from _fields(typing.cast(type, hint), path + ".")
            continue
        options = [t for t in typing.get_args(hint) if t is not type(None)]
        yield Field(
            path,
            options[0] if options else hint,
            bool(options),
            item.default,
            item.metadata,
        )


SIZE = 10**6  # the most of what is an axis of an array, or is unrolled
COUNT = 2**31 - 1  # the most of what is counted: the int32 of compiled code
LARGE = 1e38  # the most of what may be any number: its float32
# What a spec of a strategy may name; `decoding.strategies` has each.
LEVELS = ("char", "word", "space", "subword")  # of texts; `tasks.levels` has each
TRAIN_EXAMPLES = 2000  # evaluated of a training set, unless more are asked for
STRATEGY = (
    "a decoding strategy, e.g. beam:size=5,alpha=1.0 (one of greedy, sample, beam, "
    "diverse_beam, stochastic_beam, constrained_beam, exact, mbr, rerank, or "
    "FILE.py:name)"
)


def option(
    default: Any,
    doc: str,
    *,
    least: float | None = None,
    most: float | None = None,
    choices: tuple[str, ...] | None = None,
    traced: bool = False,
) -> Any:
    """A field with its default, its comment and what is possible.

    A number has a least and a most. One that is traced may differ between the replicas
    of one compiled program: the step gets it as an argument (`training.state.numbers`),
    and a task's is part of its data, padded to the largest.
    """
    return dataclasses.field(
        default=default,
        metadata={
            "doc": doc,
            "least": least,
            "most": most,
            "choices": choices,
            "traced": traced,
        },
    )


# Tasks whose sequences are numbers; `tasks.TASKS` has each.
OF_NUMBERS = ("series", "sines", "adding", "mackey_glass")


@dataclasses.dataclass(frozen=True)
class TaskConfig:
    """Where the sequences come from."""

    name: str = option("reversed", "a name from `s2sjax tasks`, or FILE.py:function")
    length: int = option(
        10, "symbols in the longest source", least=1, most=SIZE, traced=True
    )
    min_length: int | None = option(
        None,
        "symbols in the shortest source; unset: length",
        least=0,
        most=SIZE,
        traced=True,
    )
    test_length: int | None = option(
        None,
        "symbols in the longest source of the test split; unset: length",
        least=1,
        most=SIZE,
    )
    cardinality: int = option(
        10, "how many symbols there are", least=1, most=SIZE, traced=True
    )
    first_symbol: int = option(0, "the smallest integer", least=-(10**9), most=10**9)
    prefix: int = option(
        3, "reversed_prefix: symbols in the target", least=1, most=SIZE
    )
    num_train: int = option(
        0,
        "size of a finite training set; 0: fresh examples at every step",
        least=0,
        most=COUNT,
        traced=True,
    )
    num_valid: int = option(1000, "validation examples", least=1, most=COUNT)
    num_test: int = option(10_000, "test examples", least=1, most=COUNT)
    path: str = option(
        "",
        "text: a file of pairs, or a folder with train, valid and test; series: a file "
        "of numbers (.csv, .parquet or .npz)",
    )
    train: str = option(
        "", "text: the training pairs, a file or a folder of some; instead of task.path"
    )
    valid: str = option(
        "", "text: the validation pairs, beside task.train; unset: a share of it"
    )
    test: str = option("", "text: the test pairs, likewise")
    columns: str = option(
        "",
        "text: columns of source and target, by name or number, e.g. source,target or "
        "2,1; unset: those names, or the first two",
    )
    features: str = option(
        "", "text: column of tags, set apart by ; or blanks, e.g. 3; unset: none"
    )
    weight: str = option(
        "", "text: column of what each training pair counts, e.g. 4; unset: 1"
    )
    suffixes: str = option(
        "src,trg", "text: how the names of parallel files end, source first, e.g. de,en"
    )
    split: str = option(
        "position",
        "text of one file: the test part is the last lines, or of sources by a hash",
        choices=("position", "hash"),
    )
    sampling: str = option(
        "epochs",
        "text: training takes each pair once an epoch, or draws with replacement",
        choices=("epochs", "replacement"),
    )
    level: str = option(
        "char",
        "text: what a symbol is: char, word (and each sign beside it), space (what "
        "stands between blanks) or subword:FILE.model, by SentencePiece",
    )
    source_level: str | None = option(None, "text: level of the sources; unset: level")
    target_level: str | None = option(None, "text: level of the targets; unset: level")
    graphemes: bool = option(
        False, "text: characters are those that people see, with their marks"
    )
    normalise: str | None = option(
        None,
        "text: Unicode normal form that texts are brought into; unset: none",
        choices=("nfc", "nfkc"),
    )
    lowercase: bool = option(False, "text: brought into lower case")
    min_count: int = option(
        1, "text: symbols seen fewer times in training are unknown", least=1, most=COUNT
    )
    max_vocabulary: int | None = option(
        None,
        "text: so many symbols a side at most, the most frequent ones; unset: all",
        least=1,
        most=COUNT,
    )
    vocabulary: str | None = option(
        None, "text: a file with the symbols, one a line; unset: those of training"
    )
    source_vocabulary: str | None = option(
        None, "text: that of the sources; unset: vocabulary"
    )
    target_vocabulary: str | None = option(
        None, "text: that of the targets; unset: vocabulary"
    )
    max_length: int = option(
        400, "text: training pairs with a longer side are left out", least=1, most=SIZE
    )
    valid_share: float = option(
        0.1,
        "text without validation files: share of training kept to choose the best",
        least=0.0,
        most=0.9,
    )
    test_share: float = option(
        0.2,
        "text without test files: share of the lines held out, from the end",
        least=0.0,
        most=0.9,
    )
    targets: str = option("", "series: columns that are forecast, e.g. sales,price")
    past: str = option("", "series: columns that are known until now, beside those")
    future: str = option("", "series: columns that are known ahead, e.g. weekday")
    static: str = option(
        "",
        "series: columns that say what a series is: numbers or categories (a column of "
        "numbers that are categories is written NAME:category)",
    )
    id: str = option("", "series: column that tells one series from others; unset: one")
    time: str = option("", "series: column of times; unset: the rows are steps")
    context: int = option(48, "series: steps that are read", least=1, most=SIZE)
    stride: int = option(
        1, "series: steps from one window to the next", least=1, most=SIZE
    )
    valid_from: str = option(
        "0.7", "series: where the validation part begins: a time, or a share of all"
    )
    test_from: str = option("0.85", "series: where the test part begins, likewise")
    scaling: str = option(
        "standard",
        "series: what numbers enter as: none (as they are), standard, minmax, or "
        "window_mean (a target over the mean of its window)",
        choices=("none", "standard", "minmax", "window_mean"),
    )
    horizon: int = option(
        12, "numbers: steps that are forecast, one after the other", least=1, most=SIZE
    )
    season: int = option(
        1,
        "numbers: steps after which they repeat, for the seasonal naive forecast",
        least=1,
        most=SIZE,
    )
    reverse_source: bool = option(False, "the encoder reads its input backwards")
    source_eos: bool = option(False, "text: what the encoder reads ends with EOS")

    @property
    def of_numbers(self) -> bool:
        """Whether what is written is numbers."""
        return self.name in OF_NUMBERS


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """Encoder, attention and decoder."""

    architecture: str = option(
        "encoder_decoder",
        "which states are read: of a decoder, of the encoder at each input (aligned: "
        "an output for each), or of the whole source (classifier: one symbol)",
        choices=("encoder_decoder", "aligned", "classifier"),
    )
    lookahead: int = option(
        0,
        "aligned, one direction: an output is read so many inputs after its own",
        least=0,
        most=SIZE,
    )
    pooling: str = option(
        "last",
        "classifier: what is read of the source: the last state, the mean of the "
        "outputs, or their mean weighted by attention",
        choices=("last", "mean", "attention"),
    )
    cell: str = option(
        "lstm",
        "lstm, gru (or gru:reset=before), rnn, layernorm_lstm, mingru or FILE.py:name",
    )
    units: int = option(128, "state size of each layer", least=1, most=SIZE)
    layers: int = option(1, "recurrent layers on each side", least=1, most=1000)
    embedding: int = option(
        64, "size of learned embeddings; 0: one-hot input", least=0, most=SIZE
    )
    embedding_file: str = option(
        "",
        "vectors that source symbols begin with: GloVe, word2vec or fastText, as text",
    )
    target_embedding_file: str = option("", "the same for target symbols")
    freeze_embedding: bool = option(
        False, "tables that begin with vectors of a file are not trained"
    )
    share_embeddings: bool = option(
        False, "one vocabulary and one table of embeddings for both sides"
    )
    tie_output: bool = option(
        False, "the output projection is the target's embeddings, transposed"
    )
    output: str | None = option(
        None,
        "numbers: what is written of each: gaussian, student_t, negative_binomial, "
        "mixture:components=5, quantile:levels=0.1,0.5,0.9 or point; unset: gaussian",
    )
    direct: bool = option(
        False,
        "numbers: the decoder reads what is known ahead alone, and writes all steps of "
        "the horizon at once",
    )
    bidirectional: bool = option(False, "the encoder reads in both directions")
    attention: str = option(
        "none",
        "what the decoder looks back with: none, bahdanau:units=64, dot, general, "
        "scaled_dot, location_sensitive, multi_head:heads=4 or FILE.py:name",
    )
    context: str = option(
        "cell",
        "where the context of attention goes: cell, readout or input_feeding; or "
        "constant: the encoder's last state goes into the decoder at every step",
    )
    bridge: str = option(
        "copy",
        "how the decoder starts: copy (or copy:direction=forward), dense, mean, zero "
        "or learned",
    )
    latent: int = option(
        0,
        "numbers between the encoder's states and the decoder: all that it knows of "
        "the source; 0: there is no such bottleneck",
        least=0,
        most=SIZE,
    )
    dropout_embedding: float = option(
        0.0, "dropout on embeddings", least=0.0, most=0.99, traced=True
    )
    dropout_state: float = option(
        0.0,
        "dropout on states passed to the decoder",
        least=0.0,
        most=0.99,
        traced=True,
    )
    dropout_output: float = option(
        0.0, "dropout on the outputs of layers", least=0.0, most=0.99, traced=True
    )

    @property
    def has_decoder(self) -> bool:
        """Whether outputs are written by a decoder, which ends them itself."""
        return self.architecture == "encoder_decoder"

    @property
    def looks(self) -> bool:
        """Whether there is attention to show."""
        return self.attention != "none" or self.pooling == "attention"

    @property
    def of_counts(self) -> bool:
        """Whether what is written is 0, 1, 2, .."""
        return (self.output or "").startswith("negative_binomial")

    @property
    def drops(self) -> bool:
        """Whether anything is dropped, which is another program than nothing."""
        return any(
            value for name, value in vars(self).items() if name.startswith("dropout")
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
    learning_rate: float = option(
        1e-3, "peak learning rate", least=0.0, most=LARGE, traced=True
    )
    schedule: str = option(
        "constant", "constant, cosine:warmup=100,final=0.0 or rsqrt:warmup=100"
    )
    clip_norm: float = option(
        0.0, "largest gradient norm; 0: unlimited", least=0.0, most=LARGE
    )
    objective: str = option(
        "nll", "nll (or nll:focal=2), label_smoothing:epsilon=0.1 or FILE.py:name"
    )
    symbol_weights: str = option(
        "",
        "what target symbols count in the loss, others 1: SYMBOL=WEIGHT,.. or a file "
        "of a JSON object",
    )
    feeding: str = option(
        "gold",
        "the decoder's inputs: gold tokens, or its own outputs: argmax, probabilities, "
        "sample:temperature=0.5, straight_through or FILE.py:name; none: nothing",
    )
    feeding_probability: float = option(
        1.0,
        "how often its own output goes in, at the most, where feeding is not gold",
        least=0.0,
        most=1.0,
        traced=True,
    )
    feeding_schedule: str = option(
        "constant",
        "factor of feeding_probability by step: constant, linear:steps=10000, "
        "exponential:k=0.999 or inverse_sigmoid:k=1000",
    )
    feeding_unit: str = option(
        "token",
        "what is fed gold or not as one",
        choices=("token", "sequence", "batch"),
    )
    tbptt: int = option(
        0,
        "aligned, one direction: gradients go back through windows of so many inputs, "
        "over whose edges states are carried; 0: through the whole source",
        least=0,
        most=SIZE,
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
        "what the best checkpoint is chosen by, on the validation examples: exact, "
        "token_accuracy, edit_distance, nll, wer and others (docs/training.md), or of "
        "texts bleu, chrf or ter; or FILE.py:name",
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

    @property
    def metric_name(self) -> str:
        """What `metric` is called in results: the name, without the file it is from."""
        return self.metric.rpartition(".py:")[2].partition(":")[0]


@dataclasses.dataclass(frozen=True)
class DecodeConfig:
    """How a trained model decodes."""

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
        "how several runs decode together: by their mean probability, or logprob",
        choices=("probability", "logprob"),
    )


@dataclasses.dataclass(frozen=True)
class Config:
    """A whole run."""

    # A larger one overflows as an argument of compiled code, and from 2**32 on
    # jax.random.key quietly repeats the keys of smaller ones.
    seed: int = option(0, "of everything random", least=0, most=COUNT, traced=True)
    task: TaskConfig = dataclasses.field(default_factory=TaskConfig)
    model: ModelConfig = dataclasses.field(default_factory=ModelConfig)
    train: TrainConfig = dataclasses.field(default_factory=TrainConfig)
    decode: DecodeConfig = dataclasses.field(default_factory=DecodeConfig)
