"""Moving averages of trees: the parts that optimizers are made of."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.optim.averaging import abs_squared
from funcgrad.optim.base import as_weak, map_moments
from funcgrad.optim.tree.arithmetic import map_arrays


def update_moment(updates: Any, moments: Any, decay: Any, order: int) -> Any:
    """Averages of the updates to the power `order`: `decay * moment + (1 - decay) * update**order`.

    Example:
        >>> update_moment([np.full(1, 2.0)], [np.zeros(1)], 0.5, 2)
        [array([2.])]
    """
    return map_moments(lambda m, g: decay * m + (1 - decay) * g**order, "tree", moments, updates)


def update_moment_per_elem_norm(updates: Any, moments: Any, decay: Any, order: int) -> Any:
    """The same with the magnitudes of complex updates.

    Example:
        >>> update_moment_per_elem_norm([np.array([2j])], [np.zeros(1)], 0.5, 2)
        [array([2.])]
    """

    def step(moment: Any, update: Any) -> Any:
        return decay * moment + (1 - decay) * abs_squared(update) ** (order / 2)

    return map_moments(step, "tree", moments, updates)


def update_infinity_moment(updates: Any, moments: Any, decay: Any, eps: Any) -> Any:
    """Decaying maxima of the magnitudes: `max(|update| + eps, decay * moment)`.

    Example:
        >>> update_infinity_moment([np.array([-2.0])], [np.array([5.0])], 0.5, 0.0)
        [array([2.5])]
    """
    return map_moments(
        lambda m, g: np.maximum(np.abs(g) + eps, decay * m), "tree", moments, updates
    )


def bias_correction(moment: Any, decay: Any, count: Any) -> Any:
    """Averages that began at zero, as if the `count` steps so far were all there is.

    Example:
        >>> bias_correction([np.array([0.5])], 0.5, 1)
        [array([1.])]
    """
    n = as_weak(count)
    return map_arrays(lambda m: m / (1 - decay**n), moment)
