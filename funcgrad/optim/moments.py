"""Transformations that remember earlier gradients: momentum and Adam's moments."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from funcgrad.optim.averaging import abs_squared, debiased, looked_ahead, mixed
from funcgrad.optim.base import GradientTransformation, check_decays
from funcgrad.optim.leafwise import leafwise, real_zeros, zeros_of


class TraceState(NamedTuple):
    """The state of `trace`: the decaying sum of gradients."""

    trace: Any


class ScaleByAdamState(NamedTuple):
    """The state of `scale_by_adam`: number of steps, and averages of gradients and of their squares."""

    count: Any
    mu: Any
    nu: Any


class EmaState(NamedTuple):
    """The state of `ema`: number of steps, and the average of the gradients."""

    count: Any
    ema: Any


def trace(
    decay: float, nesterov: bool = False, accumulator_dtype: Any = None
) -> GradientTransformation:
    """Momentum: the sum of all gradients, each older one weighted by one more factor `decay`.

    Args:
        decay: 0 <= decay < 1.
        nesterov: look one step ahead (Sutskever et al., 2013).
        accumulator_dtype: dtype of the sum.

    Example:
        >>> momentum = trace(0.5)
        >>> state = momentum.init(np.zeros(1))
        >>> for _ in range(3):
        ...     updates, state = momentum.update(np.ones(1), state)
        >>> updates
        array([1.75])
    """
    check_decays("trace", decay=decay)

    def step(g: Any, moments: tuple, n: Any, p: Any) -> tuple[Any, tuple]:
        del n, p
        total = g + decay * moments[0]
        return g + decay * total if nesterov else total, (total,)

    return leafwise("trace", TraceState, step, trace=zeros_of(accumulator_dtype))


def scale_by_adam(
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    eps_root: float = 0.0,
    mu_dtype: Any = None,
    *,
    nesterov: bool = False,
) -> GradientTransformation:
    """Divide the average gradient by the root of the average squared gradient (Kingma and Ba, 2015).

    Args:
        b1, b2: decay of the averages of the gradients and of their squares.
        eps: added to the root; eps_root: added under it.
        mu_dtype: dtype of the average of the gradients.
        nesterov: look one step ahead (Dozat, 2016).

    Example:
        >>> adam = scale_by_adam()
        >>> updates, state = adam.update(np.array([3.0, -0.01]), adam.init(np.zeros(2)))
        >>> updates.round(4)
        array([ 1., -1.])
    """
    check_decays("scale_by_adam", b1=b1, b2=b2)

    def under_root(nu: Any) -> Any:
        return nu if type(eps_root) is float and eps_root == 0.0 else nu + eps_root

    def step(g: Any, moments: tuple, n: Any, p: Any) -> tuple[Any, tuple]:
        del p
        mu, nu = moments
        mu, nu = mixed(mu, g, b1), mixed(nu, abs_squared(g), b2)
        ahead = looked_ahead(mu, g, b1, n) if nesterov else debiased(mu, b1, n)
        return ahead / (np.sqrt(under_root(debiased(nu, b2, n))) + eps), (mu, nu)

    return leafwise("adam", ScaleByAdamState, step, mu=zeros_of(mu_dtype), nu=real_zeros)


def ema(decay: float, debias: bool = True, accumulator_dtype: Any = None) -> GradientTransformation:
    """The exponential moving average of the updates.

    Args:
        decay: 0 <= decay < 1.
        debias: as if the steps so far were all there is.
        accumulator_dtype: dtype of the average.

    Example:
        >>> average = ema(0.9)
        >>> average.update(np.ones(2), average.init(np.zeros(2)))[0]
        array([1., 1.])
    """
    check_decays("ema", decay=decay)

    def step(g: Any, moments: tuple, n: Any, p: Any) -> tuple[Any, tuple]:
        del p
        mean = mixed(moments[0], g, decay)
        return debiased(mean, decay, n) if debias else mean, (mean,)

    return leafwise("ema", EmaState, step, ema=zeros_of(accumulator_dtype))
