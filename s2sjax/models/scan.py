"""The one recurrence that every layer and every decoder runs through.

`scan` is `lax.scan` for steps with matrix products in them. Left to autodiff, each step
of the backward scan adds a small product lhs_t^T d_t to a full matrix for each weight.
Here every weight's gradient is one product over all steps:

1. Forwards, each step saves what it started from and its products; nothing else.
2. Backwards, each step is replayed. What is left of it is elementwise and cheap, as a
   product is not taken again but is the one that was saved (`saved_product`).
3. An imaginary zero, the tap, is added to every product. The tap's cotangent d_t is
   what the step owes: the gradient of the loss with respect to that product.
4. After the backward scan, W's gradient is sum_t lhs_t^T d_t, one product [I, T B]
   [T B, O]; and d_t itself is the gradient of what was added to the product.
"""

from collections.abc import Callable
from itertools import compress
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from s2sjax import platforms
from s2sjax.models.base import Cell, Dot, Inputs, Parameters, State, Weights

Step = Callable[[Dot, Any, Any, Any], tuple[Any, Any]]
"""`step(dot, carry, x, operands) -> (carry, y)`; closes over no traced array."""


def plain_scan(
    step: Step,
    weights: Weights,
    inputs: Inputs,
    carry: Any,
    xs: Any,
    operands: Any,
    reverse: bool = False,
) -> tuple[Any, Any]:
    """What `scan` computes, differentiated by jax: the specification.

    `dot(name, *lhs)` is `sum_i lhs_i @ weights[name][i] + inputs[name][t]`; a name
    without inputs is the products alone. See `base.Weights` for what a weight can be,
    and `base.Dot` for a lhs. A step takes each name at most once.

    Args:
      step: one step.
      weights: all that the step multiplies with; it takes each of these names.
      inputs: what is added to products, [T, B, O] by name.
      carry: before the first step.
      xs: what each step reads, leading axis T.
      operands: what every step reads.
      reverse: from the last step to the first.

    Returns:
      The carry after the last step, and the ys, leading axis T.
    """

    def body(carry: Any, x: Any) -> tuple[Any, Any]:
        x, inputs = x
        return run_step(step, weights, inputs, carry, x, operands)

    return lax.scan(body, carry, (xs, inputs), reverse=reverse)


scan = jax.custom_vjp(plain_scan, nondiff_argnums=(0, 6))


def run_step(
    step: Step, weights: Weights, inputs: Inputs, carry: Any, x: Any, operands: Any
) -> tuple[Any, Any]:
    """One step of what `scan` scans; inputs and x are without a time axis."""

    def dot(name: str, *lhs: Array) -> Array:
        return product(lhs, weights[name], inputs.get(name))

    return step(dot, carry, x, operands)


def _forward(
    step: Step,
    weights: Weights,
    inputs: Inputs,
    carry: Any,
    xs: Any,
    operands: Any,
    reverse: bool,
) -> tuple[Any, Any]:
    def saving(carry: Any, x: Any) -> tuple[Any, Any]:
        x, now = x
        taken: dict[str, Any] = {}

        def dot(name: str, *lhs: Array) -> Array:
            result = product(lhs, weights[name], now.get(name))
            taken[name] = lhs, result
            return result

        new, y = step(dot, carry, x, operands)
        return new, (y, carry, taken)

    first = jax.tree.map(lambda leaf: leaf[0], (xs, inputs))
    places, tree = _distinct(lambda *now: saving(*now)[1], carry, first)
    chosen = sorted(set(places))

    def body(carry: Any, x: Any) -> tuple[Any, Any]:
        new, saved = saving(carry, x)
        leaves = jax.tree.leaves(saved)
        return new, [leaves[place] for place in chosen]

    last, stacked = lax.scan(body, carry, (xs, inputs), reverse=reverse)
    leaves = [stacked[chosen.index(place)] for place in places]
    ys, carries, taken = jax.tree.unflatten(tree, leaves)
    given = dict.fromkeys(inputs)
    return (last, ys), (carries, taken, given, weights, xs, operands)


def _distinct(function: Callable[..., Any], *arguments: Any) -> tuple[list[int], Any]:
    """For each array that a function returns, the first that is the same one; and the
    structure of them. So that what is several things of a step is stacked once.
    """
    traced, shapes = jax.make_jaxpr(function, return_shape=True)(*arguments)
    ids = [id(variable) for variable in traced.jaxpr.outvars]
    return [ids.index(each) for each in ids], jax.tree.structure(shapes)


def _backward(step: Step, reverse: bool, residuals: Any, cotangents: Any) -> Any:
    carries, taken, given, weights, xs, operands = residuals
    products = {name: result for name, (_, result) in taken.items()}
    float_operands = split_floats(operands)

    def body(total: Any, now: Any) -> Any:
        d_carry, d_operands = total
        d_y, carry, x, products = now

        def replay(taps: Any, carry_: Any, x_: Any, operands_: Any) -> Any:
            def dot(name: str, *lhs: Array) -> Array:
                return saved_product(lhs, weights[name], products[name], taps[name])

            here = join_floats(carry_, carry), join_floats(x_, x)
            new, y = step(dot, *here, join_floats(operands_, operands))
            return split_floats(new), split_floats(y)

        taps = jax.tree.map(jnp.zeros_like, products)
        floats = split_floats(carry), split_floats(x), float_operands
        pull_back = jax.vjp(replay, taps, *floats)[1]
        d_taps, d_carry, d_x, more = pull_back((d_carry, d_y))
        return (d_carry, jax.tree.map(jnp.add, d_operands, more)), (d_taps, d_x)

    d_last, d_ys = (split_floats(each) for each in cotangents)
    start = d_last, jax.tree.map(jnp.zeros_like, float_operands)
    (d_first, d_operands), (d_products, d_xs) = lax.scan(
        body, start, (d_ys, carries, xs, products), reverse=not reverse
    )
    d_weights = {
        name: _weight_gradients(lhs, weights[name], d_products[name])
        for name, (lhs, _) in taken.items()
    }
    return (
        d_weights,
        {name: d_products[name] for name in given},
        join_floats(d_first, carries, others=False),
        join_floats(d_xs, xs, others=False),
        join_floats(d_operands, operands, others=False),
    )


scan.defvjp(_forward, _backward)


@jax.custom_vjp
def saved_product(lhs: Any, weights: Any, saved: Array, tap: Array) -> Array:
    """`product(lhs, weights) + tap`, where tap is 0 and the product is known.

    The weights' gradients are not its own matter: they are taken from the tap's.
    """
    return saved


def _saved_forward(lhs: Any, weights: Any, saved: Array, tap: Array) -> Any:
    return saved, (lhs, weights)


def _saved_backward(residuals: Any, d: Array) -> Any:
    lhs, weights = residuals
    back = [_back(d, x, weight) for x, weight in zip(lhs, weights, strict=False)]
    return tuple(back), None, None, d


saved_product.defvjp(_saved_forward, _saved_backward)


def product(lhs: Any, weights: Any, added: Array | None = None) -> Array:
    """sum_i lhs_i @ weights_i + added; a vector at the end has no lhs."""
    total = added
    for x, weight in zip(lhs, weights, strict=False):
        if _is_ids(x):
            term = platforms.rows(weight, x)
        elif weight.ndim == 2:
            term = x @ weight
        else:
            term = jnp.einsum("...i,...io->...o", x, weight)
        total = term if total is None else total + term
    assert total is not None
    for bias in weights[len(lhs) :]:
        total = total + jnp.expand_dims(bias, range(total.ndim - 1))
    return total


def _is_ids(x: Array) -> bool:
    return jnp.issubdtype(x.dtype, jnp.integer)


def _back(d: Array, x: Array, weight: Array) -> Array | None:
    """d W^T, the gradient of a lhs; ids have none."""
    if _is_ids(x):
        return None
    if weight.ndim == 2:
        return d @ weight.T
    return jnp.einsum("...o,...io->...i", d, weight)


def _weight_gradients(lhs: Any, weights: Any, d: Array) -> tuple[Array, ...]:
    """sum_t lhs_t^T d_t of each weight; over examples too where it is shared."""
    rows = d.reshape(-1, d.shape[-1])
    gradients = []
    for x, weight in zip(lhs, weights, strict=False):
        if _is_ids(x):
            gradients.append(platforms.summed(rows, x.reshape(-1), len(weight)))
        elif weight.ndim == 2:
            gradients.append(x.reshape(-1, x.shape[-1]).T @ rows)
        else:
            gradients.append(jnp.einsum("t...i,t...o->...io", x, d))
    return *gradients, *(platforms.total(rows, 0) for _ in weights[len(lhs) :])


def split_floats(tree: Any) -> list[Array]:
    """The leaves that can have a gradient."""
    leaves = jax.tree.leaves(tree)
    return list(compress(leaves, _are_floats(leaves)))


def join_floats(floats: list[Any], tree: Any, *, others: bool = True) -> Any:
    """The tree with these in place of the leaves that can have a gradient.

    The `others` stay what they are, or are None, which is a cotangent of theirs.
    """
    leaves, structure = jax.tree.flatten(tree)
    new = iter(floats)
    pairs = zip(leaves, _are_floats(leaves), strict=True)
    joined = [next(new) if yes else old if others else None for old, yes in pairs]
    return jax.tree.unflatten(structure, joined)


def _are_floats(leaves: list[Any]) -> list[bool]:
    return [jnp.issubdtype(leaf.dtype, jnp.inexact) for leaf in leaves]


def run_layer(
    cell: Cell,
    params: Parameters,
    z: Array,
    mask: Array | None,
    state: State,
    reverse: bool = False,
) -> tuple[State, Array]:
    """One recurrent layer over time, step after step; see `Cell.run`."""

    def step(
        dot: Dot, state: State, x: tuple[Any, Array | None], vectors: Parameters
    ) -> tuple[State, Array]:
        rest, mask = x
        new = cell.step(dot, vectors, rest, state, None)
        if mask is not None:
            pairs = zip(new, state, strict=True)
            new = tuple(jnp.where(mask, now, old) for now, old in pairs)
        return new, new[0]

    inputs, rest = cell.inputs(z)
    xs = rest, None if mask is None else mask[:, :, None]
    vectors = cell.vectors(params)
    return scan(step, cell.weights(params), inputs, state, xs, vectors, reverse)
