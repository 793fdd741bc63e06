"""A user's own pattern: run on the host, kept with its hash, errors in one line."""

import os
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from s2sjax import tasks
from s2sjax.config import Config, TaskConfig
from s2sjax.errors import UsageError
from s2sjax.tasks.task import Task, decode_source

DOUBLED = "def doubled(xs):\n    return [2 * x for x in reversed(xs)] + [len(xs)]\n"


def config(name: str, **fields: Any) -> Config:
    sizes = {"num_train": 60, "num_valid": 5, "num_test": 20, "length": 5}
    return Config(task=TaskConfig(name=name, **{**sizes, **fields}))


def pairs(task: Task, split: str) -> list[tuple[list[Any], list[Any]]]:
    found = {}
    for bucket in task.buckets[split]:
        rows = np.arange(bucket.size or 0)
        batch = jax.device_get(jax.jit(bucket.fetch)(bucket.store, rows))
        for i, number in enumerate(batch.ids.tolist()):
            source = batch.source[i, : batch.source_lengths[i]].tolist()
            target = task.target_vocabulary.decode(batch.target[i])
            found[number] = (decode_source(task, source), target)
    return [found[number] for number in sorted(found)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "mine.py"
    path.write_text(DOUBLED)
    return path


@pytest.mark.parametrize("backwards", [False, True])
def test_pattern_is_run_on_the_sources_of_the_built_in_ones(
    path: Path, backwards: bool
) -> None:
    fields = {"min_length": 2, "first_symbol": 3, "reverse_source": backwards}
    task = tasks.create(config(f"{path}:doubled", **fields), None)
    built_in = tasks.create(config("copy", **fields), None)
    for split, size in (("train", 60), ("valid", 5), ("test", 20)):
        found = pairs(task, split)
        assert len(found) == size
        assert [source for source, _ in found] == [
            source for source, _ in pairs(built_in, split)
        ]
        for source, target in found:
            assert target == [2 * x for x in reversed(source)] + [len(source)]
            assert task.expected(source) == target
    # Extreme sources are covered, drawn or not.
    assert tasks.encode_source(task, [12] * 5)[1] == []
    assert task.target_vocabulary.encode([24, 2])[1] == []


def test_loads_from_its_copy(path: Path, tmp_path: Path) -> None:
    name, folder = f"{path}:doubled", tmp_path / "data"
    made = tasks.create(config(name), folder)
    path.write_text("raise SystemExit('never executed')")
    found = tasks.load(config(name), folder)
    assert sorted(found.buckets) == ["test", "valid"]
    assert pairs(found, "test") == pairs(made, "test")
    assert found.target_vocabulary == made.target_vocabulary
    assert found.expected([1, 2]) == [4, 2, 2]
    bucket = made.buckets["train"][0]
    rows = bucket.fetch(bucket.store, np.arange(4)).source.tolist()
    assert made.unseen(rows, 1) == found.unseen(rows, 1) == 0


def test_goes_on_with_the_same_file_only(path: Path, tmp_path: Path) -> None:
    name, folder = f"{path}:doubled", tmp_path / "data"
    made = tasks.create(config(name), folder)
    path.write_text(DOUBLED + "\n")
    with pytest.raises(UsageError, match=r"mine\.py is not the file that this run"):
        tasks.create(config(name), folder)
    path.unlink()
    assert pairs(tasks.create(config(name), folder), "train") == pairs(made, "train")


def test_a_changed_copy_is_not_executed(path: Path, tmp_path: Path) -> None:
    folder, mark = tmp_path / "data", tmp_path / "executed"
    tasks.create(config(f"{path}:doubled"), folder)
    (folder / "pattern.py").write_text(f"open({str(mark)!r}, 'w').close()\n{DOUBLED}")
    with pytest.raises(UsageError, match=r"pattern\.py is damaged"):
        tasks.load(config(f"{path}:doubled"), folder)
    assert not mark.exists()


@pytest.mark.parametrize("name", ["../up.py:f", "./a b.py:f", "/x/../y.py:f"])
def test_the_name_never_becomes_a_path_in_the_run(tmp_path: Path, name: str) -> None:
    work = tmp_path / "work"
    work.mkdir()
    (tmp_path / "up.py").write_text("f = sorted")
    before = os.getcwd()
    os.chdir(work)
    try:
        tasks.create(config(name), work / "data")
    except UsageError as error:
        assert "does not exist" in str(error)
        assert not (work / "data").exists()
    else:
        names = sorted(file.name for file in (work / "data").iterdir())
        assert names == ["about.json", "held_out.npz", "pattern.py", "target.json"]
    finally:
        os.chdir(before)


def test_a_default_size_is_noted(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from s2sjax.tasks import user_pattern

    monkeypatch.setattr(user_pattern, "TRAINING", 30)
    task = tasks.create(config(f"{path}:doubled", num_train=0), None)
    assert sum(bucket.size or 0 for bucket in task.buckets["train"]) == 30
    assert "of 30" in task.notes[0]


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("def g(x): return x", r"has no function 'f' \(it has: g\)"),
        ("f = 3", "has no function 'f'"),
        ("def f(x:", r"bad\.py:1: SyntaxError"),
        ("import nothing_of_this_name", r"bad\.py:1: ModuleNotFoundError"),
        ("raise SystemExit", r"bad\.py:1: SystemExit"),
        ("def f(x):\n return x[99]", r"bad\.py:2: f\(\[.*\]\) raised IndexError"),
        ("def f(x): return None", "returned None, not a list of integers"),
        ("def f(x): return 'abc'", "returned 'abc', not a list"),
        ("def f(x): return [1, 2.5]", r"returned \[1, 2.5\]; 2.5 is not an integer"),
        ("def f(x): return [True]", "True is not an integer"),
        ("def f(x): return [max(x) << 20]", "at most 100000"),
        ("def f(x): return [max(x) << 40]", "beyond 2147483647"),
        ("def f(x): return [10 ** 5000]", "an int of about 5000 digits"),
        ("def f(x): return (y for y in x)", "returned <generator object"),
        ("def f(x): return [x]", "is not an integer"),
        ("import numpy\ndef f(x): return numpy.array(x)", r"returned array\(\["),
        (
            "def f(x):\n raise GeneratorExit",
            r"bad\.py:2: f\(.*\) raised GeneratorExit$",
        ),
        (
            "def f(x):\n raise StopIteration",
            r"bad\.py:2: f\(.*\) raised StopIteration$",
        ),
        (
            "class Mine(BaseException):\n def __str__(self): raise self\n"
            "def f(x):\n raise Mine",
            r"bad\.py:4: f\(.*\) raised Mine$",
        ),
        (
            "class Stop(KeyboardInterrupt): pass\ndef f(x):\n raise Stop('no')",
            r"bad\.py:3: f\(.*\) raised Stop: no$",
        ),
        (
            "class Mine:\n def __repr__(self): raise GeneratorExit\n"
            "def f(x): return Mine()",
            "returned an object of the type Mine, not a list",
        ),
        (
            "class Mine:\n def __index__(self): raise RuntimeError('mine')\n"
            "def f(x): return [Mine()]",
            r"bad\.py:2: f\(.*\) raised RuntimeError: mine$",
        ),
        (
            "class Mine(list):\n def __iter__(self): raise SystemExit\n"
            "def f(x): return Mine()",
            r"bad\.py:2: f\(.*\) raised SystemExit$",
        ),
        ("def f(x):\n return f(x)", r"bad\.py:2: f\(.*\) raised RecursionError"),
        ("\0", r"bad\.py: SyntaxError|bad\.py: ValueError|bad\.py:1: SyntaxError"),
        ("# coding: latin-9000", r"bad\.py"),
        (
            "n = 0\ndef f(x):\n global n\n n += 1\n return [n]",
            "returned two different targets",
        ),
    ],
)
def test_errors_are_one_line(tmp_path: Path, code: str, message: str) -> None:
    path, folder = tmp_path / "bad.py", tmp_path / "data"
    path.write_text(code)
    with pytest.raises(UsageError, match=message) as caught:
        tasks.create(config(f"{path}:f"), folder)
    assert "\n" not in str(caught.value)
    assert not folder.exists()


def test_a_pattern_cannot_change_its_source(tmp_path: Path) -> None:
    path = tmp_path / "clear.py"
    path.write_text("def f(x):\n y = list(x)\n x.clear()\n return y")
    task = tasks.create(config(f"{path}:f"), None)
    assert all(s == t and len(s) == 5 for s, t in pairs(task, "train"))


def test_numbers_of_other_classes_become_plain(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(
        "import numpy\nclass Own(int):\n def __eq__(self, other): raise ValueError\n"
        " __hash__ = None\n"
        "def f(x): return tuple(Own(y) for y in x) + (numpy.int64(3),)"
    )
    task = tasks.create(config(f"{path}:f"), None)
    source, target = pairs(task, "test")[0]
    assert target == [*source, 3] and {type(value) for value in target} == {int}


def test_an_interruption_stays_one(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text("def f(x): raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        tasks.create(config(f"{path}:f"), tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_what_a_pattern_prints_goes_to_standard_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "mine.py"
    path.write_text("print('read')\ndef f(x):\n print('called')\n return x")
    assert tasks.create(config(f"{path}:f"), None).expected([1, 2]) == [1, 2]
    out, err = capsys.readouterr()
    assert out == "" and "read" in err and "called" in err
