"""Sweeps: many runs of one experiment, described beside its config.

A config file's `sweep(config)` returns its trials: a list, or a generator, of flat
overrides such as `{"task.length": 8, "seed": 1}`. What is here builds such lists.
Config files import it, so it imports no jax.

>>> trials = product(grid({"task.length": (5, 10)}), seeds(2))
>>> trials[1]
{'task.length': 5, 'seed': 1}
>>> len(trials)
4
"""

from s2sjax.sweeps.algebra import Overrides, chain, grid, product, seeds, zip
from s2sjax.sweeps.draws import Distribution, choice, draws, log_uniform, uniform

__all__ = [
    "Distribution",
    "Overrides",
    "chain",
    "choice",
    "draws",
    "grid",
    "log_uniform",
    "product",
    "seeds",
    "uniform",
    "zip",
]
