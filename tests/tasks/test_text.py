"""Text: what is read, kept and found again, and one line for every bad file."""

import bz2
import dataclasses
import gzip
import hashlib
import itertools
import json
import lzma
import shutil
import unicodedata
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from s2sjax import json_objects, tasks
from s2sjax.config import Config, TaskConfig, TrainConfig
from s2sjax.errors import UsageError
from s2sjax.tasks.files import corpus
from s2sjax.tasks.task import Bucket, Task, decode_source
from s2sjax.types import UNK

SHARED = Path(__file__).parents[3] / "shared" / "data"


def config(path: Path, **fields: Any) -> Config:
    buckets = fields.pop("buckets", 4)
    return Config(
        task=TaskConfig(name="text", path=str(path), **fields),
        train=TrainConfig(buckets=buckets),
    )


def examples(task: Task, split: str) -> dict[int, tuple[str, str]]:
    """All pairs of a split as text, by id."""
    found: dict[int, tuple[str, str]] = {}
    for bucket in task.buckets[split]:
        assert bucket.size is not None
        batch = jax.device_get(bucket.fetch(bucket.store, np.arange(bucket.size)))
        assert batch.source.shape[1] == bucket.source_width
        assert batch.target.shape[1] == bucket.target_width
        for i, number in enumerate(batch.ids.tolist()):
            source = batch.source[i, : batch.source_lengths[i]].tolist()
            target = batch.target[i, : batch.target_lengths[i]].tolist()
            assert not batch.source[i, len(source) :].any()
            assert not batch.target[i, len(target) :].any()
            found[number] = (
                task.source_vocabulary.join(decode_source(task, source)),
                task.target_vocabulary.join(task.target_vocabulary.decode(target)),
            )
            assert len(task.target_vocabulary.decode(target)) == len(target) - 1
    return found


def further(task: Task, split: str) -> Iterator[tuple[int, list[str]]]:
    """The references of each example of a split beside its target, by id."""
    vocabulary = task.target_vocabulary
    for bucket in task.buckets[split]:
        if bucket.references is None:
            continue
        tokens, lengths, counts = bucket.references
        rows = iter(np.split(tokens, np.cumsum(lengths)[:-1]))
        for number, count in zip(bucket.store.ids.tolist(), counts, strict=True):
            some = itertools.islice(rows, int(count))
            yield number, [vocabulary.join(vocabulary.decode(row)) for row in some]


def known(task: Task, text: str) -> str:
    """A target as its vocabulary has it."""
    vocabulary = task.target_vocabulary
    ids, _ = vocabulary.encode(vocabulary.split(text))
    return vocabulary.join(vocabulary.decode(ids))


@pytest.fixture
def pairs() -> list[tuple[str, str]]:
    sources = [f"s{i % 40} " * (1 + i % 3) for i in range(240)]
    sources += [f"s{i} " * (1 + i % 3) for i in range(240, 300)]
    return [(source, f"cible {i}, j'ai !") for i, source in enumerate(sources)]


@pytest.fixture
def path(tmp_path: Path, pairs: list[tuple[str, str]]) -> Path:
    path = tmp_path / "pairs.tsv"
    path.write_text("".join(f"{s}\t{t}\n" for s, t in pairs), "utf-8")
    return path


@pytest.mark.parametrize("backwards", [False, True])
def test_tab_separated_characters(
    path: Path, pairs: list[tuple[str, str]], backwards: bool
) -> None:
    task = tasks.create(config(path, reverse_source=backwards), None)
    train, valid, test = (examples(task, split) for split in tasks.SPLITS)
    assert sorted(test) == list(range(240, 300))
    first = {source: i for i, (source, _) in reversed([*enumerate(pairs[:240])])}
    held_out = {source for source, _ in valid.values()}
    assert sorted(valid) == sorted(first[source] for source in held_out)
    assert sorted(train) == [i for i in range(240) if pairs[i][0] not in held_out]
    for number, pair in (train | valid | test).items():
        assert pair == pairs[number]
    assert not {s for s, _ in train.values()} & {s for s, _ in valid.values()}
    inside = {character for source, _ in train.values() for character in source}
    assert set(task.source_vocabulary.symbols) == inside
    assert len(task.buckets["train"]) <= 4
    assert task.expected("abc") is None


def test_held_out_symbols_do_not_enter_the_vocabulary(tmp_path: Path) -> None:
    path = tmp_path / "pairs.tsv"
    lines = [f"{'ab' * (i % 5)}c{i}\tx" for i in range(80)]
    path.write_text(
        "\n".join([*lines, *[f"éa{i}\tyé" for i in range(80, 100)]]), "utf-8"
    )
    task = tasks.create(config(path), None)
    assert "é" not in task.source_vocabulary.symbols
    assert "y" not in task.target_vocabulary.symbols
    assert examples(task, "test")[99] == ("<unk>a99", "<unk><unk>")
    assert tasks.encode_source(task, "éa")[0][0] == UNK
    assert tasks.encode_source(task, "éa")[1] == ["é"]


def test_words_and_rare_ones(path: Path) -> None:
    task = tasks.create(config(path, level="word", min_count=5), None)
    train = examples(task, "train")
    text = path.read_text("utf-8").splitlines()
    counts: Counter[str] = Counter()
    for number in train:
        counts.update(
            map(str, task.target_vocabulary.split(text[number].split("\t")[1]))
        )
    kept = {word for word, count in counts.items() if count >= 5}
    assert kept == set(task.target_vocabulary.symbols) == {"cible", ",", "j'ai", "!"}
    assert all(target == "cible <unk> , j'ai !" for _, target in train.values())


def test_hindi_words_keep_their_signs() -> None:
    path = SHARED.parent / "cases" / "hindi.tsv"
    if not path.exists():
        pytest.skip(f"{path} is not here")
    task = tasks.create(config(path, level="word"), None)
    words = task.target_vocabulary.symbols
    assert {"मैं", "पानी", "चाहिए", "।"} <= set(words)
    assert all(len(str(word)) > 1 for word in words if word != "।")
    assert not task.notes


def test_an_input_in_another_form_is_known_in_its_own(tmp_path: Path) -> None:
    cases = SHARED.parent / "cases"
    if not cases.exists():
        pytest.skip(f"{cases} is not here")
    pairs = [line.split("\t") for line in (cases / "plain.tsv").read_text().split("\n")]
    path = tmp_path / "french.tsv"
    path.write_text("".join(f"{pair[1]}\t{pair[0]}\n" for pair in pairs if pair[1:]))
    typed = (cases / "nfd_input.txt").read_text().strip()
    for fields, hints in (({}, True), ({"normalise": "nfc"}, False)):
        found = tasks.create(config(path, level="word", **fields), None)
        symbols = found.source_vocabulary.split(typed)
        assert bool(found.source_vocabulary.known_form(symbols)) == hints
        assert bool(tasks.encode_source(found, symbols)[1]) == hints


def test_words_of_a_script_without_blanks_are_told_once(tmp_path: Path) -> None:
    path = tmp_path / "pairs.tsv"
    lines = [f"a{i}\tฉันกินข้าว" for i in range(100)]
    path.write_text("\n".join(lines), "utf-8")
    (note,) = tasks.create(config(path, level="word"), None).notes
    assert note.startswith("task.level=word: Thai has no blanks between words")
    assert note.endswith("use task.level=char")
    assert not tasks.create(config(path), None).notes


@pytest.mark.parametrize("level", ["word", "char"])
def test_normal_forms_that_are_mixed_are_told_and_made_one(
    tmp_path: Path, level: str
) -> None:
    path, folder = tmp_path / "mixed.tsv", tmp_path / "data"
    lines = [f"a{i}\tété préféré" for i in range(100)]
    lines[3:90:3] = [unicodedata.normalize("NFD", line) for line in lines[3:90:3]]
    path.write_text("\n".join(lines), "utf-8")
    task = tasks.create(config(path, level=level), None)
    assert task.notes == (
        "2 words are in the texts in several Unicode normal forms, e.g. 'préféré', and "
        "are read as different ones; task.normalise=nfc makes them the same",
    )
    size = len(task.target_vocabulary)
    task = tasks.create(config(path, level=level, normalise="nfc"), folder)
    assert not task.notes
    assert len(task.target_vocabulary) < size
    again = tasks.load(config(path, level=level, normalise="nfc"), folder)
    vocabulary = again.target_vocabulary
    assert vocabulary == task.target_vocabulary
    # What comes later is brought into the same form.
    typed = vocabulary.split(unicodedata.normalize("NFD", "été"))
    assert vocabulary.decode(vocabulary.encode_known(typed)) == vocabulary.split("été")


def test_sources_that_are_read_alike_are_on_one_side(tmp_path: Path) -> None:
    path = tmp_path / "forms.tsv"
    words = [f"é{n}A" for n in range(200)]
    forms = [unicodedata.normalize("NFD", word) for word in words]
    lower = [word.lower() for word in words]
    path.write_text("".join(f"{w}\tx\n" for w in (*words, *forms, *lower)), "utf-8")
    fields = {"normalise": "nfc", "lowercase": True, "split": "hash"}
    task = tasks.create(config(path, **fields), None)
    parts = [{s for s, _ in examples(task, split).values()} for split in tasks.SPLITS]
    assert all(parts) and sum(map(len, parts)) == len(set.union(*parts)) == 200


def test_one_normal_form_alone_is_not_mixed(tmp_path: Path) -> None:
    path = tmp_path / "one.tsv"
    lines = [f"a{i}\tété \u0915\u093c \u0958" for i in range(100)]
    path.write_text(unicodedata.normalize("NFD", "\n".join(lines)), "utf-8")
    assert not tasks.create(config(path), None).notes


def test_long_training_pairs_are_left_out_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "pairs.tsv"
    lines = [f"{'a' * (i % 10)}{i}\tb" for i in range(100)]
    lines += [f"{'c' * 50}{i}\tb" for i in range(25)]
    path.write_text("\n".join(lines), "utf-8")
    task = tasks.create(config(path, max_length=8), None)
    train = examples(task, "train")
    assert max(len(source) for source, _ in train.values()) == 8
    assert len(examples(task, "test")) == 25
    held = len(train) + len(examples(task, "valid"))
    assert 0 < 100 - held < 30
    assert f"{100 - held} training pairs" in task.notes[0]


def test_long_held_out_pairs_have_buckets_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "pairs.tsv"
    long = [9, 15, 16, 17, 70]  # symbols; 8 are ordinary
    lines = [f"{'a' * (i % 6)}{i:03}\tb{i % 7}" for i in range(100)]
    lines += [f"{'c' * size}\tb" for size in long[:3]]
    lines += [f"{size}\t{'c' * size}" for size in long[3:]]
    path.write_text("\n".join(lines), "utf-8")
    task = tasks.create(config(path, max_length=8), None)
    ordinary, *others = task.buckets["test"]
    assert ordinary.size == 21 - len(long)
    assert (ordinary.source_width, ordinary.target_width) == (8, 3)
    assert [(b.size, b.source_width, b.target_width - 1) for b in others] == [
        *((3, 16, 1), (1, 2, 17), (1, 2, 70))
    ]
    assert len(examples(task, "test")) == 21
    assert len(task.buckets["valid"]) == 1
    assert task.notes == (
        "5 validation and test pairs with a side longer than task.max_length=8 are "
        "decoded apart from the others; the longest side, at pairs.tsv:105, has 70 "
        "symbols",
    )


def test_one_bucket_or_many_hold_the_same_examples(path: Path) -> None:
    one, many = (
        tasks.create(config(path, buckets=buckets), None) for buckets in (1, 5)
    )
    assert examples(one, "train") == examples(many, "train")
    assert len(one.buckets["train"]) == 1

    def area(buckets: tuple[Bucket, ...]) -> int:
        return sum((b.size or 0) * (b.source_width + b.target_width) for b in buckets)

    assert area(many.buckets["train"]) < area(one.buckets["train"])
    with_type = many.buckets["train"][0].store.source
    assert with_type.dtype == np.uint8


def test_a_small_set_is_one_bucket_unless_more_are_asked_for(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def count(**fields: int) -> int:
        made = Config(
            task=TaskConfig("text", path=str(path)), train=TrainConfig(**fields)
        )
        return len(tasks.create(made, None).buckets["train"])

    assert count(batch_size=4) == 1 and count(batch_size=4, buckets=3) > 1
    assert count(batch_size=1) == 2
    monkeypatch.setattr("s2sjax.tasks.pairs.BATCHES_A_BUCKET", 2)
    assert count(batch_size=4) > 1 and count(batch_size=300) == 1


def test_loads_when_the_file_is_gone(path: Path, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    made = tasks.create(config(path, reverse_source=True), folder)
    path.unlink()
    found = tasks.load(config(path, reverse_source=True), folder)
    assert sorted(found.buckets) == ["test", "valid"]
    for split in found.buckets:
        assert examples(found, split) == examples(made, split)
    assert found.source_vocabulary == made.source_vocabulary
    assert found.target_vocabulary == made.target_vocabulary
    bucket = made.buckets["train"][0]
    batch = bucket.fetch(bucket.store, np.arange(10))
    rows = [
        row[:length]
        for row, length in zip(
            batch.source.tolist(), batch.source_lengths.tolist(), strict=True
        )
    ]
    for task in (made, found):
        assert task.unseen(rows, 1) == 0
        assert task.unseen([*rows[:3], [4] * 40], 1) == 0.25


def test_trials_of_a_sweep_keep_equal_pairs_once(path: Path, tmp_path: Path) -> None:
    """Each under a name of its own, and without the others."""
    trials = [tmp_path / "sweep" / "trials" / name for name in ("0", "1", "2", "run")]
    fields: list[dict[str, Any]] = [{}, {}, {"reverse_source": True}, {"min_count": 2}]
    for trial, more in zip(trials, fields, strict=True):
        trial.mkdir(parents=True)
        if trial.name != "run":
            (trial / "trial.json").write_text("{}")
        tasks.create(config(path, **more), trial / "data")
    name = "train_target_tokens.npy"
    files = [trial / "data" / name for trial in trials]
    inodes = [file.stat().st_ino for file in files]
    assert inodes[0] == inodes[1] == inodes[2] != inodes[3]
    shared = tmp_path / "sweep" / "data"
    names = {file.name.partition(".")[0] for file in shared.iterdir()}
    assert names == {
        hashlib.sha256(file.read_bytes()).hexdigest()
        for trial in trials[:3]
        for file in (trial / "data").glob("*.npy")
    }
    # What is damaged is given to nobody.
    (kept,) = [file for file in shared.iterdir() if file.stat().st_ino == inodes[0]]
    kept.unlink()
    kept.write_bytes(b"other")
    shutil.rmtree(trials[0])
    tasks.create(config(path), trials[0] / "data")
    assert not list((trials[0] / "data").glob("*.twin"))
    for trial in trials[:2]:
        assert "train" in tasks.load_all(config(path), trial / "data").buckets


def test_goes_on_with_the_same_file_only(path: Path, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    first = tasks.create(config(path), folder)
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    again = tasks.create(config(path), folder)
    assert examples(again, "train") == examples(first, "train")
    path.write_text(path.read_text("utf-8").replace("s1", "S1"), "utf-8")
    with pytest.raises(UsageError, match=r"pairs\.tsv is not the file that this run"):
        tasks.create(config(path), folder)
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before


def test_goes_on_with_the_same_bytes_elsewhere(path: Path, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    first = tasks.create(config(path), folder)
    moved = path.rename(tmp_path / "other.name")
    with pytest.raises(UsageError, match=r"not exist; .* the override task.path=PLACE"):
        tasks.create(config(path), folder)
    again = tasks.create(config(moved), folder)
    assert examples(again, "train") == examples(first, "train")


@pytest.mark.parametrize("name", ["source.json", "held_out.npz"])
def test_damage_is_noticed(path: Path, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "data"
    tasks.create(config(path), folder)
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(UsageError, match="is damaged"):
        tasks.load(config(path), folder)
    (folder / name).unlink()
    with pytest.raises(UsageError, match="is missing"):
        tasks.load(config(path), folder)


def test_an_unfinished_folder_does_not_load_and_does_not_block(
    path: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "data"
    left = tmp_path / ".data.unfinished"
    left.mkdir()
    (left / "source.json").write_text("half")
    with pytest.raises(UsageError, match="does not hold the data of a run"):
        tasks.load(config(path), folder)
    tasks.create(config(path), folder)
    assert not left.exists()
    tasks.load(config(path), folder)


def test_a_folder_with_something_else_is_left_alone(path: Path, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="is not the data of a run"):
        tasks.create(config(path), folder)
    assert [file.name for file in folder.iterdir()] == ["mine.txt"]


def test_a_name_that_leads_out_of_the_folder_reads_nothing(
    path: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "data"
    tasks.create(config(path), folder)
    about = json_objects.read(folder / "about.json", dict)
    about["files"]["../pairs.tsv"] = about["sources"][str(path)]
    (folder / "about.json").write_text(json_objects.encode(about))
    with pytest.raises(UsageError, match="is damaged"):
        tasks.load(config(path), folder)


LINES = [f"a{i}\tb" for i in range(50)]


@pytest.mark.parametrize(
    ("line", "source", "target"),
    [
        ('"a\t"b"', '"a', '"b"'),
        ("a\tb\r", "a", "b"),
        ("a\x00\t\x00", "a\x00", "\x00"),
        ("a\tb\tattribution\t1", "a", "b"),
        ("\tb", "", "b"),
        ("a\t", "a", ""),
        ("a\u2028c\td\u0085\x0ce", "a\u2028c", "d\u0085\x0ce"),
        ("a" * 100_000 + "\tb", "a" * 100_000, "b"),
    ],
)
def test_odd_lines_are_taken_as_they_are(
    tmp_path: Path, line: str, source: str, target: str
) -> None:
    path = tmp_path / "odd.tsv"
    path.write_bytes("\n".join([*LINES, line]).encode())
    *_, last = corpus.open_corpus(config(path).task).chunks()
    assert (last.sources[-1], last.targets[-1]) == (source, target)
    assert len(last.sources) == 51


@pytest.mark.parametrize("ending", ["", "\n", "\n\n", "\r\n\r\n", "\n  \n\n"])
def test_blank_last_lines_of_a_table_are_no_pairs(tmp_path: Path, ending: str) -> None:
    path = tmp_path / "pairs.tsv"
    path.write_bytes(("\n".join(LINES) + ending).encode())
    found = corpus.open_corpus(config(path).task)
    (chunk,) = found.chunks()
    assert len(chunk.sources) == 50
    assert chunk.targets[-1] == "b"


COMPRESSORS = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}


@pytest.mark.parametrize("kind", COMPRESSORS)
def test_compressed_files_are_read(path: Path, tmp_path: Path, kind: str) -> None:
    packed = path.with_name("packed.tsv")  # known by its content, whatever its name
    packed.write_bytes(COMPRESSORS[kind](path.read_bytes()))
    folder = tmp_path / "data"
    plain = tasks.create(config(path), folder)
    # The same data in other bytes are the same data.
    assert examples(tasks.create(config(packed), folder), "test") == examples(
        plain, "test"
    )
    whole = packed.read_bytes()
    packed.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UsageError, match=r"packed.tsv is compressed and ends early$"):
        tasks.create(config(packed), None)
    packed.write_bytes(whole[:20] + bytes(60) + whole[80:])
    with pytest.raises(UsageError, match=r"packed.tsv .*(damaged|cannot be read): \S"):
        tasks.create(config(packed), None)


def test_what_cannot_be_unpacked_is_named(tmp_path: Path) -> None:
    path = tmp_path / "pairs.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("pairs.tsv", "a\tb\n")
    with pytest.raises(UsageError, match=r"compressed, as \.zip files are; unpack it"):
        tasks.create(config(path), None)


def test_parallel_files_may_be_compressed(tmp_path: Path) -> None:
    folder = parallel(tmp_path / "corpus")
    packed = gzip.compress((folder / "train.src").read_bytes())
    (folder / "train.src").unlink()
    (folder / "train.src.gz").write_bytes(packed)
    task = tasks.create(config(folder, level="word"), None)
    # A blank line is an empty text here, at the end too.
    assert examples(task, "train") == {0: ("1 2 3",) * 2, 1: ("2 1",) * 2, 2: ("", "")}


def test_byte_order_mark_and_carriage_returns(tmp_path: Path) -> None:
    path = tmp_path / "windows.tsv"
    path.write_bytes(b"\xef\xbb\xbf" + "\r\n".join([*LINES, ""]).encode())
    (chunk,) = corpus.open_corpus(config(path).task).chunks()
    assert chunk.sources == [f"a{i}" for i in range(50)]
    assert set(chunk.targets) == {"b"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"bad\.tsv does not exist"),
        (b"", r"bad\.tsv is empty"),
        (b"\n \r\n", r"bad\.tsv is empty"),
        (b"a\tb\nno tab here\n", r"bad\.tsv:2: no tab"),
        (b"a\tb\n\nc\td\n", r"bad\.tsv:2: no tab"),
        (b"a\tb\nc\xff\td\n", r"bad\.tsv:2: byte 0xff at column 2 is not UTF-8"),
        (b"a\tb\n", "of 1 pairs .* none is left for"),
    ],
)
def test_bad_files_get_one_line(
    tmp_path: Path, content: bytes | None, message: str
) -> None:
    path, folder = tmp_path / "bad.tsv", tmp_path / "data"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError, match=message) as caught:
        tasks.create(config(path), folder)
    assert "\n" not in str(caught.value)
    assert not folder.exists()


def parallel(folder: Path, **lines: list[str]) -> Path:
    folder.mkdir()
    for name in ("train", "dev", "test"):
        for side in ("src", "trg"):
            text = lines.get(f"{name}_{side}", ["1 2 3", "2 1", ""])
            (folder / f"{name}.{side}").write_text("".join(f"{x}\n" for x in text))
    return folder


def test_parallel_files(tmp_path: Path) -> None:
    folder = parallel(tmp_path / "corpus", test_src=["9 1"], test_trg=["1 9"])
    task = tasks.create(config(folder, level="word"), tmp_path / "data")
    assert examples(task, "train") == {0: ("1 2 3",) * 2, 1: ("2 1",) * 2, 2: ("", "")}
    assert sorted(examples(task, "valid")) == [3, 4, 5]
    assert examples(task, "test") == {6: ("<unk> 1", "1 <unk>")}
    assert set(task.source_vocabulary.symbols) == {"1", "2", "3"}
    again = tasks.load(config(folder, level="word"), tmp_path / "data")
    assert examples(again, "test") == examples(task, "test")


def test_words_that_are_set_apart_by_blanks_alone(tmp_path: Path) -> None:
    lines = {"train_src": ["a,b c .", "x"], "train_trg": ["y", "z"]}
    folder = parallel(tmp_path / "corpus", **lines)
    task = tasks.create(config(folder, level="space"), tmp_path / "data")
    assert set(task.source_vocabulary.symbols) == {"a,b", "c", ".", "x"}
    assert not task.notes
    (note,) = tasks.create(config(folder, level="word"), None).notes
    assert note.startswith(
        "task.level=word takes what stands between blanks apart in 2"
    )
    # A run of before, whose words were these, goes on as it began.
    for side in ("source", "target"):
        path = tmp_path / "data" / f"{side}.json"
        record = json.loads(path.read_text())
        text = json.dumps(record | {"kind": "word", "punctuation": False})
        path.write_text(text)
        about = json_objects.read(tmp_path / "data" / "about.json", dict)
        about["files"][path.name] = hashlib.sha256(text.encode()).hexdigest()
        (tmp_path / "data" / "about.json").write_text(json_objects.encode(about))
    again = tasks.create(config(folder, level="word"), tmp_path / "data")
    assert again.source_vocabulary == task.source_vocabulary
    assert examples(again, "train") == examples(task, "train")


def test_parallel_files_of_different_lengths(tmp_path: Path) -> None:
    folder = parallel(tmp_path / "corpus", dev_src=["1"])
    with pytest.raises(UsageError, match=r"dev.src has 1 lines .*dev.trg has 3"):
        tasks.create(config(folder), None)
    (folder / "dev.trg").unlink()
    with pytest.raises(UsageError, match=r"dev.trg does not exist"):
        tasks.create(config(folder), None)
    (folder / "dev.trg").write_text("1")
    with pytest.raises(UsageError, match=r"task.test_share=0.5 means nothing"):
        tasks.create(config(folder, test_share=0.5), None)


@pytest.mark.parametrize("name", ["valid", "val"])
def test_validation_files_have_any_of_their_names(tmp_path: Path, name: str) -> None:
    folder = parallel(tmp_path / "corpus", dev_src=["3 1"], dev_trg=["1 3"])
    wanted = examples(tasks.create(config(folder), tmp_path / "data"), "valid")
    (folder / "dev.src").rename(folder / f"{name}.src")
    with pytest.raises(UsageError, match=r"files of .* and of .* of one"):
        tasks.create(config(folder), None)
    packed = gzip.compress((folder / "dev.trg").read_bytes())
    (folder / f"{name}.trg.gz").write_bytes(packed)
    (folder / "dev.trg").unlink()
    assert examples(tasks.create(config(folder), None), "valid") == wanted
    tasks.create(config(folder), tmp_path / "data")  # the same bytes: goes on
    (folder / f"{name}.src").unlink()
    with pytest.raises(UsageError, match=rf"{name}.src does not exist; .* dev, or val"):
        tasks.create(config(folder), None)


def test_no_path_and_a_special_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"task.path is not set"):
        tasks.create(Config(task=TaskConfig(name="text")), None)
    with pytest.raises(UsageError, match="is not a file"):
        tasks.create(config(Path("/dev/null")), None)


def test_integer_widths_follow_the_vocabulary(tmp_path: Path) -> None:
    path = tmp_path / "many.tsv"
    path.write_text("".join(f"{chr(0x4E00 + i)}\tb{i}\n" for i in range(700)), "utf-8")
    task = tasks.create(config(path), None)
    assert task.buckets["train"][0].store.source.dtype == np.uint16
    assert task.buckets["train"][0].store.target.dtype == np.uint8
    assert all(s != "<unk>" for s, _ in examples(task, "train").values())


def test_shared_english_and_french() -> None:
    path = SHARED / "tatoeba_fra_eng" / "fra_first10000.tsv"
    if not path.exists():
        pytest.skip(f"{path} is not here")
    task = tasks.create(config(path), None)
    lines = path.read_text("utf-8").split("\n")[8000:10_000]
    right: dict[str, dict[str, int]] = {}  # the targets of each source, in order
    for number, line in enumerate(lines, 8000):
        source, target = line.split("\t")[:2]
        right.setdefault(source, {}).setdefault(target, number)
    found = examples(task, "test")
    assert sorted(found) == sorted(min(each.values()) for each in right.values())
    of_number = dict(further(task, "test"))
    assert {number: texts for number, texts in of_number.items() if texts} == {
        min(each.values()): [known(task, text) for text in [*each][1:]]
        for each in right.values()
        if len(each) > 1
    }
    widths = [bucket.source_width for bucket in task.buckets["test"]]
    assert max(widths) == 16
    assert max(bucket.source_width for bucket in task.buckets["train"]) == 15


def test_shared_parallel_integers() -> None:
    folder = SHARED / "joeynmt_reverse"
    if not folder.exists():
        pytest.skip(f"{folder} is not here")
    task = tasks.create(config(folder, level="word"), None)
    assert {k: sum(b.size or 0 for b in v) for k, v in task.buckets.items()} == {
        "train": 50_000,
        "valid": 997,  # of 1,000 sources some are there twice
        "test": 991,
    }
    assert sorted(map(int, task.source_vocabulary.symbols)) == list(range(50))
    for source, target in examples(task, "test").values():
        assert source.split()[::-1] == target.split()


def test_fields_that_mean_nothing_are_refused(path: Path) -> None:
    for field, value in (("length", 5), ("prefix", 2), ("num_test", 10)):
        changed = dataclasses.replace(config(path).task, **{field: value})
        with pytest.raises(UsageError, match=rf"task.{field}={value} means nothing"):
            tasks.create(Config(task=changed), None)
