import json
import shutil
import subprocess
import sys

import pytest

from s2sjax import config as configs
from s2sjax.errors import UsageError
from s2sjax.json_objects import FORMAT_VERSION, encode
from s2sjax.runs import run_files
from s2sjax.runs.directory import open_for_reading, open_for_training
from s2sjax.runs.run_files import identity

RECORD = {"format_version": FORMAT_VERSION, "identity": "0"}


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("config.json", "{", "config.json is damaged"),
        ("config.json", "[]", r"config.json is damaged: it is \[\], not an"),
        ("config.json", "\0", "config.json is damaged"),
        ("config.json", "[" * 100_000, "config.json is damaged"),
        ("config.json", '{"model": {"unitz": 3}}', "not a config of s2sjax: .*unitz"),
        ("config.json", '{"model": 3}', "config.json"),
        ("config.json", '{"train": {"steps": 10}, "seed": 5}', "was changed after"),
        ("run.json", "{", "run.json is damaged"),
        ("run.json", "{}", "run.json is damaged: its checksum is missing"),
        ("run.json", encode({"format_version": 3}), "damaged: identity is missing"),
        ("run.json", encode(RECORD | {"flags": {"X": 3}}), "flags.X"),
        ("run.json", encode({"format_version": "x"}), "damaged: .*is missing"),
        # Another version may have had no checksum, or another one.
        (
            "run.json",
            '{"format_version": 2}',
            "run.json has format_version 2; this s2sjax reads 3: train it again, or "
            "use the s2sjax that wrote it",
        ),
        ("run.json", '{"format_version": 4}', "reads 3: install a newer one"),
    ],
)
def test_a_damaged_or_edited_run_is_one_line(runs, tmp_path, name, text, said):
    open_for_training(tmp_path, runs.resolved()).close()
    (tmp_path / name).write_text(text)
    before = runs.tree(tmp_path)
    for config in (None, runs.resolved()):
        runs.refused(said, tmp_path, config)
    with pytest.raises(UsageError, match=said):
        open_for_reading(tmp_path)
    assert runs.tree(tmp_path) == before


def test_steps_under_a_decaying_rate_cannot_be_edited_either():
    one = {"train": {"schedule": "cosine:final=0.0", "steps": 10}}
    other = {"train": {"schedule": "cosine:final=0.0", "steps": 20}}
    assert identity(one) != identity(other)
    one["train"]["schedule"] = other["train"]["schedule"] = "constant"
    assert identity(one) == identity(other)


def test_a_run_that_lacks_fields_of_later_has_their_defaults_and_goes_on(
    runs, tmp_path
):
    raw = json.loads(configs.canonical_json(runs.resolved()))
    del raw["decode"]["length_extra"], raw["model"]["cell"]
    record = {"format_version": FORMAT_VERSION, "identity": identity(raw)}
    (tmp_path / "config.json").write_text(json.dumps(raw))
    (tmp_path / "run.json").write_text(encode(record))
    for changes in ({}, {"train__steps": 20}):
        open_for_training(tmp_path, runs.resolved(**changes)).close()
        open_for_training(tmp_path, None).close()
    assert open_for_reading(tmp_path).config == runs.resolved(train__steps=20)


def test_the_record_is_read_before_jax_is_imported(runs, tmp_path):
    open_for_training(tmp_path, runs.resolved()).close()
    lines = (
        "import sys\nfrom s2sjax.runs.run_files import read_record\n"
        "print(read_record(sys.argv[1])['format_version'], 'jax' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", lines, str(tmp_path)], capture_output=True, text=True
    )
    assert done.stdout == "3 False\n", done.stderr
    assert run_files.read_record(tmp_path / "missing") == {}
    shutil.rmtree(tmp_path)


def test_the_test_of_numbers_has_fields_of_its_own(tmp_path):
    numbers = {"step": 3, "examples": 2, "mae": 0.5, "rmse": None}
    for fields, lacks in (
        (numbers, ""),
        ({**numbers, "exact": 1.0}, ""),
        ({**numbers, "rmse": "x"}, "rmse"),
        ({"step": 3, "examples": 2, "exact": 1.0}, "edit_distance"),
    ):
        (tmp_path / run_files.TEST).write_text(encode(fields))
        if not lacks:
            assert run_files.read_test(tmp_path) == fields
            continue
        with pytest.raises(UsageError, match=lacks):
            run_files.read_test(tmp_path)
