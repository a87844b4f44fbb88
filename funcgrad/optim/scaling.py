"""Transformations of the gradients of one step: scaling, clipping, weight decay, complex conjugation."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from funcgrad import tree
from funcgrad.ir.tracer import Tracer
from funcgrad.ir.types import is_complex
from funcgrad.nn.walk import is_module
from funcgrad.optim.averaging import abs_squared
from funcgrad.optim.base import (
    GradientTransformation,
    as_array,
    as_factor,
    as_weak,
    is_trained,
    map_leaves,
    map_updates,
    moment_dtype,
    stateless,
)
from funcgrad.optim.masks import masked


class ScaleByScheduleState(NamedTuple):
    """The state of `scale_by_schedule`: the number of steps so far."""

    count: Any


class WeightDecaySchedule(NamedTuple):
    """The state of `add_decayed_weights` with a schedule: the number of steps so far."""

    count: Any


def scale(step_size: Any) -> GradientTransformation:
    """Multiply the updates by a number.

    Example:
        >>> scale(-0.5).update(np.ones(2), ())[0]
        array([-0.5, -0.5])
    """
    check_number("scale", "step_size", step_size)
    return stateless(lambda updates, _: scaled(updates, step_size))


def scale_by_schedule(step_size_fn: Callable[[Any], Any]) -> GradientTransformation:
    """Multiply the updates by a number that depends on how many steps were made before.

    Args:
        step_size_fn: number of steps -> factor; see the schedules of this package.

    Example:
        >>> halving = scale_by_schedule(lambda count: 0.5**count)
        >>> updates, state = halving.update(np.ones(1), halving.init(None))
        >>> updates, state = halving.update(np.ones(1), state)
        >>> updates
        array([0.5])
    """

    def init(params: Any) -> ScaleByScheduleState:
        del params
        return ScaleByScheduleState(np.int64(0))

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
        del params, extra
        factor = step_size_fn(state.count)
        return scaled(updates, factor), ScaleByScheduleState(state.count + 1)

    return GradientTransformation(init, update)


def scale_by_learning_rate(learning_rate: Any, *, flip_sign: bool = True) -> GradientTransformation:
    """Multiply by a learning rate, a number or a schedule, and turn the direction downhill.

    Example:
        >>> scale_by_learning_rate(0.1).update(np.ones(2), ())[0]
        array([-0.1, -0.1])
    """
    if is_module(learning_rate) or isinstance(learning_rate, list | tuple | dict):
        raise TypeError(
            "[scale_by_learning_rate] learning_rate must be a number or a schedule, but got a "
            f"{type(learning_rate).__name__}. Parameters go to init: state = optimizer.init(params)."
        )
    sign: Any = -1 if flip_sign else 1
    if not callable(learning_rate):
        check_number("scale_by_learning_rate", "learning_rate", learning_rate)
        return scale(sign * learning_rate)
    return scale_by_schedule(lambda count: sign * learning_rate(count))


def add_decayed_weights(weight_decay: Any = 0.0, mask: Any = None) -> GradientTransformation:
    """Add `weight_decay` times the parameters to the updates.

    Args:
        weight_decay: the factor, or a schedule: number of steps -> factor.
        mask: tree prefix of bools, or a function params -> such a tree: which parameters decay.

    Example:
        >>> add_decayed_weights(0.1).update(np.zeros(2), (), np.ones(2))[0]
        array([0.1, 0.1])
    """
    if callable(weight_decay):
        decay = _scheduled_decay(weight_decay)
    else:
        check_number("add_decayed_weights", "weight_decay", weight_decay)
        decay = stateless(lambda updates, params: _decayed(updates, params, weight_decay))
    return decay if mask is None else masked(decay, mask)


def _scheduled_decay(schedule: Callable[[Any], Any]) -> GradientTransformation:
    def init(params: Any) -> WeightDecaySchedule:
        del params
        return WeightDecaySchedule(np.int64(0))

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
        del extra
        factor = as_weak(schedule(state.count))
        return _decayed(updates, params, factor), WeightDecaySchedule(state.count + 1)

    return GradientTransformation(init, update)


def _decayed(updates: Any, params: Any, factor: Any) -> Any:
    if params is None:
        raise ValueError(
            "[add_decayed_weights] weight decay needs the parameters. Write "
            "optimizer.update(grads, state, params)."
        )

    def add(update: Any, param: Any) -> Any:
        if not is_trained(update):
            return None
        return update + as_factor(factor, update) * param

    return map_leaves(add, "add_decayed_weights", updates, params)


def clip(max_delta: Any) -> GradientTransformation:
    """Clip each element to -max_delta ... max_delta; a complex one to that absolute value.

    Example:
        >>> clip(1.0).update(np.array([-5.0, 0.5]), ())[0]
        array([-1. ,  0.5])
    """
    check_number("clip", "max_delta", max_delta)

    def clipped(update: Any) -> Any:
        bound = as_factor(max_delta, update)
        if is_complex(update.dtype):
            return update * (bound / np.maximum(np.abs(update), bound))
        return np.clip(update, -bound, bound)

    return stateless(lambda updates, _: map_updates(clipped, updates))


def clip_by_global_norm(max_norm: Any) -> GradientTransformation:
    """Scale all updates together so that their norm is at most `max_norm`.

    Where the norm is infinite or NaN all updates are zero: the step is skipped.

    Example:
        >>> clip_by_global_norm(1.0).update({"a": np.array([3.0]), "b": np.array([4.0])}, ())[0]
        {'a': array([0.6]), 'b': array([0.8])}
    """
    check_number("clip_by_global_norm", "max_norm", max_norm)

    def clipped(updates: Any, params: Any) -> Any:
        del params
        norm = global_norm(updates)
        usable = np.isfinite(norm)
        factor = max_norm / np.maximum(np.where(usable, norm, 1.0), max_norm)
        return map_updates(
            lambda u: np.where(usable, u, np.zeros_like(u)) * as_factor(factor, u), updates
        )

    return stateless(clipped)


def global_norm(pytree: Any) -> Any:
    """The Euclidean norm of all numbers in a tree together; a tied array counts once.

    Example:
        >>> float(global_norm({"a": np.array([3.0]), "b": np.array([[4.0]])}))
        5.0
    """
    arrays = [leaf for leaf in tree.leaves(pytree) if is_trained(leaf)]
    squares = [
        np.sum(abs_squared(leaf.astype(moment_dtype(leaf.dtype)))) for leaf in map(as_array, arrays)
    ]
    return np.sqrt(functools.reduce(operator.add, squares)) if squares else np.float64(0)


def conjugated(updates: Any) -> Any:
    """Complex gradients conjugated: minus that is the direction in which a real function falls fastest."""
    leaves = tree.leaves(updates)
    if not any(is_trained(leaf) and is_complex(as_array(leaf).dtype) for leaf in leaves):
        return updates
    return map_updates(np.conj, updates)


# --- helpers ---


def scaled(updates: Any, factor: Any) -> Any:
    return map_updates(lambda update: update * as_factor(factor, update), updates)


def check_number(name: str, parameter: str, value: Any) -> None:
    is_number = isinstance(value, int | float | np.generic | np.ndarray | Tracer)
    if not is_number and not hasattr(value, "astype"):
        raise TypeError(
            f"[{name}] {parameter} must be a number, but got {type(value).__name__}: {value!r:.60}."
        )
