"""L-BFGS: steps along the gradient times a guess of the inverse Hessian, from the last few steps."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

import funcgrad.numpy as fnp
from funcgrad import lax
from funcgrad.ir.devices import beside_arguments
from funcgrad.optim.arguments import known_arguments
from funcgrad.optim.base import (
    GradientTransformation,
    as_weak,
    map_updates,
    moment_dtype,
    zeros_like_params,
)
from funcgrad.optim.descent import descent
from funcgrad.optim.leafwise import checked_params, widened
from funcgrad.optim.masks import identity
from funcgrad.optim.scaling import scale, scale_by_learning_rate
from funcgrad.optim.tree import add_scale, norm, scale as tree_scale, sub, vdot
from funcgrad.optim.tree.arithmetic import map_arrays
from funcgrad.optim.zoom import scale_by_zoom_linesearch

ZOOM = scale_by_zoom_linesearch(max_linesearch_steps=20, initial_guess_strategy="one")


class ScaleByLBFGSState(NamedTuple):
    """The state of `scale_by_lbfgs`.

    count: number of steps.
    params, updates: parameters and gradients of the last step.
    diff_params_memory, diff_updates_memory: their last differences, in a ring along the first axis.
    weights_memory: one over the inner products of the differences.
    """

    count: Any
    params: Any
    updates: Any
    diff_params_memory: Any
    diff_updates_memory: Any
    weights_memory: Any


def scale_by_lbfgs(
    memory_size: int = 10, scale_init_precond: bool = True
) -> GradientTransformation:
    """Multiply by a guess of the inverse Hessian (Liu and Nocedal, 1989).

    Args:
        memory_size: how many of the last steps are remembered.
        scale_init_precond: begin from a multiple of the identity that fits the last step.

    Example:
        >>> lbfgs = scale_by_lbfgs()
        >>> lbfgs.update(np.array([3.0, 4.0]), lbfgs.init(np.zeros(2)), np.zeros(2))[0].round(4)
        array([0.6, 0.8])
    """
    if memory_size < 1:
        raise ValueError(f"[scale_by_lbfgs] memory_size must be at least 1, but got {memory_size}.")

    @beside_arguments
    def init(params: Any) -> ScaleByLBFGSState:
        ring = map_updates(lambda p: np.stack([np.zeros_like(widened(p))] * memory_size), params)
        moves, turns = ring, map_updates(np.zeros_like, ring)
        place, grads = (zeros_like_params(params, moment_dtype) for _ in range(2))
        return ScaleByLBFGSState(
            np.int64(0), place, grads, moves, turns, fnp.zeros(memory_size, float)
        )

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
        del extra
        updates = map_updates(widened, updates)
        place = map_updates(widened, checked_params("scale_by_lbfgs", params))
        is_first = np.equal(state.count, 0)
        moved, turned = _changes(place, state.params, updates, state.updates, is_first)
        product = np.real(vdot(turned, moved))
        weight = np.where(np.equal(product, 0.0), 0.0, 1 / np.where(product == 0, 1.0, product))
        slot = np.equal(np.arange(memory_size), (state.count - 1) % memory_size)
        moves = _stored(state.diff_params_memory, moved, slot)
        turns = _stored(state.diff_updates_memory, turned, slot)
        weights = fnp.where(slot, weight, state.weights_memory).astype(np.float64)
        gamma = _first_scale(product, turned, updates, is_first) if scale_init_precond else 1.0
        order = (state.count % memory_size + np.arange(memory_size)) % memory_size
        found = _two_loops(updates, moves, turns, weights, gamma, order)
        return found, ScaleByLBFGSState(state.count + 1, place, updates, moves, turns, weights)

    return GradientTransformation(init, update)


@known_arguments
def lbfgs(
    learning_rate: Any = None,
    memory_size: int = 10,
    scale_init_precond: bool = True,
    linesearch: GradientTransformation | None = ZOOM,
) -> GradientTransformation:
    """L-BFGS with a line search (Liu and Nocedal, 1989).

    With a line search, `update` needs the loss, its gradient and the function:
    `update(grads, state, params, value=loss, grad=grads, value_fn=f)`; `value_and_grad_from_state` spares the
    second evaluation. PyTorch's LBFGS takes several steps in a call, with a closure; this is one step.

    Args:
        learning_rate: a number, a schedule, or None for 1.
        memory_size, scale_init_precond: as for `scale_by_lbfgs`.
        linesearch: `scale_by_zoom_linesearch(...)`, `scale_by_backtracking_linesearch(...)`, or None.

    Example:
        >>> import funcgrad as fg
        >>> f = lambda x: np.sum((x - 1.0) ** 2)
        >>> params, optimizer = np.zeros(2), lbfgs()
        >>> state = optimizer.init(params)
        >>> for _ in range(3):
        ...     value, grad = fg.value_and_grad(f)(params)
        ...     updates, state = optimizer.update(
        ...         grad, state, params, value=value, grad=grad, value_fn=f
        ...     )
        ...     params = fg.optim.apply_updates(params, updates)
        >>> params.round(6)
        array([1., 1.])
    """
    step = scale(-1.0) if learning_rate is None else scale_by_learning_rate(learning_rate)
    direction = scale_by_lbfgs(memory_size, scale_init_precond)
    return descent(direction, step, linesearch or identity())


def _changes(place: Any, old_place: Any, updates: Any, old: Any, is_first: Any) -> tuple[Any, Any]:
    """What parameters and gradients changed by in the last step; 0 in the first."""

    def change(new: Any, before: Any) -> Any:
        return map_arrays(lambda d: np.where(is_first, np.zeros_like(d), d), sub(new, before))

    return change(place, old_place), change(updates, old)


def _stored(ring: Any, value: Any, slot: Any) -> Any:
    def put(memory: Any, x: Any) -> Any:
        return fnp.where(slot.reshape(-1, *[1] * x.ndim), x, memory)

    return map_arrays(put, ring, value)


def _first_scale(product: Any, turned: Any, updates: Any, is_first: Any) -> Any:
    """The multiple of the identity that maps the last change of gradients to that of the parameters."""
    square = norm(turned, squared=True)
    fitting = np.where(square > 0, product / np.where(square > 0, square, 1.0), 1.0)
    length = norm(updates)
    return np.where(is_first, np.minimum(1.0, 1 / np.where(length > 0, length, 1.0)), fitting)


def _two_loops(updates: Any, moves: Any, turns: Any, weights: Any, gamma: Any, order: Any) -> Any:
    rows = map_arrays(lambda x: fnp.take(x, order, axis=0), (moves, turns, weights))

    def newest_to_oldest(vector: Any, row: Any) -> tuple[Any, Any]:
        move, turn, weight = row
        alpha = weight * np.real(vdot(move, vector))
        return add_scale(vector, -alpha, turn), alpha

    def oldest_to_newest(vector: Any, row: Any) -> tuple[Any, None]:
        (move, turn, weight), alpha = row
        beta = weight * np.real(vdot(turn, vector))
        return add_scale(vector, alpha - beta, move), None

    vector, alphas = lax.scan(newest_to_oldest, updates, rows, reverse=True)
    vector = tree_scale(as_weak(gamma), vector)
    return lax.scan(oldest_to_newest, vector, (rows, alphas))[0]
