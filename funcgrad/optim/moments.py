"""Transformations that remember earlier gradients: momentum and Adam's moments."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from funcgrad.ir.types import is_complex
from funcgrad.optim.base import (
    GradientTransformation,
    as_weak,
    check_range,
    is_trained,
    map_leaves,
    map_moments,
    moment_dtype,
    moment_real_dtype,
    zeros_like_params,
)


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
    check_range("trace", decay=(decay, 0.0, 1.0))

    def init(params: Any) -> TraceState:
        return TraceState(
            zeros_like_params(params, lambda dtype: accumulator_dtype or moment_dtype(dtype))
        )

    def add(sum: Any, update: Any) -> Any:
        return update + decay * sum

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
        del params, extra
        sums = map_moments(add, "trace", state.trace, updates)
        result = map_moments(add, "trace", sums, updates) if nesterov else sums
        result = only_updated(result, updates)
        return result, TraceState(in_dtype(sums, accumulator_dtype))

    return GradientTransformation(init, update)


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
    check_range("scale_by_adam", b1=(b1, 0.0, 1.0), b2=(b2, 0.0, 1.0))

    def init(params: Any) -> ScaleByAdamState:
        mu = zeros_like_params(params, lambda dtype: mu_dtype or moment_dtype(dtype))
        return ScaleByAdamState(np.int64(0), mu, zeros_like_params(params, moment_real_dtype))

    def average(mean: Any, gradient: Any) -> Any:
        return b1 * mean + (1 - b1) * gradient

    def average_square(mean: Any, gradient: Any) -> Any:
        return b2 * mean + (1 - b2) * abs_squared(gradient.astype(wider(gradient)))

    def under_root(nu: Any) -> Any:
        return nu if type(eps_root) is float and eps_root == 0.0 else nu + eps_root

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
        del params, extra
        count = state.count + 1
        mu = map_moments(average, "adam", state.mu, updates)
        nu = map_moments(average_square, "adam", state.nu, updates)
        if nesterov:
            ahead = map_moments(
                lambda m, g: b1 * unbiased(m, b1, count + 1) + (1 - b1) * unbiased(g, b1, count),
                "adam",
                mu,
                updates,
            )
        else:
            ahead = map_leaves(lambda m: None if m is None else unbiased(m, b1, count), "adam", mu)
        scaled = map_moments(
            lambda m, g, v: m / (np.sqrt(under_root(unbiased(v, b2, count))) + eps),
            "adam",
            ahead,
            updates,
            nu,
        )
        mu = in_dtype(mu, mu_dtype)
        return only_updated(scaled, updates), ScaleByAdamState(count, mu, nu)

    return GradientTransformation(init, update)


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
    check_range("ema", decay=(decay, 0.0, 1.0))

    def init(params: Any) -> EmaState:
        start = zeros_like_params(params, lambda dtype: accumulator_dtype or moment_dtype(dtype))
        return EmaState(np.int64(0), start)

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
        del params, extra
        count = state.count + 1
        averages = map_moments(lambda m, g: decay * m + (1 - decay) * g, "ema", state.ema, updates)
        found = only_updated(averages, updates)
        if debias:
            found = map_leaves(
                lambda m: None if m is None else unbiased(m, decay, count), "ema", found
            )
        return found, EmaState(count, in_dtype(averages, accumulator_dtype))

    return GradientTransformation(init, update)


def in_dtype(moments: Any, dtype: Any) -> Any:
    """Moments in the dtype that the user asked for, if there is one."""
    if dtype is None:
        return moments
    return map_leaves(lambda m: None if m is None else m.astype(dtype), "update", moments)


def abs_squared(x: Any) -> Any:
    """|x|**2, real also for complex x."""
    return x.real * x.real + x.imag * x.imag if is_complex(x.dtype) else x * x


def wider(x: Any) -> np.dtype:
    """The dtype in which the running averages of `x` are kept."""
    return moment_dtype(x.dtype)


def unbiased(mean: Any, decay: float, count: Any) -> Any:
    """An average that began at zero, as if the steps so far were all there is."""
    return mean / (1 - decay ** as_weak(count))


def only_updated(moments: Any, updates: Any) -> Any:
    """None where there was no update."""
    return map_leaves(lambda m, u: m if is_trained(u) else None, "update", moments, updates)
