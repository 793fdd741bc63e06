"""`python -m s2sjax` is the same program as `s2sjax`."""

from s2sjax.cli import entry

if __name__ == "__main__":
    entry()
