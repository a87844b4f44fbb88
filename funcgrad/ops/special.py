"""Special functions of statistics: error functions, the normal distribution, safe logarithms."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from funcgrad.ops.arithmetic import add, multiply, negative, subtract
from funcgrad.ops.compare import equal, less, logical_and
from funcgrad.ops.exponential import LOG1P, QUIET_LOG, exp, log_sigmoid, sigmoid
from funcgrad.ops.families import Elementwise, SpecialFunction
from funcgrad.ops.public import FUNCTION_OF_UFUNC, binary, promote_as, unary
from funcgrad.ops.rules import Quiet, cast_like, product, ratio
from funcgrad.ops.select import select

# --- error functions and the normal distribution ---


class Erf(Elementwise):
    """Error function: `2 / sqrt(pi)` times the integral of `exp(-t*t)` from 0 to `x`.

    Example:
        >>> erf(0.0)
        np.float64(0.0)
    """

    ufunc = "scipy.special:erf"

    def partials(self, out: Any, x: Any) -> tuple:
        del out
        return (multiply(bell(x, 1.0), 2.0 / math.sqrt(math.pi)),)


class Erfc(Elementwise):
    """`1 - erf(x)`, exact also where `x` is large.

    Example:
        >>> erfc(0.0)
        np.float64(1.0)
    """

    ufunc = "scipy.special:erfc"

    def partials(self, out: Any, x: Any) -> tuple:
        del out
        return (multiply(bell(x, 1.0), -2.0 / math.sqrt(math.pi)),)


class Erfinv(SpecialFunction):
    """Inverse of `erf`.

    Example:
        >>> erfinv(0.0)
        np.float64(0.0)
    """

    ufunc = "scipy.special:erfinv"

    def partials(self, out: Any, x: Any) -> tuple:
        del x
        return (multiply(bell(out, -1.0), math.sqrt(math.pi) / 2.0),)


class Ndtr(SpecialFunction):
    """Cumulative distribution function of the standard normal distribution.

    Example:
        >>> ndtr(0.0)
        np.float64(0.5)
    """

    ufunc = "scipy.special:ndtr"

    def partials(self, out: Any, x: Any) -> tuple:
        del out
        return (multiply(bell(x, 0.5), 1.0 / math.sqrt(2.0 * math.pi)),)


class Ndtri(SpecialFunction):
    """Inverse of `ndtr`: the quantile function of the standard normal distribution.

    Example:
        >>> ndtri(0.5)
        np.float64(0.0)
    """

    ufunc = "scipy.special:ndtri"

    def partials(self, out: Any, x: Any) -> tuple:
        del x
        return (multiply(bell(out, -0.5), math.sqrt(2.0 * math.pi)),)


class LogNdtr(SpecialFunction):
    """Logarithm of `ndtr`, finite far into the lower tail.

    Example:
        >>> log_ndtr(0.0)
        np.float64(-0.6931471)
    """

    ufunc = "scipy.special:log_ndtr"

    def partials(self, out: Any, x: Any) -> tuple:
        del out
        return (HAZARD.apply(x),)


class Hazard(SpecialFunction):
    """Density of the standard normal distribution divided by `ndtr`, the slope of `log_ndtr`."""

    ufunc = "scipy.special:erfcx"

    def numpy(self, xp: Any, x: Any) -> Any:
        with np.errstate(all="ignore"):
            return math.sqrt(2.0 / math.pi) / super().numpy(xp, x * -math.sqrt(0.5))

    def partials(self, out: Any, x: Any) -> tuple:
        return (negative(multiply(out, add(x, out))),)


def bell(x: Any, steepness: float) -> Any:
    """`exp(-steepness * x * x)`, without a warning where the square overflows."""
    return exp(product(product(x, x), -steepness))


# --- logarithms with a safe zero ---


class Logit(SpecialFunction):
    """`log(x / (1 - x))`, the inverse of `expit`.

    Example:
        >>> logit(0.5)
        np.float64(0.0)
    """

    ufunc = "scipy.special:logit"

    def partials(self, out: Any, x: Any) -> tuple:
        del out
        return (ratio(1.0, product(x, subtract(1.0, x))),)


class Xlogy(SpecialFunction):
    """`x * log(y)`, 0 where `x` is 0.

    Example:
        >>> xlogy(0.0, 0.0)
        np.float64(0.0)
    """

    ufunc = "scipy.special:xlogy"

    def partials(self, out: Any, x: Any, y: Any) -> tuple:
        return (
            lambda: QUIET_LOG.apply(cast_like(out, y)),
            lambda: zero_over_zero(x, y),
        )


class Xlog1py(SpecialFunction):
    """`x * log(1 + y)`, 0 where `x` is 0, exact also where `y` is tiny.

    Example:
        >>> xlog1py(1.0, 1e-20)
        np.float64(1e-20)
    """

    ufunc = "scipy.special:xlog1py"

    def partials(self, out: Any, x: Any, y: Any) -> tuple:
        return (
            lambda: QUIET_LOG1P.apply(cast_like(out, y)),
            lambda: zero_over_zero(x, add(y, 1.0)),
        )


def zero_over_zero(x: Any, y: Any) -> Any:
    """`x / y`, and 0 for `0 / 0`."""
    undefined = logical_and(equal(x, 0), equal(y, 0))
    return select(undefined, 0, ratio(x, select(undefined, 1, y)))


ERF, ERFC, ERFINV = Erf(), Erfc(), Erfinv()
NDTR, NDTRI, LOG_NDTR, HAZARD = Ndtr(), Ndtri(), LogNdtr(), Hazard()
LOGIT, XLOGY, XLOG1PY = Logit(), Xlogy(), Xlog1py()
QUIET_LOG1P = Quiet(LOG1P)

erf, erfc, erfinv = unary(ERF), unary(ERFC), unary(ERFINV)
ndtr, ndtri, log_ndtr = unary(NDTR), unary(NDTRI), unary(LOG_NDTR)
logit, xlogy, xlog1py = unary(LOGIT), binary(XLOGY), binary(XLOG1PY)


def entr(x: Any, /) -> Any:
    """Entropy term `-x * log(x)`: 0 at 0 and -inf for negative `x`.

    Args:
        x: array or number.

    Returns:
        An array of the shape of `x`, in its floating dtype.

    Example:
        >>> float(entr(0.0))
        0.0
    """
    (x,) = promote_as("scipy.special:entr", x)
    below = np.asarray(-math.inf, x.dtype)[()]
    return select(less(x, 0), below, xlogy(negative(x), x))


FUNCTION_OF_UFUNC.update(
    {
        "scipy.special:entr": entr,
        "scipy.special:expit": sigmoid,
        "scipy.special:log_expit": log_sigmoid,
    }
)
