"""The table of tasks, what each refuses, and the nine digits."""

from typing import Any

import numpy as np
import pytest

from s2sjax import tasks
from s2sjax.config import Config, TaskConfig
from s2sjax.errors import UsageError


def create(**fields: Any) -> tasks.Task:
    return tasks.create(Config(task=TaskConfig(**fields)), None)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": "revresed"}, "unknown task 'revresed'; did you mean 'reversed'"),
        ({"name": "FILE.py:function"}, "FILE.py does not exist"),
        ({"name": "mine.py"}, "lacks the function; write mine.py:function"),
        (
            {"name": "reversed", "prefix": 4},
            "task.prefix=4 means nothing .* task.length",
        ),
        ({"name": "reversed", "path": "x"}, "task.path=x means nothing"),
        ({"name": "addition", "cardinality": 5}, "task.cardinality=5 means nothing"),
        ({"name": "digits_to_words", "num_test": 9}, "task.num_test=9 means nothing"),
        (
            {"name": "reversed_prefix", "length": 6, "min_length": 2},
            "task.prefix=3 is longer than the shortest source, 2",
        ),
        ({"name": "copy", "cardinality": 2_000_000}, "is above 1000000"),
        ({"name": "copy", "num_train": 2**31}, "task.num_train=2147483648 is beyond"),
        ({"name": "maxmin_dup", "min_length": 1}, "takes at least 2"),
    ],
)
def test_refused_in_one_line(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        create(**fields)
    assert "\n" not in str(caught.value)


def test_every_used_field_exists() -> None:
    names = set(TaskConfig.__dataclass_fields__)
    for name, entry in tasks.TASKS.items():
        assert entry.uses < names, name
        assert "\n" not in entry.doc


def test_generated_tasks_load_without_a_folder() -> None:
    config = Config(task=TaskConfig(name="reversed"))
    rows = np.arange(5, dtype=np.int32)
    one, other = (
        task.buckets["test"][0].fetch(task.buckets["test"][0].store, rows)
        for task in (tasks.create(config), tasks.load(config))
    )
    np.testing.assert_array_equal(one.source, other.source)


def test_nine_digits() -> None:
    task = create(name="digits_to_words")
    for split in tasks.SPLITS:
        (bucket,) = task.buckets[split]
        assert bucket.size == 9
        batch = bucket.fetch(bucket.store, np.array([*range(9), -1]))
        shown = {
            task.source_vocabulary.join(task.source_vocabulary.decode(source)): (
                task.target_vocabulary.join(task.target_vocabulary.decode(target))
            )
            for source, target in zip(
                batch.source[:9].tolist(), batch.target[:9].tolist(), strict=True
            )
        }
        assert shown["3"] == "three"
        assert len(shown) == 9
        for source, target in shown.items():
            assert task.expected(source) == list(target)
        assert batch.weights.tolist() == [1.0] * 9 + [0.0]
        assert not batch.target[9].any()
    assert task.expected("12") is None
    assert task.unseen([[4], [5], [4, 4]], 9) == pytest.approx(1 / 3)


def test_symbols_outside_are_refused_where_they_are_integers() -> None:
    task = create(name="reversed_prefix", length=6, cardinality=50, first_symbol=1)
    with pytest.raises(UsageError, match="symbol 51 is not among the integers 1 to 50"):
        tasks.encode_source(task, [1, 51])
    assert tasks.encode_source(task, [1, 50]) == ([4, 53], [])
