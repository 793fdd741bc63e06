"""Truncated backpropagation: against the whole, and against jax's own gradient."""

import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from s2sjax import config as configs
from s2sjax.cli import main
from s2sjax.errors import UsageError
from s2sjax.models.architectures import build_model
from s2sjax.models.seq2seq import apply
from s2sjax.runs.checkpoint import CheckpointReader
from s2sjax.tasks import stored
from s2sjax.training import windows
from s2sjax.training.order import Order
from s2sjax.training.recipe import recipe
from s2sjax.training.state import first_state, numbers
from s2sjax.training.step import Program, Work, run_steps
from s2sjax.training.windows import Window
from s2sjax.types import SYMBOLS
from tests import copying

EXPERIMENTS = pathlib.Path(__file__).parents[2] / "experiments"
LENGTHS, WIDTH, VOCABULARY = [11, 7, 0, 4], 11, SYMBOLS + 3


def a_store(width=WIDTH, lengths=LENGTHS):
    random = np.random.default_rng(0)
    lengths = np.array(lengths, np.int32)
    tokens = random.integers(SYMBOLS, VOCABULARY, (2, int(lengths.sum())), np.uint8)
    source, target = (stored.Ragged(each, lengths) for each in tokens)
    (bucket,) = stored.buckets(source, target, np.arange(len(lengths)))
    return bucket.store


def config(tbptt, **model):
    kinds = {"cell": "gru", "units": 5, "embedding": 3, "layers": 2, **model}
    return configs.resolve(
        {
            "model": {"architecture": "aligned", **kinds},
            "train": {
                **{"steps": 1, "optimizer": "sgd", "learning_rate": 0.5},
                **{"batch_size": 4, "tbptt": tbptt},
            },
        }
    )


def begun(config, rate=0.5):
    """The model, and the first state with parameters none of which is zero."""
    model = build_model(config, VOCABULARY, VOCABULARY)
    own = dict(numbers(config)) | {"train.learning_rate": jnp.float32(rate)}
    state = first_state(model, recipe(config.train, 1), own)
    state = state._replace(params=copying.drawn(state.params))
    if config.train.tbptt:
        state = state._replace(carried=model.start(4))
    return model, own, state


def trained(config, count, rate=0.5, part=stored.part):
    """The state after `count` windows of all examples, and what each reported."""
    model, own, state = begun(config, rate)
    rows = jnp.tile(jnp.arange(4, dtype=jnp.int32), (count, 1))
    which = jnp.arange(count, dtype=jnp.int32) if config.train.tbptt else None
    program = Program(model, recipe(config.train, 1), stored.fetch, part)
    work = Work(own, a_store(), rows, jnp.int32(count), which)
    state, reported, _ = run_steps(program, state, work)
    return state, reported


@pytest.mark.parametrize("ahead", [0, 2])
def test_a_window_that_holds_the_source_is_the_whole(ahead):
    whole, told = trained(config(0, lookahead=ahead), 1)
    state, also = trained(config(WIDTH + ahead, lookahead=ahead), 1)
    for one, other in zip(
        jax.tree.leaves((state.params, also)),
        jax.tree.leaves((whole.params, told)),
        strict=True,
    ):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("size", "ahead"), [(4, 0), (3, 2), (1, 3)])
@pytest.mark.parametrize("part", [stored.part, None])
def test_windows_say_together_what_the_whole_says(size, ahead, part):
    """Where nothing is learnt between them."""
    _, whole = trained(config(0, lookahead=ahead), 1, rate=0.0)
    count = -(-(WIDTH + ahead) // size)
    _, told = trained(config(size, lookahead=ahead), count, rate=0.0, part=part)
    assert told.tokens.sum() == whole.tokens.sum() == sum(LENGTHS)
    np.testing.assert_allclose(told.loss.sum(), whole.loss.sum(), rtol=1e-5)


def test_no_gradient_goes_back_over_the_edge():
    """The second window's is that of its loss with the states before it as numbers."""
    small = config(4)
    model, _, state = begun(small)
    store = a_store()
    lengths = np.asarray(store.source_lengths)
    source = np.asarray(store.source).astype(np.int32)[:, :8]
    target = np.asarray(store.target).astype(np.int32)[:, 4:8]
    real = np.arange(4, 8)[None] < lengths[:, None]

    def loss(params, before):
        said = apply(
            *(model, params, before, source[:, 4:]),
            np.clip(lengths - 4, 0, 4),
            method="advance",
        )[1]
        each = jax.nn.log_softmax(said)
        picked = jnp.take_along_axis(each, target[..., None], axis=-1)[..., 0]
        return -jnp.sum(jnp.where(real, picked, 0)) / real.sum()

    first, _ = trained(small, 1)
    before = apply(
        *(model, state.params, model.start(4), source[:, :4]),
        np.clip(lengths, 0, 4),
        method="advance",
    )[0]
    for one, other in zip(
        jax.tree.leaves(first.carried), jax.tree.leaves(before), strict=True
    ):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
    grads = jax.grad(loss)(first.params, before)
    second, _ = trained(small, 2)
    wanted = jax.tree.map(lambda p, g: p - 0.5 * g, first.params, grads)
    for one, other in zip(
        jax.tree.leaves(second.params), jax.tree.leaves(wanted), strict=True
    ):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_what_a_step_needs_does_not_grow_with_the_source():
    def needed(width, tbptt):
        chosen = config(tbptt)
        model, own, state = begun(chosen)
        store = stored.Rows(
            *(jnp.zeros((4, width), jnp.uint8), jnp.zeros(4, jnp.int32)),
            *(jnp.zeros((4, width + 1), jnp.uint8), jnp.zeros(4, jnp.int32)),
            jnp.zeros(4, jnp.int32),
        )
        program = Program(model, recipe(chosen.train, 1), stored.fetch, stored.part)
        which = jnp.zeros(1, jnp.int32) if tbptt else None
        work = Work(own, store, jnp.zeros((1, 4), jnp.int32), jnp.int32(1), which)
        compiled = run_steps.lower(program, state, work).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    assert needed(20_000, tbptt=10) == needed(200, tbptt=10)
    assert needed(2000, tbptt=0) > 5 * needed(200, tbptt=0)


@pytest.mark.parametrize("sizes", [(None,), (5, 3)])
def test_each_batch_takes_its_windows_one_after_another(sizes):
    counts = (3,) if sizes == (None,) else (3, 2)
    order = Order(sizes, batch_size=2, run=1, seed=0, windows=counts)
    if sizes[0]:
        assert order.steps_per_epoch == 3 * 3 + 2 * 2
    taken = []
    for step in range(26):
        chunk = order.chunk(step, 1)
        taken.append((chunk.bucket, chunk.rows[0].tolist(), int(chunk.windows[0])))
    step = 0
    while step < 26:
        bucket, rows, _ = taken[step]
        block = taken[step : step + counts[bucket]]
        numbers = list(range(counts[bucket]))[: len(block)]
        assert block == [(bucket, rows, number) for number in numbers]
        step += counts[bucket]
    chunk = order.chunk(1, 5)
    for place, each in enumerate(zip(chunk.rows, chunk.windows, strict=True)):
        assert (each[0].tolist(), each[1]) == taken[1 + place][1:]


def test_a_part_is_a_cut_of_the_whole():
    store, rows = a_store(), jnp.array([1, -1, 0])
    model = build_model(config(3, lookahead=2), VOCABULARY, VOCABULARY)
    for number in range(5):
        window = Window.of(jnp.int32(number), 3, 2)
        given = store, rows, window
        one = windows.fetched(model, stored.fetch, stored.part, *given)
        other = windows.fetched(model, stored.fetch, None, *given)
        for name in set(one._fields) - {"target"}:
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
        real = np.arange(3)[None] < np.asarray(one.target_lengths)[:, None]
        np.testing.assert_array_equal(one.target[real], other.target[real])


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"model.architecture": "encoder_decoder"}, "train.tbptt=5 means nothing"),
        ({"model.architecture": "classifier"}, "train.tbptt=5 means nothing"),
        (
            {"model.architecture": "aligned", "model.bidirectional": True},
            "train.tbptt=5 means nothing with model.bidirectional=True",
        ),
    ],
)
def test_what_has_no_windows_is_told(changes, told):
    nested = {"train": {"steps": 1, "tbptt": 5}, "model": {}}
    for path, value in changes.items():
        nested["model"][path.removeprefix("model.")] = value
    with pytest.raises(UsageError, match=told):
        configs.resolve(nested)


def test_a_run_that_is_stopped_within_a_sequence_ends_to_the_bit(tmp_path, monkeypatch):
    start = (
        *("train", f"--config={EXPERIMENTS / 'stream_tagging.py'}:smoke"),
        *("--config.train.log_every=1", "--config.train.steps_per_dispatch=2"),
        "--config.model.dropout_output=0.2",
    )
    assert main([*start, f"--workdir={tmp_path / 'whole'}"]) == 0
    stopped = f"--workdir={tmp_path / 'stopped'}"
    monkeypatch.setenv("S2SJAX_FAILPOINT", "journal.write:term:3")
    assert main([*start, stopped]) == 143
    monkeypatch.delenv("S2SJAX_FAILPOINT")
    reader = [
        CheckpointReader(tmp_path / name / "checkpoints", metric_better="max")
        for name in ("stopped", "whole")
    ]
    at, arrays = reader[0]._load("last")
    # Four windows of a source have been read, or fewer: one of five was begun.
    assert at.step % 5 > 0 and any(path[0] == "carried" for path in arrays)
    assert main([*start, stopped]) == 0
    (one, ours), (other, theirs) = (each._load("last") for each in reader)
    assert one.step == other.step == 10 and ours.keys() == theirs.keys()
    for path in ours:
        np.testing.assert_array_equal(ours[path], theirs[path])
