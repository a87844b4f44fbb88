"""Sharpness-aware minimisation: gradients at the worst point nearby (Foret et al., 2021)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from funcgrad import lax, tree
from funcgrad.optim.base import (
    GradientTransformation,
    apply_updates,
    is_trained,
    map_updates,
    stateless,
)
from funcgrad.optim.leafwise import checked_params
from funcgrad.optim.scaling import global_norm, scaled
from funcgrad.optim.tree import where
from funcgrad.optim.tree.arithmetic import map_arrays


class SAMState(NamedTuple):
    """The state of `sam`: steps since the last outer one, both inner states, the outer parameters."""

    steps_since_sync: Any
    opt_state: Any
    adv_state: Any
    cache: Any


def normalize() -> GradientTransformation:
    """Divide all updates by their norm together.

    Example:
        >>> normalize().update(np.array([3.0, 4.0]), ())[0]
        array([0.6, 0.8])
    """
    return stateless(lambda updates, _: scaled(updates, 1 / global_norm(updates)))


def sam(
    optimizer: GradientTransformation,
    adv_optimizer: GradientTransformation,
    sync_period: int = 2,
    reset_state: bool = True,
    opaque_mode: bool = False,
    batch_axis_name: str | None = None,
) -> GradientTransformation:
    """Sharpness-aware minimisation (Foret et al., 2021).

    In its usual mode `sync_period - 1` calls of `update` climb to the worst point nearby, and the next makes
    the step from where they began. In opaque mode one call does all, with `grad_fn=` given to `update`.

    Args:
        optimizer: makes the step.
        adv_optimizer: climbs, such as `chain(normalize(), sgd(0.05))`.
        sync_period: calls for one step.
        reset_state: begin a new state of `adv_optimizer` for each step.
        opaque_mode: whether `update` gets grad_fn: (parameters, number of the climb) -> gradients.
        batch_axis_name: the named axis over which gradients of `grad_fn` are averaged.

    Example:
        >>> from funcgrad import optim
        >>> optimizer = sam(optim.sgd(0.1), optim.sgd(0.5), opaque_mode=True)
        >>> params, slope = np.array([1.0]), lambda p, i: 2 * p
        >>> optimizer.update(slope(params, 0), optimizer.init(params), params, grad_fn=slope)[0]
        array([-0.4])
    """
    if sync_period < 1:
        raise ValueError(f"[sam] sync_period must be at least 1, but got {sync_period}.")

    def init(params: Any) -> SAMState:
        cache = None if opaque_mode else map_updates(np.array, params)
        states = optimizer.init(params), adv_optimizer.init(params)
        return SAMState(np.int64(0), *states, cache)

    def update(
        updates: Any, state: Any, params: Any = None, *, grad_fn: Any = None, **extra: Any
    ) -> tuple[Any, Any]:
        del extra
        params = checked_params("sam", params)
        if opaque_mode:
            return climbed(updates, state, params, grad_fn)
        is_first = np.equal(state.steps_since_sync, 0)
        is_last = np.equal(state.steps_since_sync, sync_period - 1)
        cache = where(is_first, map_updates(lambda p: p, params), state.cache)
        climb, adv_state = adv_optimizer.update(updates, state.adv_state, params)
        step, opt_state = optimizer.update(updates, state.opt_state, state.cache)
        here = map_updates(lambda p: p, params)
        back = map_arrays(lambda u, c, p: c - p + u, step, state.cache, here)
        rest = adv_optimizer.init(params) if reset_state else state.adv_state
        return where(is_last, back, map_updates(np.negative, climb)), SAMState(
            (state.steps_since_sync + 1) % sync_period,
            where(is_last, opt_state, state.opt_state),
            where(is_last, rest, adv_state),
            cache,
        )

    def climbed(updates: Any, state: Any, params: Any, grad_fn: Callable | None) -> tuple[Any, Any]:
        if grad_fn is None:
            raise ValueError(
                "[sam] opaque_mode=True needs grad_fn. Write optimizer.update(grads, state, params, "
                "grad_fn=lambda params, i: gradients)."
            )
        place, adv_state = params, state.adv_state
        for number in range(sync_period - 1):
            climb, adv_state = adv_optimizer.update(updates, adv_state, place)
            place = apply_updates(place, map_updates(np.negative, climb))
            updates = grad_fn(place, number)
            if batch_axis_name is not None:
                updates = _averaged(updates, batch_axis_name)
        if reset_state:
            adv_state = adv_optimizer.init(params)
        step, opt_state = optimizer.update(updates, state.opt_state, params)
        return step, SAMState(np.int64(0), opt_state, adv_state, None)

    return GradientTransformation(init, update)


def _averaged(updates: Any, axis_name: str) -> Any:
    return tree.map(lambda u: lax.pmean(u, axis_name) if is_trained(u) else u, updates)
