"""A trained model written as StableHLO programs, by `jax.export`.

A folder holds them, with all that `programs.py`, which is copied beside them, needs to
run them where there is no s2sjax. Parameters are an argument of the programs, in a file
of their own: so a program is the very one that the run compiles, which gives the same
bits, where a compiler would fold constants; and what several programs multiply with is
there once.
"""

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
from jax import Array

from s2sjax import __version__, environment
from s2sjax import config as configs
from s2sjax.decoding.ensemble import COMBINATIONS, ensemble
from s2sjax.errors import UsageError
from s2sjax.inference import programs, stream
from s2sjax.inference.load import Trained
from s2sjax.inference.system import System, decode
from s2sjax.models.seq2seq import started, step_over
from s2sjax.runs import arrays, bundle
from s2sjax.types import Carry, StepFn

PLATFORMS = ("cpu", "cuda", "tpu")
Named = Mapping[str, Array]  # the leaves of a tree by dotted names
Program = tuple[Callable[..., Any], tuple[Any, ...]]
"""A function of arrays, and arguments that have the shapes and dtypes it is for."""


def check(path: Path) -> None:
    """Refuses a place where no folder can be made, and a jax that cannot export.

    Raises:
      UsageError: something is there, or the folder around it is not.
    """
    if path.exists():
        raise UsageError(f"out={path} is there already; out= is a folder to be made")
    if not path.absolute().parent.is_dir():
        raise UsageError(f"out={path}: there is no such folder")
    try:
        import flatbuffers  # noqa: F401 (jax writes by it)
    except ImportError:
        raise UsageError(
            "format=stablehlo needs flatbuffers: pip install 's2sjax[export]'"
        ) from None


def export(
    trained: Trained,
    path: Path,
    *,
    batch: int,
    width: int,
    say: Callable[[str], None],
) -> list[str]:
    """Writes the folder.

    Args:
      trained: the run, or several that decode together.
      path: of the folder; it is not there yet.
      batch: inputs that a program takes at once.
      width: symbols of the longest input.
      say: is told of a platform that a program cannot be lowered for.

    Returns:
      The platforms that the programs run on.

    Raises:
      UsageError: see `check`; or no platform takes the programs. RunError: the disk is
        full.
    """
    check(path)
    stream.check_symbols("format=stablehlo", trained.system)
    with environment.precision(trained.config.train.precision):
        exported = _exported(_programs(trained.system, batch, width), say)
    files = {
        name + programs.ENDING: bytes(e.serialize()) for name, e in exported.items()
    }
    params = _named(_parameters(trained.system))
    files[programs.PARAMETERS] = bundle.pack(
        {name: np.asarray(leaf) for name, leaf in params.items()}
    )
    reader = Path(programs.__file__)
    files[reader.name] = reader.read_bytes()
    task, config, some = trained.task, trained.config, exported["decode"]
    about = {
        "programs_version": programs.FORMAT,
        "s2sjax": __version__,
        "jax": jax.__version__,
        "calling_convention": some.calling_convention_version,
        "platforms": list(some.platforms),
        "batch": batch,
        "width": width,
        "lookahead": config.model.lookahead,
        "strategy": config.decode.strategy,
        "step": trained.step,
        "programs": {name: _described(each) for name, each in exported.items()},
        "reverse_source": task.reverse_source,
        "source_eos": task.source_eos,
        "source_vocabulary": json.loads(task.source_vocabulary.to_json()),
        "target_vocabulary": json.loads(task.target_vocabulary.to_json()),
        "config": json.loads(configs.canonical_json(config)),
    }
    bundle.write(path, files, about)
    return list(some.platforms)


def _programs(system: System, batch: int, width: int) -> dict[str, Program]:
    """`decode`, the whole of it; `start` and `step`, of the decoder step by step; or of
    an aligned model of one direction `begin` and `advance`, by which it is a stream."""
    params = _parameters(system)
    source = jnp.zeros((batch, width), jnp.int32)
    lengths = ids = tokens = jnp.zeros(batch, jnp.int32)

    def of(parameters: Named) -> System:
        whole = _tree(params, parameters)
        several = whole if system.params[1:] else (whole,)
        return dataclasses.replace(system, params=several)

    def whole(parameters: Named, source: Array, lengths: Array, ids: Array) -> Named:
        found = decode(of(parameters), source, lengths, ids)._asdict()
        return found.pop("aux") | found

    def start(parameters: Named, source: Array, lengths: Array) -> tuple[Named, Named]:
        memory, state = _start(of(parameters), source, lengths)
        return _named(memory), _named(state)

    given = _named(params)
    chosen: dict[str, Program] = {"decode": (whole, (given, source, lengths, ids))}
    if stream.streams(system.config):
        return chosen | _stream(system, of, given)
    if not system.ends:
        return chosen
    first = jax.eval_shape(_start, system, source, lengths)

    def step(
        parameters: Named, memory: Named, state: Named, tokens: Array
    ) -> tuple[Named, Named]:
        looked_at, before = map(_tree, first, (memory, state))
        after, output = _step(of(parameters), looked_at)(before, tokens)
        return _named(after), {"logits": output.logits, **output.aux}

    return chosen | {
        "start": (start, (given, source, lengths)),
        "step": (step, (given, *map(_named, first), tokens)),
    }


def _stream(
    system: System, of: Callable[[Named], System], given: Named
) -> dict[str, Program]:
    """The states before the first input of one sequence, and the program that reads
    on: the very one of `stream.Stream`."""
    first = stream.start(system)

    def begin(parameters: Named) -> Named:
        return _named(stream.start(of(parameters)))

    def advance(
        parameters: Named, state: Named, source: Array, count: Array
    ) -> tuple[Named, Named]:
        before = _tree(first, state)
        after, said = stream.advance(of(parameters), before, source, count)
        return _named(after), said._asdict()

    source = jnp.zeros(stream.CHUNK, jnp.int32)
    return {
        "begin": (begin, (given,)),
        "advance": (advance, (given, _named(first), source, jnp.int32(0))),
    }


def _parameters(system: System) -> Any:
    """Those of the model; of several a tuple."""
    return system.params if system.params[1:] else system.params[0]


def _start(system: System, source: Array, lengths: Array) -> tuple[Any, Carry]:
    """What the decoders of all models look back at, and their first states."""
    states, memories, _ = zip(
        *(
            started(model, params, source, lengths)
            for model, params in zip(system.models, system.params, strict=True)
        ),
        strict=True,
    )
    return memories, states


def _step(system: System, memories: Sequence[Any]) -> StepFn:
    """One step of all models together."""
    steps = list(map(step_over, system.models, system.params, memories))
    return ensemble(steps, COMBINATIONS[system.config.decode.ensemble])


def _named(tree: Any) -> Named:
    return {".".join(path): leaf for path, leaf in arrays.paths(tree).items()}


def _tree(like: Any, named: Named) -> Any:
    """The tree of such leaves, of the structure of another."""
    leaves = [named[name] for name in _named(like)]
    return jax.tree.unflatten(jax.tree.structure(like), leaves)


def _exported(
    chosen: Mapping[str, Program], say: Callable[[str], None]
) -> dict[str, jax.export.Exported]:
    """The programs, for all platforms that each of them can be lowered for."""
    try:
        return _lowered(chosen, PLATFORMS)
    except Exception:  # the compiler raises many kinds, and names no platform
        pass
    reasons = {}
    for platform in PLATFORMS:
        try:
            _lowered(chosen, [platform])
        except Exception as error:
            reasons[platform] = str(error).partition("\n")[0]
            say(f"format=stablehlo: not for {platform}: {reasons[platform]}")
    left = [platform for platform in PLATFORMS if platform not in reasons]
    if not left:
        raise UsageError(
            f"format=stablehlo: no platform takes this model: {reasons['cpu']}"
        )
    return _lowered(chosen, left)


def _lowered(
    chosen: Mapping[str, Program], platforms: Sequence[str]
) -> dict[str, jax.export.Exported]:
    return {
        name: jax.export.export(jax.jit(function), platforms=platforms)(*arguments)
        for name, (function, arguments) in chosen.items()
    }


def _described(exported: jax.export.Exported) -> dict[str, Any]:
    """The shape and dtype of each array that a program takes, in order, and gives."""

    def each(tree: Any) -> Any:
        return jax.tree.map(lambda a: f"{a.dtype}{list(a.shape)}", tree)

    arguments, _ = jax.tree.unflatten(exported.in_tree, exported.in_avals)
    # The parameters, which come first, are a file that says so itself.
    outputs = jax.tree.unflatten(exported.out_tree, exported.out_avals)
    return {"inputs": each(list(arguments[1:])), "outputs": each(outputs)}
