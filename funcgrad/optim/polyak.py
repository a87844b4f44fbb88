"""Step lengths from the value of the loss, and from the distance travelled."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

import funcgrad.numpy as fnp
from funcgrad.optim.averaging import abs_squared
from funcgrad.optim.base import EmptyState, GradientTransformation
from funcgrad.optim.descent import descent
from funcgrad.optim.leafwise import checked_value, leafwise, zeros
from funcgrad.optim.optimizers import sgd
from funcgrad.optim.scaling import scaled
from funcgrad.optim.tree import norm


class ScaleByDistanceOverGradientsState(NamedTuple):
    """The state of `scale_by_distance_over_gradients`: for each array the farthest distance, the sum of squared
    gradients, and where it began."""

    max_dist: Any
    grad_sum_of_squares: Any
    init_params: Any


def scale_by_polyak(
    f_min: float = 0.0, max_learning_rate: float = 1.0, eps: float = 0.0, variant: str = "sps"
) -> GradientTransformation:
    """Polyak's step length: (loss - f_min) / |gradient|**2 (Polyak, 1969; Loizou et al., 2021).

    `update` needs the loss: `update(grads, state, params, value=loss)`.

    Args:
        f_min: the least value of the loss.
        max_learning_rate: bound of the step length.
        eps: added to the squared norm.
        variant: "sps", or "sps+" which never steps uphill.

    Example:
        >>> polyak = scale_by_polyak(max_learning_rate=10.0)
        >>> polyak.update(np.array([2.0]), polyak.init(None), value=4.0)[0]
        array([2.])
    """
    if variant not in ("sps", "sps+"):
        raise ValueError(f"[scale_by_polyak] variant must be 'sps' or 'sps+', but got {variant!r}.")

    def init(params: Any) -> EmptyState:
        del params
        return EmptyState()

    def update(
        updates: Any, state: Any, params: Any = None, *, value: Any = None, **extra: Any
    ) -> tuple[Any, Any]:
        del params, extra
        square = norm(updates, squared=True) + eps
        gap = checked_value("scale_by_polyak", value) - f_min
        gap = np.maximum(gap, 0.0) if variant == "sps+" else gap
        tiny = np.finfo(np.float64).eps
        step = np.minimum(gap / np.where(square <= tiny, 1.0, square), max_learning_rate)
        return scaled(updates, np.where(square <= tiny, 0.0, step)[()]), state

    return GradientTransformation(init, update)


def polyak_sgd(
    max_learning_rate: float = 1.0,
    scaling: float = 1.0,
    f_min: float = 0.0,
    eps: float = 0.0,
    variant: str = "sps",
) -> GradientTransformation:
    """Gradient descent with Polyak's step length; `update` needs `value=loss` (Loizou et al., 2021).

    Args:
        max_learning_rate, f_min, eps, variant: as for `scale_by_polyak`.
        scaling: factor of all steps.

    Example:
        >>> optimizer = polyak_sgd()
        >>> optimizer.update(np.array([2.0]), optimizer.init(np.zeros(1)), value=1.0)[0]
        array([-0.5])
    """
    # The squared norm is that of the scaled gradient, as in Optax.
    return descent(sgd(scaling), scale_by_polyak(f_min, max_learning_rate, eps, variant))


def scale_by_distance_over_gradients(
    reps_rel: float = 1e-6,
    eps: float = 1e-8,
    param_dtype: Any = np.float32,
    global_scale: float = 1.0,
) -> GradientTransformation:
    """Step lengths without a learning rate, for each array by itself: DoG (Ivgi et al., 2023).

    Args:
        reps_rel: the first step, relative to the norm of the parameters.
        eps: added to the sum of squared gradients.
        param_dtype: in which the first parameters are kept.
        global_scale: factor of all steps.

    Example:
        >>> dog = scale_by_distance_over_gradients()
        >>> dog.update(np.array([2.0]), dog.init(np.zeros(1)), np.zeros(1))[0].round(7)
        array([1.e-06])
    """

    def step(g: Any, moments: tuple, n: Any, p: Any) -> tuple[Any, tuple]:
        del n
        farthest, squares, start = moments
        farthest = np.maximum(farthest, np.sqrt(np.sum(abs_squared(p - start))))
        squares = squares + np.sum(abs_squared(g))
        return g * (global_scale * farthest / np.sqrt(squares + eps)), (farthest, squares, start)

    def first_distance(p: Any) -> Any:
        return reps_rel * (1 + np.sqrt(np.sum(abs_squared(zeros(p) + p))))

    return leafwise(
        "scale_by_distance_over_gradients",
        ScaleByDistanceOverGradientsState,
        step,
        shaped=False,
        max_dist=first_distance,
        grad_sum_of_squares=lambda p: np.sum(zeros(p).real),
        init_params=lambda p: fnp.array(p, dtype=param_dtype),
    )
