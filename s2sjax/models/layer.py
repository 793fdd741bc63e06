"""The parameters of one recurrent layer, and of the symbols that enter the first."""

import flax.linen as nn
import jax.numpy as jnp
from jax import Array
from jax.nn import initializers

from s2sjax.models import cells
from s2sjax.models.affine import affine, symmetric
from s2sjax.models.cells import Cell, Parameters


class Layer(nn.Module):
    """One recurrent layer.

    Attributes:
      cell: its cell.
      inputs: size of its input; of the vocabulary where `one_hot`.
      context: size of the attention context that enters the cell; 0: none.
      one_hot: the input is token ids, whose row of the kernel is gathered.
    """

    cell: Cell
    inputs: int
    context: int = 0
    one_hot: bool = False

    def setup(self) -> None:
        cell, gates = self.cell, self.cell.gates * self.cell.units
        glorot = initializers.glorot_uniform()
        # Kernels with a vocabulary-sized axis are drawn at a scale that ignores it,
        # so that padding the vocabulary changes no other row.
        kernel = symmetric(cell.units**-0.5) if self.one_hot else glorot
        params = {
            "input_kernel": self.param("input_kernel", kernel, (self.inputs, gates)),
            "recurrent_kernel": self.param(
                "recurrent_kernel", lambda key: cells.recurrent_kernel(key, cell)
            ),
        }
        if self.context:
            params["context_kernel"] = self.param(
                "context_kernel", glorot, (self.context, gates)
            )
        for name, value in cell.vectors().items():
            params[name] = self.param(name, lambda key, value=value: value)
        self.params = params

    def parameters(self) -> Parameters:
        """The parameters by name, for `recurrence`."""
        return dict(self.params)

    def project(self, x: Array, scale: Array | None = None) -> Array:
        """x W + b for all steps at once, [..., I] or ids [...] -> [..., G].

        `scale` multiplies x (dropout); for ids it is [..., 1], on the one-hot vector.
        """
        kernel, bias = self.params["input_kernel"], self.params["bias"]
        if not jnp.issubdtype(x.dtype, jnp.integer):
            return affine(x if scale is None else x * scale, kernel, bias)
        if scale is None:
            return (kernel + bias[None])[x]
        return kernel[x] * scale + jnp.expand_dims(bias, range(x.ndim))


class Embedding(nn.Module):
    """Token ids, or a distribution over them, to what the first layer reads.

    Attributes:
      vocabulary: its size V.
      size: of the vectors, E; 0 leaves ids as they are, for a one-hot layer.
    """

    vocabulary: int
    size: int

    def setup(self) -> None:
        if self.size:
            normal = initializers.normal(self.size**-0.5)
            self.table = self.param("table", normal, (self.vocabulary, self.size))

    @property
    def noise(self) -> int:
        """How many values per token dropout can drop."""
        return self.size or 1

    def __call__(self, x: Array) -> Array:
        """ids [...] or probabilities [..., V] -> [..., E], or x itself if one-hot."""
        if not self.size:
            return x
        if jnp.issubdtype(x.dtype, jnp.integer):
            return self.table[x]
        return x @ self.table


def project_tokens(
    embed: Embedding, layer: Layer, ids: Array, scale: Array | None
) -> Array:
    """`layer.project(embed(ids), scale)`: ids [...] -> [..., G].

    Where dropout does not come between, the table is projected instead, which is
    smaller than a batch, and rows of the result are gathered.
    """
    if embed.size and scale is None and embed.vocabulary <= ids.size:
        return layer.project(embed.table)[ids]
    return layer.project(embed(ids), scale)
