"""Learning rates estimated from the distance to the solution: D-Adaptation and Prodigy."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from funcgrad.optim.arguments import known_arguments
from funcgrad.optim.base import (
    GradientTransformation,
    as_weak,
    at_step,
    map_leaves,
    map_updates,
    moment_dtype,
    zeros_like_params,
)
from funcgrad.optim.leafwise import checked_params, widened
from funcgrad.optim.scaling import conjugated
from funcgrad.optim.tree import add_scale, norm, sub, vdot
from funcgrad.optim.tree.arithmetic import map_arrays


class ProdigyState(NamedTuple):
    """The state of `prodigy`: averages, weighted gradient sum, first parameters, and the estimate."""

    exp_avg: Any
    exp_avg_sq: Any
    grad_sum: Any
    params0: Any
    estim_lr: Any
    numerator_weighted: Any
    count: Any


class DAdaptAdamWState(NamedTuple):
    """The state of `dadapt_adamw`: averages, weighted gradient sum, and the estimate."""

    exp_avg: Any
    exp_avg_sq: Any
    grad_sum: Any
    estim_lr: Any
    numerator_weighted: Any
    count: Any


@known_arguments
def prodigy(
    learning_rate: Any = 1.0,
    betas: tuple[float, float] = (0.9, 0.999),
    beta3: float | None = None,
    eps: float = 1e-8,
    estim_lr0: float = 1e-6,
    estim_lr_coef: float = 1.0,
    weight_decay: float = 0.0,
    safeguard_warmup: bool = False,
) -> GradientTransformation:
    """Prodigy: AdamW that finds its learning rate (Mishchenko and Defazio, 2023).

    Args:
        learning_rate: factor of the estimate, 1 or a schedule below 1.
        betas: decay of the averages of gradients and of their squares.
        beta3: decay of the sums of the estimate; the root of betas[1] by default.
        eps: added to the root.
        estim_lr0: the first estimate.
        estim_lr_coef: factor of later estimates.
        weight_decay: as for `adamw`.
        safeguard_warmup: leave the learning rate out of the estimate, for warm-up schedules.

    Example:
        >>> optimizer, params = prodigy(), np.array([1.0])
        >>> optimizer.update(np.array([3.0]), optimizer.init(params), params)[0].round(9)
        array([-1.e-06])
    """
    b1, b2 = betas
    b3 = b2**0.5 if beta3 is None else beta3

    def init(params: Any) -> ProdigyState:
        m, v, total = (zeros_like_params(params, moment_dtype) for _ in range(3))
        first = map_updates(lambda p: np.array(widened(p)), params)
        return ProdigyState(m, v, total, first, np.float64(estim_lr0), np.float64(0), np.int64(0))

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
        del extra
        grads = map_updates(widened, conjugated(updates))
        place = map_updates(widened, checked_params("prodigy", params))
        d, rate = as_weak(state.estim_lr), _step_length(state, learning_rate, b1, b2)
        progress = vdot(grads, sub(state.params0, place))
        averages = add_scale(_scaled(state.exp_avg, b1), (1 - b1) * d, grads)
        squares = map_arrays(
            lambda v, g: b2 * v + (1 - b2) * (d * g) * (d * g), state.exp_avg_sq, grads
        )
        weight = (d if safeguard_warmup else rate) * d / estim_lr0
        sums = add_scale(_scaled(state.grad_sum, b3), weight, grads)
        numerator = b3 * state.numerator_weighted + d / estim_lr0 * rate * progress
        estimate = _ratio(estim_lr_coef * numerator, norm(sums, ord=1), state.estim_lr)
        larger = as_weak(estimate)

        def step(m: Any, v: Any, p: Any) -> Any:
            return -weight_decay * rate * p - rate * m / (np.sqrt(v) + larger * eps)

        moved = map_arrays(step, averages, squares, place)
        return moved, ProdigyState(
            averages, squares, sums, state.params0, estimate, _float64(numerator), state.count + 1
        )

    return GradientTransformation(init, update)


@known_arguments
def dadapt_adamw(
    learning_rate: Any = 1.0,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    estim_lr0: float = 1e-6,
    weight_decay: float = 0.0,
) -> GradientTransformation:
    """AdamW with D-Adaptation: it finds its learning rate (Defazio and Mishchenko, 2023).

    Args:
        learning_rate: factor of the estimate, 1 or a schedule below 1.
        betas: decay of the averages of gradients and of their squares.
        eps: added to the root.
        estim_lr0: the first estimate.
        weight_decay: as for `adamw`.

    Example:
        >>> optimizer, params = dadapt_adamw(), np.array([1.0])
        >>> optimizer.update(np.array([3.0]), optimizer.init(params), params)[0].round(9)
        array([-1.e-06])
    """
    b1, b2 = betas
    b3 = b2**0.5

    def init(params: Any) -> DAdaptAdamWState:
        m, v, total = (zeros_like_params(params, moment_dtype) for _ in range(3))
        return DAdaptAdamWState(m, v, total, np.float64(estim_lr0), np.float64(0), np.int64(0))

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
        del extra
        grads = map_updates(widened, conjugated(updates))
        place = map_updates(widened, checked_params("dadapt_adamw", params))
        rate = _step_length(state, learning_rate, b1, b2)
        scaled = map_arrays(lambda s, v: s / (np.sqrt(v) + eps), state.grad_sum, state.exp_avg_sq)
        progress = vdot(grads, scaled)
        averages = add_scale(_scaled(state.exp_avg, b1), (1 - b1) * rate, grads)
        squares = map_arrays(lambda v, g: b2 * v + (1 - b2) * g * g, state.exp_avg_sq, grads)
        sums = add_scale(_scaled(state.grad_sum, b3), (1 - b3) * rate, grads)
        numerator = b3 * state.numerator_weighted + (1 - b3) * rate * progress
        estimate = _ratio(numerator, (1 - b3) * norm(sums, ord=1), state.estim_lr)

        def step(m: Any, v: Any, p: Any) -> Any:
            return -weight_decay * rate * p - m / (np.sqrt(v) + eps)

        moved = map_arrays(step, averages, squares, place)
        return moved, DAdaptAdamWState(
            averages, squares, sums, estimate, _float64(numerator), state.count + 1
        )

    return GradientTransformation(init, update)


def _step_length(state: Any, learning_rate: Any, b1: float, b2: float) -> Any:
    """The estimate times the learning rate times Adam's bias corrections."""
    factor = at_step(learning_rate, state.count)
    n = as_weak(state.count + 1)
    return as_weak(state.estim_lr * factor * ((1 - b2**n) ** 0.5 / (1 - b1**n)))


def _scaled(moments: Any, decay: float) -> Any:
    return map_leaves(lambda m: None if m is None else decay * m, "update", moments)


def _ratio(numerator: Any, denominator: Any, least: Any) -> Any:
    """A quotient, at least `least`; that alone while all gradients were 0."""
    usable = np.where(denominator > 0, denominator, 1.0)
    return _float64(np.maximum(least, np.where(denominator > 0, numerator / usable, least)))


def _float64(value: Any) -> Any:
    return value.astype(np.float64)
