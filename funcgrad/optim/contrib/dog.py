"""Step lengths from the distance travelled over the gradients seen, for all parameters together: DoG and DoWG."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from funcgrad.optim.arguments import known_arguments
from funcgrad.optim.base import GradientTransformation, map_updates
from funcgrad.optim.descent import descent
from funcgrad.optim.leafwise import checked_params, widened
from funcgrad.optim.masks import identity
from funcgrad.optim.scaling import add_decayed_weights, scale_by_learning_rate
from funcgrad.optim.tree import norm, scale, sub


class DoGState(NamedTuple):
    """The state of `dog`: whether the next step is the first, where it began, the farthest distance, squares."""

    is_init_step: Any
    init_params: Any
    max_dist: Any
    sum_sq_norm_grads: Any


class DoWGState(NamedTuple):
    """The state of `dowg`: where it began, the weighted sum of squares, and the squared distance."""

    init_params: Any
    weighted_sq_norm_grads: Any
    estim_sq_dist: Any


FIRST_STEPS = ("distance", "heuristic", "learning_rate")


@known_arguments
def dog(
    learning_rate: Any = 1.0,
    init_step: tuple[str, float] = ("heuristic", 1e-6),
    eps: float = 1e-8,
    weight_decay: float | None = None,
    mask: Any = None,
) -> GradientTransformation:
    """Distance over gradients: gradient descent without a learning rate (Ivgi et al., 2023).

    Args:
        learning_rate: factor of all steps.
        init_step: ("distance", r) for a first distance r; ("heuristic", c) for c * (1 + norm of the
            parameters); ("learning_rate", s) for a first step length s.
        eps: added to the sum of squared gradients.
        weight_decay, mask: as for `add_decayed_weights`.

    Example:
        >>> optimizer, params = dog(init_step=("distance", 0.1)), np.array([1.0])
        >>> optimizer.update(np.array([5.0]), optimizer.init(params), params)[0].round(6)
        array([-0.1])
    """
    how, amount = init_step
    if how not in FIRST_STEPS:
        raise ValueError(f"[dog] init_step[0] must be one of {FIRST_STEPS}, but got {how!r}.")

    def init(params: Any) -> DoGState:
        start = map_updates(lambda p: np.array(widened(p)), params)
        first = {"distance": amount, "heuristic": amount * (1 + norm(start)), "learning_rate": 0.0}
        return DoGState(np.bool_(True), start, np.float64(first[how]), np.float64(0))

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
        del extra
        updates = map_updates(widened, updates)
        place = map_updates(widened, checked_params("dog", params))
        farthest = np.maximum(state.max_dist, norm(sub(state.init_params, place)))
        squares = state.sum_sq_norm_grads + norm(updates, squared=True)
        length = farthest / np.sqrt(squares + eps)
        if how == "learning_rate":
            length = np.where(state.is_init_step, amount, length)[()]
        new = DoGState(np.bool_(False), state.init_params, farthest, squares)
        return scale(length, updates), new

    steps = GradientTransformation(init, update)
    return descent(_decay(weight_decay, mask), steps, scale_by_learning_rate(learning_rate))


@known_arguments
def dowg(
    learning_rate: Any = 1.0,
    init_estim_sq_dist: float | None = None,
    eps: float = 1e-4,
    weight_decay: float | None = None,
    mask: Any = None,
) -> GradientTransformation:
    """Distance over weighted gradients (Khaled et al., 2023).

    Args:
        learning_rate: factor of all steps.
        init_estim_sq_dist: the first squared distance; eps by default.
        eps: added to the root.
        weight_decay, mask: as for `add_decayed_weights`.

    Example:
        >>> optimizer, params = dowg(init_estim_sq_dist=0.25), np.array([1.0])
        >>> optimizer.update(np.array([5.0]), optimizer.init(params), params)[0].round(3)
        array([-0.5])
    """

    def init(params: Any) -> DoWGState:
        start = map_updates(lambda p: np.array(widened(p)), params)
        first = eps if init_estim_sq_dist is None else init_estim_sq_dist
        return DoWGState(start, np.float64(0), np.float64(first))

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
        del extra
        updates = map_updates(widened, updates)
        place = map_updates(widened, checked_params("dowg", params))
        moved = norm(sub(state.init_params, place), squared=True)
        distance = np.maximum(state.estim_sq_dist, moved)
        squares = distance * norm(updates, squared=True) + state.weighted_sq_norm_grads
        length = distance / (np.sqrt(squares) + eps)
        return scale(length, updates), DoWGState(state.init_params, squares, distance)

    steps = GradientTransformation(init, update)
    return descent(_decay(weight_decay, mask), steps, scale_by_learning_rate(learning_rate))


def _decay(weight_decay: float | None, mask: Any) -> GradientTransformation:
    return identity() if weight_decay is None else add_decayed_weights(weight_decay, mask)
