"""Stored pairs of all splits: as buckets on the device, and as arrays in a run."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from s2sjax.config import TrainConfig
from s2sjax.errors import UsageError
from s2sjax.outcomes import References
from s2sjax.runs import bundle
from s2sjax.tasks import stored, unseen
from s2sjax.tasks.stored import Ragged
from s2sjax.tasks.task import SPLITS, Bucket

TRAIN = SPLITS.index("train")
HELD_OUT = {SPLITS.index(name) for name in ("valid", "test")}
MOST_BUCKETS = 4  # where no number is asked for
BATCHES_A_BUCKET = 100  # below which training examples are not cut into more
ROWS_A_BUCKET = 256  # below which held-out examples are not cut into more buckets
CHUNK = 16384  # rows hashed at a time
# Of the arrays that are kept, those that all pairs have.
NAMES = ("ids", *(f"{s}_{n}" for s in ("source", "target") for n in Ragged._fields))
# And those that further targets have.
FURTHER = tuple(f"reference_{name}" for name in References._fields)


class Pairs(NamedTuple):
    """Sequences of ids without EOS, as a user writes them."""

    source: Ragged
    target: Ragged
    ids: np.ndarray  # [N] int32, e.g. line numbers
    splits: np.ndarray  # [N] uint8, positions in SPLITS
    weights: np.ndarray | None = None  # [N] float32, of training pairs; None: 1
    references: References | None = None  # further targets, of held-out pairs

    def buckets(
        self,
        train: TrainConfig,
        reverse_source: bool,
        ordinary: int | None = None,
        *,
        source_eos: bool = False,
    ) -> dict[str, tuple[Bucket, ...]]:
        """The buckets of every split that has examples.

        Of training there are `train.buckets`. Without a number there are as many, at
        most 4, as have 100 batches or more: in an epoch of few batches, those of like
        length are too few to be mixed well, and the model learns worse.

        Held-out examples with a side longer than `ordinary` are not among the others,
        which would all be padded to their length: they have buckets of their own, one
        for each power of two that their longer side does not exceed.
        """
        buckets: dict[str, tuple[Bucket, ...]] = {}
        for number, split in enumerate(SPLITS):
            for part in self._by_size(number, ordinary):
                count = min(MOST_BUCKETS, -(-len(part) // ROWS_A_BUCKET))
                if number == TRAIN:
                    count = train.buckets or _well_mixed(len(part), train.batch_size)
                buckets[split] = buckets.get(split, ()) + stored.buckets(
                    self.source,
                    self.target,
                    self.ids,
                    chosen=part,
                    count=count,
                    reverse_source=reverse_source,
                    source_eos=source_eos,
                    weights=self.weights if number == TRAIN else None,
                    references=self.references,
                )
        return buckets

    def _by_size(self, number: int, ordinary: int | None) -> list[np.ndarray]:
        """Positions of a split's examples: the ordinary ones, then the long ones."""
        chosen = np.flatnonzero(self.splits == number)
        longer = np.maximum(self.source.lengths, self.target.lengths)[chosen]
        sizes = np.ceil(np.log2(np.maximum(longer, 1)))
        if ordinary is None or number == TRAIN:
            sizes[:] = 0
        else:
            sizes[longer <= ordinary] = 0
        return [chosen[sizes == size] for size in np.unique(sizes)]

    def training_hashes(self, reverse_source: bool) -> np.ndarray:
        """The hashes of the training sources as they stand in batches: [n] uint64."""
        chosen = np.flatnonzero(self.splits == TRAIN)
        hashes = [np.zeros(0, np.uint64)]
        for start in range(0, len(chosen), CHUNK):
            part = chosen[start : start + CHUNK]
            lengths = self.source.lengths[part]
            rows = self.source.padded(
                part, int(lengths.max()), backwards=reverse_source
            )
            hashes.append(unseen.fingerprints(rows, lengths))
        return np.unique(np.concatenate(hashes))

    def training(self) -> dict[str, np.ndarray]:
        """The arrays of the training pairs, to be kept."""
        chosen = np.flatnonzero(self.splits == TRAIN)
        arrays = self._arrays(chosen)
        if self.weights is not None:
            arrays["weights"] = self.weights[chosen]
        return arrays

    def held_out(self) -> dict[str, np.ndarray]:
        """The arrays of the validation and test pairs, to be kept."""
        chosen = np.flatnonzero(self.splits != TRAIN)
        arrays = self._arrays(chosen) | {"splits": self.splits[chosen]}
        further = None if self.references is None else self.references.taken(chosen)
        if further is not None:
            for name, array in further._asdict().items():
                arrays[f"reference_{name}"] = array
        return arrays

    def _arrays(self, chosen: np.ndarray) -> dict[str, np.ndarray]:
        arrays = {"ids": self.ids[chosen]}
        for name, side in (("source", self.source), ("target", self.target)):
            part = side.taken(chosen)
            arrays |= {f"{name}_tokens": part.tokens, f"{name}_lengths": part.lengths}
        return arrays

    @staticmethod
    def from_arrays(
        arrays: Mapping[str, np.ndarray], sizes: tuple[int, int]
    ) -> "Pairs":
        """The pairs that `training` or `held_out` made arrays of.

        Args:
          arrays: by name; a run may come from elsewhere.
          sizes: of the vocabularies of source and target.

        Raises:
          UsageError: the arrays are not such.
        """
        several = not arrays.keys().isdisjoint(FURTHER)
        for name in (*NAMES, *(FURTHER if several else ())):
            array = arrays.get(name)
            if array is None or array.ndim != 1 or array.dtype.kind not in "iu":
                raise UsageError(f"a run's pairs are damaged: no array {name}")
        ids = arrays["ids"]
        splits, wanted = np.full(len(ids), TRAIN, np.uint8), {TRAIN}
        if "splits" in arrays:
            splits, wanted = np.atleast_1d(arrays["splits"]), HELD_OUT
        sides = [
            Ragged(arrays[f"{name}_tokens"], arrays[f"{name}_lengths"])
            for name in ("source", "target")
        ]
        fit = len(ids) == len(splits) and set(np.unique(splits).tolist()) == wanted
        for side, size in zip(sides, sizes, strict=True):
            fit &= len(side.lengths) == len(ids) and _fits(side, size)
        weights = arrays.get("weights")
        fit &= weights is None or weights.shape == ids.shape
        references = None
        if several:
            references = References(*(arrays[name] for name in FURTHER))
            further = Ragged(references.tokens, references.lengths)
            fit &= len(references.counts) == len(ids) and _fits(further, sizes[1])
            fit &= int(references.counts.sum()) == len(references.lengths)
        if not fit:
            raise UsageError("a run's pairs are damaged: they do not fit")
        return Pairs(sides[0], sides[1], ids, splits, weights, references)


def _fits(side: Ragged, size: int) -> bool:
    tokens, lengths = side
    whole = bool((lengths >= 0).all()) and int(lengths.sum()) == len(tokens)
    return whole and bool(((tokens >= 0) & (tokens < size)).all())


def unpacked(content: bytes, sizes: tuple[int, int]) -> tuple[Pairs, np.ndarray]:
    """The held-out pairs that a run keeps, and the hashes of its training sources.

    Raises:
      UsageError: the content, of an npz file, is damaged.
    """
    arrays = bundle.unpack(content)
    known = arrays.get("training_hashes")
    if known is None or known.dtype != np.uint64:
        raise UsageError("a run's pairs are damaged: no training_hashes")
    if "splits" not in arrays:
        raise UsageError("a run's pairs are damaged: no array splits")
    return Pairs.from_arrays(arrays, sizes), known


def _well_mixed(examples: int, batch_size: int) -> int:
    """How many buckets of examples have enough batches each.

    >>> [_well_mixed(count, 32) for count in (1_000, 6_399, 6_400, 50_000)]
    [1, 1, 2, 4]
    """
    return max(1, min(MOST_BUCKETS, examples // (batch_size * BATCHES_A_BUCKET)))
