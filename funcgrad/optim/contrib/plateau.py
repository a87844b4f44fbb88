"""A learning rate that falls when the loss no longer does."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from funcgrad.optim.base import GradientTransformation
from funcgrad.optim.leafwise import checked_value
from funcgrad.optim.scaling import scaled
from funcgrad.optim.tree import where


class ReduceLROnPlateauState(NamedTuple):
    """The state of `reduce_on_plateau`.

    scale: factor of the updates.
    best_value: the best mean loss so far.
    plateau_count: evaluations without a better one.
    cooldown_count: evaluations until counting begins again.
    count, avg_value: losses since the last evaluation, and their mean.
    """

    scale: Any
    best_value: Any
    plateau_count: Any
    cooldown_count: Any
    count: Any
    avg_value: Any


def reduce_on_plateau(
    factor: float = 0.1,
    patience: int = 10,
    rtol: float = 1e-4,
    atol: float = 0.0,
    cooldown: int = 0,
    accumulation_size: int = 1,
    min_scale: float = 0.0,
) -> GradientTransformation:
    """Scale the updates by a factor that falls when the loss has not for a while. Part of a chain.

    `update` needs the loss: `update(grads, state, params, value=loss)`. PyTorch's ReduceLROnPlateau waits one
    evaluation longer: its patience is this one minus 1.

    Args:
        factor: by which the scale falls, between 0 and 1.
        patience: evaluations without improvement before it does.
        rtol, atol: what counts as an improvement.
        cooldown: evaluations after a fall that do not count.
        accumulation_size: losses that are averaged for one evaluation.
        min_scale: the least scale.

    Example:
        >>> from funcgrad import optim
        >>> optimizer = optim.chain(optim.sgd(1.0), reduce_on_plateau(patience=1))
        >>> state = optimizer.init(np.zeros(1))
        >>> for loss in (1.0, 1.0):
        ...     updates, state = optimizer.update(np.ones(1), state, value=loss)
        >>> updates
        array([-0.1])
    """
    if not 0.0 < factor < 1.0:
        raise ValueError(f"[reduce_on_plateau] factor must be between 0 and 1, but got {factor}.")
    if not (0.0 <= rtol <= 1.0 and atol >= 0.0 and rtol + atol > 0.0):
        raise ValueError(
            f"[reduce_on_plateau] rtol (at most 1) and atol must not be negative, and not both 0, but got "
            f"{rtol} and {atol}."
        )

    def init(params: Any) -> ReduceLROnPlateauState:
        del params
        none = np.int64(0)
        return ReduceLROnPlateauState(
            np.float64(1), np.float64(np.inf), none, none, none, np.float64(0)
        )

    def evaluated(state: ReduceLROnPlateauState) -> ReduceLROnPlateauState:
        improved = state.avg_value < (1 - rtol) * state.best_value - atol
        waited = np.where(improved, 0, state.plateau_count + 1)
        cools, falls = state.cooldown_count > 0, np.equal(waited, patience)
        lower = np.maximum(np.where(falls, state.scale * factor, state.scale), min_scale)
        return ReduceLROnPlateauState(
            scale=np.where(cools, state.scale, lower),
            best_value=np.where(improved, state.avg_value, state.best_value),
            plateau_count=np.where(np.logical_or(cools, falls), 0, waited),
            cooldown_count=np.where(cools, state.cooldown_count - 1, np.where(falls, cooldown, 0)),
            count=np.zeros_like(state.count),
            avg_value=np.zeros_like(state.avg_value),
        )

    def update(
        updates: Any, state: Any, params: Any = None, *, value: Any = None, **extra: Any
    ) -> tuple[Any, Any]:
        del params, extra
        value = checked_value("reduce_on_plateau", value)
        count = state.count + 1
        mean = (state.count * state.avg_value + value) / count
        seen = where(True, state._replace(count=count, avg_value=mean), state)
        new = where(np.equal(count, accumulation_size), evaluated(seen), seen)
        return scaled(updates, new.scale), new

    return GradientTransformation(init, update)
