"""A small model of numbers, batches for it, and what it does in plain numpy."""

import numpy as np

from s2sjax.config import Config, ModelConfig, TaskConfig, TrainConfig
from s2sjax.models.seq2seq import Seq2Seq
from s2sjax.types import Batch, Given, Numbers

READ, WRITTEN, KNOWN = 3, 2, 1  # numbers at a step
B, S, T = 4, 5, 4


def model(output="gaussian", *, gaps=False, **fields):
    """A plain recurrent network whose decoder begins where its encoder ended."""
    shape = {"cell": "rnn", "units": 4, "embedding": 0, "output": output} | fields
    target = Numbers(WRITTEN, KNOWN, gaps)
    return Seq2Seq(ModelConfig(**shape), Numbers(READ), target)


def config(output="gaussian", **train):
    return Config(
        task=TaskConfig(name="sines", length=6, horizon=3, num_valid=6, num_test=5),
        model=ModelConfig(cell="rnn", units=4, embedding=0, output=output),
        train=TrainConfig(**({"steps": 4, "batch_size": 3, "metric": "mae"} | train)),
    )


def batch(seed=0, gaps=False):
    """Rows of several lengths; of the targets some are missing where there are gaps."""
    random = np.random.default_rng(seed)

    def numbers(*shape):
        return random.normal(size=shape).astype(np.float32)

    target = numbers(B, T, WRITTEN)
    if gaps:
        target[0, 1, 0] = target[1, 0, 1] = target[1, 1, 1] = target[3, 3, 0] = np.nan
    given = Given(
        numbers(B, WRITTEN),
        numbers(B, T, KNOWN),
        numbers(B, WRITTEN),
        np.exp(numbers(B, WRITTEN)),
    )
    lengths = np.array([S, 1, 3, 4], np.int32)
    target_lengths = np.array([T, T, 2, T], np.int32)
    ids = np.arange(10, 10 + B, dtype=np.int32)
    weights = np.array([1, 1, 1, 0.5], np.float32)
    source = numbers(B, S, READ)
    return Batch(source, lengths, target, target_lengths, ids, weights, given)


def rows(batch, places):
    """Some examples of a batch."""
    given = Given(*(leaf[places] for leaf in batch.given))
    return Batch(*(leaf[places] for leaf in batch[:-1]), given)


def written(params, batch, row, own=lambda t, raw: np.zeros(WRITTEN), free=False):
    """What is said of one example, raw values [T, P] in float64.

    Where a number of the target is missing, and where `free` everywhere, the decoder
    reads `own(t, raw)` of what was said at step t.
    """
    params = _float64(params)

    def run(layer, x, h):
        layer = params[layer[0]][layer[1]]
        z = x @ layer["input_kernel"] + h @ layer["recurrent_kernel"] + layer["bias"]
        return np.tanh(z)

    def entered(side, x):
        embed = params[side].get("embed")
        return x if embed is None else x @ embed["kernel"] + embed["bias"]

    h = np.zeros(len(params["encoder"]["forward_0"]["bias"]))
    for t in range(batch.source_lengths[row]):
        h = run(("encoder", "forward_0"), entered("encoder", batch.source[row, t]), h)
    before, said = batch.given.first[row], []
    for t in range(batch.target_lengths[row]):
        x = np.concatenate([before, batch.given.known[row, t]])
        h = run(("decoder", "layer_0"), entered("decoder", x), h)
        said.append(
            h @ params["decoder"]["output_kernel"].T + params["decoder"]["output_bias"]
        )
        gold = np.float64(batch.target[row, t])
        before = np.where(np.isnan(gold) | free, own(t, said[-1]), gold)
    return np.array(said)


def mean(t, raw):
    """That of a gaussian: of two raw values a number the first."""
    return raw.reshape(WRITTEN, 2)[:, 0]


def nll(params, batch, **how):
    """The weighted mean over numbers that came of -log N(y; m, s) - log(scale)."""
    total = count = 0.0
    for row in range(len(batch.ids)):
        raw = written(params, batch, row, **how).reshape(-1, WRITTEN, 2)
        y = np.float64(batch.target[row, : len(raw)])
        deviation = np.log1p(np.exp(raw[..., 1])) + 1e-3
        z = (y - raw[..., 0]) / deviation
        each = z**2 / 2 + np.log(deviation) + np.log(2 * np.pi) / 2
        each = each + np.log(np.float64(batch.given.scale[row]))
        came = ~np.isnan(y)
        total += batch.weights[row] * each[came].sum()
        count += batch.weights[row] * came.sum()
    return total / count


def _float64(tree):
    if isinstance(tree, dict):
        return {name: _float64(leaf) for name, leaf in tree.items()}
    return np.asarray(tree, np.float64)
