"""`python -m s2sjax` is the same program as `s2sjax`."""

from s2sjax.cli import entry, main

__all__ = ["main"]  # for who runs commands inside a process of his own

if __name__ == "__main__":
    entry()
