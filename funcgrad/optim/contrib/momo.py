"""Momentum with step lengths from a model of the loss: MoMo and MoMo-Adam (Schaipp et al., 2023)."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from funcgrad.optim.arguments import known_arguments
from funcgrad.optim.base import (
    GradientTransformation,
    as_weak,
    at_step,
    map_updates,
    moment_dtype,
    zeros_like_params,
)
from funcgrad.optim.leafwise import checked_params, checked_value, widened
from funcgrad.optim.tree import add_scale, norm, vdot
from funcgrad.optim.tree.arithmetic import map_arrays

TINY = float(np.finfo(np.float64).eps)


class MomoState(NamedTuple):
    """The state of `momo`: averages of gradients, of the loss and of their products, and the bound."""

    exp_avg: Any
    barf: Any
    gamma: Any
    lb: Any
    count: Any


class MomoAdamState(NamedTuple):
    """The state of `momo_adam`: that of `momo`, and the average of squared gradients."""

    exp_avg: Any
    exp_avg_sq: Any
    barf: Any
    gamma: Any
    lb: Any
    count: Any


@known_arguments
def momo(
    learning_rate: Any = 1.0,
    beta: float = 0.9,
    lower_bound: float = 0.0,
    weight_decay: float = 0.0,
    adapt_lower_bound: bool = False,
) -> GradientTransformation:
    """Momentum with Polyak's step lengths; `update` needs `value=loss` (Schaipp et al., 2023).

    Args:
        learning_rate: the longest step, a number or a schedule.
        beta: decay of the averages.
        lower_bound: a bound of the loss from below.
        weight_decay: as for `adamw`.
        adapt_lower_bound: estimate the bound while it runs.

    Example:
        >>> optimizer, params = momo(), np.array([1.0])
        >>> optimizer.update(np.array([2.0]), optimizer.init(params), params, value=1.0)[0]
        array([-0.5])
    """

    def init(params: Any) -> MomoState:
        zero, bound = np.float64(0), np.float64(lower_bound)
        return MomoState(zeros_like_params(params, moment_dtype), zero, zero, bound, np.int64(0))

    def update(
        updates: Any, state: Any, params: Any = None, *, value: Any = None, **extra: Any
    ) -> tuple[Any, Any]:
        del extra
        grads, place = _checked("momo", updates, params, value)
        decay = as_weak(np.where(np.equal(state.count, 0), 0.0, beta))
        mean_loss = decay * state.barf + (1 - decay) * value
        average = add_scale(_times(state.exp_avg, decay), 1 - decay, grads)
        gamma = decay * state.gamma + (1 - decay) * vdot(grads, place)
        square, product = norm(average, squared=True), vdot(average, place)
        rate = at_step(learning_rate, state.count)
        growth = 1 + rate * weight_decay
        means = mean_loss, gamma, product, square
        step, bound = _step(means, rate, growth, state.lb, lower_bound, adapt_lower_bound)
        moved = map_arrays(
            lambda m, p: -(rate * weight_decay) / growth * p - step * m, average, place
        )
        mean_loss, gamma, bound = _float64(mean_loss, gamma, bound)
        return moved, MomoState(average, mean_loss, gamma, bound, state.count + 1)

    return GradientTransformation(init, update)


@known_arguments
def momo_adam(
    learning_rate: Any = 1e-2,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    lower_bound: float = 0.0,
    weight_decay: float = 0.0,
    adapt_lower_bound: bool = False,
) -> GradientTransformation:
    """Adam with Polyak's step lengths; `update` needs `value=loss` (Schaipp et al., 2023).

    Args:
        learning_rate: the longest step, a number or a schedule.
        b1, b2, eps: as for `scale_by_adam`.
        lower_bound, weight_decay, adapt_lower_bound: as for `momo`.

    Example:
        >>> optimizer, params = momo_adam(), np.array([1.0])
        >>> optimizer.update(np.array([2.0]), optimizer.init(params), params, value=1.0)[0].round(4)
        array([-0.01])
    """

    def init(params: Any) -> MomoAdamState:
        m, v = (zeros_like_params(params, moment_dtype) for _ in range(2))
        zero, bound = np.float64(0), np.float64(lower_bound)
        return MomoAdamState(m, v, zero, zero, bound, np.int64(0))

    def update(
        updates: Any, state: Any, params: Any = None, *, value: Any = None, **extra: Any
    ) -> tuple[Any, Any]:
        del extra
        grads, place = _checked("momo_adam", updates, params, value)
        n = as_weak(state.count + 1)
        first, second = 1 - b1**n, 1 - b2**n
        mean_loss = b1 * state.barf + (1 - b1) * value
        average = add_scale(_times(state.exp_avg, b1), 1 - b1, grads)
        squares = map_arrays(lambda v, g: b2 * v + (1 - b2) * g * g, state.exp_avg_sq, grads)
        roots = map_arrays(lambda v: eps + np.sqrt(v / second), squares)
        square = vdot(average, map_arrays(lambda m, root: m / root, average, roots))
        gamma = b1 * state.gamma + (1 - b1) * vdot(grads, place)
        product = vdot(average, place)
        rate = at_step(learning_rate, state.count)
        growth = 1 + rate * weight_decay
        means = mean_loss, gamma, product, square
        step, bound = _step(means, rate, growth, state.lb, lower_bound, adapt_lower_bound, first)
        moved = map_arrays(
            lambda m, root, p: -(rate * weight_decay) / growth * p - step * m / root,
            average, roots, place,
        )  # fmt: skip
        mean_loss, gamma, bound = _float64(mean_loss, gamma, bound)
        return moved, MomoAdamState(average, squares, mean_loss, gamma, bound, state.count + 1)

    return GradientTransformation(init, update)


def _checked(name: str, updates: Any, params: Any, value: Any) -> tuple[Any, Any]:
    params = checked_params(name, params)
    checked_value(name, value)
    return map_updates(widened, updates), map_updates(widened, params)


def _step(
    means: tuple,
    rate: Any,
    growth: Any,
    bound: Any,
    least: float,
    adapts: bool,
    correction: Any = 1.0,
) -> tuple[Any, Any]:
    """The step length, and the next bound of the loss from below.

    Args:
        means: of the loss, of gradients times parameters; the product of the mean gradient with the parameters,
            and with itself.
        rate: the longest step.
        growth: 1 plus the weight decay of a step.
        bound, least: the bound so far, and that of the user.
        adapts: whether the bound is estimated.
        correction: for averages that began at zero.
    """
    mean_loss, gamma, product, square = means
    used = bound
    if adapts:
        cap = growth * (mean_loss - gamma) + product
        lowered = np.maximum(cap / (2 * correction * growth), least)
        used = np.where(cap < growth * correction * bound, lowered, bound)
    gap = np.maximum(growth * (mean_loss - correction * used - gamma) + product, 0.0)
    step = np.minimum(rate / correction, _quotient(gap, square))
    if adapts:
        left = mean_loss + product - gamma - 0.5 * step * square
        bound = np.maximum(left / correction, least)
    return as_weak(step), bound


def _times(moments: Any, factor: Any) -> Any:
    return map_arrays(lambda m: factor * m, moments)


def _quotient(gap: Any, square: Any) -> Any:
    is_tiny = square <= TINY
    return np.where(is_tiny, 0.0, gap / np.where(is_tiny, 1.0, square))


def _float64(*numbers: Any) -> list[Any]:
    return [number.astype(np.float64) for number in numbers]
