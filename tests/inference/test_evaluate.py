"""Outcomes of a split: bucket by bucket, whatever the size of a batch."""

import dataclasses
import threading
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from s2sjax import metrics
from s2sjax.inference import batches, evaluate
from s2sjax.inference import system as predictor
from s2sjax.inference.evaluate import (
    chosen,
    long_ones,
    outcomes,
    some_source,
)
from s2sjax.inference.symbols import SYMBOLS, columns, rows_at_once
from s2sjax.inference.system import System, decode, force
from s2sjax.models.architectures import build_model
from s2sjax.outcomes import References, Rows
from s2sjax.tasks.task import Bucket
from s2sjax.types import BOS, EOS, UNK
from tests import copying, oracles


def test_who_waits_for_a_batch_is_told_now_and_then(monkeypatch):
    monkeypatch.setattr(batches, "WAIT_SECONDS", 0.01)
    released = threading.Event()
    told = []

    def waiting():
        told.append(len(results))
        released.set()

    def work(item):
        assert item != 2 or released.wait(10)
        return -item

    results = []
    for result in batches.each_batch(work, [1, 2, 3], waiting):
        results.append(result)
    assert results == [-1, -2, -3] and 1 in told

    with pytest.raises(ZeroDivisionError):
        list(batches.each_batch(lambda item: 1 / item, [1, 0, 2]))


def fetch(store, rows):
    return copying.fetch(store, rows)


@pytest.fixture(scope="module")
def split():
    """Two buckets of one width, 7 and 3 examples, and a model for them."""
    config = copying.config()
    model = build_model(config, copying.VOCABULARY, copying.VOCABULARY)
    shapes = jax.eval_shape(model.init, jax.random.key(0))
    params = copying.drawn(shapes, seed=2, scale=1.0)
    store = copying.store()
    halves = [
        {name: column[rows] for name, column in store.items()}
        for rows in (jnp.arange(7), jnp.arange(7, 10))
    ]
    buckets = [
        Bucket(size, copying.WIDTH, copying.WIDTH + 1, half, fetch)
        for size, half in zip((7, 3), halves, strict=True)
    ]
    before = len(copying.traces)
    system = System.of(model, config, params)
    found, sources = outcomes(system, buckets)
    return types.SimpleNamespace(
        system=system,
        store=store,
        buckets=buckets,
        outcomes=found,
        sources=sources,
        traced=len(copying.traces) - before,
        expected=by_loop(config, params, store),
    )


def of_each(found):
    """Outcomes as a list for each example."""
    forced = Rows(found.forced, found.forced_lengths)
    columns = found._replace(forced=forced, references=found.references.first)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def by_loop(config, params, store):
    """What becomes of every example, one by one, in numpy."""
    oracle = oracles.Model(config.model, params)
    rows = []
    for row in range(copying.EXAMPLES):
        length = int(store["source_lengths"][row])
        source = np.asarray(store["source"][row, :length]).tolist()
        most = int(np.ceil(1.5 * length)) + 2
        tokens, score, truncated = oracle.greedy(source, most)
        written = [token for token in tokens if token != EOS]
        target = [*source, EOS]
        logits, _ = oracle.forced(source, [BOS, *target[:-1]])
        rows.append(
            {
                "output": written,
                "truncated": truncated,
                "edits": oracles.edit_distance(written, source),
                "score": score,
                "nll": oracles.nll(logits, target),
                "correct": int((logits.argmax(axis=1) == np.array(target)).sum()),
                "source": source,
            }
        )
    return rows


def test_outcomes_are_those_of_a_loop_and_filler_is_left_out(split):
    found = split.outcomes
    assert len(found.edits) == len(split.sources) == copying.EXAMPLES  # 4 + 3 and 3
    for row, expected in enumerate(split.expected):
        assert found.output.tolist()[row] == expected["output"]
        assert found.truncated[row] == expected["truncated"]
        assert found.edits[row] == expected["edits"]
        assert found.forced_correct[row] == expected["correct"]
        np.testing.assert_allclose(found.scores[row], expected["score"], rtol=1e-4)
        np.testing.assert_allclose(found.log_probs[row], expected["score"], rtol=1e-4)
        np.testing.assert_allclose(found.nll[row], expected["nll"], rtol=1e-4)
        assert split.sources[row] == expected["source"]
        assert found.target_lengths[row] == len(expected["source"])
    assert len(set(found.truncated.tolist())) == 2


def test_a_summary_of_a_split_is_that_of_its_examples(split):
    found = metrics.summary(split.outcomes)
    rows = split.expected
    exact = [row["edits"] == 0 and not row["truncated"] for row in rows]
    symbols = sum(len(row["source"]) for row in rows)
    assert found["exact"] == sum(exact) / 10
    np.testing.assert_allclose(
        found["edit_distance"], sum(row["edits"] for row in rows) / symbols
    )
    np.testing.assert_allclose(
        found["nll"], sum(row["nll"] for row in rows) / (symbols + 10), rtol=1e-5
    )


@pytest.mark.parametrize("examples", [1, 4, 7, 8, 10])
def test_the_same_examples_of_a_split_however_many_are_asked_for(split, examples):
    buckets = chosen(split.buckets, examples)
    found, sources = outcomes(split.system, buckets)
    assert len(sources) == examples
    rows = [split.sources.index(source) for source in sources]
    every = of_each(split.outcomes)
    assert of_each(found) == [every[row] for row in rows]
    assert {tuple(s) for s in sources} >= {
        tuple(s)
        for s in outcomes(split.system, chosen(split.buckets, max(examples - 1, 1)))[1]
    }


def test_further_references_of_a_bucket_are_those_of_its_examples(split):
    """Whether all are taken or some, and whatever bucket they are in."""
    outputs = [row["output"] for row in split.expected]
    # Of every second example two more, the second of them what the model writes.
    counts = np.array([2, 0] * 5, np.int32)
    rows = [row for place in range(0, 10, 2) for row in ([9, 9], outputs[place])]
    flat = Rows.from_lists(rows)
    further = References(flat.tokens, flat.lengths, counts)
    buckets = [
        dataclasses.replace(bucket, references=further.taken(places))
        for bucket, places in zip(
            split.buckets, (np.arange(7), np.arange(7, 10)), strict=True
        )
    ]
    for examples in (10, 5):
        found, sources = outcomes(split.system, chosen(buckets, examples))
        for place, source in enumerate(sources):
            row = split.sources.index(source)
            own = [source, *([[9, 9], outputs[row]] if row % 2 == 0 else [])]
            assert found.references.by_example()[place] == own
            # An unknown symbol in a reference equals nothing.
            known = [[None if s == UNK else s for s in each] for each in own]
            written = tuple(outputs[row])
            edits = [oracles.edit_distance(written, tuple(each)) for each in known]
            assert found.edits[place] == min(edits)
            assert found.target.tolist()[place] == own[edits.index(min(edits))]
            same = split.outcomes.nll[row], split.outcomes.forced_correct[row]
            assert (found.nll[place], found.forced_correct[place]) == same


def test_an_output_that_is_told_its_length_has_it(split):
    """Against greedy decoding in numpy that never ends by itself."""
    found, sources = outcomes(split.system, split.buckets, oracle_length=True)
    oracle = oracles.Model(split.system.config.model, split.system.params[0])

    for place, source in enumerate(sources):
        memory, encoded = oracle.encode(source)
        carry, written, token = oracle.start(encoded, memory), [], BOS
        while len(written) < len(source):
            carry, logits, _ = oracle.step(carry, token, memory)
            logits = np.where(np.arange(len(logits)) == EOS, -np.inf, logits)
            token = int(np.argmax(logits))
            written.append(token)
        assert found.output.tolist()[place] == written
    assert not found.truncated.any()
    np.testing.assert_array_equal(found.nll, split.outcomes.nll)


def test_an_empty_bucket_is_passed_over(split):
    nothing = {name: column[:0] for name, column in split.store.items()}
    bucket = Bucket(0, copying.WIDTH, copying.WIDTH + 1, nothing, fetch)
    found, _ = outcomes(split.system, [bucket, *split.buckets])
    np.testing.assert_array_equal(found.edits, split.outcomes.edits)


def test_one_width_is_compiled_once(split):
    # The buckets differ in size, so that `fetch` sees two shapes of the store.
    assert split.traced == 2
    sizes = decode._cache_size(), force._cache_size()
    outcomes(split.system, split.buckets)
    assert (decode._cache_size(), force._cache_size()) == sizes
    wide = {
        name: jnp.pad(column, ((0, 0), (0, 2))) if column.ndim == 2 else column
        for name, column in split.store.items()
    }
    bucket = Bucket(10, copying.WIDTH + 2, copying.WIDTH + 3, wide, fetch)
    found, _ = outcomes(split.system, [bucket])
    assert (decode._cache_size(), force._cache_size()) == (sizes[0] + 1, sizes[1] + 1)
    np.testing.assert_array_equal(found.edits, split.outcomes.edits)
    np.testing.assert_array_equal(found.output_lengths, split.outcomes.output_lengths)


def test_a_source_to_show_has_no_unknown_symbol(split):
    rows = np.array(split.store["source"])
    rows[:3] = UNK
    store = {**split.store, "source": jnp.asarray(rows)}
    bucket = Bucket(10, copying.WIDTH, copying.WIDTH + 1, store, fetch)
    shown = some_source([bucket])
    assert shown and UNK not in shown
    unknown = {**store, "source": jnp.full_like(store["source"], UNK)}
    only = Bucket(10, copying.WIDTH, copying.WIDTH + 1, unknown, fetch)
    assert set(some_source([only])) <= {UNK}


def test_it_is_told_how_far_it_is(split):
    told = []
    outcomes(split.system, split.buckets, passed=lambda *at: told.append(at))
    assert told == [(0, 10), (4, 10), (7, 10), (10, 10)]
    told.clear()
    outcomes(split.system, split.buckets[1:], lambda *at: told.append(at))
    assert told == [(0, 3), (3, 3)]


def test_long_examples_are_decoded_in_small_batches(split, monkeypatch):
    assert [rows_at_once(split.system, bucket) for bucket in split.buckets] == [4, 4]
    assert long_ones(split.system, split.buckets) == ""
    # A source of 3 and an output of 7 tokens: two rows of them, and not three.
    monkeypatch.setattr(predictor, "MOST_POSITIONS", 29)
    assert [rows_at_once(split.system, bucket) for bucket in split.buckets] == [2, 2]
    assert long_ones(split.system, split.buckets[:1]).startswith(
        "7 examples have up to 3 symbols a side"
    )
    sizes = []

    def counted(*of, **how):
        sizes.append(len(of[1].ids))
        return columns(*of, **how)

    monkeypatch.setattr(evaluate, "SYMBOLS", SYMBOLS._replace(columns=counted))
    found, _ = outcomes(split.system, split.buckets)
    assert set(sizes) == {2} and len(sizes) == 6
    np.testing.assert_array_equal(found.edits, split.outcomes.edits)
    np.testing.assert_allclose(found.nll, split.outcomes.nll, rtol=1e-5)
    monkeypatch.setattr(predictor, "MOST_POSITIONS", 1)
    assert rows_at_once(split.system, split.buckets[0]) == 1
