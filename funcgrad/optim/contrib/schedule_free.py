"""Optimizers without a schedule: gradients at an average of the iterates (Defazio et al., 2024)."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from funcgrad.optim.arguments import known_arguments
from funcgrad.optim.base import (
    GradientTransformation,
    as_weak,
    at_step,
    chain,
    is_trained,
    map_leaves,
    map_updates,
    moment_dtype,
)
from funcgrad.optim.leafwise import checked_params
from funcgrad.optim.optimizers import sgd
from funcgrad.optim.root_mean_square import scale_by_rms
from funcgrad.optim.scaling import add_decayed_weights, scale_by_learning_rate
from funcgrad.optim.schedule_families import warmup_constant_schedule
from funcgrad.optim.tree.arithmetic import map_arrays


class ScheduleFreeState(NamedTuple):
    """The state of `schedule_free`.

    b1: share of the average in the point where gradients are taken.
    weight_sum: sum of the weights so far.
    step_count: number of the next step, from 1.
    max_lr: the largest learning rate so far.
    base_optimizer_state: that of the inner optimizer.
    z: the parameters that the inner optimizer steps.
    """

    b1: Any
    weight_sum: Any
    step_count: Any
    max_lr: Any
    base_optimizer_state: Any
    z: Any


@known_arguments
def schedule_free(
    base_optimizer: GradientTransformation,
    learning_rate: Any,
    b1: float = 0.9,
    weight_lr_power: float = 2.0,
    state_dtype: Any = None,
) -> GradientTransformation:
    """Turn an optimizer into its schedule-free form (Defazio et al., 2024).

    The parameters that are trained are not those to use: for these call `schedule_free_eval_params`.

    Args:
        base_optimizer: an optimizer without momentum.
        learning_rate: its learning rate, a number or a schedule, with which the average is weighted.
        b1: share of the average, instead of momentum; not 0.
        weight_lr_power: power of the learning rate in the weights.
        state_dtype: dtype of the second copy of the parameters.

    Example:
        >>> from funcgrad import optim
        >>> optimizer = schedule_free(optim.sgd(0.5), 0.5)
        >>> params = np.array([1.0])
        >>> optimizer.update(np.array([1.0]), optimizer.init(params), params)[0]
        array([-0.5])
    """
    if isinstance(b1, int | float) and b1 == 0:
        raise ValueError("[schedule_free] b1 must not be 0. Use the base optimizer itself.")

    def init(params: Any) -> ScheduleFreeState:
        zero = np.float64(0)
        return ScheduleFreeState(
            np.float64(b1),
            zero,
            np.int64(1),
            zero,
            base_optimizer.init(params),
            map_updates(lambda p: _copied(p, state_dtype), params, "init"),
        )

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
        params = checked_params("schedule_free", params)
        rate = at_step(learning_rate, state.step_count)
        largest = np.maximum(state.max_lr, rate)
        weight = largest**weight_lr_power
        total = state.weight_sum + weight
        share = as_weak(np.where(total > 0, weight / np.where(total > 0, total, 1.0), 0.0))
        steps, inner = base_optimizer.update(updates, state.base_optimizer_state, params, **extra)

        def stepped(z: Any, u: Any) -> Any:
            return z if u is None else (z + u).astype(z.dtype)

        def change(u: Any, y: Any, old: Any, new: Any) -> Any:
            average = (y - (1 - b1) * old) / b1
            average = (1 - share) * average + share * new
            return None if u is None else b1 * average + (1 - b1) * new - y

        z = map_leaves(
            lambda z, u: stepped(z, u) if z is not None else None, "update", state.z, steps
        )
        moved = map_leaves(
            lambda u, *rest: change(u, *rest) if is_trained(u) else None,
            "schedule_free", steps, params, state.z, z,
        )  # fmt: skip
        return moved, ScheduleFreeState(state.b1, total, state.step_count + 1, largest, inner, z)

    return GradientTransformation(init, update)


def schedule_free_eval_params(state: Any, params: Any) -> Any:
    """The parameters to use and to save: the average of the iterates.

    Args:
        state: the state of `schedule_free`.
        params: the parameters that are trained.

    Example:
        >>> from funcgrad import optim
        >>> optimizer = schedule_free(optim.sgd(0.5), 0.5)
        >>> params = np.array([1.0])
        >>> schedule_free_eval_params(optimizer.init(params), params)
        array([1.])
    """
    if not isinstance(state, ScheduleFreeState):
        raise ValueError(
            f"[schedule_free_eval_params] needs the ScheduleFreeState, but got {type(state).__name__}. In a "
            "chain it is one of the states in the tuple."
        )
    b1 = as_weak(state.b1)
    return map_arrays(lambda y, z: y if z is None else (y - (1 - b1) * z) / b1, params, state.z)


@known_arguments
def schedule_free_sgd(
    learning_rate: float = 1.0,
    warmup_steps: int | None = None,
    b1: float = 0.9,
    weight_decay: float | None = None,
    weight_lr_power: float = 2.0,
    state_dtype: Any = None,
) -> GradientTransformation:
    """Schedule-free gradient descent (Defazio et al., 2024).

    Args:
        learning_rate: a number.
        warmup_steps: length of a linear warm-up.
        b1, weight_lr_power, state_dtype: as for `schedule_free`.
        weight_decay: times the parameters, added to the gradients.

    Example:
        >>> optimizer = schedule_free_sgd(0.5)
        >>> params = np.array([1.0])
        >>> optimizer.update(np.array([1.0]), optimizer.init(params), params)[0]
        array([-0.5])
    """
    rate = _warmed_up(learning_rate, warmup_steps)
    inner = sgd(rate)
    if weight_decay is not None:
        inner = chain(add_decayed_weights(weight_decay), inner)
    return schedule_free(inner, rate, b1, weight_lr_power, state_dtype)


@known_arguments
def schedule_free_adamw(
    learning_rate: float = 0.0025,
    warmup_steps: int | None = None,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    weight_lr_power: float = 2.0,
    state_dtype: Any = None,
) -> GradientTransformation:
    """Schedule-free AdamW (Defazio et al., 2024).

    Args:
        learning_rate: a number.
        warmup_steps: length of a linear warm-up.
        b1, weight_lr_power, state_dtype: as for `schedule_free`.
        b2, eps: as for `scale_by_adam`.
        weight_decay: as for `adamw`.

    Example:
        >>> optimizer = schedule_free_adamw(0.5)
        >>> params = np.array([1.0])
        >>> optimizer.update(np.array([3.0]), optimizer.init(params), params)[0].round(6)
        array([-0.5])
    """
    rate = _warmed_up(learning_rate, warmup_steps)
    inner = chain(
        scale_by_rms(b2, eps, eps_in_sqrt=False, bias_correction=True),
        add_decayed_weights(weight_decay),
        scale_by_learning_rate(rate),
    )
    return schedule_free(inner, rate, b1, weight_lr_power, state_dtype)


def _warmed_up(learning_rate: float, warmup_steps: int | None) -> Any:
    if warmup_steps is None:
        return learning_rate
    return warmup_constant_schedule(0.0, learning_rate, warmup_steps)


def _copied(param: Any, dtype: Any) -> Any:
    return np.array(param, dtype=dtype or moment_dtype(np.result_type(param)))
