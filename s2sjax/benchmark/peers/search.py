"""Greedy decoding and beam search in eager PyTorch, written for speed.

What is looked up and compared stays in tensors; `torch_loop` has the plain beam.
"""

from typing import TYPE_CHECKING

from s2sjax.benchmark.peers.model import State, TorchModel
from s2sjax.decoding.scores import Normaliser
from s2sjax.types import BOS, EOS, PAD

if TYPE_CHECKING:
    from torch import Tensor


def greedy(
    model: TorchModel,
    source: "Tensor",
    lengths: "Tensor",
    limits: "Tensor",
    width: int,
) -> "Tensor":
    """The most probable token at every step until EOS or the limit, [B, T]."""
    import torch

    states, memory = model.encode(source, lengths)
    token = torch.full((len(source),), BOS, device=model.device)
    ended = limits <= 0
    tokens = []
    for time in range(width):
        scores, states = model.step(token, states, memory)
        token = scores.argmax(dim=-1)
        tokens.append(token.masked_fill(ended, PAD))
        ended = ended | (token == EOS) | (time + 1 >= limits)
        if bool(ended.all()):
            break
    return torch.stack(tokens, dim=1)


def beam(
    model: TorchModel,
    source: "Tensor",
    lengths: "Tensor",
    limits: "Tensor",
    width: int,
    *,
    size: int,
    normaliser: Normaliser,
) -> "Tensor":
    """The best hypothesis of a beam of K prefixes, [B, T].

    A batch of B K rows, the memory of each source repeated K times, prefixes gathered
    at each step. The rule of what completes, the scores and the stop, as soon as
    nothing better can come, are those of `s2sjax.decoding.beam`.
    """
    import torch

    batch, device = len(source), model.device
    divisors = torch.from_numpy(normaliser.divisors(width)).to(device)
    states, memory = model.encode(source, lengths)
    order = torch.arange(batch, device=device).repeat_interleave(size)
    states = [pick(state, order) for state in states]
    memory = tuple(leaf[order] for leaf in memory)
    first = (torch.arange(batch, device=device) * size)[:, None]
    live = torch.full((batch, size), -torch.inf, device=device)
    live[:, 0] = 0.0
    token = torch.full((batch * size,), BOS, device=device)
    prefixes = torch.zeros((batch * size, 0), dtype=torch.long, device=device)
    best = torch.full((batch,), -torch.inf, device=device)
    written = torch.full((batch, width), PAD, device=device)
    fallback = written.clone()
    for time in range(1, width + 1):
        scores, states = model.step(token, states, memory)
        totals = live[:, :, None] + scores.view(batch, size, -1)
        vocabulary = totals.shape[-1]
        largest, places = totals.view(batch, -1).topk(min(2 * size, size * vocabulary))
        parents, tokens = places // vocabulary, places % vocabulary
        is_end = tokens == EOS

        ended = torch.where(is_end, largest, -torch.inf)[:, :size] / divisors[time]
        score, which = ended.max(dim=1)
        better = score > best
        best = torch.where(better, score, best)
        ender = (first + parents.gather(1, which[:, None]))[:, 0]
        whole = torch.full_like(written, PAD)
        whole[:, : time - 1] = prefixes[ender]
        whole[:, time - 1] = EOS
        written = torch.where(better[:, None], whole, written)

        live, chosen = torch.where(is_end, -torch.inf, largest).topk(size)
        rows = (first + parents.gather(1, chosen)).view(-1)
        token = tokens.gather(1, chosen).view(-1)
        prefixes = torch.cat([prefixes[rows], token[:, None]], dim=1)
        states = [pick(state, rows) for state in states]
        alive = live[:, 0] != -torch.inf
        cut = torch.full_like(written, PAD)
        cut[:, :time] = prefixes[first[:, 0]]
        fallback = torch.where(alive[:, None], cut, fallback)

        after = limits if normaliser.alpha > 0 else limits.clamp(max=time + 1)
        over = (best >= live[:, 0] / divisors[after]) | (time >= limits)
        live = live.masked_fill(over[:, None], -torch.inf)
        if bool((over | ~alive).all()):
            break
    return torch.where((best == -torch.inf)[:, None], fallback, written)


def pick(state: State, rows: "Tensor") -> State:
    """The states of these rows."""
    if isinstance(state, tuple):
        return tuple(part.index_select(0, rows) for part in state)
    return state.index_select(0, rows)
