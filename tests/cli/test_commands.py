"""What the commands give where nothing goes wrong."""

import json
import pathlib
import shlex

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

EXPERIMENTS = pathlib.Path(__file__).parents[2] / "experiments"


def lines(result):
    assert result.code == 0, result.err
    return [json.loads(line) for line in result.out.splitlines()]


def test_decode_shows_what_is_expected(command, integers):
    result = command("decode", f"--workdir={integers}", *range(10))
    assert result.code == 0
    assert "9 8 7 6 5 4 3 2 1 0" in result.out and "logprob" in result.out


def test_a_file_is_decoded_in_order_and_as_its_lines_alone(command, integers, tmp_path):
    rng = np.random.default_rng(0)
    # Two widths of padding, and more inputs than one batch of them would fill.
    rows = [rng.integers(0, 10, length).tolist() for length in [3, 12, 1, 10, 9, 2]]
    as_lines, as_json = tmp_path / "rows.txt", tmp_path / "rows.json"
    as_lines.write_text("\n".join(" ".join(map(str, row)) for row in rows))
    as_json.write_text(json.dumps(rows))
    workdir = f"--workdir={integers}"
    together = lines(command("decode", workdir, "--json", f"--from_file={as_json}"))
    assert [line["input"] for line in together] == rows
    assert together == lines(
        command("decode", workdir, "--json", f"--from_file={as_lines}")
    )
    for row, line in list(zip(rows, together, strict=True))[:2]:
        (alone,) = lines(command("decode", workdir, "--json", "--", *row))
        assert alone["logprob"] == pytest.approx(line["logprob"], abs=1e-4)
        assert alone["output"] == line["output"]


def test_an_input_longer_than_training_is_said_and_decoded(command, integers):
    result = command("decode", f"--workdir={integers}", "--json", *[1] * 25)
    assert result.code == 0 and "25 symbols, more than the 10" in result.err
    assert len(lines(result)[0]["input"]) == 25


def test_unknown_characters_are_named(command, text):
    result = command("decode", f"--workdir={text}", "--json", "Hi Zoë.", "Hi To.")
    first, second = lines(result)
    assert "ë" in result.err and first["input"] == list("Hi Zoë.")
    assert second["input"] == list("Hi To.") and "form" not in result.err
    result = command("decode", f"--workdir={text}", "\uff28i To.")
    assert (
        "unknown: 'Ｈ'; in compatible composed form (NFKC) 'Ｈ' is known" in result.err
    )
    assert "train with task.normalise=nfkc" in result.err


def test_attention_and_states(command, integers, tmp_path):
    drawn, saved = tmp_path / "a.png", tmp_path / "s.npz"
    result = command(
        "decode",
        f"--workdir={integers}",
        f"--attention={drawn}",
        f"--states={saved}",
        *[5, 6, 7],
    )
    assert result.code == 0, result.err
    assert drawn.read_bytes().startswith(b"\x89PNG")
    with np.load(saved, allow_pickle=False) as arrays:
        assert arrays["memory_0"].shape == (3, 8)
        # The bottleneck is the last output of the encoder.
        np.testing.assert_allclose(
            arrays["state_0_forward_h"][0], arrays["memory_0"][-1], rtol=1e-6
        )


def test_attention_of_several_inputs_for_a_paper(command, integers, tmp_path):
    inputs = tmp_path / "inputs.txt"
    inputs.write_text("1 2 3\n4 5\n6\n")
    drawn = tmp_path / "a.PDF"
    for panels, left in (("--panels=2", 1), ("--panels=3", 0)):
        result = command(
            *("decode", f"--workdir={integers}", f"--from_file={inputs}"),
            *(f"--attention={drawn}", panels),
        )
        assert result.code == 0 and drawn.read_bytes().startswith(b"%PDF")
        assert ("the last has no panel; --panels=N draws N" in result.err) == left


def test_parameters_of_another_format_are_refused(command, tmp_path):
    file, config = tmp_path / "old.safetensors", EXPERIMENTS / "reversed.py"
    metadata = {"format": "s2sjax", "format_version": "1"}
    save_file({"encoder.kernel": np.zeros(3, np.float32)}, file, metadata)
    workdir = f"--workdir={tmp_path / 'run'}"
    done = command("train", f"--config={config}:smoke", workdir, f"--init_from={file}")
    said = f"--init_from={file} has format_version 1; this s2sjax reads 3: train it"
    assert done.code == 2 and said in done.err
    assert not (tmp_path / "run").exists()


def test_export_and_begin_with_it(command, integers, tmp_path):
    file = tmp_path / "model.safetensors"
    assert command("export", f"--workdir={integers}", f"--out={file}").code == 0
    arrays = load_file(file)
    assert arrays["decoder.output_kernel"].shape == (14, 8)
    config = f"--config={EXPERIMENTS / 'reversed.py'}:smoke"
    for source, name in ((file, "from_file"), (integers, "from_run")):
        workdir = f"--workdir={tmp_path / name}"
        rate = "--config.train.learning_rate=0.0"
        few = "--config.train.valid_examples=8"
        done = command("train", config, rate, few, workdir, f"--init_from={source}")
        assert done.code == 0, done.err
        assert done.out.count("on 8 of 32 validation examples") == 1
        # What it began with counts: nothing was better, and it is the best.
        journalled = (tmp_path / name / "metrics.jsonl").read_text().splitlines()
        valid = [json.loads(line) for line in journalled if '"valid"' in line]
        assert [line["step"] for line in valid] == [0, 5, 10]
        assert valid[0]["nll"] == valid[2]["nll"]
        assert done.out.index("evaluation at step 0") < done.out.index("step 10 of 10")
        out = f"--out={tmp_path / name}.safetensors"
        assert command("export", workdir, out, "--checkpoint=last").code == 0
        again = load_file(tmp_path / f"{name}.safetensors")
        assert again.keys() == arrays.keys()
        assert all((again[key] == arrays[key]).all() for key in arrays)


def test_a_run_is_a_config_and_a_refusal_is_a_command(command, integers, tmp_path):
    config = f"--config={EXPERIMENTS / 'reversed.py'}:smoke"
    there = f"--workdir={integers}"
    rate = "--config.train.learning_rate=0.0001"
    few = "--config.train.valid_examples=20"
    refused = command("train", config, few, rate, there)
    assert refused.code == 2
    words = shlex.split(refused.err.strip().partition("begin another: ")[2])
    assert words[:2] == ["s2sjax", "train"] and f"--init_from={integers}" in words
    assert words[-1] == f"{there}-2" and not pathlib.Path(f"{integers}-2").exists()
    workdir = f"--workdir={tmp_path / 'lower'}"
    done = command(*words[1:-1], workdir, "--config.train.steps=1")
    assert done.code == 0 and "evaluation at step 0" in done.out, done.err
    assert done.out.count("compiling the step for ") == 1
    (told,) = [
        row.split()
        for row in command("config", "diff", integers, tmp_path / "lower").out.split(
            "\n"
        )
        if "learning_rate" in row
    ]
    assert told == ["train.learning_rate", "0.005", "0.0001"]


def test_eval_is_the_same_every_time_and_takes_more_or_fewer(command, integers):
    workdir = f"--workdir={integers}"
    once, again = (lines(command("eval", workdir, "--json"))[0] for _ in range(2))
    assert once == again
    more = lines(command("eval", workdir, "--json", "--examples=70"))[0]
    assert more["examples"] == 70
    other = lines(command("eval", workdir, "--json", "--seed=5"))[0]
    assert other["nll"] != once["nll"]
    last = lines(command("eval", workdir, "--json", "--checkpoint=last"))[0]
    assert last["step"] == 10


def test_eval_prints_a_table(command, text):
    result = command("eval", f"--workdir={text}", "--confusion")
    assert result.code == 0
    for word in ("exact match", "BLEU", "chrF", "target length"):
        assert word in result.out


def test_tasks_lists_every_task(command):
    told = command("tasks")
    (kept,) = lines(command("tasks", "--json"))
    assert all(name in told.out for name in kept)
    assert kept["reversed"]["target"] == kept["reversed"]["source"][::-1]
