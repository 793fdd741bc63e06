"""Which strategies have a counterpart in PyTorch, and that counterpart."""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import jax
import numpy as np

from s2sjax.benchmark.examples import Chunk
from s2sjax.benchmark.peers import loop
from s2sjax.benchmark.peers import search as torch_search
from s2sjax.benchmark.peers.model import TorchModel
from s2sjax.benchmark.peers.run import Search, TorchImplementation, Way
from s2sjax.decoding.scores import Normaliser
from s2sjax.decoding.strategies import decoding
from s2sjax.errors import UsageError
from s2sjax.inference.batches import at_once
from s2sjax.inference.system import System, output_lengths
from s2sjax.models.seq2seq import Seq2Seq


class Counterpart(NamedTuple):
    """A search that PyTorch does too: greedy where the size is None, or a beam."""

    size: int | None
    normaliser: Normaliser


def counterpart(strategy: str) -> Counterpart | None:
    """What to do in PyTorch for a strategy; None where there is nothing.

    >>> counterpart("beam:size=3,alpha=1.0")
    Counterpart(size=3, normaliser=Normaliser(kind='average', alpha=1.0))
    >>> counterpart("sample") is None
    True
    """
    chosen = decoding(strategy)
    rules = chosen.rules
    if rules.min_ratio or rules.min_extra or rules.no_repeat:
        return None
    if chosen.name == "greedy":
        return Counterpart(None, Normaliser())
    arguments = chosen.arguments
    if chosen.name != "beam" or arguments["coverage"]:
        return None
    kind, alpha = arguments["normaliser"], arguments["alpha"]
    return Counterpart(arguments["size"], Normaliser.named(kind, alpha))


def check_installed() -> None:
    """Makes sure that there is a PyTorch.

    Raises:
      UsageError: there is none.
    """
    try:
        import torch  # noqa: F401
    except ModuleNotFoundError:
        raise UsageError(
            "peers=True needs PyTorch: pip install 's2sjax[peers]'"
        ) from None


def ways() -> tuple[Way, ...]:
    """How PyTorch is tried, of which the fastest counts.

    On a CPU with its own choice of threads, with one, and with one for each of several
    batches that are decoded at the same time, as many as ours.
    """
    import torch

    usual = torch.get_num_threads()
    tried = [Way(usual, 1)]
    if _device() == "cpu":
        tried += [Way(1, 1), Way(1, at_once())]
    return tuple(dict.fromkeys(tried))


def implementations(
    system: System, strategy: str, chunks: Sequence[Chunk], tried: Sequence[Way]
) -> dict[str, list[TorchImplementation]]:
    """The counterparts of a strategy by name, each in all ways that are tried.

    None where PyTorch has none, or cannot take an empty source.
    """
    peer = counterpart(strategy)
    empty = any(np.asarray(chunk.batch.source_lengths).min() < 1 for chunk in chunks)
    if peer is None or empty:
        return {}
    ours = system.models[0]
    assert isinstance(ours, Seq2Seq)
    model = TorchModel(ours, system.params[0], _device())
    widest = max(chunk.batch.source.shape[1] for chunk in chunks)
    most = output_lengths(system.config.decode, widest).most
    return {
        name: [TorchImplementation(model, search, chunks, most, way) for way in tried]
        for name, search in _searches(peer).items()
    }


def _searches(peer: Counterpart) -> dict[str, Search]:
    size, normaliser = peer
    if size is None:
        return {"torch": torch_search.greedy}
    return {
        "torch": partial(torch_search.beam, size=size, normaliser=normaliser),
        "torch_loop": partial(loop.beam, size=size, normaliser=normaliser),
    }


def _device() -> str:
    import torch

    on_gpu = jax.default_backend() == "gpu" and torch.cuda.is_available()
    return "cuda" if on_gpu else "cpu"
