"""Incomplete gamma and beta functions: the distribution functions of gamma and beta distributed numbers.

Their derivatives with respect to shapes have no closed form. They are integrals from the argument to the near
end of its range, where the integrand, relative to the density at the argument, falls off smoothly.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from funcgrad.ops.arithmetic import add, divide, multiply, negative, subtract
from funcgrad.ops.cast import convert
from funcgrad.ops.compare import greater, less
from funcgrad.ops.create import iota
from funcgrad.ops.exponential import exp, expm1, log, log1p
from funcgrad.ops.extrema import minimum
from funcgrad.ops.families import SpecialFunction
from funcgrad.ops.floats import absolute
from funcgrad.ops.gamma import betaln, digamma, gammaln
from funcgrad.ops.hyperbolic import cosh, sinh
from funcgrad.ops.operands import ndim_of, shape_of
from funcgrad.ops.power import sqrt
from funcgrad.ops.public import FUNCTION_OF_UFUNC, binary, promote_as
from funcgrad.ops.reduce import reduce_sum
from funcgrad.ops.select import select
from funcgrad.ops.shape import reshape

NODES, FIRST, LAST = 80, -3.6, 1.9


class Gammainc(SpecialFunction):
    """Regularised lower incomplete gamma function: the probability of gamma numbers up to `y`.

    Example:
        >>> gammainc(1.0, 1.0)
        np.float64(0.6321206)
    """

    ufunc = "scipy.special:gammainc"

    def partials(self, out: Any, x: Any, y: Any) -> tuple:
        del out
        return lambda: gammainc_of_shape(x, y), lambda: gamma_density(x, y)


class Gammaincc(SpecialFunction):
    """Regularised upper incomplete gamma function: the probability of gamma numbers above `y`.

    Example:
        >>> gammaincc(1.0, 1.0)
        np.float64(0.3678794)
    """

    ufunc = "scipy.special:gammaincc"

    def partials(self, out: Any, x: Any, y: Any) -> tuple:
        del out
        return (
            lambda: negative(gammainc_of_shape(x, y)),
            lambda: negative(gamma_density(x, y)),
        )


class Betainc(SpecialFunction):
    """Regularised incomplete beta function: the probability of beta numbers up to `x`."""

    ufunc = "scipy.special:betainc"

    def partials(self, out: Any, a: Any, b: Any, x: Any) -> tuple:
        del out
        return (
            lambda: betainc_of_shape(a, b, x, first=True),
            lambda: betainc_of_shape(a, b, x, first=False),
            lambda: beta_density(a, b, x),
        )


GAMMAINC, GAMMAINCC, BETAINC = Gammainc(), Gammaincc(), Betainc()
gammainc, gammaincc = binary(GAMMAINC), binary(GAMMAINCC)


def betainc(a: Any, b: Any, x: Any, /) -> Any:
    """Regularised incomplete beta function: the probability of beta numbers up to `x`.

    Args:
        a, b: shapes, positive.
        x: from 0 to 1; all are broadcast.

    Returns:
        An array of the broadcast shape.

    Example:
        >>> betainc(2.0, 2.0, 0.5)
        np.float64(0.5)
    """
    return BETAINC(*promote_as("scipy.special:betainc", a, b, x))


FUNCTION_OF_UFUNC["scipy.special:betainc"] = betainc


# --- derivatives ---


def gamma_density(a: Any, x: Any) -> Any:
    """The density of gamma numbers."""
    return exp(subtract(multiply(subtract(a, 1.0), log(x)), add(x, gammaln(a))))


def beta_density(a: Any, b: Any, x: Any) -> Any:
    """The density of beta numbers."""
    powers = add(multiply(subtract(a, 1.0), log(x)), multiply(subtract(b, 1.0), log1p(negative(x))))
    return exp(subtract(powers, betaln(a, b)))


def gammainc_of_shape(a: Any, x: Any) -> Any:
    """The derivative of `gammainc` with respect to its shape."""
    is_positive = greater(x, 0.0)
    logs = log(select(is_positive, x, 1.0))
    density = exp(subtract(multiply(a, logs), add(x, gammaln(a))))
    found = negative(multiply(density, log_gamma_slope(a, logs)))
    return select(is_positive, found, 0.0)


def log_gamma_slope(a: Any, logs: Any) -> Any:
    """The derivative, with respect to the shape `a`, of the logarithm of a gamma number at a fixed place of its
    distribution (Figurnov et al., 2018)."""
    dtype = a.dtype
    a, logs = wide(a), wide(logs)
    x = exp(logs)
    side = select(less(x, a), -1.0, 1.0)
    width = divide(1.0, add(absolute(subtract(a, x)), sqrt(minimum(a, x))))

    def integrand(s: Any) -> Any:
        step = multiply(column(side), s)
        grown = expm1(minimum(step, 700.0))
        relative = exp(subtract(multiply(column(a), step), multiply(column(x), grown)))
        return multiply(relative, subtract(add(column(logs), step), column(digamma(a))))

    # 1e-30 keeps the width finite where the number itself is 0 in floating point.
    return convert(multiply(side, half_line(integrand, minimum(width, 1e30))), dtype)


def betainc_of_shape(a: Any, b: Any, x: Any, first: bool) -> Any:
    """The derivative of `betainc` with respect to one of its shapes."""
    dtype = a.dtype
    a, b, x = wide(a), wide(b), wide(x)
    is_inside = greater(multiply(x, subtract(1.0, x)), 0.0)
    x = select(is_inside, x, 0.5)
    is_low = less(x, divide(a, add(a, b)))
    # On the low side t = x exp(-s) runs to 0, on the high side 1 - t = (1 - x) exp(-s) does.
    near, far = select(is_low, x, subtract(1.0, x)), select(is_low, subtract(1.0, x), x)
    own, other = select(is_low, a, b), select(is_low, b, a)
    offset = subtract(digamma(add(a, b)), digamma(a if first else b))
    excess = absolute(subtract(own, multiply(add(a, b), near)))
    width = divide(1.0, add(excess, sqrt(multiply(minimum(own, multiply(add(a, b), near)), far))))
    logs_near, logs_far = log(near), log(far)

    def integrand(s: Any) -> Any:
        log_near = subtract(column(logs_near), s)
        log_far = log1p(negative(exp(log_near)))
        grown = multiply(subtract(column(other), 1.0), subtract(log_far, column(logs_far)))
        relative = exp(subtract(grown, multiply(column(own), s)))
        log_t = select(column(is_low), log_near, log_far)
        log_rest = select(column(is_low), log_far, log_near)
        return multiply(relative, add(log_t if first else log_rest, column(offset)))

    scale = multiply(beta_density(a, b, x), select(is_low, near, negative(near)))
    found = multiply(scale, half_line(integrand, width))
    return convert(select(is_inside, found, 0.0), dtype)


# --- quadrature ---


def half_line(integrand: Callable[[Any], Any], width: Any) -> Any:
    """The integral over the positive numbers of functions that fall off within about `width`.

    Source: exp-sinh quadrature, Takahasi and Mori, 1974.
    """
    step = (LAST - FIRST) / (NODES - 1)
    u = add(multiply(iota((NODES,), 0, np.float64), step), FIRST)
    nodes = exp(multiply(sinh(u), 0.5 * math.pi))
    weights = multiply(multiply(nodes, cosh(u)), 0.5 * math.pi * step)
    places = multiply(column(width), nodes)
    total = multiply(multiply(column(width), weights), integrand(places))
    return reduce_sum(total, (ndim_of(total) - 1,))


def column(x: Any) -> Any:
    """A new last axis for the nodes."""
    return reshape(x, (*shape_of(x), 1))


def wide(x: Any) -> Any:
    return convert(x, np.float64)
