import math
import shutil
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from s2sjax.errors import RunError, UsageError


class State(NamedTuple):
    step: jax.Array
    params: dict
    optimizer: object


def make_state(step):
    params = {
        "encoder": {"kernel": jnp.full((3, 4), step + 0.1), "none": jnp.zeros((0, 2))},
        "half": jnp.array([1.5, -0.0, step], jnp.bfloat16),
    }
    return State(jnp.int32(step), params, optax.adam(lambda count: 0.1).init(params))


def test_what_is_restored_is_what_was_saved_bit_for_bit(saved, tmp_path):
    state = make_state(7)
    odd = np.array([np.nan, -0.0, 1e-45, np.inf, -np.inf, 1 / 3], np.float32)
    odd[0] = np.array([0x7FC12345], np.uint32).view(np.float32)[0]
    state.params["odd"] = jnp.array(odd)
    progress = {"best": None, "window": [0.1, 1 / 3], "text": "ä"}
    saved.opened(tmp_path).save(7, state, progress, 0.5)
    shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), state)
    for target in (state, shapes):
        restored = saved.opened(tmp_path).restore(target, "last")
        assert (restored.step, restored.progress) == (7, progress)
        saved.same_bits(restored.state, state)


def test_params_are_read_without_a_target(saved, tmp_path):
    state = make_state(2)
    saved.opened(tmp_path).save(2, state, {}, 0.5)
    restored = saved.reader(tmp_path, []).restore_params("best")
    assert restored.step == 2
    saved.same_bits(restored.state, state.params)
    assert all(type(leaf) is np.ndarray for leaf in jax.tree.leaves(restored.state))


def test_a_restored_state_can_be_donated(saved, tmp_path):
    checkpoints = saved.opened(tmp_path)
    checkpoints.save(1, saved.value(1), {})
    state = checkpoints.restore(saved.value(0), "last").state
    step = jax.jit(lambda s: jax.tree.map(lambda x: x + 1, s), donate_argnums=0)
    np.testing.assert_array_equal(step(state)["params"]["w"], np.full(3, 2.0))


metrics = st.one_of(
    st.none(),
    st.sampled_from([0.0, -0.0, 0.5, 1.0, math.nan, math.inf, -math.inf]),
    st.floats(),
)


@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    values=st.lists(metrics, min_size=1, max_size=6),
    better=st.sampled_from(["max", "min"]),
    keep=st.integers(1, 2),
)
def test_the_newest_and_the_best_are_never_deleted(
    saved, tmp_path, values, better, keep
):
    directory = tmp_path / "checkpoints"
    shutil.rmtree(directory, ignore_errors=True)
    checkpoints = saved.opened(directory, metric_better=better, keep_last=keep)
    for step, metric in enumerate(values):
        checkpoints.save(step, saved.value(step), {}, metric)
        best = saved.ranked_oracle(values[: step + 1], better)
        newest = set(range(max(0, step + 1 - keep), step + 1))
        assert set(checkpoints.steps()) == newest | ({best} - {None})
        assert checkpoints.best_step() == best
    names = {path.name for path in directory.iterdir()}
    assert names == {str(step) for step in checkpoints.steps()}


def test_of_equal_metrics_the_least_nll_is_best(saved, tmp_path):
    checkpoints = saved.opened(tmp_path, keep_last=1)
    for step, nll in enumerate([None, 0.2, 0.3, 0.2, math.nan, 0.9]):
        checkpoints.save(step, saved.value(step), {}, 1.0, nll)
    assert checkpoints.best_step() == 3 and checkpoints.steps() == [3, 5]
    checkpoints.save(6, saved.value(6), {}, 0.9, 0.1)
    checkpoints.save(6, saved.value(6), {"again": 1})  # keeps what ranks it
    assert checkpoints.steps() == [3, 6]
    checkpoints.save(7, saved.value(7), {}, 1.0, 0.1)
    assert saved.reader(tmp_path, []).restore(saved.value(0), "best").step == 7


def test_more_than_one_best_is_kept(saved, tmp_path):
    checkpoints = saved.opened(tmp_path, keep_best=2, keep_last=1)
    for step, metric in enumerate([0.1, 0.9, 0.9, 0.8, math.nan]):
        checkpoints.save(step, saved.value(step), {}, metric)
    assert checkpoints.steps() == [1, 2, 4]


def test_best_falls_back_to_the_last_where_nothing_was_evaluated(saved, tmp_path):
    lines = []
    saved.opened(tmp_path).save(3, saved.value(3), {}, math.nan)
    assert saved.reader(tmp_path, lines).restore(saved.value(0), "best").step == 3
    assert len(lines) == 1 and "no evaluated checkpoint" in lines[0]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda p: {"w": p["w"][:2]}, "params/w has shape"),
        (lambda p: {"w": p["w"].astype(np.float16)}, "params/w is float32"),
        (lambda p: {"w": p["w"].astype(np.int32)}, "params/w is float32"),
        (lambda p: {"w": p["w"], "b": p["w"]}, "has no params/b"),
        (lambda p: {}, "has params/w"),
    ],
)
def test_another_model_is_refused_by_the_name_of_the_leaf(
    saved, tmp_path, change, said
):
    lines = []
    checkpoints = saved.opened(tmp_path, lines)
    checkpoints.save(1, saved.value(1), {})
    with pytest.raises(UsageError, match=said) as caught:
        checkpoints.restore({"params": change(saved.value(0)["params"])}, "last")
    assert "\n" not in str(caught.value)
    assert not lines and checkpoints.steps() == [1]


def test_saving_a_step_again_updates_its_progress_and_never_its_values(saved, tmp_path):
    checkpoints = saved.opened(tmp_path)
    checkpoints.save(1, saved.value(1), {"n": 1}, 0.5)
    checkpoints.save(1, saved.value(1), {"n": 2})
    assert checkpoints.restore(saved.value(0), "last").progress == {"n": 2}
    assert checkpoints.best_step() == 1
    with pytest.raises(RunError, match="other values"):
        checkpoints.save(1, saved.value(2), {})
    saved.same_bits(
        checkpoints.restore(saved.value(0), 1).state, saved.to_device(saved.value(1))
    )


def test_progress_that_is_no_json_is_refused_before_anything_is_written(
    saved, tmp_path
):
    checkpoints = saved.opened(tmp_path)
    for progress in ({"best": math.nan}, {"best": np.float32(1)}):
        with pytest.raises((TypeError, ValueError)):
            checkpoints.save(1, saved.value(1), progress)
    assert list(tmp_path.iterdir()) == []


def test_reading_while_the_trainer_deletes(saved, tmp_path, monkeypatch):
    """A step that goes between being listed and being read is no damage."""
    writing = saved.opened(tmp_path, keep_last=1)
    writing.save(1, saved.value(1), {})
    lines = []
    reading = saved.reader(tmp_path, lines)
    scan = reading._scan

    def scan_then_train():
        found = scan()
        monkeypatch.setattr(reading, "_scan", scan)
        writing.save(2, saved.value(2), {})
        return found

    monkeypatch.setattr(reading, "_scan", scan_then_train)
    assert reading.restore(saved.value(0), "last").step == 2
    assert not lines
