"""Texts in lower case: what is read, and what cased scores compare with."""

from pathlib import Path
from typing import Any

import pytest

from s2sjax import tasks
from s2sjax.config import Config, TaskConfig
from s2sjax.errors import UsageError
from s2sjax.inference.text_scores import of_tokens, text_scores
from s2sjax.tasks import casing
from s2sjax.tasks.vocabulary import Vocabulary


def config(folder: Path, **fields: Any) -> Config:
    (folder / "train.tsv").write_text("A b\tLe Chat\nb A\tLA souris\n")
    (folder / "valid.tsv").write_text("x\tle chat\n")
    (folder / "test.tsv").write_text("A\tLe CHAT Noir\nB\tle chat\n")
    files = {name: str(folder / f"{name}.tsv") for name in ("train", "valid", "test")}
    return Config(task=TaskConfig("text", **files, lowercase=True, **fields))


@pytest.mark.parametrize("level", ["word", "char", "space"])
def test_references_keep_their_case(tmp_path: Path, level: str) -> None:
    made = config(tmp_path, level=level)
    task = tasks.create(made, tmp_path / "data")
    vocabulary = task.target_vocabulary
    joined = "".join(map(str, vocabulary.symbols))
    assert joined == joined.lower() and len(joined) > 5
    (read,) = task.cased
    assert task.cased[read] == "Le CHAT Noir" and read.startswith("le chat ")
    assert tasks.load(made, tmp_path / "data").cased == task.cased
    assert tasks.create(made, tmp_path / "data").cased == task.cased
    wanted = [vocabulary.encode(vocabulary.split(t))[0] for t in ("LE chat Noir", "la")]
    right = [[row] for row in wanted]
    plain = of_tokens(vocabulary, wanted, right)
    cased = of_tokens(vocabulary, wanted, right, cased=task.cased)
    outputs = [vocabulary.join(vocabulary.decode(row)) for row in wanted]
    assert {name: cased[name] for name in ("bleu", "chrf")} == text_scores(
        outputs, [["Le CHAT Noir"], ["la"]]
    )
    assert cased["chrf"] < plain["chrf"] and cased["wer"] == plain["wer"]


def test_texts_that_are_lower_case_already_are_not_kept(tmp_path: Path) -> None:
    made = config(tmp_path, source_level="word")
    (tmp_path / "test.tsv").write_text("A\tle chat\n")
    assert not tasks.create(made, tmp_path / "data").cased
    assert not (tmp_path / "data" / casing.NAME).exists()


def test_what_is_kept_of_them_is_checked() -> None:
    found = casing.cased(Vocabulary("word", ("a",), lowercase=True), ["A a", "a A"])
    assert found == {"a a": "A a"} == casing.kept(casing.to_bytes(found))
    with pytest.raises(UsageError, match=r"cased.json of a run is damaged"):
        casing.kept(b'{"a": 1}')
