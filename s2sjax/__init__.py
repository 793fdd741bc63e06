"""Recurrent sequence-to-sequence research in JAX and Flax.

Importing this package imports no jax and changes no environment variable; the
parts live in `s2sjax.tasks`, `s2sjax.models`, `s2sjax.decoding` and
`s2sjax.training`, the command line in `s2sjax.cli`.
"""

__version__ = "0.1.0"
