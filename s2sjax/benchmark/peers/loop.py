"""The plain beam search in eager PyTorch, as tutorials and older toolkits write it.

One step serves all prefixes of a batch; what they become is decided in Python, sentence
by sentence and candidate by candidate.
"""

from typing import TYPE_CHECKING

from s2sjax.benchmark.peers.model import TorchModel
from s2sjax.benchmark.peers.search import pick
from s2sjax.decoding.scores import Normaliser
from s2sjax.types import BOS, EOS, PAD

if TYPE_CHECKING:
    from torch import Tensor


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

    A batch of B K rows, of which a sentence that has ended keeps its own until all
    have. The rule of what completes, the scores and the limits are those of
    `s2sjax.decoding.beam`; a sentence ends when nothing better can come.
    """
    import torch

    batch, device = len(source), model.device
    divisors, most = normaliser.divisors(width).tolist(), limits.tolist()
    states, memory = model.encode(source, lengths)
    order = torch.arange(batch, device=device).repeat_interleave(size)
    states = [pick(state, order) for state in states]
    memory = tuple(leaf[order] for leaf in memory)
    token = torch.full((batch * size,), BOS, device=device)
    totals = torch.full((batch, size), -torch.inf, device=device)
    totals[:, 0] = 0.0
    prefixes: list[list[list[int]]] = [[[] for _ in range(size)] for _ in range(batch)]
    finished: list[list[tuple[float, list[int]]]] = [[] for _ in range(batch)]
    unfinished: list[list[int]] = [[] for _ in range(batch)]
    over = [limit < 1 for limit in most]
    for time in range(1, width + 1):
        scores, states = model.step(token, states, memory)
        sums = totals[:, :, None] + scores.view(batch, size, -1)
        vocabulary = sums.shape[-1]
        count = min(2 * size, size * vocabulary)
        best, places = (each.tolist() for each in sums.view(batch, -1).topk(count))
        rows, live_totals = [], []
        for sentence in range(batch):
            live: list[tuple[float, int, list[int]]] = []
            for rank in range(0 if over[sentence] else count):
                total = best[sentence][rank]
                parent, word = divmod(places[sentence][rank], vocabulary)
                if total == -torch.inf:
                    break
                prefix = [*prefixes[sentence][parent], word]
                if word != EOS and len(live) < size:
                    live.append((total, sentence * size + parent, prefix))
                elif word == EOS and rank < size:
                    finished[sentence].append((total / divisors[time], prefix))
            if live:
                unfinished[sentence] = live[0][2]
            after = most[sentence] if normaliser.alpha > 0 else time + 1
            after = min(after, most[sentence])
            bound = live[0][0] / divisors[after] if live else -torch.inf
            reached = max(
                (score for score, _ in finished[sentence]), default=-torch.inf
            )
            over[sentence] |= reached >= bound or time >= most[sentence]
            live += [(-torch.inf, sentence * size, [PAD])] * (size - len(live))
            prefixes[sentence] = [prefix for _, _, prefix in live]
            live_totals.append([total for total, _, _ in live])
            rows += [row for _, row, _ in live]
        if all(over):
            break
        order = torch.tensor(rows, device=device)
        states = [pick(state, order) for state in states]
        totals = torch.tensor(live_totals, device=device)
        words = [prefix[-1] for sentence in prefixes for prefix in sentence]
        token = torch.tensor(words, device=device)
    chosen = [
        max(ends, key=lambda end: end[0])[1] if ends else cut
        for ends, cut in zip(finished, unfinished, strict=True)
    ]
    padded = [tokens + [PAD] * (width - len(tokens)) for tokens in chosen]
    return torch.tensor(padded)
