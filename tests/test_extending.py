"""`docs/extending.md`: all of it as one file of a user's own, trained and swept; and
that each kind does what the page says."""

import json
import pathlib
import re
import sys

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import s2sjax as s2s
from s2sjax.cli import main
from s2sjax.decoding.sampling import sample
from s2sjax.errors import UsageError
from s2sjax.models.cells import initial_state
from s2sjax.models.readout import SYMBOLIC
from s2sjax.models.seq2seq import apply
from s2sjax.training.objectives import losses, objective
from s2sjax.types import StepOutput
from tests import copying
from tests.decoding.table_model import Models
from tests.oracles import sigmoid

ROOT = pathlib.Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "extending.md").read_text("utf-8")
KINDS, PYTHON = (
    re.findall(r"```python\n(.*?)```", part, re.DOTALL)
    for part in PAGE.split("\n## From Python\n")
)
SPECS = dict(re.findall(r"`([a-z_.]+)=mine\.py:([\w:=.]+)`", PAGE))


@pytest.fixture(scope="module")
def mine(tmp_path_factory):
    """The path of the page's kinds, one after another in a file."""
    path = tmp_path_factory.mktemp("extending") / "mine.py"
    path.write_text("\n\n".join(KINDS))
    return path


@pytest.fixture(scope="module")
def names(mine):
    """What the file, and the page's examples in Python, define."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(mine.parent))
        found = {}
        for block in PYTHON:
            exec(compile(block, "docs/extending.md", "exec"), found)
        return vars(sys.modules.pop("mine")) | found


@pytest.fixture(scope="module")
def overrides(mine):
    """A small experiment of every kind that the page has."""
    small = (
        *("task.num_valid=8", "task.num_test=8", "task.length=4", "model.units=8"),
        *("train.steps=4", "train.eval_every=4", "train.feeding_probability=0.5"),
        *("task.num_train=64", "train.schedule=constant", "train.buckets=1"),
    )
    named = (f"{field}={mine}:{spec}" for field, spec in SPECS.items())
    experiment = f"--config={ROOT / 'experiments' / 'reversed.py'}:smoke"
    return [experiment, *(f"--config.{each}" for each in (*small, *named))]


def test_kinds_are_short_and_all_of_them_are_there(mine):
    fields = {"model.cell", "model.attention", "decode.strategy", "task.name"}
    fields |= {f"train.{each}" for each in ("objective", "feeding", "metric")}
    assert set(SPECS) == fields
    assert len(KINDS) == len(fields) + 1  # the observer
    for block in KINDS:
        body = re.split(r"^(?:class|def) ", block, flags=re.MULTILINE)[1]
        assert len(list(filter(None, body.splitlines()))) <= 20, body


def test_a_run_takes_all_of_them(mine, overrides, tmp_path):
    run = tmp_path / "run"
    tracker = f"--tracker={mine}:Losses"
    assert main(["train", *overrides, tracker, f"--workdir={run}"]) == 0
    copies = {path.parent.name for path in run.glob("code/*/mine.py")}
    assert copies == set(SPECS) - {"task.name"}
    assert (run / "data" / "pattern.py").read_text() == mine.read_text()
    assert (run / "losses.txt").read_text().startswith("4 ")
    journal = [json.loads(x) for x in (run / "metrics.jsonl").read_text().splitlines()]
    (valid,) = (line for line in journal if line["kind"] == "valid")
    assert 0 <= valid["nearly"] <= 1
    best = s2s.load(run).decode([0, 1, 2, 3], attention=True)
    assert best.attention.weights.shape[1] == 4 and len(best) == 1


@pytest.mark.slow
def test_a_sweep_takes_all_of_them(mine, overrides, tmp_path):
    file = tmp_path / "two.py"
    experiment = (ROOT / "experiments" / "reversed.py").read_text()
    file.write_text(
        f"{experiment}\n\ndef sweep(config):\n"
        '    return [{"seed": seed} for seed in range(2)]\n'
    )
    named = [f"--config={file}:smoke", *overrides[1:], "--backend=batched"]
    assert main(["sweep", *named, f"--workdir={tmp_path / 'sweep'}"]) == 0
    rows = s2s.trials(tmp_path / "sweep")
    assert [row["status"] for row in rows] == ["done"] * 2
    assert all(0 <= row["valid_nearly"] <= 1 for row in rows)
    copies = (tmp_path / "sweep" / "trials").glob("*/code/model.cell/mine.py")
    assert len(list(copies)) == 2


def test_the_cell_is_its_equation_in_an_encoder_and_in_a_decoder(names):
    source, lengths = jnp.array([[3, 4, 5], [6, 0, 0]]), jnp.array([3, 1])
    encoder, decoder, cell = names["encoder"], names["decoder"], names["UGRNN"](8)
    encoded, params = encoder.init_with_output(jax.random.key(0), source, lengths)
    layer, table = (params["params"][name] for name in ("forward_0", "embed"))
    h = np.zeros(8)
    for symbol in (3, 4, 5):
        a = table["table"][symbol] @ layer["input_kernel"] + layer["bias"]
        n, u = np.split(np.asarray(a + h @ layer["recurrent_kernel"]), 2)
        h = sigmoid(u) * h + (1 - sigmoid(u)) * np.tanh(n)
    np.testing.assert_allclose(encoded.states[0][0][0][0], h, rtol=1e-5, atol=1e-6)

    def written(decoder):
        state, memory = decoder.start(encoded)
        return decoder(state, source, memory)

    output, _ = nn.init_with_output(written, decoder)(jax.random.key(1))
    assert output.logits.shape == (2, 3, 9)
    assert initial_state(cell, 2)[0].shape == (2, 8)


def test_the_attention_looks_around_a_place(mine):
    spec = f"{mine}:Local:width=0.5"
    config = s2s.ModelConfig(units=4, attention=spec, context="input_feeding")
    model = s2s.Seq2Seq(config, 9, 9)
    params = model.init(jax.random.key(0))
    source, lengths = jnp.array([[3, 4, 5], [6, 0, 0]]), jnp.array([3, 1])
    weights = apply(model, params, source, lengths, source).aux["attention"]
    # The last layer asks with small numbers: it looks at the middle.
    np.testing.assert_array_equal(np.argmax(weights[0], axis=-1), [1, 1, 1])
    np.testing.assert_array_equal(weights[1], [[1, 0, 0]] * 3)


def test_the_objective_without_its_exponent_is_the_likelihood(mine):
    batch = copying.fetch(copying.store(), jnp.array([3, 2], jnp.int32))
    logits = jnp.sin(jnp.arange(2 * 4 * 7.0)).reshape(2, 4, 7).at[..., :2].set(-jnp.inf)
    same = (
        losses(objective(text), SYMBOLIC, StepOutput(logits, {}), batch)
        for text in ("nll", f"{mine}:focal:gamma=0")
    )
    np.testing.assert_allclose(*same, rtol=1e-6)
    with pytest.raises(UsageError, match="did you mean 'gamma'"):
        objective(f"{mine}:focal:gama=1")


def test_the_feeding_is_a_distribution_and_follows_its_key(names):
    feedback = names["gumbel"](temperature=0.5)
    logits = jnp.array([-jnp.inf, 0.0, 1.0])
    fed = jnp.stack([feedback(logits, jax.random.key(seed)) for seed in range(8)])
    np.testing.assert_allclose(fed.sum(axis=1), 1, rtol=1e-6)
    assert not fed[:, 0].any() and len(np.unique(fed[:, 1])) == 8


def test_the_strategy_takes_the_best_of_its_samples(names):
    models = Models(20, 7, 6, seed=0)
    one = models.decode(lambda *asked: names["best_of"](*asked, samples=8))
    all_ = models.decode(lambda *asked: sample(*asked, n=8))
    np.testing.assert_array_equal(one.scores[:, 0], all_.scores.max(axis=1))
    assert one.tokens.shape == (20, 1, all_.tokens.shape[2])


def test_what_is_built_in_python_works(names):
    assert names["found"].tokens.shape == (2, 2, 6)
    assert np.isfinite(names["metrics"].loss) and names["state"].step == 1
