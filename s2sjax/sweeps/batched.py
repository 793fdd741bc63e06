"""One compiled program per group of trials; not there yet."""

from s2sjax.errors import UsageError


def refuse() -> UsageError:
    """What to say to those who ask for it."""
    return UsageError("--backend=batched is not there yet; use --backend=processes")
