"""Runs of models without a decoder, and of bottlenecks, from training to what they say.

What a run says of its test examples is held to a float64 model in numpy.
"""

import dataclasses
import json
import pathlib

import jax
import numpy as np
import pytest

import s2sjax as s2s
from s2sjax import config as configs
from s2sjax import tasks
from s2sjax.cli import main
from s2sjax.inference import load as loading
from s2sjax.inference.evaluate import split_outcomes
from s2sjax.runs.directory import open_for_training
from s2sjax.training import loop
from s2sjax.training.check import check
from s2sjax.training.interruption import Signals
from s2sjax.training.observer import Observer
from s2sjax.training.recipe import recipe
from s2sjax.training.state import first_state, numbers
from s2sjax.training.step import train_step
from s2sjax.types import SYMBOLS
from tests import oracles

# So few words are in every split.
pytestmark = pytest.mark.filterwarnings("ignore:.*:UserWarning")
WORDS = ["ab", "ba", "bab", "abba", "b", "aab", "a", "bbb"]
MODELS = {
    "tagger": {"architecture": "aligned", "lookahead": 1},
    "classifier": {
        "architecture": "classifier",
        "pooling": "attention",
        "bidirectional": True,
    },
    "codes": {"latent": 2, "context": "constant", "bidirectional": True},
}


def files(folder):
    """Pairs: the letters' twins, which ends a word has, and the word itself."""
    pairs = {
        "tagger": [(word, word.translate({97: "x", 98: "y"})) for word in WORDS],
        "classifier": [(word, f"{word[0]}-{word[-1]}") for word in WORDS],
        "codes": [(word, "") for word in WORDS],
    }
    for name, rows in pairs.items():
        for split in ("train", "valid", "test"):
            lines = "".join(f"{source}\t{target}\n" for source, target in rows)
            (folder / f"{name}_{split}.tsv").write_text(lines)


def config_of(folder, name, **train):
    task = {"name": "text"} | {
        split: str(folder / f"{name}_{split}.tsv")
        for split in ("train", "valid", "test")
    }
    if name == "classifier":
        task["target_level"] = "space"
    if name == "codes":
        task["columns"] = "1,1"
        train["feeding"] = "none"
    return {
        "task": task,
        "model": {"units": 4, "embedding": 3, **MODELS[name]},
        "train": {
            **{"steps": 6, "batch_size": 4, "eval_every": 3, "save_every": 3},
            **{"learning_rate": 0.05, **train},
        },
    }


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("architectures")
    files(folder)
    found = {name: s2s.train(config_of(folder, name), folder / name) for name in MODELS}
    other = {**config_of(folder, "tagger"), "seed": 1}
    return found | {"other": s2s.train(other, folder / "other"), "folder": folder}


def labels(run, source):
    """Log-probabilities [T, V] of what a run says of the ids of a source."""
    oracle = oracles.Model(run.config.model, run.params)
    return oracles.log_softmax(oracle.labels(source))


@pytest.mark.parametrize("name", ["tagger", "classifier"])
def test_an_evaluation_is_that_of_the_model_in_numpy(runs, name):
    run = runs[name]
    found = run.evaluate("test", predictions=True, confusion=True)
    results, sources = split_outcomes(run.trained)
    nll, right, exact, said = 0.0, 0, 0, 0
    for source, target in zip(sources, results.target.tolist(), strict=True):
        scores = labels(run, source)
        best = scores.argmax(-1)
        nll -= scores[np.arange(len(target)), target].sum()
        right += (best == target).sum()
        exact += (best == target).all()
        said += len(target)
    np.testing.assert_allclose(found["nll"], nll / said, rtol=1e-5)
    assert found["token_accuracy"] == found["forced_token_accuracy"] == right / said
    assert found["exact"] == exact / len(sources)
    assert found["search_errors"] is None and found["truncated"] == 0
    assert sum(each["count"] for each in found["reliability"]) == len(sources)
    row = found["predictions"][0]
    assert row["lengths"] == [len(row["source"]) if name == "tagger" else 1]


def test_training_descends_the_loss_that_is_reported(runs):
    train = [row for row in runs["tagger"].metrics if row["kind"] == "train"]
    valid = [row for row in runs["tagger"].metrics if row["kind"] == "valid"]
    assert valid[-1]["nll"] < valid[0]["nll"]
    assert 0 < train[-1]["loss"] < np.log(SYMBOLS + 2) + 1


def test_a_step_counts_symbols_and_no_ends(runs):
    run = runs["tagger"]
    bucket = run.task.buckets["test"][0]
    batch = bucket.fetch(bucket.store, np.arange(4, dtype=np.int32))
    chosen = recipe(run.config.train, 6, run.model.readout)
    state = first_state(run.model, chosen, numbers(run.config), run.params)
    _, metrics = train_step(run.model, chosen, state, numbers(run.config), batch)
    counts = np.asarray(batch.target_lengths) - 1
    nll = 0.0
    for row, count in enumerate(counts):
        scores = labels(run, np.asarray(batch.source)[row, :count])
        nll -= scores[np.arange(count), np.asarray(batch.target)[row, :count]].sum()
    assert metrics.tokens == counts.sum()
    np.testing.assert_allclose(metrics.loss, nll, rtol=1e-5)
    np.testing.assert_allclose(
        s2s.loss(run.params, run.model, batch), nll / counts.sum(), rtol=1e-5
    )


def test_decoding_and_scoring_are_that_of_the_model_in_numpy(runs):
    run = runs["tagger"]
    decoded = run.decode(["abb", ""])
    ids = [run.task.source_vocabulary.index[symbol] for symbol in "abb"]
    scores = labels(run, ids)
    target = run.task.target_vocabulary
    assert decoded[0].output == target.decode(scores.argmax(-1))
    assert decoded[0].score == pytest.approx(scores.max(-1).sum(), rel=1e-5)
    assert decoded[1].output == [] and decoded[1].score == 0
    assert not decoded[0].best.truncated
    scored = run.score("abb", "xyy")
    wanted = [scores[t, target.index[each]] for t, each in enumerate("xyy")]
    np.testing.assert_allclose(scored.token_logprobs, wanted, rtol=1e-5)


def test_an_ensemble_is_the_mean_probability(runs):
    both = s2s.load([runs["tagger"].path, runs["other"].path])
    ids = [both.task.source_vocabulary.index[symbol] for symbol in "ba"]
    one, other = (labels(runs[name], ids) for name in ("tagger", "other"))
    mean = np.logaddexp(one, other) - np.log(2)
    scored = both.score("ba", "yx")
    index = both.task.target_vocabulary.index
    wanted = [mean[t, index[each]] for t, each in enumerate("yx")]
    np.testing.assert_allclose(scored.token_logprobs, wanted, rtol=1e-5)
    assert both.decode("ba").output == both.task.target_vocabulary.decode(
        mean.argmax(-1)
    )


@pytest.mark.parametrize(
    ("task", "model"),
    [
        ({"name": "adding"}, {"architecture": "classifier", "pooling": "mean"}),
        (
            {"name": "sines", "horizon": 8},
            {"architecture": "aligned", "lookahead": 2, "layers": 2},
        ),
    ],
    ids=["classifier", "aligned"],
)
def test_numbers_are_those_of_the_model_in_numpy(task, model, tmp_path):
    config = configs.resolve(
        {
            "task": {**task, "length": 8, "num_valid": 8, "num_test": 8},
            "model": {"units": 4, "embedding": 0, **model},
            "train": {"steps": 4, "eval_every": 2, "batch_size": 4},
        }
    )
    check(config)
    with open_for_training(tmp_path / "run", config) as run:
        loop.train(run, tasks.create(config, run.data), Observer(), Signals())
    trained = loading.open_trained(tmp_path / "run", "last")
    results, sources = split_outcomes(trained)
    oracle = oracles.Model(config.model, trained.params)
    for place, read in enumerate(sources):
        raw = oracle.labels(read.rows, symbols=False)
        mean = read.shift + read.scale * raw[:, :1]
        spread = read.scale * (np.log1p(np.exp(raw[:, 1:])) + 1e-3)
        np.testing.assert_allclose(results.mean[place], mean, rtol=1e-4, atol=1e-6)
        z = (results.target[place] - mean) / spread
        log_prob = -0.5 * z**2 - np.log(spread) - 0.5 * np.log(2 * np.pi)
        np.testing.assert_allclose(results.log_probs[place], log_prob, rtol=1e-3)


def test_a_classifier_shows_what_it_looked_at(runs):
    decoded = runs["classifier"].decode("abba", attention=True)
    assert len(decoded.output) == 1
    assert decoded.attention.weights.shape == (1, 4)
    np.testing.assert_allclose(decoded.attention.weights.sum(), 1, rtol=1e-6)


def test_codes_of_a_split_and_of_a_file_are_those_of_the_model_in_numpy(runs, capsys):
    run, folder = runs["codes"], runs["folder"]
    out = folder / "codes.npz"
    argv = ["decode", f"--workdir={run.path}", f"--states={out}"]
    assert main([*argv, "--split=test"]) == 0
    kept = dict(np.load(out))
    (folder / "words.txt").write_text("\n".join(WORDS))
    assert main([*argv, f"--from_file={folder / 'words.txt'}"]) == 0
    again = np.load(out)
    oracle = oracles.Model(run.config.model, run.params)
    for place, word in enumerate(WORDS):
        ids = [run.task.source_vocabulary.index[symbol] for symbol in word]
        memory, states = oracle.encode(ids)
        oracle.start(states, memory)
        np.testing.assert_allclose(
            kept["code"][place], oracle.told, rtol=1e-4, atol=1e-6
        )
        states = kept[f"decoder_{place}_0_h"]
        assert states.shape[1] == 4 and len(states) >= 1
    np.testing.assert_allclose(kept["code"], again["code"], rtol=1e-6)
    assert kept["code"].shape == (len(WORDS), 2)
    capsys.readouterr()


def test_a_decoder_that_reads_nothing_says_the_same_whatever_it_is_fed(runs):
    run = runs["codes"]
    index = run.task.source_vocabulary.index
    source = np.array([[index["a"], index["b"]]])
    step, carry = run.model.decoder(run.params, source, np.array([2]))
    logits = []
    for fed in (SYMBOLS, SYMBOLS + 1):
        _, output = step(carry, np.array([fed]))
        logits.append(np.asarray(output.logits))
    assert (logits[0] == logits[1]).all()
    one, other = (np.array([[fed] * 3]) for fed in (SYMBOLS, SYMBOLS + 1))
    forced = [
        run.model.apply({"params": run.params}, source, np.array([2]), inputs).logits
        for inputs in (one, other)
    ]
    assert (forced[0] == forced[1]).all()
    # Beams and scores are of this same model.
    best = run.decode("ab", "beam:size=2")
    assert run.score("ab", best.text).logprob == pytest.approx(best.score, rel=1e-5)


def test_a_run_that_goes_on_ends_in_the_same_bits(runs, tmp_path):
    first = config_of(runs["folder"], "tagger", steps=3)
    s2s.train(first, tmp_path / "again")
    again = s2s.train(config_of(runs["folder"], "tagger"), tmp_path / "again")
    assert again.step == runs["tagger"].step
    for one, other in zip(
        *map(jax.tree.leaves, (again.params, runs["tagger"].params)), strict=True
    ):
        assert (np.asarray(one) == np.asarray(other)).all()


def test_an_evaluation_is_drawn(runs, tmp_path, capsys):
    picture = tmp_path / "answers.png"
    argv = ["eval", f"--workdir={runs['classifier'].path}", f"--picture={picture}"]
    assert main([*argv, "--json", "--all"]) == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert "confusion" not in json.loads(capsys.readouterr().out)


BEAM = "decoding strategy 'beam' is for a decoder, which model.architecture=aligned"
REFUSED = {
    "strategy": (lambda run: run.decode("ab", "beam"), BEAM),
    "rules": (lambda run: run.evaluate(strategy="greedy:max_ratio=3"), "is for a dec"),
    "prefix": (lambda run: run.decode("ab", prefix="x"), "inputs: 'prefix' is for a d"),
    "banned": (lambda run: run.decode(["ab"], banned="x"), r"inputs\[0\]: 'banned' is"),
    "attention": (lambda run: run.decode("ab", attention=True), "no attention to show"),
    "length": (
        lambda run: run.evaluate(oracle_length=True),
        "knows the lengths of its",
    ),
    "scored": (
        lambda run: run.score("abb", "xy"),
        "an output of 2 symbols; model.architecture=aligned says 3 of a source of 3",
    ),
    "bench": (lambda run: s2s.bench(run.path), "has no decoder, whose strategies are"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_needs_a_decoder_is_refused(runs, what):
    call, words = REFUSED[what]
    with pytest.raises(s2s.UsageError, match=words) as told:
        call(runs["tagger"])
    assert len(told.value.args) == 1


def test_runs_of_several_architectures_do_not_decode_together(runs):
    one = runs["tagger"].trained
    model = dataclasses.replace(one.config.model, architecture="encoder_decoder")
    other = one._replace(config=dataclasses.replace(one.config, model=model))
    with pytest.raises(s2s.UsageError, match=r"model.architecture=encoder_decoder and"):
        loading._check_same_symbols(one, other)


@pytest.mark.parametrize(
    ("name", "rows", "words"),
    [
        (
            "tagger",
            "ab\txy\nb\txy\n",
            r"tagger_train.tsv:2: the target has 2 symbols and",
        ),
        ("classifier", "ab\ta b\n", r"tsv:1: the target has 2 symbols; .*it has one"),
    ],
)
def test_targets_of_other_lengths_are_refused_with_their_line(
    tmp_path, name, rows, words
):
    files(tmp_path)
    (tmp_path / f"{name}_train.tsv").write_text(rows)
    with pytest.raises(s2s.UsageError, match=words):
        s2s.train(config_of(tmp_path, name), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_task_whose_targets_are_no_labels_is_refused_before_anything_is_written(
    tmp_path: pathlib.Path,
):
    task = {"name": "addition", "length": 2, "num_valid": 10, "num_test": 10}
    config = {"task": task, "model": {"architecture": "aligned"}, "train": {"steps": 1}}
    beam = {**config, "decode": {"strategy": "beam:size=2"}}
    with pytest.raises(s2s.UsageError, match="'beam:size=2' is for a decoder"):
        s2s.train(beam, tmp_path / "run")
    with pytest.raises(s2s.UsageError, match=r"name=addition: .*as many as a source"):
        s2s.train(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()
