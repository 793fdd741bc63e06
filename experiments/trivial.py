"""Addition where the sum is as long as what is read, by three kinds of model.

    s2sjax sweep  --config=experiments/trivial.py:small --workdir=sweeps/trivial
    s2sjax report --workdir=sweeps/trivial --group_by=model.architecture,model.context

Two numbers of three digits, six symbols, to their sum in six (`008` is three digits
too). Keras' text on sequence-to-sequence learning calls this the trivial case: a layer
that says a symbol for each that it reads is enough.

- `aligned`: the outputs of two bidirectional layers, a symbol for each input;
- Keras' addition example: the encoder's last state is repeated, and a decoder that
  starts from zero reads nothing else (`model.context=constant`, `train.feeding=none`);
- an encoder-decoder with attention that reads what it has written.

3 seeds: 9 trials. `:small` takes 3,000 steps instead of 12,000. Measured with it, exact
match of 2,000 test sums whose operands training has not seen: 100 %, 1.5 % (69 % of the
digits) and 100 %, after 2, 1.3 and 3 minutes a trial on two busy cores, three in one
program. Keras' model is not at its end by then; the long variant was not measured.
"""

from ml_collections import ConfigDict

from s2sjax.config import Config, base_config, parse_arg
from s2sjax.sweeps import Overrides, product, seeds


def added(source: list[int]) -> list[int]:
    """The digits of the sum of both halves, as many as there are."""
    half = len(source) // 2
    first, second = (
        int("".join(map(str, digits)) or 0) for digits in (source[:half], source[half:])
    )
    return [int(digit) for digit in str(first + second).zfill(len(source))]


def get_config(arg: str | None = None) -> ConfigDict:
    variant = parse_arg(arg, smoke=False, small=False)

    config = base_config()
    config.task.name = f"{__file__}:added"
    config.task.length = 6
    config.task.num_train = 50_000
    config.task.num_test = 2000

    config.model.cell = "lstm"
    config.model.units = 64
    config.model.layers = 2
    config.model.embedding = 16
    config.model.bidirectional = True
    config.model.architecture = "aligned"

    config.train.batch_size = 128
    config.train.steps = 12_000
    config.train.learning_rate = 3e-3
    config.train.schedule = "cosine:warmup=200"
    config.train.clip_norm = 1.0
    config.train.eval_every = config.train.save_every = 1000
    config.train.buckets = 1
    config.train.threads = 1

    if variant.small:
        config.train.steps = 3000
    if variant.smoke:
        config.task.num_train = 200
        config.task.num_valid = config.task.num_test = 32
        config.model.units = 8
        config.train.steps = 10
        config.train.eval_every = config.train.save_every = 5
    return config


def sweep(config: Config) -> list[Overrides]:
    kinds: list[Overrides] = [
        {},
        {
            "model.architecture": "encoder_decoder",
            "model.bidirectional": False,
            "model.bridge": "zero",
            "model.context": "constant",
            "train.feeding": "none",
        },
        {
            "model.architecture": "encoder_decoder",
            "model.bridge": "dense",
            "model.attention": "bahdanau",
        },
    ]
    return product(kinds, seeds(3))
