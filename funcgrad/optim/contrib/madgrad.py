"""Momentumised dual averaging (Defazio and Jelassi, 2022)."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from funcgrad.optim.arguments import known_arguments
from funcgrad.optim.averaging import abs_squared
from funcgrad.optim.base import GradientTransformation, at_step
from funcgrad.optim.descent import descent
from funcgrad.optim.leafwise import checked_params, leafwise, real_zeros, zeros
from funcgrad.optim.scaling import add_decayed_weights


class MadgradState(NamedTuple):
    """The state of `scale_by_madgrad`: steps, weighted sums of squares and of gradients, where it began."""

    count: Any
    grad_sum_sq: Any
    s: Any
    x0: Any


def scale_by_madgrad(
    learning_rate: Any, momentum: float = 0.9, eps: float = 1e-6
) -> GradientTransformation:
    """The updates of MADGRAD, which are to be added as they are (Defazio and Jelassi, 2022).

    Args:
        learning_rate: a number, or a schedule: number of steps -> number.
        momentum: how much of the last point is kept.
        eps: added to the root and to the learning rate.

    Example:
        >>> madgrad = scale_by_madgrad(0.1, momentum=0.0)
        >>> madgrad.update(np.array([1.0]), madgrad.init(np.zeros(1)), np.zeros(1))[0].round(4)
        array([-0.2154])
    """

    def step(g: Any, moments: tuple, n: Any, p: Any) -> tuple[Any, tuple]:
        p = checked_params("scale_by_madgrad", p)
        squares, total, start = moments
        rate = at_step(learning_rate, n - 1)
        weight = (rate + eps) * n**0.5
        squares, total = squares + weight * abs_squared(g), total + weight * g
        goal = start - total / (np.cbrt(squares) + eps)
        return (1 - momentum) * (goal - p), (squares, total, start)

    return leafwise(
        "scale_by_madgrad", MadgradState, step,
        grad_sum_sq=real_zeros, s=zeros, x0=lambda p: zeros(p) + p,
    )  # fmt: skip


@known_arguments
def madgrad(
    learning_rate: Any, momentum: float = 0.9, weight_decay: Any = 0.0, eps: float = 1e-6
) -> GradientTransformation:
    """MADGRAD (Defazio and Jelassi, 2022).

    Args:
        learning_rate, momentum, eps: as for `scale_by_madgrad`.
        weight_decay: times the parameters, added to the gradients.

    Example:
        >>> optimizer = madgrad(0.1, momentum=0.0)
        >>> optimizer.update(np.array([1.0]), optimizer.init(np.zeros(1)), np.zeros(1))[0].round(4)
        array([-0.2154])
    """
    return descent(
        add_decayed_weights(weight_decay), scale_by_madgrad(learning_rate, momentum, eps)
    )
