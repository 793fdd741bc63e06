"""References as they were written, where a task reads texts in lower case.

A model of such texts writes lower case alone. Scores that tell upper case from lower
compare what it writes with what people wrote, not with what it could have written.
"""

import dataclasses
import json
from collections.abc import Iterable, Mapping

from s2sjax import json_objects
from s2sjax.errors import UsageError
from s2sjax.tasks.vocabulary import Vocabulary

NAME = "cased.json"  # of the file that a run keeps


def cased(vocabulary: Vocabulary, texts: Iterable[str]) -> dict[str, str]:
    """Texts in their own case, by what their ids are decoded to; those that differ.

    Of texts that differ in case alone it is the first.

    >>> lower = Vocabulary("word", ("ça", "va", "!"), lowercase=True)
    >>> cased(lower, ["Ça va, Tom !", "va !"])
    {'ça va <unk> <unk> !': 'Ça va , Tom !'}
    """
    found: dict[str, str] = {}
    plain = dataclasses.replace(vocabulary, lowercase=False)
    for text in texts:
        ids, _ = vocabulary.encode(vocabulary.split(text))
        read = vocabulary.join(vocabulary.decode(ids))
        written = plain.join(plain.split(text))
        if plain.formed(text) != vocabulary.formed(text):
            found.setdefault(read, written)
    return found


def kept(content: bytes) -> Mapping[str, str]:
    """What a run keeps of them.

    Raises:
      UsageError: it is damaged.
    """
    try:
        return json_objects.checked(json_objects.loads(content), dict[str, str])
    except ValueError as error:
        raise UsageError(f"{NAME} of a run is damaged: {error}") from None


def to_bytes(found: Mapping[str, str]) -> bytes:
    """What a run keeps."""
    return json.dumps(found).encode()
