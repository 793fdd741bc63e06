"""Every program as a GPU's and a TPU's compiler is handed it.

No such device is here: what is read is what jax lowers for it, before XLA's compiler of
that device is asked. A trace is lowered for both.
"""

import collections
import dataclasses
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from s2sjax import tasks
from s2sjax.config import Config, ModelConfig, TaskConfig, TrainConfig
from s2sjax.decoding.strategies import STRATEGIES
from s2sjax.inference import system as systems
from s2sjax.inference.load import with_decode
from s2sjax.models.architectures import build_model
from s2sjax.models.attention import ATTENTIONS
from s2sjax.models.bridge import BRIDGES
from s2sjax.models.cells import CELLS
from s2sjax.models.context import CONTEXTS
from s2sjax.models.readout import OUTPUTS
from s2sjax.sweeps.batched import programs
from s2sjax.sweeps.batched.programs import Layout
from s2sjax.tasks.series.processes import PROCESSES
from s2sjax.tasks.synthetic import PATTERNS
from s2sjax.training.feeding import FEEDINGS
from s2sjax.training.objectives import OBJECTIVES
from s2sjax.training.objectives.numbers import NUMBER_OBJECTIVES
from s2sjax.training.recipe import recipe
from s2sjax.training.state import first_state, numbers
from s2sjax.training.step import Program, Work, run_steps
from s2sjax.types import Batch
from tests import copying

PLATFORMS = ("cuda", "tpu")
BATCH, WIDTH = 4, copying.WIDTH
# What draws orthogonal matrices, before the first step.
QR = {
    *("cusolver_geqrf_ffi", "cusolver_orgqr_ffi", "cusolver_householder_product_ffi"),
    *("Qr", "ProductOfElementaryHouseholderReflectors"),
}


def problems(text, custom_calls=frozenset()):
    """What a lowered program has that it must not have."""
    found = collections.Counter()
    calls = re.findall(r"custom_call @([\w.]+)", text)
    found.update(f"custom call {name}" for name in set(calls) - set(custom_calls))
    if re.search(r"\bf64\b|xf64>", text):
        found["float64"] += 1
    scatters = r'"stablehlo.scatter"\(.*?unique_indices = (\w+)'
    unique = re.findall(scatters, text, re.DOTALL)
    found["scatter with repeated indices"] += unique.count("false")
    return dict(+found)


def lowered(traced):
    """The programs of a trace, by platform."""
    return {
        name: traced.lower(lowering_platforms=(name,)).as_text() for name in PLATFORMS
    }


def shaped(*shape, dtype=np.int32):
    return jax.ShapeDtypeStruct(shape, dtype)


def training(kinds):
    """The trace of a training step with these kinds, twelve of which are one call."""
    kinds = dict(kinds)
    replicas, name = kinds.pop("replicas", 0), kinds.pop("task", "")
    all_run = kinds.pop("all_run", True)
    train = {field: kinds.pop(field) for field in IN_TRAINING if field in kinds}
    config = Config(
        model=ModelConfig(**{"units": 4, "embedding": 3, **kinds}),
        task=TaskConfig(name=name, length=5, min_length=2),
        train=TrainConfig(steps=60, batch_size=BATCH, **train),
    )
    sides, fetch, store = (copying.VOCABULARY,) * 2, copying.fetch, copying.store()
    if name:
        # What is drawn is no counts, which would be refused; its shapes are the same.
        task = tasks.create(Config(task=config.task))
        (bucket,), sides = task.buckets["train"], task.sides
        fetch, store = bucket.fetch, bucket.store
    built = build_model(config, *sides)
    chosen, own = recipe(config.train, 60, built.readout), numbers(config)
    state = jax.eval_shape(lambda own: first_state(built, chosen, own), own)
    program = Program(built, chosen, fetch)
    work = Work(own, store, copying.rows_of(12), jnp.int32(12))
    if not replicas:
        return run_steps.trace(program, state, work)
    state, work = jax.tree.map(
        lambda leaf: shaped(replicas, *leaf.shape, dtype=leaf.dtype), (state, work)
    )
    layout = Layout(Layout.of(1).mesh, batched=True)
    return programs.run_steps.trace(layout, program, state, work, all_run)


IN_TRAINING = ("feeding", "objective", "clip_norm")
TABLES = {
    "cell": [*CELLS, "gru:reset=before"],
    "attention": sorted(set(ATTENTIONS) - {"none"}),
    "context": sorted(set(CONTEXTS) - {"constant"}),  # which goes with none
    "bridge": BRIDGES,
    "dropout_embedding": [0.1, 0.0, 0.0, 0.1],
    "embedding": [3, 0],
    "feeding": FEEDINGS,
    "objective": [*OBJECTIVES, "nll:focal=2.0"],
    "clip_norm": [1.0],
}
OF_NUMBERS = {
    "output": OUTPUTS,
    "embedding": [0, 3],
    "feeding": ["gold", "mean", "sample", "sample", "sample", "median"],
    "task": PROCESSES,
}


def each_once(tables):
    """Kinds side by side, so that each of every table is among them."""
    return [
        {field: [*kinds][place % len(kinds)] for field, kinds in tables.items()}
        for place in range(max(map(len, tables.values())))
    ]


TRAINED = [
    *each_once(TABLES),
    *(
        {**kinds, "objective": OUTPUTS[kinds["output"]]().objectives[0]}
        for kinds in each_once(OF_NUMBERS)
        if OUTPUTS[kinds["output"]]().objectives[0] in NUMBER_OBJECTIVES
    ),
    *(
        {"output": "point", "objective": name, "task": "sines"}
        for name in OUTPUTS["point"].objectives[1:]
    ),
    {"context": "constant", "layers": 2, "feeding": "none"},
    {"bidirectional": True, "bridge": "dense", "dropout_state": 0.1},
    {"latent": 3, "dropout_output": 0.1},
    {"share_embeddings": True, "tie_output": True, "dropout_embedding": 0.0},
    {"architecture": "aligned", "bidirectional": True},
    {"architecture": "classifier", "pooling": "attention"},
    {"attention": "bahdanau", "replicas": 3, "task": "reversed"},
]


@pytest.mark.parametrize(
    "kinds", TRAINED, ids=lambda kinds: ",".join(map(str, kinds.values()))
)
def test_a_train_step_has_nothing_that_is_slow_or_wrong(kinds):
    for platform, text in lowered(training(kinds)).items():
        assert not problems(text), platform


def test_replicas_that_all_run_choose_nothing_at_a_step():
    """Their loop has one count, and no array of the state is the new one or the old."""
    kernels = re.compile(r"call @_where.*3x4x16xf32")
    # The recurrent kernels of encoder and decoder, each with Adam's two.
    for all_run, found in ((True, 0), (False, 6)):
        traced = training({"replicas": 3, "all_run": all_run, "embedding": 0})
        assert len(kernels.findall(lowered(traced)["cuda"])) == found


def test_generated_examples_have_nothing_that_is_slow_or_wrong():
    for name in PATTERNS:
        made = {"name": name, "length": 5, "min_length": 5, "cardinality": 2}
        (bucket,) = tasks.create(Config(task=TaskConfig(**made))).buckets["train"]
        traced = jax.jit(bucket.fetch).trace(bucket.store, shaped(BATCH))
        for platform, text in lowered(traced).items():
            assert not problems(text), (name, platform)


DECODED = {
    **dict.fromkeys(STRATEGIES, ""),
    "sample": ":n=2,temperature=0.7,top_k=3,top_p=0.9,min_p=0.1",
    "beam": ":size=3,n=2,coverage=0.1,no_repeat=2,min_extra=1",
    "diverse_beam": ":size=4,groups=2",
    "constrained_beam": ":size=3",
}


@pytest.fixture(scope="module")
def trained():
    """A model and its parameters' shapes."""
    kinds = {"cell": "lstm", "units": 4, "embedding": 3, "attention": "bahdanau"}
    config = copying.config(kinds)
    model = build_model(config, copying.VOCABULARY, copying.VOCABULARY)
    shapes = jax.eval_shape(model.init, jax.random.key(0))
    return systems.System.of(model, config, shapes)


SOURCES = shaped(BATCH, WIDTH), shaped(BATCH), shaped(BATCH)


@pytest.mark.parametrize("name", STRATEGIES)
def test_decoding_has_nothing_that_is_slow_or_wrong(trained, name):
    config = with_decode(trained.config, strategy=name + DECODED[name])
    system = dataclasses.replace(trained, config=config)
    given = {}
    if name == "constrained_beam":
        given = {
            "required": shaped(BATCH, 2, 2),
            "banned": shaped(BATCH, 7, dtype=bool),
        }
    traced = systems.decode.trace(system, *SOURCES, per_token=True, **given)
    for platform, text in lowered(traced).items():
        assert not problems(text), platform


def test_scores_and_encodings_have_nothing_that_is_slow_or_wrong(trained):
    pair = dataclasses.replace(
        trained, models=trained.models * 2, params=trained.params * 2
    )
    target = shaped(BATCH, WIDTH + 1)
    batch = Batch(*SOURCES[:2], target, *SOURCES[1:3], shaped(BATCH, dtype=np.float32))
    for traced in (
        systems.force.trace(trained, batch),
        systems.force.trace(pair, batch),
        systems.decode.trace(pair, *SOURCES),
        systems.encode.trace(trained, *SOURCES[:2]),
        systems.edits.trace(target, SOURCES[1], target, SOURCES[1]),
    ):
        for platform, text in lowered(traced).items():
            assert not problems(text), platform


def test_first_parameters_are_drawn_by_known_calls_alone(trained):
    (model,) = trained.models
    traced = jax.jit(model.init).trace(jax.random.key(0))
    for platform, text in lowered(traced).items():
        assert problems(text) and not problems(text, custom_calls=QR), platform


def test_what_must_not_be_there_is_found():
    def bad(x, ids):
        jax.debug.print("{}", x[0])
        return jnp.zeros(3, x.dtype).at[ids].add(x)

    with jax.enable_x64(True):
        traced = jax.jit(bad).trace(np.ones(4), np.zeros(4, np.int32))
        # Jax itself refuses to lower a callback for a device that is not there.
        found = problems(traced.lower(lowering_platforms=("cpu",)).as_text())
    assert found.pop("float64") and found.pop("scatter with repeated indices") == 1
    (call,) = found
    assert "callback" in call
