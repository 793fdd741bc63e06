"""Models without a decoder, against a float64 model in numpy and PyTorch's layers."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from s2sjax import errors
from s2sjax.config import Config, ModelConfig
from s2sjax.models.architectures import build_model
from s2sjax.models.labeller import Aligned
from s2sjax.types import BOS, EOS, SYMBOLS, Numbers
from tests import copying, oracles

VOCABULARY, TARGET, TIME = SYMBOLS + 3, SYMBOLS + 2, 5
LENGTHS = np.array([5, 0, 3, 1], np.int32)
close = partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-5)
MODELS = {
    "aligned": {},
    "aligned-gru-2": {"cell": "gru", "layers": 2, "embedding": 0},
    "aligned-both": {"bidirectional": True, "layers": 2},
    "aligned-ahead": {"lookahead": 2, "cell": "gru", "layers": 2},
    "classifier": {},
    "classifier-both": {"bidirectional": True, "embedding": 0},
    "classifier-mean": {"pooling": "mean", "cell": "gru"},
    "classifier-attention": {"pooling": "attention", "bidirectional": True},
}
# Numbers in, numbers out, or symbols on one side.
NUMBERS = {
    "aligned": {},
    "aligned-ahead": {"lookahead": 2, "embedding": 0, "layers": 2},
    "classifier": {"pooling": "attention", "bidirectional": True},
}


def built(name):
    """A model of the table, parameters of which none is 0, and sources."""
    shape = {"units": 4, "embedding": 3} | MODELS[name]
    config = ModelConfig(architecture=name.partition("-")[0], **shape)
    model = build_model(Config(model=config), VOCABULARY, TARGET)
    params = copying.drawn(jax.eval_shape(model.init, jax.random.key(0)))
    random = np.random.default_rng(3)
    source = random.integers(SYMBOLS, VOCABULARY, (len(LENGTHS), TIME), np.int32)
    return model, params, source


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("target", [TARGET, Numbers(2)], ids=["symbols", "numbers"])
def test_numbers_are_read_and_said_as_by_the_float64_model_in_numpy(name, target):
    shape = {"units": 4, "embedding": 3, "output": "point"} | NUMBERS[name]
    config = ModelConfig(architecture=name.partition("-")[0], **shape)
    model = build_model(Config(model=config), Numbers(3), target)
    params = copying.drawn(jax.eval_shape(model.init, jax.random.key(0)))
    random = np.random.default_rng(3)
    source = random.normal(size=(len(LENGTHS), TIME, 3)).astype(np.float32)
    raw, _ = said(model, params, source, LENGTHS)
    oracle = oracles.Model(config, params)
    for row, length in enumerate(LENGTHS):
        count = model.outputs(int(length))
        wanted = oracle.labels(source[row, :length], symbols=target == TARGET)
        close(raw[row, :count], wanted)
    source[np.arange(TIME) >= LENGTHS[:, None]] = 7
    close(said(model, params, source, LENGTHS)[0], raw)


def said(model, params, source, lengths, width=TIME):
    inputs = np.full((len(source), width), BOS, np.int32)
    output = model.apply({"params": params}, source, np.array(lengths), inputs)
    return np.asarray(output.logits), output.aux


@pytest.mark.parametrize("name", MODELS)
def test_what_is_said_is_that_of_the_float64_model_in_numpy(name):
    model, params, source = built(name)
    logits, aux = said(model, params, source, LENGTHS)
    oracle = oracles.Model(model.config, params)
    for row, length in enumerate(LENGTHS):
        wanted = oracle.labels(source[row, :length])
        count = model.outputs(int(length))
        assert len(wanted) == count
        close(logits[row, :count], wanted)
        # The end is certain where it is due, and nothing else is.
        assert (logits[row, count:, EOS] == 0).all()
        assert (np.delete(logits[row, count:], EOS, axis=-1) == -np.inf).all()
    if "attention" in aux:
        weights = np.asarray(aux["attention"])[:, 0]
        close(weights.sum(-1), LENGTHS > 0)
        assert (weights[np.arange(TIME) >= LENGTHS[:, None]] == 0).all()


@pytest.mark.parametrize("name", MODELS)
def test_neither_padding_nor_neighbours_change_a_bit(name):
    model, params, source = built(name)
    run = partial(said, model)
    logits = run(params, source, LENGTHS)[0]
    other = source.copy()
    padding = np.arange(TIME)[None] >= LENGTHS[:, None]
    other[padding] = (source[padding] + 1) % VOCABULARY
    assert (run(params, other, LENGTHS)[0] == logits).all()
    for row, length in enumerate(LENGTHS):
        alone = said(model, params, source[row : row + 1, : max(length, 1)], [length])
        count = model.outputs(int(length))
        close(alone[0][0, :count], logits[row, :count])


@pytest.mark.parametrize("ahead", [0, 1, 3])
def test_an_output_does_not_know_what_comes_after_its_lookahead(ahead):
    config = ModelConfig(architecture="aligned", units=4, layers=2, lookahead=ahead)
    model = Aligned(config, VOCABULARY, TARGET)
    params = copying.drawn(jax.eval_shape(model.init, jax.random.key(0)))
    source = np.full((1, 6), SYMBOLS, np.int32)
    first = said(model, params, source, [6], 6)[0][0]
    for place in range(6):
        changed = source.copy()
        changed[0, place] += 1
        differs = (said(model, params, changed, [6], 6)[0][0] != first).any(axis=-1)
        # Outputs from place - ahead on see it, and no other does.
        assert differs.tolist() == [at >= place - ahead for at in range(6)]


def test_a_bidirectional_tagger_is_that_of_pytorch():
    torch = pytest.importorskip("torch")
    model, params, source = built("aligned-both")
    reader = torch.nn.LSTM(3, 4, num_layers=2, bidirectional=True, batch_first=True)
    linear = torch.nn.Linear(8, TARGET)
    with torch.no_grad():
        for name, layer in params["encoder"].items():
            if name == "embed":
                continue
            side, depth = name.split("_")
            end = f"l{depth}" + "_reverse" * (side == "backward")
            for theirs, ours in (("weight_ih", "input"), ("weight_hh", "recurrent")):
                value = np.array(layer[f"{ours}_kernel"]).T.copy()
                getattr(reader, f"{theirs}_{end}").copy_(torch.from_numpy(value))
            getattr(reader, f"bias_ih_{end}").copy_(
                torch.tensor(np.array(layer["bias"]))
            )
            getattr(reader, f"bias_hh_{end}").zero_()
        linear.weight.copy_(torch.from_numpy(np.array(params["output_kernel"])))
        linear.bias.copy_(torch.from_numpy(np.array(params["output_bias"])))
        read = np.array(params["encoder"]["embed"]["table"])[source]
        theirs = linear(reader(torch.from_numpy(read))[0]).numpy()
    ours = said(model, params, source, np.full(len(source), TIME))[0]
    close(ours[..., EOS + 1 :], theirs[..., EOS + 1 :])


def test_the_gradient_is_finite_and_reaches_every_parameter():
    for name in MODELS:
        model, params, source = built(name)

        inputs = np.full(source.shape, BOS, np.int32)

        def total(params, model=model, source=source, inputs=inputs):
            output = model.apply({"params": params}, source, LENGTHS, inputs)
            within = jnp.arange(TIME)[None] < model.outputs(LENGTHS)[:, None]
            scores = jax.nn.log_softmax(output.logits)[..., SYMBOLS]
            return jnp.sum(jnp.where(within, scores, 0))

        for path, leaf in jax.tree_util.tree_leaves_with_path(jax.grad(total)(params)):
            assert np.isfinite(leaf).all(), (name, path)
            assert np.abs(leaf).max() > 0, (name, path)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (ModelConfig(architecture="classifier"), "is not that of Aligned"),
        (ModelConfig(architecture="aligned", cell="lstn"), "did you mean 'lstm'"),
        (
            ModelConfig(architecture="aligned", lookahead=1, bidirectional=True),
            "model.lookahead=1 means nothing with model.bidirectional=True",
        ),
    ],
)
def test_what_cannot_be_is_refused(config, words):
    with pytest.raises(errors.UsageError, match=words):
        Aligned(config, VOCABULARY, TARGET)
