"""What no model is needed for: by counting in Python."""

import itertools
import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s2sjax import tasks
from s2sjax.config import base_config, resolve
from s2sjax.outcomes import References, Rows
from s2sjax.tasks import baselines
from s2sjax.tasks.vocabulary import Vocabulary
from s2sjax.types import BOS, EOS, SYMBOLS, UNK
from tests import oracles

SIZE = SYMBOLS + 3
row = st.lists(st.integers(UNK, SIZE - 1), max_size=4)
some = st.lists(row, min_size=1, max_size=8)


def rows(lists):
    return Rows.from_lists(lists)


def probability(training, before, token, order):
    """By the definition, from counts in dicts."""
    ended = [[BOS, *each, EOS] for each in training]
    counts = Counter(token for each in ended for token in each[1:])
    emitted = [EOS, UNK, *range(SYMBOLS, SIZE)]
    alone = (counts[token] + 1) / (counts.total() + len(emitted))
    if order == 1:
        return alone
    pairs = Counter(pair for each in ended for pair in itertools.pairwise(each))
    after = {v: n for (u, v), n in pairs.items() if u == before}
    if not after:
        return alone
    total = sum(after.values()) + len(after)
    return (after.get(token, 0) + len(after) * alone) / total


@given(some, some)
@settings(max_examples=60, deadline=None)
def test_likelihoods_are_those_of_counts(training, targets):
    steps = [
        pair
        for each in targets
        for pair in zip([BOS, *each], [*each, EOS], strict=True)
    ]
    for order, function in ((1, baselines.unigram_nll), (2, baselines.bigram_nll)):
        logs = [math.log(probability(training, u, v, order)) for u, v in steps]
        found = function(rows(training), rows(targets), SIZE)
        assert found == pytest.approx(-sum(logs) / len(steps))


@given(some, st.sampled_from([BOS, UNK, *range(SYMBOLS, SIZE)]))
def test_what_follows_a_token_has_a_probability_of_one_in_all(training, before):
    emitted = [EOS, UNK, *range(SYMBOLS, SIZE)]
    every = [probability(training, before, token, 2) for token in emitted]
    assert sum(every) == pytest.approx(1)


@given(
    some, st.lists(st.tuples(row, st.lists(row, min_size=1)), min_size=1, max_size=6)
)
@settings(max_examples=60, deadline=None)
def test_answers_are_judged_as_those_of_a_model(training, examples):
    side = Vocabulary("char", ("a", "b", "c"))
    other = Vocabulary("char", ("c", "x", "a"))  # which has no b
    wanted = [targets for _, targets in examples]
    flat = rows([target for targets in wanted for target in targets])
    counts = np.array([len(targets) for targets in wanted], np.int32)
    found = baselines.baselines(
        rows(training),
        rows([source for source, _ in examples]),
        References(flat.tokens, flat.lengths, counts),
        (side, other),
    )
    often = max(map(tuple, training), key=lambda r: training.count(list(r)))
    same = {4: 6, 5: None, 6: 4}  # a, b and c of the source
    answers = {
        "most_frequent": [often] * len(examples),
        "copy": [tuple(same.get(s) for s in source) for source, _ in examples],
    }
    for name, outputs in answers.items():
        edits = right = symbols = places = 0
        for output, targets in zip(outputs, wanted, strict=True):
            known = [tuple(math.nan if t == UNK else t for t in r) for r in targets]
            each = [oracles.edit_distance(output, target) for target in known]
            nearest = known[each.index(min(each))]
            edits, right = edits + min(each), right + (min(each) == 0)
            symbols += len(nearest)
            places += sum(a == b for a, b in zip(output, nearest, strict=False))
        assert found[name]["exact"] == pytest.approx(right / len(examples))
        assert found[name]["edit_distance"] == pytest.approx(edits / max(symbols, 1))
        assert found[name]["token_accuracy"] == pytest.approx(places / max(symbols, 1))


def test_many_are_counted_by_some_that_are_spread(monkeypatch):
    monkeypatch.setattr(baselines, "MOST_TRAINING", 3)
    monkeypatch.setattr(baselines, "MOST_CELLS", 8)
    training = rows([[4], [5], [5], [5], [4], [6], [4]])  # numbers 0, 3 and 6
    held_out = rows([[4], [5], [5]])  # four cells each: two of them, the first and last
    references = References.of(held_out)
    side = Vocabulary("char", ("a", "b", "c"))
    found = baselines.baselines(training, held_out, references, (side, side))
    assert found["most_frequent"]["exact"] == 1 / 2 and found["copy"]["exact"] == 1


@pytest.mark.parametrize("reverse", [False, True])
def test_generated_tasks_are_counted_by_drawing(reverse):
    config = base_config()
    config.task.name, config.task.length, config.train.steps = "copy", 4, 1
    config.task.cardinality, config.task.num_test = 3, 50
    config.task.reverse_source = reverse
    found = tasks.create(resolve(config)).baselines("test")
    assert found["copy"] == {"exact": 1, "token_accuracy": 1, "edit_distance": 0}
    assert found["most_frequent"]["exact"] < 0.2
    # Four of three symbols and EOS, one after another: ln 3 four times of five.
    assert found["unigram"]["nll"] == pytest.approx(1.38, abs=0.05)
    assert found["bigram"]["nll"] < found["unigram"]["nll"]


def test_a_run_of_files_keeps_them(tmp_path):
    file = tmp_path / "pairs.tsv"
    lines = [f"{n}\t{n}\n" for n in range(100, 200)]
    file.write_text("".join(lines))
    config = base_config()
    config.task.name, config.task.path, config.train.steps = "text", str(file), 1
    kept = tasks.create(resolve(config), tmp_path / "data")
    again = tasks.load(resolve(config), tmp_path / "data")
    for split in ("valid", "test"):
        found = again.baselines(split)
        assert found == kept.baselines(split) and found["copy"]["exact"] == 1
    assert again.baselines("train") == {}
