"""More relatives of Adam: rectified, with gradient differences, and by sign."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from funcgrad.optim.arguments import known_arguments
from funcgrad.optim.averaging import abs_squared, debiased, looked_ahead, mixed
from funcgrad.optim.base import GradientTransformation, check_decays
from funcgrad.optim.descent import decayed_descent, descent_along
from funcgrad.optim.leafwise import leafwise, real_zeros, zeros, zeros_of
from funcgrad.optim.moments import ScaleByAdamState


class ScaleByAdanState(NamedTuple):
    """The state of `scale_by_adan`: averages of gradients, differences, squares; the last gradient; steps."""

    m: Any
    v: Any
    n: Any
    g: Any
    t: Any


class ScaleByLionState(NamedTuple):
    """The state of `scale_by_lion`: number of steps, and the average of the gradients."""

    count: Any
    mu: Any


def scale_by_radam(
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    eps_root: float = 0.0,
    threshold: float = 5.0,
    *,
    nesterov: bool = False,
) -> GradientTransformation:
    """Adam that trusts second moments only once they are averages of enough steps (Liu et al., 2020).

    Args:
        b1, b2, eps, eps_root, nesterov: as for `scale_by_adam`.
        threshold: length of the average from which second moments are used.

    Example:
        >>> radam = scale_by_radam()
        >>> radam.update(np.array([3.0]), radam.init(np.zeros(1)))[0].round(4)
        array([3.])
    """
    check_decays("scale_by_radam", b1=b1, b2=b2)
    longest = 2.0 / (1.0 - b2) - 1.0

    def step(g: Any, moments: tuple, n: Any, p: Any) -> tuple[Any, tuple]:
        del p
        mu, nu = moments
        mu, nu = mixed(mu, g, b1), mixed(nu, abs_squared(g), b2)
        ahead = looked_ahead(mu, g, b1, n) if nesterov else debiased(mu, b1, n)
        length = longest - 2 * n * b2**n / (1 - b2**n)
        ratio = (length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length)
        scaled = rooted(ratio, g) * ahead / (np.sqrt(debiased(nu, b2, n) + eps_root) + eps)
        return np.where(length >= threshold, scaled, ahead), (mu, nu)

    return leafwise("scale_by_radam", ScaleByAdamState, step, mu=zeros, nu=real_zeros)


def rooted(ratio: Any, like: Any) -> Any:
    """The square root of a ratio that counts only where it is positive, in the precision of an array."""
    return np.sqrt(np.maximum(ratio, 0.0)).astype(like.real.dtype)


@known_arguments
def radam(
    learning_rate: Any,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    eps_root: float = 0.0,
    threshold: float = 5.0,
    *,
    nesterov: bool = False,
) -> GradientTransformation:
    """RAdam: Adam that needs no warm-up (Liu et al., 2020). As PyTorch's.

    Args:
        learning_rate: a number, or a schedule: number of steps -> number.
        b1, b2, eps, eps_root, threshold, nesterov: as for `scale_by_radam`.

    Example:
        >>> optimizer = radam(0.1)
        >>> optimizer.update(np.array([3.0]), optimizer.init(np.zeros(1)))[0].round(4)
        array([-0.3])
    """
    direction = scale_by_radam(b1, b2, eps, eps_root, threshold, nesterov=nesterov)
    return descent_along(direction, learning_rate)


def scale_by_adan(
    b1: float = 0.98,
    b2: float = 0.92,
    b3: float = 0.99,
    eps: float = 1e-8,
    eps_root: float = 0.0,
) -> GradientTransformation:
    """Adaptive Nesterov momentum from differences of successive gradients (Xie et al., 2022).

    Args:
        b1, b2, b3: decay of the averages of gradients, of their differences, and of squares.
        eps, eps_root: as for `scale_by_adam`.

    Example:
        >>> adan = scale_by_adan()
        >>> adan.update(np.array([3.0]), adan.init(np.zeros(1)))[0].round(4)
        array([1.])
    """

    def step(g: Any, moments: tuple, t: Any, p: Any) -> tuple[Any, tuple]:
        del p
        m, v, n, last = moments
        change = np.where(np.equal(t, 1), 0.0, 1.0).astype(g.real.dtype)[()] * (g - last)
        m, v = mixed(m, g, b1), mixed(v, change, b2)
        n = mixed(n, abs_squared(g + (1 - b2) * change), b3)
        ahead = debiased(m, b1, t) + (1 - b2) * debiased(v, b2, t)
        return ahead / (np.sqrt(debiased(n, b3, t) + eps_root) + eps), (m, v, n, g)

    return leafwise(
        "scale_by_adan", ScaleByAdanState, step, m=zeros, v=zeros, n=real_zeros, g=zeros
    )


@known_arguments
def adan(
    learning_rate: Any,
    b1: float = 0.98,
    b2: float = 0.92,
    b3: float = 0.99,
    eps: float = 1e-8,
    eps_root: float = 1e-8,
    weight_decay: Any = 0.0,
    mask: Any = None,
) -> GradientTransformation:
    """Adan (Xie et al., 2022).

    Args:
        learning_rate: a number, or a schedule: number of steps -> number.
        b1, b2, b3, eps, eps_root: as for `scale_by_adan`.
        weight_decay, mask: as for `adamw`.

    Example:
        >>> optimizer = adan(0.1)
        >>> optimizer.update(np.array([3.0]), optimizer.init(np.zeros(1)), np.zeros(1))[0].round(4)
        array([-0.1])
    """
    direction = scale_by_adan(b1, b2, b3, eps, eps_root)
    return decayed_descent(direction, learning_rate, weight_decay, mask)


def scale_by_lion(
    b1: float = 0.9,
    b2: float = 0.99,
    mu_dtype: Any = None,
    *,
    mode: str = "hard",
    smooth_beta: float = 1.0,
) -> GradientTransformation:
    """The sign of a mixture of gradient and average gradient (Chen et al., 2023).

    Args:
        b1: share of the average in the mixture.
        b2: decay of the average.
        mu_dtype: dtype of the average.
        mode: "hard" for the sign, "smooth" for tanh(smooth_beta * x), "refined" for x clipped to -1 ... 1.
        smooth_beta: steepness of "smooth".

    Example:
        >>> lion = scale_by_lion()
        >>> lion.update(np.array([3.0, -0.1]), lion.init(np.zeros(2)))[0]
        array([ 1., -1.])
    """
    shapes = {
        "hard": np.sign,
        "smooth": lambda x: np.tanh(smooth_beta * x),
        "refined": lambda x: np.where(np.abs(x) < 1.0, x, np.sign(x)),
    }
    if mode not in shapes:
        raise ValueError(f"[scale_by_lion] mode must be one of {sorted(shapes)}, but got {mode!r}.")

    def step(g: Any, moments: tuple, n: Any, p: Any) -> tuple[Any, tuple]:
        del n, p
        (mu,) = moments
        return shapes[mode](mixed(mu, g, b1)), (mixed(mu, g, b2),)

    return leafwise("scale_by_lion", ScaleByLionState, step, mu=zeros_of(mu_dtype))


@known_arguments
def lion(
    learning_rate: Any,
    b1: float = 0.9,
    b2: float = 0.99,
    mu_dtype: Any = None,
    weight_decay: Any = 1e-3,
    mask: Any = None,
) -> GradientTransformation:
    """Lion: steps of equal size in every direction, one moment only (Chen et al., 2023).

    A learning rate three to ten times smaller than Adam's, and a weight decay that much larger, is usual.

    Args:
        learning_rate: a number, or a schedule: number of steps -> number.
        b1, b2, mu_dtype: as for `scale_by_lion`.
        weight_decay, mask: as for `adamw`.

    Example:
        >>> optimizer = lion(0.1)
        >>> optimizer.update(np.array([3.0]), optimizer.init(np.zeros(1)), np.zeros(1))[0].round(4)
        array([-0.1])
    """
    return decayed_descent(scale_by_lion(b1, b2, mu_dtype), learning_rate, weight_decay, mask)
