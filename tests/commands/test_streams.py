"""The examples of `docs/streams.md`."""

import pathlib
import re
import sys

import pytest

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "streams.md"


def test_the_examples_of_the_page_run(tmp_path, monkeypatch):
    pytest.importorskip("flatbuffers")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    names = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL):
        exec(compile(block, "docs/streams.md", "exec"), names)
