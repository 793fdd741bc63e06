"""Files of pairs: each format as `docs/data.md` shows it, splits, and every refusal."""

import bz2
import dataclasses
import gzip
import itertools
import lzma
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from s2sjax import json_objects, tasks
from s2sjax.config import Config, TaskConfig
from s2sjax.errors import UsageError
from s2sjax.runs import bundle
from s2sjax.tasks.files.corpus import open_corpus
from s2sjax.tasks.pairs import unpacked

PAGE = (Path(__file__).parents[2] / "docs" / "data.md").read_text("utf-8")
EXAMPLES = {
    name: (flags, text)
    for name, flags, text in re.findall(
        r"^`([\w.]+)`(?:, with `([^`]*)`)?:\n\n```text\n(.*?)```", PAGE, re.M | re.S
    )
}
# Of each example on the page what is read: source, target, features, weight.
ROWS: dict[str, list[tuple[Any, ...]]] = {
    "pairs.tsv": [
        *(("Go.", "Va !"), ("Go.", "Marche."), ("Hi.", "Salut !")),
        *(("Run!", "Cours !"), ('"Who?"', "« Qui ? »")),
    ],
    "pairs.csv": [
        *(("Go, quickly.", "Va, vite !"), ("Hi.", "Salut !")),
        *(('"Who?"', "« Qui ? »"), ("Run!", "Cours !")),
    ],
    "inflected.tsv": [
        ("walk", "walked", ("V", "PST"), 2.0),
        ("walk", "walks", ("V", "PRS", "3", "SG")),
        ("go", "went", ("V", "PST"), 3.5),
        ("go", "gone", ("V.PTCP", "PST")),
        ("be", "was", ("V", "PST", "1", "SG"), 0.5),
    ],
    "pairs.jsonl": [
        *(("read", "R IY D"), ("read", "R EH D"), ("a", "AH"), ("a", "EY")),
        *(("walk", "walked", ("V", "PST")), ("go", "went", ("V", "PST"), 2.0)),
        ("Hi.", "Salut !"),
    ],
    "corpus.de": [
        *(("Geh .", "Go ."), ("Hallo .", "Hi ."), ("Wer ?", "Who ?")),
        *(("Lauf !", "Run !"), ("Halt !", "Stop !")),
    ],
    "tasks.txt": [
        *(("jump", "I_JUMP"), ("jump twice", "I_JUMP I_JUMP")),
        *(("turn left", "I_TURN_LEFT"), ("walk and run", "I_WALK I_RUN")),
        ("look right", "I_TURN_RIGHT I_LOOK"),
    ],
}


def asked(flags: str) -> dict[str, str]:
    """The fields of a task that flags name."""
    return dict(re.findall(r"--config\.task\.(\w+)=(\S+)", flags))


def rows(task: TaskConfig) -> list[tuple[str, str, tuple[str, ...], float]]:
    """All pairs of a config's files."""
    columns = [
        zip(c.sources, c.targets, c.features, c.weights.tolist(), strict=True)
        for c in open_corpus(task).chunks()
    ]
    return list(itertools.chain.from_iterable(columns))


def whole(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """A row with what it has by default."""
    return (*row, *((), 1.0)[len(row) - 2 :])


@pytest.fixture
def page(tmp_path: Path) -> Path:
    for name, (_, text) in EXAMPLES.items():
        (tmp_path / name).write_text(text, "utf-8")
    return tmp_path


def test_the_page_shows_every_format() -> None:
    assert EXAMPLES.keys() == ROWS.keys() | {"corpus.en"}
    assert all(text.count("\n") == 5 for _, text in EXAMPLES.values())


@pytest.mark.parametrize("name", ROWS)
def test_what_the_page_shows_is_read(page: Path, name: str) -> None:
    path = page / name.removesuffix(".de")
    task = TaskConfig("text", path=str(path), **asked(EXAMPLES[name][0]))
    assert rows(task) == list(map(whole, ROWS[name]))


@pytest.mark.parametrize("name", ROWS)
def test_a_task_is_made_of_five_lines(page: Path, name: str) -> None:
    path = str(page / name.removesuffix(".de"))
    copies = {}
    for split in ("valid", "test"):
        for file in {name, "corpus.en"} if name == "corpus.de" else {name}:
            copy = page / split / file
            copy.parent.mkdir(exist_ok=True)
            copy.write_bytes((page / file).read_bytes())
        copies[split] = path.replace(str(page), str(page / split))
    flags = asked(EXAMPLES[name][0])
    made = Config(task=TaskConfig("text", train=path, **copies, **flags))
    data = page / "data"
    task = tasks.create(made, data)
    pairs = [whole(row) for row in ROWS[name]]
    (train,), (test,) = task.buckets["train"], task.buckets["test"]
    assert train.size == len(pairs)
    if {row[3] for row in pairs} == {1.0}:
        assert train.store.weights is None
    else:
        kept = dict(zip(train.store.ids.tolist(), train.store.weights, strict=True))
        assert [kept[number] for number in range(len(pairs))] == [r[3] for r in pairs]
        some = train.fetch(train.store, np.array([-1, 0], np.int32))
        assert some.weights.tolist() == [0, kept[train.store.ids.tolist()[0]]]
    assert test.store.weights is None
    batch = test.fetch(test.store, np.arange(test.size or 0))
    assert np.asarray(batch.weights).tolist() == [1.0] * (test.size or 0)
    # Equal sources with equal features are one example.
    sources = {(row[0], row[2]) for row in pairs}
    assert test.size == len(sources)
    further = 0 if test.references is None else test.references.counts.sum()
    assert further == len(pairs) - len(sources)
    assert set(task.source_vocabulary.features) == {f for row in pairs for f in row[2]}
    # It goes on from what is kept, and is the same.
    again = tasks.create(made, data)
    store = again.buckets["train"][0].store
    for now, then in zip(store, train.store, strict=True):
        assert (now is None and then is None) or (now == then).all()


def test_equal_sources_have_each_target_once(tmp_path: Path) -> None:
    lines = [
        '{"source": "ab", "target": "x", "references": ["y", "x", "z"]}',
        '{"source": "c", "target": "x"}',
        '{"source": "ab", "target": "z"}',
        '{"source": "ab", "target": "x", "features": ["V"]}',  # another example
        '{"source": "AB", "target": "w"}',  # equal in lower case
    ]
    for split in tasks.SPLITS:
        (tmp_path / f"{split}.jsonl").write_text("\n".join(lines))
    task = TaskConfig("text", path=str(tmp_path), lowercase=True)
    made = tasks.create(Config(task=task))
    (train,), (test,) = made.buckets["train"], made.buckets["test"]
    assert (train.size, test.size) == (8, 3)
    assert test.references is not None
    decode = made.target_vocabulary.decode
    rows = iter(test.references.rows.tolist())
    further = {
        number: "".join(str(decode(next(rows))[0]) for _ in range(count))
        for number, count in zip(
            test.store.ids.tolist(), test.references.counts.tolist(), strict=True
        )
    }
    assert further == {16: "yzw", 20: "", 22: ""}


PACKED: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
}


@pytest.mark.parametrize("suffix", PACKED)
@pytest.mark.parametrize("name", ["pairs.jsonl", "pairs.csv", "corpus.de"])
def test_every_format_may_be_compressed(page: Path, name: str, suffix: str) -> None:
    for file in {name, "corpus.en"} if name == "corpus.de" else {name}:
        (page / (file + suffix)).write_bytes(PACKED[suffix]((page / file).read_bytes()))
        (page / file).unlink()
    path = page / ("corpus" if name == "corpus.de" else name + suffix)
    task = TaskConfig("text", path=str(path), **asked(EXAMPLES[name][0]))
    assert rows(task) == list(map(whole, ROWS[name]))


@pytest.mark.parametrize("name", ["pairs.jsonl", "pairs.csv", "tasks.txt", "corpus.de"])
def test_lines_may_end_as_on_windows(page: Path, name: str) -> None:
    for file in {name, "corpus.en"} if name == "corpus.de" else {name}:
        text = (page / file).read_bytes().replace(b"\n", b"\r\n")
        (page / file).write_bytes(b"\xef\xbb\xbf" + text)
    path = page / name.removesuffix(".de")
    task = TaskConfig("text", path=str(path), **asked(EXAMPLES[name][0]))
    assert rows(task) == list(map(whole, ROWS[name]))


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_quotation_holds_lines_and_delimiters(tmp_path: Path, delimiter: str) -> None:
    path = tmp_path / "a.csv"
    lines = [
        f"source{delimiter}target",
        f'"two\nlines\r"{delimiter}b{delimiter}',
        f'"say ""{delimiter}"""{delimiter}{"x" * 200_000}',
        f"lone\rreturn{delimiter}",
    ]
    path.write_bytes("\n".join([*lines, "", "  ", ""]).encode())
    assert [row[:2] for row in rows(TaskConfig("text", path=str(path)))] == [
        ("two\nlines\r", "b"),
        (f'say "{delimiter}"', "x" * 200_000),
        ("lone\rreturn", ""),
    ]


def test_a_header_is_none_of_the_pairs_where_columns_are_numbered(
    tmp_path: Path,
) -> None:
    (tmp_path / "a.tsv").write_text("n\tTarget\tSource\n1\tx\ta\n2\ty\tb\n")
    task = TaskConfig("text", path=str(tmp_path / "a.tsv"), columns="3,2")
    corpus = open_corpus(task)
    (chunk,) = corpus.chunks()
    assert (chunk.sources, chunk.targets) == (["a", "b"], ["x", "y"])
    assert corpus.unused == ["a.tsv: column n is not used"]


def test_names_of_columns_are_found_without_asking(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text("Target\tid\tSource\nb\t1\ta\n")
    task = TaskConfig("text", path=str(path))
    assert rows(task) == [("a", "b", (), 1.0)]
    assert open_corpus(task).unused == ["a.tsv: column id is not used"]
    path.write_text("a\tb\tCC-BY\t7\n")
    assert open_corpus(task).unused == ["a.tsv: columns 3, 4 are not used"]
    path = tmp_path / "a.jsonl"
    path.write_text('{"source": "a", "target": "b", "id": 3, "weight": 1}\n')
    task = TaskConfig("text", path=str(path))
    assert open_corpus(task).unused == ["a.jsonl: column id is not used"]


def numbered(folder: Path, **files: int) -> Path:
    """A folder of tables with so many lines each, none of them equal."""
    folder.mkdir()
    for name, count in files.items():
        lines = [f"{name} {i}\tb{i}\n" for i in range(count)]
        (folder / f"{name.replace('_', '.')}").write_text("".join(lines))
    return folder


def parts(task: TaskConfig) -> dict[str, list[str]]:
    """The sources of each split."""
    found: dict[str, list[str]] = {split: [] for split in tasks.SPLITS}
    for chunk in open_corpus(task).chunks():
        for source, split in zip(chunk.sources, chunk.splits.tolist(), strict=True):
            found[tasks.SPLITS[split]].append(source)
    return found


def test_a_split_without_files_is_cut_from_training(tmp_path: Path) -> None:
    folder = numbered(tmp_path / "d", train_tsv=100, test_tsv=10, README_md=1)
    found = parts(TaskConfig("text", path=str(folder)))
    assert found["test"] == [f"test_tsv {i}" for i in range(10)]
    assert 0 < len(found["valid"]) < 25
    assert sorted(found["train"] + found["valid"]) == sorted(
        f"train_tsv {i}" for i in range(100)
    )
    named = {name: str(folder / f"{name}.tsv") for name in ("train", "test")}
    assert parts(TaskConfig("text", **named)) == found  # type: ignore[arg-type]


def test_files_of_a_folder_are_one_split(tmp_path: Path) -> None:
    folder = numbered(tmp_path / "d", b_tsv=3, a_tsv=2)
    other = numbered(tmp_path / "e", c_tsv=2, d_tsv=2)
    split = {"valid": str(other / "c.tsv"), "test": str(other / "d.tsv")}
    found = parts(TaskConfig("text", train=str(folder), **split))
    assert found["train"] == [
        *(f"a_tsv {i}" for i in range(2)),
        *map("b_tsv {}".format, range(3)),
    ]


def test_a_split_by_hash_keeps_equal_sources_together(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    lines = [f"s{i % 500}\tt{i}\n" for i in range(2000)]
    path.write_text("".join(lines))
    found = parts(TaskConfig("text", path=str(path), split="hash"))
    sides = {split: set(sources) for split, sources in found.items()}
    assert sum(map(len, sides.values())) == 500
    assert 60 < len(sides["test"]) < 140  # of 500, a fifth
    assert 15 < len(sides["valid"]) < 65  # of 400, a tenth
    # More lines move none of those before.
    path.write_text("".join([*lines, "new\tnew\n"]))
    again = parts(TaskConfig("text", path=str(path), split="hash"))
    assert [s for s in again["test"] if s != "new"] == found["test"]


GOOD = "a\tb\n"
REFUSED: dict[str, tuple[dict[str, str], dict[str, Any], str]] = {
    # files, fields of the task (paths within the folder), what is said
    "both path and train": (
        {"a.tsv": GOOD},
        {"path": "a.tsv", "train": "a.tsv"},
        r"task.path=.*a.tsv and task.train=.*a.tsv say the same; set",
    ),
    "no train": ({"a.tsv": GOOD}, {"test": "a.tsv"}, "task.train is not set, beside"),
    "a column by name": (
        {"a.tsv": "english\tfrench\na\tb\n"},
        {"path": "a.tsv", "columns": "english,frensh"},
        r"a.tsv:1: unknown column 'frensh'; did you mean 'french'\? \(one of: eng",
    ),
    "a column by number": (
        {"a.tsv": GOOD},
        {"path": "a.tsv", "columns": "1,3"},
        r"a.tsv:1 has 2 columns; task.columns=1,3 asks for column 3$",
    ),
    "a row with fewer": (
        {"a.tsv": "a\tb\tc\na\tb\n"},
        {"path": "a.tsv", "columns": "1,3"},
        r"a.tsv:2 has 2 columns; task.columns=1,3 asks for column 3$",
    ),
    "features of a row": (
        {"a.tsv": "a\tb\tV\na\tb\n"},
        {"path": "a.tsv", "features": "3"},
        r"a.tsv:2 has 2 columns; task.features=3 asks for column 3$",
    ),
    "one column": (
        {"a.tsv": GOOD},
        {"path": "a.tsv", "columns": "1"},
        "task.columns=1 is not two names or numbers with a comma between",
    ),
    "column 0": (
        {"a.tsv": GOOD},
        {"path": "a.tsv", "features": "0"},
        "first column is",
    ),
    "columns of none": (
        {"a.txt": "IN: a OUT: b\n"},
        {"path": "a.txt", "features": "3"},
        r"task.features=3: .*a.txt has no columns",
    ),
    "a line of SCAN": (
        {"a.txt": "IN: a OUT: b\nIN: a\n"},
        {"path": "a.txt"},
        r"a.txt:2 is not `IN: ... OUT: ...`, as line 1 is",
    ),
    "a weight": (
        {"a.tsv": "a\tb\t1\na\tb\tmuch\n"},
        {"path": "a.tsv", "weight": "3"},
        r"a.tsv:2, column 3: the weight 'much' is not a number from 0 on",
    ),
    "a weight below 0": (
        {"a.jsonl": '{"source": "a", "target": "b", "weight": -1}\n'},
        {"path": "a.jsonl"},
        r"a.jsonl:1: the weight -1 is not a number from 0 on",
    ),
    "a field of JSON": (
        {"a.jsonl": '{"source": "a", "target": "b"}\n{"source": "a", "targt": "b"}\n'},
        {"path": "a.jsonl"},
        r"a.jsonl:2: unknown field 'target'; did you mean 'targt'\?",
    ),
    "no object": (
        {"a.jsonl": '{"source": "a", "target": "b"}\n[1, 2]\n'},
        {"path": "a.jsonl"},
        r"a.jsonl:2 is not a JSON object; each line is one",
    ),
    "no JSON": (
        {"a.jsonl": '{"source": "a", "target": "b"}\n\n{"source": \n'},
        {"path": "a.jsonl"},
        r"a.jsonl:3 is not JSON: ",
    ),
    "no text": (
        {"a.jsonl": '{"source": "a", "target": {"b": 1}}\n'},
        {"path": "a.jsonl"},
        r"a.jsonl:1: 'target' is neither a text nor a list of symbols",
    ),
    "no list": (
        {"a.jsonl": '{"source": "a", "target": "b", "references": "c"}\n'},
        {"path": "a.jsonl"},
        r"a.jsonl:1: 'references' is not a list",
    ),
    "a blank symbol": (
        {"a.jsonl": '{"source": ["New York"], "target": "b"}\n'},
        {"path": "a.jsonl", "level": "word"},
        r"a.jsonl:1: 'source' is a list with a symbol that is blank inside",
    ),
    "quotes": (
        {"a.csv": 'a,b\n"a,b\nc,d\n'},
        {"path": "a.csv"},
        r"a.csv:2: a quotation begins and does not end$",
    ),
    "after quotes": (
        {"a.csv": 'a,b\n"a"c,b\n'},
        {"path": "a.csv"},
        r"a.csv:2: after a quotation stands 'c,b'$",
    ),
    "mixed formats": (
        {"d/train.tsv": GOOD, "d/test.jsonl": '{"source": "a", "target": "b"}\n'},
        {"path": "d"},
        r"train.tsv is TSV and .*test.jsonl is JSON lines; the files of a folder",
    ),
    "several files of a split": (
        {"d/train.de": "a\n", "d/train.en": "b\n", "d/test.de": "a\n"},
        {"path": "d"},
        r"has train.de and train.en: which is train\? .*task.suffixes names both",
    ),
    "no test files": (
        {"d/train.tsv": GOOD, "d/tset.tsv": GOOD},
        {"path": "d"},
        r"d has no files called test; task.path is a file of pairs, or a folder",
    ),
    "suffixes": ({"a.tsv": GOOD}, {"path": "a.tsv", "suffixes": "de"}, "not two names"),
    "one of two": (
        {"a.de": "a\n"},
        {"path": "a", "suffixes": "de,en"},
        r"a.en does not exist; of parallel files there are both",
    ),
    "one file of two splits": (
        {"a.tsv": GOOD, "b.tsv": GOOD},
        {"train": "a.tsv", "valid": "b.tsv", "test": "b.tsv"},
        r"b.tsv is of valid and of test; a file is of one split",
    ),
    "an empty split": (
        {"a.tsv": GOOD, "b.tsv": GOOD, "c.tsv": "\n\n"},
        {"train": "a.tsv", "valid": "b.tsv", "test": "c.tsv"},
        r"c.tsv is empty",
    ),
    "none left": (
        {"a.tsv": GOOD, "b.tsv": GOOD},
        {"train": "a.tsv", "test": "b.tsv"},
        r"of 2 pairs in task.train=.*a.tsv and task.test=.*b.tsv none is left for va",
    ),
    "a share beside files": (
        {"a.tsv": GOOD, "b.tsv": GOOD},
        {"train": "a.tsv", "valid": "b.tsv", "valid_share": 0.5},
        r"task.valid_share=0.5 means nothing where valid has files of its own",
    ),
    "a split beside files": (
        {"a.tsv": GOOD, "b.tsv": GOOD},
        {"train": "a.tsv", "test": "b.tsv", "split": "hash"},
        r"task.split=hash means nothing where test has files of its own",
    ),
    "a name": (
        {"pairs.tsv": GOOD},
        {"path": "pears.tsv"},
        r"task.path: .*pears.tsv does not exist \(did you mean '.*pairs.tsv'\?\)",
    ),
    "a name of a split": (
        {"a.tsv": GOOD, "test.tsv": GOOD},
        {"train": "a.tsv", "test": "tset.tsv"},
        r"task.test: .*tset.tsv does not exist \(did you mean '.*test.tsv'\?\)",
    ),
    "features of none": (
        {
            "a.jsonl": '{"source": "a", "target": "b"}\n' * 9,
            "b.jsonl": '{"source": "a", "target": "b", "features": ["V"]}\n',
        },
        {"train": "a.jsonl", "valid": "b.jsonl", "test": "b2.jsonl"},
        r"2 features stand beside validation and test sources, and none beside",
    ),
    "lines of parallel files": (
        {"a.src": "a\nb\n", "a.trg": "a\n\n\n"},
        {"path": "a"},
        r"a.src has 2 lines and .*a.trg has 3; parallel files have the same number",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_read_gets_one_line(tmp_path: Path, name: str) -> None:
    files, fields, said = REFUSED[name]
    if name == "features of none":
        files = files | {"b2.jsonl": files["b.jsonl"]}
    for file, text in files.items():
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text(text)
    places = {
        field: str(tmp_path / fields[field])
        for field in ("path", *tasks.SPLITS)
        if field in fields
    }
    config = Config(task=TaskConfig("text", **(fields | places)))
    with pytest.raises(UsageError, match=said) as caught:
        tasks.check(config)
        tasks.create(config, tmp_path / "data")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("suffix", PACKED)
def test_data_that_end_early_get_one_line(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.tsv{suffix}"
    rng = np.random.default_rng(0)
    packed = PACKED[suffix](rng.integers(32, 127, 9999, np.uint8).tobytes())
    path.write_bytes(packed[:-20])
    with pytest.raises(UsageError, match=r"a.tsv.* is compressed and ends early$"):
        tasks.create(Config(task=TaskConfig("text", path=str(path))), tmp_path / "d")
    assert not (tmp_path / "d").exists()


def test_a_damaged_array_of_training_is_noticed(page: Path) -> None:
    path, folder = page / "many.tsv", page / "data"
    path.write_text("".join(f"a{i}\tb\n" for i in range(50)))
    config = Config(task=TaskConfig("text", path=str(path)))
    tasks.create(config, folder)
    kept = folder / "train_source_tokens.npy"
    kept.write_bytes(kept.read_bytes()[:-1] + b"?")
    tasks.load(config, folder)  # needs none of it
    with pytest.raises(UsageError, match=r"train_source_tokens.npy is damaged: its"):
        tasks.create(config, folder)
    kept.unlink()
    with pytest.raises(UsageError, match=r"train_source_tokens.npy is missing"):
        tasks.create(config, folder)


def test_arrays_that_do_not_fit_are_refused(page: Path) -> None:
    path, folder = page / "pairs.tsv", page / "data"
    split = {name: str(path) for name in ("train",)}
    for name in ("valid", "test"):
        split[name] = str(page / f"{name}.tsv")
        (page / f"{name}.tsv").write_bytes(path.read_bytes())
    tasks.create(Config(task=TaskConfig("text", **split)), folder)  # type: ignore[arg-type]
    whole = bundle.unpack((folder / "held_out.npz").read_bytes())
    sizes = (100, 100)
    pairs, _ = unpacked(bundle.pack(whole), sizes)
    assert pairs.references is not None
    for name, array in whole.items():
        without = {each: kept for each, kept in whole.items() if each != name}
        for damaged in (without, {**whole, name: array[:-1]}):
            if name == "training_hashes" and name in damaged:
                continue  # any number of them will do
            with pytest.raises(UsageError, match="a run's pairs are damaged: "):
                unpacked(bundle.pack(damaged), sizes)


def test_a_second_start_takes_no_text_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a tenth of the pairs whose start is measured in docs/data.md, by counting."""
    words = [f"w{i}" for i in range(30_000)]
    ids = np.random.default_rng(0).integers(0, 30_000, (100_000, 8))
    path = tmp_path / "pairs.tsv"
    with path.open("w") as file:
        for row in ids.tolist():
            texts = [" ".join([words[i] for i in part]) for part in (row[:4], row[4:])]
            file.write("\t".join(texts) + "\n")
    config = Config(task=TaskConfig("text", path=str(path), level="space"))
    counts = {"texts": 0, "lines": 0}

    def counted(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: Any, **named: Any) -> Any:
            counts[name] += 1
            return function(*arguments, **named)

        return wrapped

    monkeypatch.setattr(
        "s2sjax.tasks.vocabulary.normalised",
        counted("texts", tasks.vocabulary.normalised),
    )
    monkeypatch.setattr(
        "s2sjax.tasks.files.tables.Row",
        counted("lines", tasks.files.tables.Row),
    )
    first = tasks.create(config, tmp_path / "data")
    # Both sides of all, once; and those of the held-out pairs, to find equal ones.
    assert 200_000 < counts["texts"] < 260_000
    assert counts["lines"] == 200_000  # counted, then read
    counts |= {"texts": 0, "lines": 0}
    second = tasks.create(config, tmp_path / "data")
    assert counts == {"texts": 0, "lines": 0}
    for one, other in zip(first.buckets["train"], second.buckets["train"], strict=True):
        assert all(
            a is b is None or (a == b).all()
            for a, b in zip(one.store, other.store, strict=True)
        )
    assert second.buckets["train"][0].store.source.dtype == np.uint16


def test_a_run_of_before_reads_its_files_again(page: Path) -> None:
    """Runs of version 3 that were made before arrays were kept have none."""
    path, folder = page / "many.tsv", page / "data"
    path.write_text("".join(f"a{i}\tb{i % 7}\n" for i in range(50)))
    config = Config(task=TaskConfig("text", path=str(path)))
    first = tasks.create(config, folder)
    about = json_objects.read(folder / "about.json", dict)
    about["files"] = {k: v for k, v in about["files"].items() if "train_" not in k}
    (folder / "about.json").write_text(json_objects.encode(about))
    for kept in folder.glob("train_*"):
        kept.unlink()
    again = tasks.create(config, folder)
    for split in tasks.SPLITS:
        for one, other in zip(first.buckets[split], again.buckets[split], strict=True):
            assert dataclasses.replace(one, store=()) == dataclasses.replace(
                other, store=()
            )
            assert (one.store.source == other.store.source).all()
            assert (one.store.target == other.store.target).all()
