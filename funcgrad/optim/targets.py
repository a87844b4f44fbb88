"""Parameters that follow others: target networks and averages of weights."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.optim.base import as_weak, is_trained, map_leaves


def incremental_update(new_tensors: Any, old_tensors: Any, step_size: Any) -> Any:
    """Go part of the way from old parameters to new ones (Polyak averaging).

    Args:
        new_tensors, old_tensors: trees of one structure.
        step_size: how much of the way, 0 to 1.

    Example:
        >>> incremental_update({"w": np.ones(1)}, {"w": np.zeros(1)}, 0.25)
        {'w': array([0.25])}
    """
    share = as_weak(step_size)

    def mix(new: Any, old: Any) -> Any:
        return share * new + (1.0 - share) * old if is_trained(new) else new

    return map_leaves(mix, "incremental_update", new_tensors, old_tensors)


def periodic_update(new_tensors: Any, old_tensors: Any, steps: Any, update_period: int) -> Any:
    """New parameters in every `update_period`-th step, old ones in the others.

    Args:
        new_tensors, old_tensors: trees of one structure.
        steps: number of the step.
        update_period: how often.

    Example:
        >>> periodic_update({"w": np.ones(1)}, {"w": np.zeros(1)}, 3, 2)
        {'w': array([0.])}
    """
    is_due = np.equal(steps % update_period, 0)

    def choose(new: Any, old: Any) -> Any:
        return np.where(is_due, new, old) if is_trained(new) else new

    return map_leaves(choose, "periodic_update", new_tensors, old_tensors)
