"""References as they were written, where a task reads texts in lower case.

A model of such texts writes lower case alone. Scores that tell upper case from lower
compare what it writes with what people wrote, not with what it could have written.
"""

import dataclasses
import json
from collections.abc import Callable, Iterable, Mapping, Sequence

from s2sjax import json_objects
from s2sjax.errors import UsageError
from s2sjax.tasks.levels import Feature
from s2sjax.tasks.task import Task
from s2sjax.tasks.vocabulary import Vocabulary
from s2sjax.types import EOS

NAME = "cased.json"  # of the file that a run keeps
ANY = ""  # stands for every source, in what earlier versions kept

Cased = Mapping[str, Mapping[str, Sequence[str]]]
"""Of a reference as it is read, by the source beside it, how people wrote it."""

Pair = tuple[str, tuple[str, ...], str]
"""A source, its features, and a target."""


def cased(source: Vocabulary, target: Vocabulary, pairs: Iterable[Pair]) -> Cased:
    """Targets in their own case, by what their ids are decoded to and by their source.

    Those that nobody wrote otherwise than they are read are left out.

    >>> lower = Vocabulary("word", ("ça", "va", "!"), lowercase=True)
    >>> cased(lower, lower, [("ça", (), "Ça va, Tom !"), ("!", (), "va !")])
    {'ça va <unk> <unk> !': {'4': ['Ça va , Tom !']}}
    """
    found: dict[str, dict[str, list[str]]] = {}
    different = set()
    plain = dataclasses.replace(target, lowercase=False)
    for text, tags, wanted in pairs:
        ids, _ = target.encode(target.split(wanted))
        read = target.join(target.decode(ids))
        of_source, _ = source.encode([*map(Feature, tags), *source.split(text)])
        own = found.setdefault(read, {}).setdefault(_key(of_source), [])
        written = plain.join(plain.split(wanted))
        if written not in own:
            own.append(written)
        if plain.formed(wanted) != target.formed(wanted):
            different.add(read)
    return {read: own for read, own in found.items() if read in different}


def written(
    task: Task, sources: Sequence[Sequence[int]]
) -> Callable[[int, str], Sequence[str]] | None:
    """How people wrote a reference, by the number of its example and as it is read.

    Nothing where they wrote it so, or where its example is not one of a file's; None
    for a task that keeps no case.

    Args:
      task: that was evaluated.
      sources: of each example, the rows of ids that its encoder read.
    """
    if not task.cased:
        return None

    def of(example: int, read: str) -> Sequence[str]:
        by_source = task.cased.get(read, {})
        row = [token for token in sources[example] if token != EOS]
        key = _key(row[::-1] if task.reverse_source else row)
        return by_source.get(key) or by_source.get(ANY, ())

    return of


def _key(source: Sequence[int]) -> str:
    return " ".join(map(str, source))


def kept(content: bytes) -> Cased:
    """What a run keeps of them.

    Raises:
      UsageError: it is damaged.
    """
    try:
        found = json_objects.checked(
            json_objects.loads(content), dict[str, str | dict[str, list[str]]]
        )
    except ValueError as error:
        raise UsageError(f"{NAME} of a run is damaged: {error}") from None
    return {
        read: {ANY: [own]} if isinstance(own, str) else own
        for read, own in found.items()
    }


def to_bytes(found: Cased) -> bytes:
    """What a run keeps."""
    return json.dumps(found).encode()
