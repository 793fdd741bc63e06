"""The task of translating lines of text, from files that a user gives."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from s2sjax.config import CORPUS, Config, data_files
from s2sjax.errors import UsageError
from s2sjax.runs import bundle, run_files
from s2sjax.tasks import casing, matching, sides, unseen
from s2sjax.tasks.baselines import by_split
from s2sjax.tasks.files.corpus import Corpus, open_corpus
from s2sjax.tasks.files.sources import sources as find
from s2sjax.tasks.pairs import NAMES, Pairs, unpacked
from s2sjax.tasks.reading import Read, read
from s2sjax.tasks.task import Bucket, Task
from s2sjax.tasks.vocabulary import Symbol

HELD_OUT = "held_out.npz"
TRAINING = "train_"  # before the names of arrays that are mapped


def create(config: Config, directory: Path | None) -> Task:
    """Reads the files of a config; keeps in `directory` what is made of them.

    The vocabularies come from the training part alone. Where `directory` is there, the
    files are compared with those that it was made of, and not taken apart again.

    Raises:
      UsageError: files that cannot be used, an empty split, or, where `directory`
        is there already, files that are not the ones it was made from.
    """
    corpus = _corpus(config, is_kept=bundle.exists(directory))
    if directory is not None and bundle.exists(directory):
        return _continued(config, directory, corpus)
    joint = config.model.share_embeddings
    new = read(corpus, config.task, sides.asked(config.task), joint=joint)
    source, target, ids, *_ = new.pairs
    matching.check(
        config.model,
        source.lengths,
        target.lengths,
        lambda place: corpus.where()(int(ids[place])),
    )
    if directory is not None:
        training = new.pairs.training()
        arrays = {f"{TRAINING}{name}": array for name, array in training.items()}
        held_out = new.pairs.held_out() | {"training_hashes": new.known}
        files = {
            **sides.files(new.source, new.target),
            HELD_OUT: bundle.pack(held_out),
            **({casing.NAME: casing.to_bytes(new.cased)} if new.cased else {}),
            **{name + bundle.ARRAY: bundle.array(arrays[name]) for name in arrays},
        }
        about = {
            **bundle.kept(corpus.known),
            "notes": list(new.notes),
            "baselines": new.baselines,
        }
        bundle.write(directory, files, about, run_files.shared(directory.parent))
    return _task(config, new, (new.pairs,))


def sources(config: Config) -> tuple[bundle.Known, ...]:
    """What tells the files of a config from others.

    Raises:
      UsageError: they cannot be read.
    """
    return _corpus(config).known


def check(config: Config) -> None:
    """Whether the files of a config are there; of those with symbols, what they hold.

    Raises:
      UsageError: they are not, or do not fit together.
    """
    if data_files(config).keys() & set(CORPUS):  # a config to be completed has none
        find(config.task)
    sides.asked(config.task)


def where(config: Config) -> Callable[[int], str]:
    """Where a pair stands in the files of a config, by its number: `FILE:LINE`.

    Raises:
      UsageError: they cannot be read.
    """
    return _corpus(config).where()


def load(config: Config, directory: Path | None) -> Task:
    """The task from what `create` kept; the files may be gone, and so is "train".

    Raises:
      UsageError: a directory that is missing or damaged.
    """
    kept = _kept(directory)
    return _task(config, kept, (kept.pairs,))


def load_all(config: Config, directory: Path | None) -> Task:
    """As `load`, with the training pairs; their files are read if none were kept.

    Raises:
      UsageError: a directory that is missing or damaged, or files that are gone.
    """
    kept = _kept(directory)
    training = None if directory is None else _training(directory, kept)
    if training is None:
        return create(config, directory)
    return _task(config, kept, (training, kept.pairs))


def _kept(directory: Path | None) -> Read:
    files, about = bundle.read(directory, (*sides.NAMES, HELD_OUT))
    source, target = sides.kept(files)
    held_out, known = unpacked(files[HELD_OUT], (len(source), len(target)))
    cased = casing.kept(files[casing.NAME]) if casing.NAME in files else {}
    said = about.get("notes", ()), cased, about.get("baselines", {})
    return Read(held_out, source, target, known, *said)


def _training(directory: Path, kept: Read) -> Pairs | None:
    """The training pairs, which stay on the disk; None in a run of before."""
    names = [f"{TRAINING}{name}" for name in (*NAMES, "weights")]
    arrays = bundle.mapped(directory, names)
    if arrays is None:
        return None
    named = {name.removeprefix(TRAINING): array for name, array in arrays.items()}
    return Pairs.from_arrays(named, (len(kept.source), len(kept.target)))


def _continued(config: Config, directory: Path, corpus: Corpus) -> Task:
    bundle.check_sources(directory, bundle.kept(corpus.known)["sources"])
    kept = _kept(directory)
    like = kept.source, kept.target
    sides.check(config.task, like)
    training = _training(directory, kept)
    if training is None:
        arrays = read(corpus, config.task, like).pairs.training()
        training = Pairs.from_arrays(arrays, (len(kept.source), len(kept.target)))
    return _task(config, kept, (training, kept.pairs))


def _task(config: Config, of_files: Read, parts: Sequence[Pairs]) -> Task:
    def expected(symbols: Sequence[Symbol]) -> list[Symbol] | None:
        return None

    task = config.task

    def share(sources: list[list[int]], count: int) -> float:
        rows = [row[:-1] for row in sources] if task.source_eos else sources
        return unseen.share_outside(of_files.known, rows)

    buckets: dict[str, tuple[Bucket, ...]] = {}
    for pairs in parts:
        buckets |= pairs.buckets(
            config.train,
            task.reverse_source,
            task.max_length,
            source_eos=task.source_eos,
        )
    return Task(
        name=task.name,
        source_vocabulary=of_files.source,
        target_vocabulary=of_files.target,
        buckets=buckets,
        expected=expected,
        unseen=share,
        reverse_source=task.reverse_source,
        source_eos=task.source_eos,
        cased=of_files.cased,
        notes=tuple(of_files.notes),
        baselines=by_split(
            of_files.baselines, parts[0], (of_files.source, of_files.target)
        ),
    )


def _corpus(config: Config, *, is_kept: bool = False) -> Corpus:
    task = config.task
    try:
        find(task)
    except UsageError:
        for field, path in data_files(config).items() if is_kept else ():
            if field in CORPUS and not os.path.exists(path):
                raise UsageError(
                    f"{path} does not exist; where the same data lie elsewhere, the "
                    f"run goes on with config=FILE and the override {field}=PLACE"
                ) from None
        raise
    joins = (sides.between(task, "source"), sides.between(task, "target"))
    return open_corpus(task, joins)
