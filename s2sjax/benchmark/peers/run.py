"""Runs a search in PyTorch on the benchmark's batches."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from s2sjax.benchmark.examples import Chunk
from s2sjax.benchmark.peers.model import TorchModel

if TYPE_CHECKING:
    from torch import Tensor

Search = Callable[..., "Tensor"]
"""(model, source [B, S], lengths [B], limits [B], width) -> tokens [B, T]."""


class Way(NamedTuple):
    """How PyTorch uses the processor."""

    threads: int  # that one operation uses
    at_once: int  # batches that are decoded at the same time


class TorchImplementation:
    """A search on batches that are on PyTorch's device before the clock starts.

    Attributes:
      way: its threads; `at_once` of it.
    """

    def __init__(
        self,
        model: TorchModel,
        search: Search,
        chunks: Sequence[Chunk],
        most: Sequence[int],
        way: Way,
    ):
        """For `chunks`; `most` tokens for a source of 0, 1, .. symbols."""
        self.way, self.at_once = way, way.at_once
        self._model, self._search = model, search
        self._inputs = {id(chunk): self._moved(chunk, most) for chunk in chunks}

    def decode(self, chunk: Chunk) -> np.ndarray:
        """The tokens of each row, [B, T]."""
        import torch

        if torch.get_num_threads() != self.way.threads:
            torch.set_num_threads(self.way.threads)
        with torch.inference_mode():
            return self._search(self._model, *self._inputs[id(chunk)]).cpu().numpy()

    def _moved(self, chunk: Chunk, most: Sequence[int]) -> tuple[Any, ...]:
        import torch

        lengths = np.asarray(chunk.batch.source_lengths)
        device = self._model.device
        source = np.asarray(chunk.batch.source).astype(np.int64)
        return (
            torch.from_numpy(source).to(device),
            torch.from_numpy(lengths.astype(np.int64)),
            torch.from_numpy(np.asarray(most)[lengths]).to(device),
            most[chunk.batch.source.shape[1]],
        )
