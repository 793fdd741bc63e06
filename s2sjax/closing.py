"""What a `with` statement closes at its end. Imports no jax."""

from typing import Self


class Closing:
    """What a `with` statement closes at its end."""

    def close(self) -> None:
        """Ends it; again does nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
