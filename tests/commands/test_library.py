"""The face: `import s2sjax as s2s`, as `docs/library.md` and the examples use it."""

import ast
import dataclasses
import inspect
import json
import os
import pathlib
import re
import runpy
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import s2sjax as s2s
from s2sjax.cli import main
from s2sjax.decoding.forced import token_losses
from s2sjax.models.seq2seq import apply

ROOT = pathlib.Path(__file__).parents[2]
EXAMPLES = ROOT / "docs" / "examples"


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """Where the examples of `docs/library.md` ran, and the names they left."""
    text = (ROOT / "docs" / "library.md").read_text("utf-8")
    folder, names = tmp_path_factory.mktemp("library"), {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
            exec(compile(block, "docs/library.md", "exec"), names)
    return folder, names


@pytest.fixture(scope="module")
def run(page):
    return s2s.load(page[0] / "runs" / "mine")


def test_every_name_is_there_and_says_what_it_is():
    tree = ast.parse(pathlib.Path(s2s.__file__).read_text("utf-8"))
    shown = {
        alias.asname: node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module.startswith("s2sjax.")
        for alias in node.names
    }
    told = {name: f"s2sjax.{module}" for name, module in s2s._PLACES.items()}
    assert shown == told  # what type checkers see is what is found
    assert sorted(told) == s2s.__all__ and set(s2s.__all__) < set(dir(s2s))
    for name in s2s.__all__:
        value = getattr(s2s, name)
        assert isinstance(value, int) or inspect.getdoc(value), name
    with pytest.raises(AttributeError, match="no attribute 'bean'"):
        _ = s2s.bean


def test_the_page_runs_and_its_values_are_those_of_the_commands(page, run, capsys):
    folder, names = page
    path = folder / "runs" / "mine"
    assert names["hypotheses"].tokens.shape == (2, 3, 20)
    assert [row["status"] for row in names["rows"]] == ["done"] * 4
    assert {row["task.length"] for row in names["rows"]} == {3, 5}
    assert all(0 < row["test_nll"] < 10 for row in names["rows"])

    def said(*words):
        capsys.readouterr()
        assert main(list(words)) == 0
        return json.loads(capsys.readouterr().out)

    workdir = f"--workdir={path}"
    assert said("eval", workdir, "--json") == run.evaluate("test")
    beam = "--strategy=beam:size=5,n=3"
    line = said("decode", workdir, beam, "--json", "--attention=-", *"01234")
    best = names["best"]
    assert [output.symbols for output in best] == [
        row["output"] for row in line["nbest"]
    ]
    assert best.score == line["score"]
    np.testing.assert_allclose(best.attention.weights, line["attention"])
    assert best.expected == line["expected"] == [4, 3, 2, 1, 0]


def test_a_run_shows_itself(page, run):
    best = page[1]["best"]
    assert repr(run).endswith("mine: reversed, lstm of 16 units, step 40)")
    assert repr(best).count("\n") == 3 and "Output('" in repr(best)
    assert best.attention._repr_png_().startswith(b"\x89PNG")
    assert run.decode([0, 1, 2]).attention is None
    steps = [line["step"] for line in run.metrics if line["kind"] == "valid"]
    assert steps == [20, 40] and run.test["step"] == run.step


def test_several_runs_are_one(page):
    path = page[0] / "runs" / "mine"
    both = s2s.load([path, path])
    assert "2 runs together" in repr(both)
    assert both.decode([1, 2]).output == s2s.load(path).decode([1, 2]).output


def test_ids_become_a_batch():
    made = s2s.batch([[4, 5], [], [6]], [[5, 4], [], [6]], first=7)
    assert made.source.tolist() == [[4, 5], [0, 0], [6, 0]]
    assert made.target.tolist() == [[5, 4, 2], [2, 0, 0], [6, 2, 0]]
    assert made.source_lengths.tolist() == [2, 0, 1]
    assert made.target_lengths.tolist() == [3, 1, 2]
    assert made.ids.tolist() == [7, 8, 9] and made.weights.tolist() == [1, 1, 1]
    assert made.source.dtype == jnp.int32 and made.weights.dtype == jnp.float32
    assert repr(made).startswith("Batch(source=int32[3, 2], source_lengths=int32[3]")
    none = s2s.Hypotheses(*[made.ids] * 5, {"logprob": made.weights})
    assert repr(none).endswith("aux={logprob: float32[3]})")


def test_the_loss_is_the_mean_over_real_tokens():
    model = s2s.Seq2Seq(s2s.ModelConfig(units=4, embedding=3), source=9, target=9)
    params = model.init(jax.random.key(0))
    made = s2s.batch([[4, 5, 6], [7]], [[6, 5, 4], [7]])
    inputs = jnp.array([[1, 6, 5, 4], [1, 7, 2, 0]])
    logits = apply(model, params, made.source, made.source_lengths, inputs).logits
    losses = token_losses(logits, made.target, made.target_lengths)
    np.testing.assert_allclose(
        s2s.nll(params, model, made), losses.sum() / 6, rtol=1e-6
    )
    only = made._replace(weights=jnp.array([1.0, 0.0]))
    np.testing.assert_allclose(
        s2s.nll(params, model, only), losses[0].sum() / 4, rtol=1e-6
    )

    def squares(output, batch):  # an objective of one's own
        return token_losses(output.logits, batch.target, batch.target_lengths) ** 2

    np.testing.assert_allclose(
        s2s.loss(params, model, only, squares), (losses[0] ** 2).sum() / 4, rtol=1e-6
    )
    emitted = jax.nn.log_softmax(logits)[..., 2:]  # all but PAD and BOS
    even = -emitted.mean(-1)[0, :4]
    np.testing.assert_allclose(
        s2s.loss(params, model, only, "label_smoothing:epsilon=0.25"),
        (0.75 * losses[0] + 0.25 * even).sum() / 4,
        rtol=1e-6,
    )


def test_what_cannot_be_is_refused_by_its_name(run, tmp_path):
    model = s2s.Seq2Seq(s2s.ModelConfig(units=4, embedding=3), source=9, target=8)
    params, pair = model.init(jax.random.key(0)), s2s.batch([[4]], [[4]])
    beside = run.path.with_name("mien")
    new = tmp_path / "new"
    refused = [
        (lambda: s2s.ModelConfig(cell="lsmt"), "did you mean 'lstm'"),
        (lambda: s2s.ModelConfig(attention="luong"), "unknown model.attention"),
        (lambda: s2s.ModelConfig(units=0), "model.units=0 is not"),
        (lambda: s2s.Seq2Seq(s2s.ModelConfig(), source=0, target=9), "source=0"),
        (
            lambda: s2s.batch([[9]], [[4]], model=model),
            r"sources\[0\] holds 9; .* 3 to 8",
        ),
        (lambda: s2s.batch([[4]], [[4, 2]]), r"targets\[0\] holds 2"),
        (lambda: s2s.batch([[4]], []), "sources has 1 rows and targets 0"),
        (lambda: s2s.batch([], []), "sources is empty"),
        (lambda: s2s.batch([[0.5]], [[4]]), "sources is no list of rows"),
        (lambda: s2s.batch([4], [[4]]), "sources is no list of rows"),
        (lambda: s2s.nll(params, model, [1]), "s2s.batch makes one"),
        (lambda: s2s.loss(params, model, pair, "nl"), "did you mean 'nll'"),
        (
            lambda: s2s.loss(params, model, pair, lambda output, batch: 0.0),
            "wanted a loss for each token or number of the target",
        ),
        (lambda: model.decoder(params, [[4, 5], [6]], [2, 1]), "source is no array"),
        (lambda: model.decoder(params, jnp.ones((1, 2)), [2]), r"source is float32\[1"),
        (lambda: model.decoder(params, [[4]], [[1]]), r"lengths is int32\[1, 1\]"),
        (
            lambda: s2s.load(beside),
            f"path={beside} does not exist \\(did you mean '.*mine'",
        ),
        (lambda: s2s.load([]), "path is an empty list"),
        (
            lambda: s2s.load(run.path, combine="logprob"),
            "combine=logprob needs several",
        ),
        (lambda: run.decode([99]), "inputs: symbol 99 is not among"),
        (lambda: run.decode([[1], [99]]), r"inputs\[1\]: symbol 99 is not among"),
        (lambda: run.decode(5), "inputs is 5"),
        (lambda: run.decode([1], "baem"), "did you mean 'beam'"),
        (lambda: run.decode([1], banned=[1], prefix=[1]), "is banned and asked for"),
        (lambda: run.score([[1], [2]], [[1]]), "inputs has 2 rows and outputs 1"),
        (lambda: run.evaluate("tset"), "did you mean 'test'"),
        (lambda: s2s.train({"train": {"step": 1}}, new), "did you mean 'train.steps'"),
        (lambda: s2s.train(None, new), f"path={new} is not a run.*give config=FILE"),
        (
            lambda: s2s.train({"train": {"steps": 1}}, new, callbacks=[print]),
            "Observer",
        ),
        (lambda: s2s.train({"train": {"steps": 5}}, run.path), r"begin another: s2s\."),
        (lambda: s2s.train("no.py", new), "config=no.py: there is no file"),
        (lambda: s2s.trials(run.path), "is not a sweep but a run"),
        (lambda: s2s.sweep(None, new), f"path={new} does not exist"),
        (lambda: s2s.bench(run.path, repeats=0), "repeats=0"),
        (lambda: s2s.export(run, tmp_path / "no" / "x"), "out=.*No such file"),
    ]
    for call, said in refused:
        with pytest.raises(s2s.UsageError, match=said) as caught:
            made = call()
            if isinstance(made, s2s.ModelConfig):
                s2s.Seq2Seq(made, source=9, target=9)
        assert "--" not in str(caught.value).replace("---", ""), caught.value
    assert not new.exists()


def test_a_model_is_equal_to_itself_made_again():
    config = s2s.ModelConfig(units=4)
    one, other = (s2s.Seq2Seq(config, source=9, target=9) for _ in range(2))
    assert one == other and hash(one) == hash(other)
    assert one != s2s.Seq2Seq(dataclasses.replace(config, units=5), source=9, target=9)


def test_an_interrupted_run_is_saved_and_goes_on_to_the_same_bits(page, tmp_path):
    """What a notebook's interrupt does: the run ends where the undisturbed one ends."""
    import signal

    class Interrupt(s2s.Observer):
        def logged(self, step, values):
            signal.raise_signal(signal.SIGINT)

    config = page[1]["config"] | {"seed": 1}
    once = {"train.log_every": 10, "train.steps_per_dispatch": 5}
    with pytest.raises(KeyboardInterrupt):
        s2s.train(config, tmp_path, overrides=once, callbacks=[Interrupt()])
    again = s2s.train(None, tmp_path)
    assert again.metrics[-1]["step"] == 40
    ours, theirs = (jax.tree.leaves(r.params) for r in (again, page[1]["run"]))
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.slow
def test_the_examples_learn(monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLES)
    minimal = runpy.run_path(str(EXAMPLES / "minimal.py"))["main"]
    near = runpy.run_path(str(EXAMPLES / "custom_attention.py"))["Near"]
    assert minimal(steps=250) > 0.7
    assert minimal(steps=150, attention=near) > 0.7
    assert len((EXAMPLES / "minimal.py").read_text("utf-8").splitlines()) < 90


@pytest.mark.slow
def test_the_notebook_runs():
    """In a process of its own, as a notebook is; its last values are shown."""
    cells = json.loads((EXAMPLES / "notebook.ipynb").read_text("utf-8"))["cells"]
    code = ["".join(c["source"]) for c in cells if c["cell_type"] == "code"]
    checks = [
        "assert run.test['exact'] > 0.5 and len(rows) == 6, (run.test, rows)",
        "assert best.attention._repr_png_() and set(exact) == set(specs)",
    ]
    done = subprocess.run(
        [sys.executable, "-c", "\n".join([*code, *checks])],
        env=os.environ | {"MPLBACKEND": "agg"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
