"""The same model with the same weights in eager PyTorch, as people write it.

PyTorch is an extra (`pip install 's2sjax[peers]'`) and is imported where it is used,
so that importing this file does not need it.
"""

from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from s2sjax.config import ModelConfig
from s2sjax.errors import UsageError
from s2sjax.models.seq2seq import Seq2Seq, vocabulary
from s2sjax.types import EOS

if TYPE_CHECKING:
    from torch import Tensor, nn

State = Any  # (h, c) of an LSTM, else h; each [rows, D]


def check_supported(config: ModelConfig) -> None:
    """Makes sure that PyTorch has been told how to do what a model does.

    Raises:
      UsageError: it has not.
    """
    cells, attentions = ("lstm", "gru", "rnn"), ("none", "bahdanau")
    bridges = ("copy", "dense", "zero")
    for name, kind, known in (
        ("cell", config.cell, cells),
        ("attention", config.attention.partition(":")[0], attentions),
        ("context", config.context, ("cell",)),
        ("bridge", config.bridge, bridges),
        ("latent", str(config.latent), ("0",)),
    ):
        if kind not in known:
            raise UsageError(
                f"peers: there is no model.{name}={kind} in PyTorch here; it has "
                + ", ".join(known)
            )


class TorchModel:
    """Encoder, attention and decoder of a `Seq2Seq`, from PyTorch's own layers.

    The encoder is `nn.LSTM`, `nn.GRU` or `nn.RNN` on a packed batch, which on a CPU
    and with cuDNN takes all layers and the whole sequence; each decoder layer is one of
    the cells. Keys are projected once for each source. See `check_supported` for what
    it can do.
    """

    def __init__(self, model: Seq2Seq, params: Any, device: str):
        from torch import nn

        check_supported(model.config)
        self.config: ModelConfig = model.config
        self.device = device
        self.vocabulary = vocabulary(model.target)
        self.sources = vocabulary(model.source)
        params = jax.tree.map(np.asarray, params)
        encoder, decoder = params["encoder"], params["decoder"]
        self.source_table = self._table(encoder)
        self.target_table = self._table(decoder)
        self.encoder = self._encoder(encoder)
        self.cells = [
            self._cell(decoder[f"layer_{depth}"]) for depth in range(self.config.layers)
        ]
        self.bridge = [
            [self._dense(part) for _, part in sorted(parts)]
            for parts in self._bridge_parts(decoder.get("connect", {}))
        ]
        self.looks = self.config.attention != "none"
        if self.looks:
            attention = decoder["attention"]
            self.keys = self._linear(attention["key_kernel"].T, attention["bias"])
            self.query = self._linear(attention["query_kernel"].T)
            self.score = self._tensor(attention["score"])
            self.readout = self._linear(
                decoder["readout_kernel"].T, decoder["readout_bias"]
            )
        bias = decoder["output_bias"].copy()
        bias[:EOS] = -np.inf  # PAD and BOS are never written
        self.output: nn.Linear = self._linear(decoder["output_kernel"], bias)

    def encode(
        self, source: "Tensor", lengths: "Tensor"
    ) -> tuple[list[State], tuple["Tensor", ...]]:
        """ids [B, S], lengths [B] on the CPU, none 0 -> states, and what steps read.

        The latter is values [B, S, C], keys [B, S, A] and a mask [B, S]; nothing
        without attention.
        """
        import torch
        from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

        packed = pack_padded_sequence(
            self._embed(source, self.source_table, self.sources),
            lengths,
            batch_first=True,
            enforce_sorted=False,
        )
        outputs, last = self.encoder(packed)
        states = self._start(last, len(source))
        if not self.looks:
            return states, ()
        values, _ = pad_packed_sequence(
            outputs, batch_first=True, total_length=source.shape[1]
        )
        places = torch.arange(source.shape[1], device=self.device)
        mask = places < lengths.to(self.device)[:, None]
        return states, (values, self.keys(values), mask)

    def step(
        self, token: "Tensor", states: list[State], memory: tuple["Tensor", ...]
    ) -> tuple["Tensor", list[State]]:
        """Tokens [rows] -> log-probabilities [rows, V], and the new states."""
        import torch

        below = self._embed(token, self.target_table, self.vocabulary)
        context = None
        if memory:
            values, keys, mask = memory
            asked = self.query(self._hidden(states[0]))[:, None]
            energies = torch.tanh(keys + asked) @ self.score
            weights = torch.softmax(energies.masked_fill(~mask, -torch.inf), dim=-1)
            context = torch.bmm(weights[:, None], values)[:, 0]
            below = torch.cat([below, context], dim=-1)
        new = []
        for cell, state in zip(self.cells, states, strict=True):
            new.append(cell(below, state))
            below = self._hidden(new[-1])
        if context is not None:
            below = torch.tanh(self.readout(torch.cat([below, context], dim=-1)))
        return torch.log_softmax(self.output(below), dim=-1), new

    def _hidden(self, state: State) -> "Tensor":
        return state[0] if self.config.cell == "lstm" else state

    def _start(self, last: Any, batch: int) -> list[State]:
        """The decoder's states from the encoder's last, layer by layer."""
        import torch

        config = self.config
        directions = 2 if config.bidirectional else 1
        parts = last if config.cell == "lstm" else (last,)
        # -> [layers, directions, B, D]
        parts = [
            part.view(config.layers, directions, batch, config.units) for part in parts
        ]
        states = []
        for depth in range(config.layers):
            state = [part[depth, 0] for part in parts]
            if config.bridge == "zero":
                state = [torch.zeros_like(part) for part in state]
            if config.bridge == "dense":
                sides = [torch.cat([*part[depth]], dim=-1) for part in parts]
                maps = self.bridge[depth]
                state = [dense(x) for dense, x in zip(maps, sides, strict=True)]
                state[0] = torch.tanh(state[0])
            states.append(tuple(state) if config.cell == "lstm" else state[0])
        return states

    def _embed(self, ids: "Tensor", table: "Tensor | None", size: int) -> "Tensor":
        from torch.nn import functional

        if table is None:
            return functional.one_hot(ids, size).float()
        return functional.embedding(ids, table)

    def _encoder(self, params: Any) -> "nn.RNNBase":
        from torch import nn

        config = self.config
        kind = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}[config.cell]
        layers = kind(
            config.embedding or self.sources,
            config.units,
            config.layers,
            batch_first=True,
            bidirectional=config.bidirectional,
        )
        for depth in range(config.layers):
            for direction, ending in (("forward", ""), ("backward", "_reverse")):
                if direction == "forward" or config.bidirectional:
                    given = params[f"{direction}_{depth}"]
                    self._load(layers, f"_l{depth}{ending}", given)
        return layers.to(self.device)

    def _cell(self, params: Any) -> "nn.RNNCellBase":
        from torch import nn

        kind = {"lstm": nn.LSTMCell, "gru": nn.GRUCell, "rnn": nn.RNNCell}
        inputs = len(params["input_kernel"]) + len(params.get("context_kernel", ()))
        cell = kind[self.config.cell](inputs, self.config.units)
        self._load(cell, "", params)
        return cell.to(self.device)

    def _load(self, layer: "nn.Module", ending: str, params: Any) -> None:
        """Both libraries order the gates alike, and the GRU's reset comes late."""
        import torch

        inputs = [params["input_kernel"]]
        if "context_kernel" in params:
            inputs.append(params["context_kernel"])
        second = np.zeros_like(params["bias"])
        if "recurrent_bias" in params:
            second[-self.config.units :] = params["recurrent_bias"]
        given = {
            "weight_ih": np.concatenate(inputs).T,
            "weight_hh": params["recurrent_kernel"].T,
            "bias_ih": params["bias"],
            "bias_hh": second,
        }
        with torch.no_grad():
            for name, value in given.items():
                getattr(layer, name + ending).copy_(torch.from_numpy(value.copy()))

    def _bridge_parts(self, connect: Any) -> list[list[tuple[str, Any]]]:
        """The dense maps by layer, each with its name, which ends with its part."""
        return [
            [item for item in connect.items() if item[0].startswith(f"layer_{depth}_")]
            for depth in range(self.config.layers)
        ]

    def _dense(self, params: Any) -> "nn.Linear":
        return self._linear(params["kernel"].T, params["bias"])

    def _linear(self, weight: np.ndarray, bias: np.ndarray | None = None) -> Any:
        import torch
        from torch import nn

        linear = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(weight.copy()))
            if bias is not None:
                linear.bias.copy_(torch.from_numpy(bias.copy()))
        return linear.to(self.device)

    def _table(self, params: Any) -> "Tensor | None":
        return self._tensor(params["embed"]["table"]) if "embed" in params else None

    def _tensor(self, value: np.ndarray) -> "Tensor":
        import torch

        return torch.from_numpy(value.copy()).to(self.device)
