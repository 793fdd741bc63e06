"""The benchmarks' models in PyTorch, eager, written as one would for speed.

The encoder is `nn.LSTM`, whose CPU and cuDNN kernels take the whole sequence. Keys are
projected once per source, the readout and the vocabulary once after the loop. Only
the second bias of PyTorch's cells is frozen at zero, so that there are as many
parameters as elsewhere. Nothing is masked: all sequences have one length.
"""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from benchmark_worker import SIZE
from benchmark_workload import LEARNING_RATE, Workload
from torch import Tensor, nn
from torch.nn import functional

BOS, EOS = 1, 2


def _one_bias(layer: nn.Module) -> None:
    for name, parameter in layer.named_parameters():
        if name.startswith("bias_hh"):
            nn.init.zeros_(parameter)
            parameter.requires_grad_(False)


class Plain(nn.Module):
    """LSTM to LSTM on one-hot vectors, no attention."""

    def __init__(self, workload: Workload):
        super().__init__()
        self.encoder = nn.LSTM(workload.vocabulary, workload.units)
        self.decoder = nn.LSTM(workload.vocabulary, workload.units)
        self.output = nn.Linear(workload.units, workload.vocabulary)
        _one_bias(self.encoder)
        _one_bias(self.decoder)

    def forward(self, source: Tensor, inputs: Tensor) -> Tensor:
        """One-hot source [S, B, V] and inputs [T, B, V] -> logits [T, B, V]."""
        _, state = self.encoder(source)
        outputs, _ = self.decoder(inputs, state)
        return self.output(outputs)


class Attention(nn.Module):
    """LSTM to LSTM with additive attention: the equations of s2sjax's decoder."""

    def __init__(self, workload: Workload):
        super().__init__()
        units, embedding = workload.units, workload.config.model.embedding
        self.source = nn.Embedding(workload.vocabulary, embedding)
        self.encoder = nn.LSTM(embedding, units)
        self.target = nn.Embedding(workload.vocabulary, embedding)
        self.cell = nn.LSTMCell(embedding + units, units)
        self.keys = nn.Linear(units, units)
        self.query = nn.Linear(units, units, bias=False)
        self.score = nn.Parameter(torch.randn(units) / units**0.5)
        self.readout = nn.Linear(2 * units, units)
        self.output = nn.Linear(units, workload.vocabulary)
        _one_bias(self.encoder)
        _one_bias(self.cell)

    def encode(self, source: Tensor) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor]]:
        """ids [S, B] -> values [B, S, D], keys [B, S, D] and the state."""
        outputs, (h, c) = self.encoder(self.source(source))
        values = outputs.transpose(0, 1).contiguous()
        return values, self.keys(values), (h[0], c[0])

    def step(
        self,
        embedded: Tensor,
        state: tuple[Tensor, Tensor],
        values: Tensor,
        keys: Tensor,
    ) -> tuple[tuple[Tensor, Tensor], Tensor]:
        """One step from an embedded token [B, E]: the state and what is read out."""
        energies = torch.tanh(keys + self.query(state[0])[:, None]) @ self.score
        weights = torch.softmax(energies, dim=-1)
        context = torch.bmm(weights[:, None], values)[:, 0]
        state = self.cell(torch.cat([embedded, context], dim=-1), state)
        return state, torch.cat([state[0], context], dim=-1)

    def logits(self, read: Tensor) -> Tensor:
        """[..., 2 D] -> [..., V]."""
        return self.output(torch.tanh(self.readout(read)))

    def forward(self, source: Tensor, inputs: Tensor) -> Tensor:
        """ids [S, B] and [T, B] -> logits [T, B, V]."""
        values, keys, state = self.encode(source)
        reads = []
        for embedded in self.target(inputs).unbind():
            state, read = self.step(embedded, state, values, keys)
            reads.append(read)
        return self.logits(torch.stack(reads))

    def greedy(self, source: Tensor, limit: int) -> Tensor:
        """ids [S, B] -> the most probable tokens, [limit, B]."""
        values, keys, state = self.encode(source)
        token = torch.full((source.shape[1],), BOS, device=source.device)
        ended = torch.zeros_like(token, dtype=torch.bool)
        tokens = []
        for _ in range(limit):
            state, read = self.step(self.target(token), state, values, keys)
            token = self.logits(read)[:, EOS:].argmax(dim=-1) + EOS
            tokens.append(token.masked_fill(ended, 0))
            ended |= token == EOS
            if bool(ended.all()):
                break
        return torch.stack(tokens)


class Tutorial(Attention):
    """The same model in the order of PyTorch's own tutorial: all of it in each step."""

    def forward(self, source: Tensor, inputs: Tensor) -> Tensor:
        """ids [S, B] and [T, B] -> logits [T, B, V]."""
        values, _, state = self.encode(source)
        logits = []
        for token in inputs.unbind():
            embedded = self.target(token)
            state, read = self.step(embedded, state, values, self.keys(values))
            logits.append(self.logits(read))
        return torch.stack(logits)


def load(model: Attention, params: Any) -> None:
    """Copies the parameters of s2sjax (nested numpy arrays) into the model."""
    encoder, decoder = params["encoder"], params["decoder"]
    layer, attention = encoder["forward_0"], decoder["attention"]
    first = decoder["layer_0"]
    inputs = np.concatenate([first["input_kernel"], first["context_kernel"]])
    given: dict[Any, np.ndarray] = {
        model.source.weight: encoder["embed"]["table"],
        model.encoder.weight_ih_l0: layer["input_kernel"].T,
        model.encoder.weight_hh_l0: layer["recurrent_kernel"].T,
        model.encoder.bias_ih_l0: layer["bias"],
        model.target.weight: decoder["embed"]["table"],
        model.cell.weight_ih: inputs.T,
        model.cell.weight_hh: first["recurrent_kernel"].T,
        model.cell.bias_ih: first["bias"],
        model.keys.weight: attention["key_kernel"].T,
        model.keys.bias: attention["bias"],
        model.query.weight: attention["query_kernel"].T,
        model.score: attention["score"],
        model.readout.weight: decoder["readout_kernel"].T,
        model.readout.bias: decoder["readout_bias"],
        model.output.weight: decoder["output_kernel"],
        model.output.bias: decoder["output_bias"],
    }
    with torch.no_grad():
        for parameter, value in given.items():
            parameter.copy_(torch.from_numpy(np.array(value)))


class TorchDevice:
    """What the workers on PyTorch have in common."""

    def __init__(self, device: str):
        self.device = "cpu" if device == "cpu" else "cuda"
        # What jax does on a GPU: TF32 products. Nothing changes on the CPU.
        torch.set_float32_matmul_precision("highest" if device == "cpu" else "high")

    def wait(self) -> None:
        """Until the device has done what was asked."""
        if self.device == "cuda":
            torch.cuda.synchronize()

    def describe(self) -> dict[str, Any]:
        """Version, device and threads."""
        name = "cpu" if self.device == "cpu" else torch.cuda.get_device_name()
        return {
            "torch": torch.__version__,
            "device": name,
            "threads": torch.get_num_threads(),
        }

    def product(self) -> Callable[[], None]:
        """See `benchmark_worker.Measured`."""
        one = torch.randn(SIZE, SIZE, device=self.device)
        other = torch.randn(SIZE, SIZE, device=self.device)

        def multiply() -> None:
            torch.mm(one, other)
            self.wait()

        return multiply

    def device_peak_mib(self) -> float | None:
        """See `benchmark_worker.Measured`."""
        if self.device == "cpu":
            return None
        return torch.cuda.max_memory_allocated() / 2**20


class TorchTraining(TorchDevice):
    """Training in the usual loop; the batches are ready on the device."""

    def __init__(self, workload: Workload, steps: int, device: str, plain: bool):
        super().__init__(device)
        torch.manual_seed(0)
        self.steps = steps
        self.workload = workload
        kind = Tutorial if plain else Attention
        model: nn.Module = kind(workload) if workload.attention else Plain(workload)
        self.model = model.to(self.device)
        trained = [each for each in self.model.parameters() if each.requires_grad]
        self.parameters = sum(each.numel() for each in trained)
        self.optimizer = torch.optim.Adam(
            trained, LEARNING_RATE, fused=None if plain else True
        )
        self.batches = [self._batch() for _ in range(min(steps, 64))]

    def _batch(self) -> tuple[Tensor, Tensor, Tensor]:
        """Reversed prefixes, [S, B], [T, B], [T, B]."""
        workload = self.workload
        source = torch.randint(
            4, workload.vocabulary, (workload.source, workload.batch)
        )
        symbols = source[: workload.target - 1].flip(0)
        edge = torch.ones(1, workload.batch, dtype=torch.long)
        inputs = torch.cat([edge * BOS, symbols])
        targets = torch.cat([symbols, edge * EOS]).to(self.device)
        read = [source, inputs]
        if not workload.attention:
            read = [functional.one_hot(x, workload.vocabulary).float() for x in read]
        return read[0].to(self.device), read[1].to(self.device), targets

    def about(self) -> dict[str, Any]:
        """See `benchmark_worker.Measured`."""
        return {**self.describe(), "parameters": self.parameters}

    def first(self) -> None:
        """Nothing compiles; the first steps allocate memory."""
        self._train(3)

    def round(self) -> dict[str, Any]:
        """See `benchmark_worker.Measured`."""
        return {"steps": self.steps, **self._train(self.steps)}

    def _train(self, steps: int) -> dict[str, Any]:
        start = time.perf_counter()
        for step in range(steps):
            source, inputs, targets = self.batches[step % len(self.batches)]
            self.optimizer.zero_grad(set_to_none=True)
            logits = self.model(source, inputs)
            loss = functional.cross_entropy(logits.flatten(0, 1), targets.flatten())
            loss.backward()
            self.optimizer.step()
        self.wait()
        seconds = time.perf_counter() - start
        return {"seconds": seconds, "loss": float(loss.detach())}
