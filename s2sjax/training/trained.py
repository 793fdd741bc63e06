"""A trained run, opened to be read: model, parameters and task."""

import dataclasses
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from s2sjax import tasks
from s2sjax.config import Config
from s2sjax.decoding.strategies import strategy
from s2sjax.errors import UsageError
from s2sjax.models.seq2seq import Seq2Seq
from s2sjax.tasks import Task
from s2sjax.tasks.generated import Generator
from s2sjax.training.checkpoint_reader import CheckpointReader
from s2sjax.training.directory import open_for_reading
from s2sjax.training.predictor import decode, symbol_lengths
from s2sjax.training.progress import LOWER
from s2sjax.training.state import build_model
from s2sjax.types import PAD


class Trained(NamedTuple):
    """What evaluation and decoding need of a run."""

    path: Path
    config: Config
    task: Task
    model: Seq2Seq
    params: Any
    step: int


class Prediction(NamedTuple):
    """What a model made of one input."""

    output: list[int]  # token ids, EOS left out
    logprob: float  # in nats, EOS included
    truncated: bool  # cut at its limit: no EOS
    attention: np.ndarray | None  # [T, S], EOS's row last unless truncated
    memory: np.ndarray  # [S, C], the encoder's outputs
    states: list[list[list[np.ndarray]]]  # per layer, direction and part, [D]


def open_trained(
    workdir: str | os.PathLike[str],
    which: Literal["last", "best"] | int = "best",
    *,
    decoding: str | None = None,
    seed: int | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> Trained:
    """Opens a run to evaluate or decode; needs nothing but the directory.

    Args:
      workdir: the run's directory.
      which: the checkpoint.
      decoding: another decoding strategy than the config's.
      seed: another seed, of test data that are generated and of decoding.
      say: takes one line for a person.

    Raises:
      UsageError: it is not a run, has no such checkpoint, or the strategy is unknown.
    """
    run = open_for_reading(workdir)
    config = run.config
    if decoding is not None:
        decode_config = dataclasses.replace(config.decode, strategy=decoding)
        config = dataclasses.replace(config, decode=decode_config)
    strategy(config.decode.strategy)
    task = tasks.load(config, run.data)
    if seed is not None:
        config = dataclasses.replace(config, seed=seed)
        # What training has seen still follows from the run's own seed.
        drawn = tasks.load(config, run.data)
        if not any(isinstance(b.fetch, Generator) for b in task.buckets["test"]):
            say(f"--seed={seed}: this run's test data are kept, and stay as they are")
        task = dataclasses.replace(task, buckets=drawn.buckets)
    reader = CheckpointReader(
        run.checkpoints,
        metric_better="min" if config.train.metric in LOWER else "max",
        say=say,
    )
    restored = reader.restore_params(which)
    model = build_model(
        config, len(task.source_vocabulary), len(task.target_vocabulary)
    )
    params = jax.tree.map(jnp.asarray, restored.state)
    return Trained(run.path, config, task, model, params, restored.step)


def predict(trained: Trained, sources: Sequence[Sequence[int]]) -> list[Prediction]:
    """Decodes token ids, in batches of one compiled program per width; order kept.

    A batch is filled up to the configured size (or to the power of two that holds
    all inputs), and sources are padded to powers of two.

    Raises:
      UsageError: an input so long that its output could not be held.
    """
    size = min(trained.config.decode.batch_size, _power_of_two(len(sources)))
    widths = [_power_of_two(max(len(source), 8)) for source in sources]
    found: dict[int, Prediction] = {}
    for width in sorted(set(widths)):
        places = [place for place, w in enumerate(widths) if w == width]
        for start in range(0, len(places), size):
            chosen = places[start : start + size]
            rows = [sources[place] for place in chosen]
            found |= zip(
                chosen, _predict_batch(trained, rows, chosen, size, width), strict=True
            )
    return [found[place] for place in range(len(sources))]


def longest_trained(task: Task) -> int:
    """Symbols in the longest source that training, or else validation, holds."""
    split = "train" if "train" in task.buckets else "valid"
    return max(bucket.source_width for bucket in task.buckets[split])


def _predict_batch(
    trained: Trained,
    rows: Sequence[Sequence[int]],
    places: Sequence[int],
    size: int,
    width: int,
) -> list[Prediction]:
    source = np.full((size, width), PAD, np.int32)
    lengths = np.zeros(size, np.int32)
    ids = np.zeros(size, np.int32)
    for row, (symbols, place) in enumerate(zip(rows, places, strict=True)):
        source[row, : len(symbols)] = symbols
        lengths[row], ids[row] = len(symbols), place
    hypotheses, encoded = jax.tree.map(
        np.asarray,
        decode(trained.model, trained.config, trained.params, source, lengths, ids),
    )
    written = np.asarray(symbol_lengths(hypotheses))
    attention = hypotheses.aux.get("attention")
    return [
        Prediction(
            hypotheses.tokens[row, 0, : written[row, 0]].tolist(),
            float(hypotheses.scores[row, 0]),
            bool(hypotheses.truncated[row, 0]),
            None
            if attention is None
            else attention[row, 0, : hypotheses.lengths[row, 0], : lengths[row]],
            encoded.memory[row, : lengths[row]],
            [
                [[part[row] for part in state] for state in directions]
                for directions in encoded.states
            ],
        )
        for row in range(len(rows))
    ]


def _power_of_two(number: int) -> int:
    return 1 << max(number - 1, 0).bit_length()


def check_length(trained: Trained, longest: int) -> str:
    """What to say of an input longer than those of training; empty if it is not."""
    limit = longest_trained(trained.task)
    if longest <= limit:
        return ""
    if longest > 100_000:
        raise UsageError(f"an input of {longest} symbols is too long; at most 100000")
    return (
        f"an input has {longest} symbols, more than the {limit} of training; it is "
        f"decoded all the same"
    )
