"""The one recurrence that every encoder and decoder layer runs through.

`scan` is `lax.scan` for steps with matrix products in them, differentiated so that
each weight's gradient is one product over all steps after the backward scan, instead
of a small product and an addition to a full matrix at every step.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from s2sjax.models.base import Cell, Dot, Inputs, Parameters, State, Weights

Step = Callable[[Dot, Any, Any, Any], tuple[Any, Any]]


@partial(jax.custom_vjp, nondiff_argnums=(0, 6))
def scan(
    step: Step,
    weights: Weights,
    inputs: Inputs,
    carry: Any,
    xs: Any,
    operands: Any,
    reverse: bool = False,
) -> tuple[Any, Any]:
    """`lax.scan` of `step(dot, carry, x, operands) -> (carry, y)` over time.

    `dot(name, *lhs)` is `sum_i lhs_i @ weights[name][i] + inputs[name][t]`, with lhs_i
    [B, I]; a name without inputs is the products alone. A weight is a matrix [I, O],
    or one for each example, [B, I, O]. A step takes each name once. `operands` is
    whatever else it reads at every step: it must not close over traced arrays.

    What is kept of a step is its state and its products; the rest is computed again
    in the backward scan, which is elementwise and cheaper than memory.
    The gradient of a weight W is sum_t lhs_t^T d_t, where d_t, [B, O], is the
    gradient of the loss with respect to the product at step t. It is also the
    gradient of inputs[t]; one product [I, T B] [T B, O] sums it up.
    """

    def body(carry: Any, x: Any) -> tuple[Any, Any]:
        x, inputs = x
        return run_step(step, weights, inputs, carry, x, operands)

    return lax.scan(body, carry, (xs, inputs), reverse=reverse)


def _forward(
    step: Step,
    weights: Weights,
    inputs: Inputs,
    carry: Any,
    xs: Any,
    operands: Any,
    reverse: bool,
) -> tuple[Any, Any]:
    layout: Any = None

    def body(carry: Any, x: Any) -> tuple[Any, Any]:
        nonlocal layout
        x, now = x
        taken: dict[str, Any] = {}

        def dot(name: str, *lhs: Array) -> Array:
            product = _product(lhs, weights[name], now.get(name))
            taken[name] = lhs, product
            return product

        new, y = step(dot, carry, x, operands)
        leaves, tree = jax.tree.flatten((y, carry, taken))
        # An array that is several of these is stacked once.
        kept = {id(leaf): leaf for leaf in leaves}
        layout = tree, [list(kept).index(id(leaf)) for leaf in leaves]
        return new, tuple(kept.values())

    last, kept = lax.scan(body, carry, (xs, inputs), reverse=reverse)
    tree, places = layout
    ys, carries, taken = jax.tree.unflatten(tree, [kept[place] for place in places])
    given = dict.fromkeys(inputs)
    return (last, ys), (carries, taken, given, weights, xs, operands)


def _backward(step: Step, reverse: bool, residuals: Any, cotangents: Any) -> Any:
    carries, taken, given, weights, xs, operands = residuals
    products = {name: product for name, (_, product) in taken.items()}
    join_xs = _floats(xs)[1]
    float_operands, join_operands = _floats(operands)

    def body(total: Any, now: Any) -> Any:
        d_carry, d_operands = total
        d_y, carry, x, products = now

        def again(taps: Any, carry: Any, float_x: Any, float_operands: Any) -> Any:
            def dot(name: str, *lhs: Array) -> Array:
                return _known(lhs, weights[name], products[name], taps[name])

            whole = join_xs(float_x, x), join_operands(float_operands, operands)
            return step(dot, carry, *whole)

        taps = jax.tree.map(jnp.zeros_like, products)
        pull_back = jax.vjp(again, taps, carry, _floats(x)[0], float_operands)[1]
        d_taps, d_carry, d_x, more = pull_back((d_carry, d_y))
        return (d_carry, jax.tree.map(jnp.add, d_operands, more)), (d_taps, d_x)

    d_last, d_ys = cotangents
    start = d_last, jax.tree.map(jnp.zeros_like, float_operands)
    (d_first, d_operands), (d_products, d_xs) = lax.scan(
        body, start, (d_ys, carries, xs, products), reverse=not reverse
    )
    d_weights = {
        name: tuple(
            _summed_outer(each, d_products[name], weight.ndim)
            for each, weight in zip(lhs, weights[name], strict=True)
        )
        for name, (lhs, _) in taken.items()
    }
    return (
        d_weights,
        {name: d_products[name] for name in given},
        d_first,
        join_xs(d_xs, None),
        join_operands(d_operands, None),
    )


scan.defvjp(_forward, _backward)


@jax.custom_vjp
def _known(lhs: Any, weights: Any, product: Array, tap: Array) -> Array:
    """The product, taken before; its gradients are those of the product and `tap`."""
    return product


def _known_forward(lhs: Any, weights: Any, product: Array, tap: Array) -> Any:
    return product, weights


def _known_backward(weights: Any, d: Array) -> Any:
    return tuple(_product_back(d, each) for each in weights), None, None, d


_known.defvjp(_known_forward, _known_backward)


def _product_back(d: Array, weight: Array) -> Array:
    if weight.ndim == 2:
        return d @ weight.T
    return jnp.einsum("bo,bio->bi", d, weight)


def _floats(tree: Any) -> tuple[list[Array], Callable[[list[Any], Any], Any]]:
    """The leaves that have gradients; and how to put others in their place.

    `join(values, rest)` takes the leaves without gradients from `rest`, None: None.
    """
    leaves, structure = jax.tree.flatten(tree)
    differentiable = [jnp.issubdtype(leaf.dtype, jnp.inexact) for leaf in leaves]

    def join(values: list[Any], rest: Any) -> Any:
        filler = [None] * len(leaves) if rest is None else jax.tree.leaves(rest)
        rows = iter(values)
        chosen = [
            next(rows) if yes else other
            for yes, other in zip(differentiable, filler, strict=True)
        ]
        return jax.tree.unflatten(structure, chosen)

    pairs = zip(leaves, differentiable, strict=True)
    return [leaf for leaf, yes in pairs if yes], join


def run_step(
    step: Step, weights: Weights, inputs: Inputs, carry: Any, x: Any, operands: Any
) -> tuple[Any, Any]:
    """One step of what `scan` scans; inputs and x are without a time axis."""

    def dot(name: str, *lhs: Array) -> Array:
        return _product(lhs, weights[name], inputs.get(name))

    return step(dot, carry, x, operands)


def _summed_outer(lhs: Array, d: Array, axes: int) -> Array:
    """sum_t lhs_t^T d_t, over examples too where the weight has no batch axis."""
    if axes == 3:
        return jnp.einsum("tbi,tbo->bio", lhs, d)
    return lhs.reshape(-1, lhs.shape[-1]).T @ d.reshape(-1, d.shape[-1])


def _product(lhs: Any, weights: Any, added: Array | None) -> Array:
    total = added
    for each, weight in zip(lhs, weights, strict=True):
        if weight.ndim == 2:
            product = each @ weight
        else:
            product = jnp.einsum("bi,bio->bo", each, weight)
        total = product if total is None else total + product
    assert total is not None
    return total


def run_layer(
    cell: Cell,
    params: Parameters,
    z: Array,
    mask: Array | None,
    state: State,
    reverse: bool = False,
) -> tuple[State, Array]:
    """One recurrent layer over time, step after step; see `Cell.run`."""
    inputs, rest = cell.inputs(params, z)
    masks = None if mask is None else mask[:, :, None]
    step = partial(layer_step, cell)
    weights, vectors = cell.weights(params), cell.vectors(params)
    return scan(step, weights, inputs, state, (rest, masks), vectors, reverse)


def layer_step(
    cell: Cell,
    dot: Dot,
    state: State,
    x: tuple[Any, Array | None],
    vectors: Parameters,
) -> tuple[State, Array]:
    """One step of a layer, for `scan` and `run_step`; x is the rest and the mask."""
    rest, mask = x
    new = cell.step(dot, vectors, rest, state, None)
    if mask is not None:
        new = tuple(jnp.where(mask, n, old) for n, old in zip(new, state, strict=True))
    return new, new[0]
