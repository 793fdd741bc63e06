"""Texts in lower case: what is read, and what cased scores compare with."""

from pathlib import Path
from typing import Any

import pytest

from s2sjax import tasks
from s2sjax.config import Config, TaskConfig
from s2sjax.errors import UsageError
from s2sjax.inference.text_scores import of_tokens, text_scores
from s2sjax.tasks import casing, encode_source
from s2sjax.tasks.vocabulary import Vocabulary


def config(folder: Path, **fields: Any) -> Config:
    (folder / "train.tsv").write_text("A b\tLe Chat\nb A\tLA souris\n")
    (folder / "valid.tsv").write_text("x\tle chat\n")
    (folder / "test.tsv").write_text("A\tLe CHAT Noir\nB\tle chat\n")
    files = {name: str(folder / f"{name}.tsv") for name in ("train", "valid", "test")}
    return Config(task=TaskConfig("text", **files, lowercase=True, **fields))


@pytest.mark.parametrize("level", ["word", "char", "space"])
@pytest.mark.parametrize("backwards", [False, True])
def test_references_keep_their_case(
    tmp_path: Path, level: str, backwards: bool
) -> None:
    made = config(tmp_path, level=level, reverse_source=backwards, source_eos=backwards)
    task = tasks.create(made, tmp_path / "data")
    vocabulary = task.target_vocabulary
    joined = "".join(map(str, vocabulary.symbols))
    assert joined == joined.lower() and len(joined) > 5
    ((read, by_source),) = task.cased.items()
    assert list(by_source.values()) == [["Le CHAT Noir"]]
    assert read.startswith("le chat ")
    assert tasks.load(made, tmp_path / "data").cased == task.cased
    assert tasks.create(made, tmp_path / "data").cased == task.cased
    texts = ("LE chat Noir", "la")
    wanted = [vocabulary.encode(vocabulary.split(text))[0] for text in texts]
    right = [[row] for row in wanted]
    plain = of_tokens(vocabulary, wanted, right)
    written = casing.written(task, [encode_source(task, ["a"])[0]] * 2)
    cased = of_tokens(vocabulary, wanted, right, written=written)
    outputs = [vocabulary.join(vocabulary.decode(row)) for row in wanted]
    assert {name: cased[name] for name in ("bleu", "chrf")} == text_scores(
        outputs, [["Le CHAT Noir"], ["la"]]
    )
    assert cased["chrf"] < plain["chrf"] and cased["wer"] == plain["wer"]


def test_each_example_has_its_own_case(tmp_path: Path) -> None:
    """Also where the same text, or another reference, is written otherwise."""
    made = config(tmp_path, level="word", features="3")
    for split, rows in (
        ("train", [("a", "polish noir", "V"), ("b", "us", "N")]),
        ("valid", [("a", "us", "V")]),
        (
            "test",
            [
                *(("a", "Polish", "V"), ("a", "polish", "N"), ("b", "POLISH", "V")),
                *(("a", "polish", "V"), ("b", "noir", "V")),
            ],
        ),
    ):
        lines = ["\t".join(row) + "\n" for row in rows]
        (tmp_path / f"{split}.tsv").write_text("".join(lines))
    task = tasks.create(made, tmp_path / "data")
    inputs = [("a", "V"), ("a", "N"), ("b", "V")]
    sources = [encode_source(task, [text], [tag])[0] for text, tag in inputs]
    written = casing.written(task, sources)
    assert written is not None
    assert [list(written(place, "polish")) for place in range(3)] == [
        *(["Polish", "polish"], ["polish"], ["POLISH"])
    ]
    assert not written(2, "noir")


def test_texts_that_are_lower_case_already_are_not_kept(tmp_path: Path) -> None:
    made = config(tmp_path, source_level="word")
    (tmp_path / "test.tsv").write_text("A\tle chat\n")
    assert not tasks.create(made, tmp_path / "data").cased
    assert not (tmp_path / "data" / casing.NAME).exists()


def test_what_is_kept_of_them_is_checked() -> None:
    lower = Vocabulary("word", ("a",), lowercase=True)
    found = casing.cased(lower, lower, [("a", (), "A a"), ("a", (), "a A")])
    assert found == {"a a": {"4": ["A a", "a A"]}}
    assert casing.kept(casing.to_bytes(found)) == found
    # As runs of before have it, of any source.
    assert casing.kept(b'{"a a": "A a"}') == {"a a": {casing.ANY: ["A a"]}}
    with pytest.raises(UsageError, match=r"cased.json of a run is damaged"):
        casing.kept(b'{"a": 1}')
