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

from s2sjax.models.cells import Cell, Dot, Inputs, Parameters, State, Weights

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

    `dot(name, lhs)` is `lhs @ weights[name] + inputs[name][t]`, with lhs [B, I]; a
    name without inputs is the product alone. A weight is a matrix [I, O], or one for
    each example, [B, I, O]. A step takes each product once. `operands` is whatever
    else it reads at every step: it must not close over traced arrays.

    The gradient of a weight W is sum_t lhs_t^T d_t, where d_t, [B, O], is the
    gradient of the loss with respect to the product at step t. It is also the
    gradient of inputs[t], so the backward scan yields it anyway; one product
    [I, T B] [T B, O] sums it up.
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
    time, batch = jax.tree.leaves((inputs, xs))[0].shape[:2]
    shifts = dict(inputs)
    for name in weights.keys() - inputs.keys():
        columns = weights[name].shape[-1]
        shifts[name] = jnp.zeros((time, batch, columns), weights[name].dtype)

    def without_weights(shifts: Inputs, carry: Any, xs: Any, operands: Any) -> Any:
        def body(carry: Any, x: Any) -> tuple[Any, Any]:
            x, shift = x
            seen: dict[str, Array] = {}

            def dot(name: str, lhs: Array) -> Array:
                seen[name] = lhs
                return _product(lhs, weights[name]) + shift[name]

            carry, y = step(dot, carry, x, operands)
            return carry, (y, seen)

        carry, (ys, seen) = lax.scan(body, carry, (xs, shifts), reverse=reverse)
        return (carry, ys), seen

    result, pull_back, seen = jax.vjp(
        without_weights, shifts, carry, xs, operands, has_aux=True
    )
    given = {name: None for name in inputs}
    return result, (pull_back, seen, given, weights)


def _backward(step: Step, reverse: bool, residuals: Any, cotangents: Any) -> Any:
    pull_back, seen, given, weights = residuals
    shifts, carry, xs, operands = pull_back(cotangents)
    gradients = {
        name: _summed_outer(lhs, shifts[name], weights[name].ndim)
        for name, lhs in seen.items()
    }
    return gradients, {name: shifts[name] for name in given}, carry, xs, operands


scan.defvjp(_forward, _backward)


def run_step(
    step: Step, weights: Weights, inputs: Inputs, carry: Any, x: Any, operands: Any
) -> tuple[Any, Any]:
    """One step of what `scan` scans; inputs and x are without a time axis."""

    def dot(name: str, lhs: Array) -> Array:
        product = _product(lhs, weights[name])
        return product + inputs[name] if name in inputs else product

    return step(dot, carry, x, operands)


def _summed_outer(lhs: Array, d: Array, axes: int) -> Array:
    """sum_t lhs_t^T d_t, over examples too where the weight has no batch axis."""
    if axes == 3:
        return jnp.einsum("tbi,tbo->bio", lhs, d)
    return lhs.reshape(-1, lhs.shape[-1]).T @ d.reshape(-1, d.shape[-1])


def _product(lhs: Array, weight: Array) -> Array:
    if weight.ndim == 2:
        return lhs @ weight
    return jnp.einsum("bi,bio->bo", lhs, weight)


def run_layer(
    cell: Cell,
    params: Parameters,
    z_tbg: Array,
    mask_tb: Array | None,
    state: State,
    reverse: bool = False,
) -> tuple[State, Array]:
    """One recurrent layer over time.

    Args:
      cell: the cell.
      params: its parameters.
      z_tbg: projected inputs, [T, B, G].
      mask_tb: where there is input; elsewhere the state is carried unchanged.
        None: everywhere.
      state: the state before the first step.
      reverse: from the last step to the first.

    Returns:
      The state after the last step, and the outputs [T, B, D].
    """
    inputs, rest = cell.inputs(params, z_tbg)
    masks = None if mask_tb is None else mask_tb[:, :, None]
    step = partial(layer_step, cell)
    return scan(step, cell.weights(params), inputs, state, (rest, masks), (), reverse)


def layer_step(
    cell: Cell, dot: Dot, state: State, x: tuple[Any, Array | None], operands: Any
) -> tuple[State, Array]:
    """One step of a layer, for `scan` and `run_step`; x is the rest and the mask."""
    rest, mask = x
    new = cell.step(dot, rest, state, None)
    if mask is not None:
        new = tuple(jnp.where(mask, n, old) for n, old in zip(new, state, strict=True))
    return new, new[0]
