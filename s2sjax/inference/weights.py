"""Parameters as a safetensors file: to share a model, or to begin another run with.

The file holds the arrays by dotted name, and in its metadata the config and the
vocabularies as JSON. Reading it executes nothing.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
from safetensors.numpy import save

from s2sjax import config as configs
from s2sjax import json_objects, places
from s2sjax.errors import UsageError, writing
from s2sjax.inference.load import Trained, open_trained
from s2sjax.runs import arrays, atomic

_TYPES = ("F32", "F64")  # of parameters, as safetensors writes them


def export(trained: Trained, path: Path) -> int:
    """Writes the parameters; returns how many numbers they are.

    Raises:
      UsageError: the file cannot be written; RunError: the disk is full.
    """
    named = arrays.paths(trained.params)
    tensors = {".".join(path): np.asarray(leaf) for path, leaf in named.items()}
    metadata = {
        "format": "s2sjax",
        json_objects.VERSION: str(json_objects.FORMAT_VERSION),
        "step": str(trained.step),
        "config": json.dumps(json.loads(configs.canonical_json(trained.config))),
        "source_vocabulary": trained.task.source_vocabulary.to_json(),
        "target_vocabulary": trained.task.target_vocabulary.to_json(),
    }
    with writing(f"out={path}"):
        atomic.write_bytes(path, save(tensors, metadata))
    return sum(array.size for array in tensors.values())


def read_params(source: str, wanted: Any) -> Any:
    """The parameters of a run's best checkpoint or of a safetensors file.

    Args:
      source: a run's directory, or a file that `export` wrote.
      wanted: the parameters of the model that is to begin with them: names and
        shapes must be the same.

    Raises:
      UsageError: there is no such thing, it does not fit, or is of another format.
    """
    if Path(source).is_dir() and not (Path(source) / places.CONFIG).is_file():
        raise UsageError(f"init_from={source} {places.not_a_run(Path(source))}")
    if Path(source).is_dir():
        params = arrays.paths(open_trained(source, "best").params)
    else:
        tensors = _read_file(source)
        params = {tuple(name.split(".")): array for name, array in tensors.items()}
    arrays.check_same(params, arrays.paths(wanted), f"init_from={source}")
    return arrays.nested(params)


def _read_file(source: str) -> dict[str, np.ndarray]:
    if not Path(source).is_file():
        raise UsageError(
            f"init_from={source}: there is no such run or safetensors file"
            f"{places.hint(Path(source))}"
        )
    try:
        with safetensors.safe_open(source, "np") as file:
            _check_version(source, file.metadata() or {})
            names = list(file.keys())  # a file is no dict
            types = {name: file.get_slice(name).get_dtype() for name in names}
            strange = [name for name in types if types[name] not in _TYPES]
            tensors = {name: file.get_tensor(name) for name in types if not strange}
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        raise UsageError(
            f"init_from={source} is not a safetensors file: {error}"
        ) from None
    for name in strange:  # numpy has no float8, nor bfloat16
        raise UsageError(
            f"init_from={source}: {name} is of the type {types[name]}; parameters "
            f"are {' or '.join(_TYPES)}"
        )
    return tensors


def _check_version(source: str, metadata: Mapping[str, str]) -> None:
    """Refuses what another format of s2sjax exported; others' files have none."""
    version = metadata.get(json_objects.VERSION, "")
    if metadata.get("format") == "s2sjax" and version.isdecimal():
        json_objects.check_version(f"init_from={source}", int(version))
