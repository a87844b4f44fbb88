"""Recent relatives of Adam: AdEMAMix, ADOPT and ACProp."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from funcgrad.optim.adam_family import ScaleByBeliefState
from funcgrad.optim.arguments import known_arguments
from funcgrad.optim.averaging import abs_squared, debiased, mixed
from funcgrad.optim.base import GradientTransformation, as_weak, at_step
from funcgrad.optim.descent import decayed_descent, descent_along
from funcgrad.optim.leafwise import leafwise, real_zeros, zeros, zeros_of
from funcgrad.optim.moments import ScaleByAdamState


class ScaleByAdemamixState(NamedTuple):
    """The state of `scale_by_ademamix`: steps, a fast and a slow average of gradients, and of squares."""

    count: Any
    m1: Any
    m2: Any
    nu: Any


class ScaleBySimplifiedAdEMAMixState(NamedTuple):
    """The state of `scale_by_simplified_ademamix`: steps, sum of gradients, average of squares."""

    t: Any
    m: Any
    n: Any


def scale_by_ademamix(
    b1: float = 0.9,
    b2: float = 0.999,
    b3: Any = 0.9999,
    alpha: Any = 6.0,
    eps: float = 1e-8,
    eps_root: float = 0.0,
    mu_dtype: Any = None,
) -> GradientTransformation:
    """Adam with a second, slow average of gradients (Pagliardini et al., 2024).

    Args:
        b1, b2, eps, eps_root, mu_dtype: as for `scale_by_adam`.
        b3: decay of the slow average, a number or a schedule.
        alpha: factor of the slow average, a number or a schedule.

    Example:
        >>> mix = scale_by_ademamix(b3=0.5, alpha=1.0)
        >>> mix.update(np.array([3.0]), mix.init(np.zeros(1)))[0].round(4)
        array([1.5])
    """

    def step(g: Any, moments: tuple, n: Any, p: Any) -> tuple[Any, tuple]:
        del p
        fast, slow, nu = moments
        slow_decay, factor = at_step(b3, n - 1), at_step(alpha, n - 1)
        fast, slow = mixed(fast, g, b1), mixed(slow, g, slow_decay)
        nu = mixed(nu, abs_squared(g), b2)
        direction = debiased(fast, b1, n) + factor * slow
        return direction / (np.sqrt(debiased(nu, b2, n) + eps_root) + eps), (fast, slow, nu)

    start = zeros_of(mu_dtype)
    return leafwise(
        "scale_by_ademamix", ScaleByAdemamixState, step, m1=start, m2=start, nu=real_zeros
    )


@known_arguments
def ademamix(
    learning_rate: Any,
    b1: float = 0.9,
    b2: float = 0.999,
    b3: Any = 0.9999,
    alpha: Any = 5.0,
    eps: float = 1e-8,
    eps_root: float = 0.0,
    mu_dtype: Any = None,
    weight_decay: Any = 0.0,
    mask: Any = None,
) -> GradientTransformation:
    """AdEMAMix (Pagliardini et al., 2024): old gradients stay useful for thousands of steps.

    Args:
        learning_rate: a number, or a schedule: number of steps -> number.
        b1, b2, b3, alpha, eps, eps_root, mu_dtype: as for `scale_by_ademamix`.
        weight_decay, mask: as for `adamw`.

    Example:
        >>> optimizer = ademamix(0.1, b3=0.5, alpha=1.0)
        >>> optimizer.update(np.array([3.0]), optimizer.init(np.zeros(1)), np.zeros(1))[0].round(4)
        array([-0.15])
    """
    direction = scale_by_ademamix(b1, b2, b3, alpha, eps, eps_root, mu_dtype)
    return decayed_descent(direction, learning_rate, weight_decay, mask)


def scale_by_simplified_ademamix(
    b1: float = 0.99, b2: float = 0.95, alpha: Any = 0.0, eps: float = 1e-8, eps_root: float = 0.0
) -> GradientTransformation:
    """AdEMAMix with one sum of gradients, to which the newest is added once more (Morwani et al., 2025).

    Args:
        b1, b2: decay of the sum, and of the average of squares.
        alpha: factor of the newest gradient, a number or a schedule.
        eps, eps_root: as for `scale_by_adam`.

    Example:
        >>> mix = scale_by_simplified_ademamix(alpha=1.0)
        >>> mix.update(np.array([3.0]), mix.init(np.zeros(1)))[0].round(4)
        array([2.])
    """

    def step(g: Any, moments: tuple, t: Any, p: Any) -> tuple[Any, tuple]:
        del p
        total, square = moments
        total, square = g + b1 * total, mixed(square, abs_squared(g), b2)
        root = np.sqrt(debiased(square, b2, t) + eps_root) + eps
        return (total + at_step(alpha, t - 1) * g) / root, (total, square)

    return leafwise(
        "scale_by_simplified_ademamix", ScaleBySimplifiedAdEMAMixState, step, m=zeros, n=real_zeros
    )


@known_arguments
def simplified_ademamix(
    learning_rate: Any,
    b1: float = 0.99,
    b2: float = 0.95,
    alpha: Any = 0.0,
    eps: float = 1e-8,
    eps_root: float = 0.0,
    weight_decay: Any = 0.0,
    mask: Any = None,
) -> GradientTransformation:
    """Simplified AdEMAMix (Morwani et al., 2025).

    Args:
        learning_rate: a number, or a schedule; about (1 - b1) times Adam's.
        b1, b2, alpha, eps, eps_root: as for `scale_by_simplified_ademamix`.
        weight_decay, mask: as for `adamw`.

    Example:
        >>> optimizer = simplified_ademamix(0.1)
        >>> optimizer.update(np.array([3.0]), optimizer.init(np.zeros(1)), np.zeros(1))[0].round(4)
        array([-0.1])
    """
    direction = scale_by_simplified_ademamix(b1, b2, alpha, eps, eps_root)
    return decayed_descent(direction, learning_rate, weight_decay, mask)


def fourth_root(count: Any) -> Any:
    """The bound of ADOPT's normalised gradients, which grows with the number of steps."""
    return count**0.25


def scale_by_adopt(
    b1: float = 0.9,
    b2: float = 0.9999,
    eps: float = 1e-6,
    mu_dtype: Any = None,
    *,
    nesterov: bool = False,
    use_clipping: bool = True,
    clip_value_fn: Callable[[Any], Any] = fourth_root,
) -> GradientTransformation:
    """Adam that divides by the second moment before the newest gradient (Taniguchi et al., 2024).

    Args:
        b1, b2: decay of the averages.
        eps: the least root that gradients are divided by.
        mu_dtype: dtype of the average of the gradients.
        nesterov: look one step ahead.
        use_clipping: bound normalised gradients; clip_value_fn: number of steps so far -> bound.

    Example:
        >>> adopt = scale_by_adopt()
        >>> _, state = adopt.update(np.array([2.0]), adopt.init(np.zeros(1)))
        >>> adopt.update(np.array([1.0]), state)[0].round(4)
        array([0.05])
    """

    def step(g: Any, moments: tuple, n: Any, p: Any) -> tuple[Any, tuple]:
        del p
        mu, nu = moments
        is_first = np.equal(n, 1)
        unit = g / np.maximum(np.sqrt(nu), eps)
        if use_clipping:
            bound = as_weak(clip_value_fn(n - 1))
            unit = np.clip(unit, -bound, bound)
        # The first step only begins the second moment.
        new = mixed(mu, unit, b1)
        mu = np.where(is_first, mu, new)
        ahead = np.where(is_first, mu, mixed(mu, unit, b1)) if nesterov else mu
        nu = np.where(is_first, abs_squared(g), mixed(nu, abs_squared(g), b2))
        return ahead, (mu, nu)

    return leafwise("scale_by_adopt", ScaleByAdamState, step, mu=zeros_of(mu_dtype), nu=real_zeros)


@known_arguments
def adopt(
    learning_rate: Any,
    b1: float = 0.9,
    b2: float = 0.9999,
    eps: float = 1e-6,
    mu_dtype: Any = None,
    *,
    nesterov: bool = False,
    use_clipping: bool = True,
    clip_value_fn: Callable[[Any], Any] = fourth_root,
) -> GradientTransformation:
    """ADOPT: Adam that converges for every b2 (Taniguchi et al., 2024).

    Args:
        learning_rate: a number, or a schedule: number of steps -> number.
        b1, b2, eps, mu_dtype, nesterov, use_clipping, clip_value_fn: as for `scale_by_adopt`.

    Example:
        >>> optimizer = adopt(0.1)
        >>> optimizer.update(np.array([3.0]), optimizer.init(np.zeros(1)))[0] + 0.0
        array([0.])
    """
    direction = scale_by_adopt(
        b1, b2, eps, mu_dtype,
        nesterov=nesterov, use_clipping=use_clipping, clip_value_fn=clip_value_fn,
    )  # fmt: skip
    return descent_along(direction, learning_rate)


def scale_by_acprop(
    b1: float = 0.9, b2: float = 0.999, eps: float = 1e-16, eps_root: float = 1e-16
) -> GradientTransformation:
    """Divide by how much gradients differed from their average before this step (Zhuang et al., 2021).

    Args:
        b1, b2: decay of the averages.
        eps: added to the root; eps_root: to the second moment in every step.

    Example:
        >>> acprop = scale_by_acprop()
        >>> acprop.update(np.array([3.0]), acprop.init(np.zeros(1)))[0]
        array([3.])
    """

    def step(g: Any, moments: tuple, n: Any, p: Any) -> tuple[Any, tuple]:
        del p
        mu, nu = moments
        is_first = np.equal(n, 1)
        before = nu / np.where(is_first, 1.0, 1 - b2 ** (n - 1)).astype(nu.dtype)
        scale = np.sqrt(np.where(is_first, np.ones_like(before), before)) + eps
        return g / scale, (mixed(mu, g, b1), mixed(nu, abs_squared(g - mu), b2) + eps_root)

    return leafwise("scale_by_acprop", ScaleByBeliefState, step, mu=zeros, nu=real_zeros)


@known_arguments
def acprop(
    learning_rate: Any,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-16,
    eps_root: float = 1e-16,
    weight_decay: Any = 0.0,
    mask: Any = None,
) -> GradientTransformation:
    """Asynchronous centering (Zhuang et al., 2021).

    Args:
        learning_rate: a number, or a schedule: number of steps -> number.
        b1, b2, eps, eps_root: as for `scale_by_acprop`.
        weight_decay, mask: as for `adamw`.

    Example:
        >>> optimizer = acprop(0.1)
        >>> optimizer.update(np.array([3.0]), optimizer.init(np.zeros(1)), np.zeros(1))[0].round(4)
        array([-0.3])
    """
    return decayed_descent(
        scale_by_acprop(b1, b2, eps, eps_root), learning_rate, weight_decay, mask
    )
