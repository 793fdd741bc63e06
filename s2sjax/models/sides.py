"""What a model reads and what it writes: vocabularies, or numbers."""

from typing import Any

from s2sjax.config import ModelConfig
from s2sjax.errors import UsageError
from s2sjax.types import Numbers, Side


def vocabulary(read: Side) -> int:
    """The size of the vocabulary that one side of a model has.

    Raises:
      UsageError: it has none: it is numbers.
    """
    if isinstance(read, Numbers):
        raise UsageError("this takes symbols; one side of the model is numbers")
    return read


def check_size(name: str, size: Any) -> None:
    """Refuses what is neither a vocabulary's size nor numbers.

    Raises:
      UsageError: it is not.
    """
    sizes = [size]
    if isinstance(size, Numbers):
        sizes = [size.size, size.known + 1]
    if any(type(each) is not int or each < 1 for each in sizes):
        raise UsageError(f"{name}={size!r} is not a vocabulary's size, or Numbers(..)")


def check_symbols(config: ModelConfig, source: Side, target: Side) -> None:
    """Refuses tables of symbols where numbers are.

    Raises:
      UsageError: a field of such a table, or one that is shared and too small.
    """
    numbers = {
        name: size
        for name, size in {"source": source, "target": target}.items()
        if isinstance(size, Numbers)
    }
    of_side = {
        "share_embeddings": "target" if "target" in numbers else "source",
        "embedding_file": "source",
        "tie_output": "target",
        "target_embedding_file": "target",
    }
    found = [
        f"model.{field}={getattr(config, field)} is of symbols; the {side} is numbers"
        for field, side in of_side.items()
        if getattr(config, field) and side in numbers
    ]
    ends = not numbers and config.share_embeddings
    if ends and vocabulary(source) < vocabulary(target):
        found.append(
            f"model.share_embeddings=True: target={target} is more than "
            f"source={source}; what is written are the first of the symbols that are "
            f"read"
        )
    if found:
        raise UsageError(*found)
