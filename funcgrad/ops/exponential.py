"""Exponentials, logarithms, and the sigmoid family built on them."""

from __future__ import annotations

import math
from typing import Any

from funcgrad.ops.arithmetic import add, multiply, negative, subtract
from funcgrad.ops.compare import equal, isinf, logical_and
from funcgrad.ops.families import Elementwise
from funcgrad.ops.public import binary, unary
from funcgrad.ops.rules import Quiet, difference, ratio
from funcgrad.ops.select import select

LOG_2 = math.log(2.0)
LOG_10 = math.log(10.0)


class Exp(Elementwise):
    """e to the power of each element.

    Example:
        >>> exp(1.0)
        np.float64(2.718281828)
    """

    ufunc = "exp"

    def partials(self, out: Any, x: Any) -> tuple:
        del x
        return (out,)


class Exp2(Elementwise):
    """2 to the power of each element.

    Example:
        >>> exp2(3.0)
        np.float64(8.0)
    """

    ufunc = "exp2"

    def partials(self, out: Any, x: Any) -> tuple:
        del x
        return (multiply(out, LOG_2),)


class Expm1(Elementwise):
    """`exp(x) - 1`, exact also where `x` is tiny.

    Example:
        >>> expm1(1e-20)
        np.float64(1e-20)
    """

    ufunc = "expm1"

    def partials(self, out: Any, x: Any) -> tuple:
        del x
        return (add(out, 1.0),)


class Log(Elementwise):
    """Natural logarithm of each element.

    Example:
        >>> log(1.0)
        np.float64(0.0)
    """

    ufunc = "log"

    def partials(self, out: Any, x: Any) -> tuple:
        del out
        return (ratio(1.0, x),)


class Log2(Elementwise):
    """Logarithm to base 2 of each element.

    Example:
        >>> log2(8.0)
        np.float64(3.0)
    """

    ufunc = "log2"

    def partials(self, out: Any, x: Any) -> tuple:
        del out
        return (ratio(1.0 / LOG_2, x),)


class Log10(Elementwise):
    """Logarithm to base 10 of each element.

    Example:
        >>> log10(100.0)
        np.float64(2.0)
    """

    ufunc = "log10"

    def partials(self, out: Any, x: Any) -> tuple:
        del out
        return (ratio(1.0 / LOG_10, x),)


class Log1p(Elementwise):
    """`log(1 + x)`, exact also where `x` is tiny.

    Example:
        >>> log1p(1e-20)
        np.float64(1e-20)
    """

    ufunc = "log1p"

    def partials(self, out: Any, x: Any) -> tuple:
        del out
        return (ratio(1.0, add(x, 1.0)),)


class Logistic(Elementwise):
    """The sigmoid `1 / (1 + exp(-x))`, computed without overflow.

    Example:
        >>> sigmoid(0.0)
        np.float64(0.5)
    """

    ufunc = "exp"  # for its dtypes

    def numpy(self, xp: Any, x: Any) -> Any:
        if getattr(x, "dtype", None) is not None and x.dtype.kind == "c":
            return 1.0 / (1.0 + xp.exp(-x))
        tail = xp.exp(-xp.abs(x))
        return xp.where(xp.greater_equal(x, 0), 1, tail) / (1 + tail)  # 1.0 would widen bfloat16

    def partials(self, out: Any, x: Any) -> tuple:
        del x
        return (multiply(out, subtract(1.0, out)),)

    def scalar(self, emit: Any, x: Any) -> Any:
        return emit.logistic(x)


class Logaddexp(Elementwise):
    """`log(exp(x) + exp(y))`, computed without overflow.

    Example:
        >>> logaddexp(1000.0, 1000.0)
        np.float64(1000.6931)
    """

    ufunc = "logaddexp"

    def partials(self, out: Any, x: Any, y: Any) -> tuple:
        del out
        return lambda: sigmoid(gap(x, y)), lambda: sigmoid(gap(y, x))


class Logaddexp2(Elementwise):
    """`log2(2**x + 2**y)`, computed without overflow.

    Example:
        >>> logaddexp2(3.0, 3.0)
        np.float64(4.0)
    """

    ufunc = "logaddexp2"

    def partials(self, out: Any, x: Any, y: Any) -> tuple:
        del out
        return (
            lambda: sigmoid(multiply(gap(x, y), LOG_2)),
            lambda: sigmoid(multiply(gap(y, x), LOG_2)),
        )


EXP, EXP2, EXPM1 = Exp(), Exp2(), Expm1()
LOG, LOG2, LOG10, LOG1P = Log(), Log2(), Log10(), Log1p()
LOGISTIC, LOGADDEXP, LOGADDEXP2 = Logistic(), Logaddexp(), Logaddexp2()
QUIET_LOG = Quiet(LOG)

exp, exp2, expm1 = unary(EXP), unary(EXP2), unary(EXPM1)
log, log2, log10, log1p = unary(LOG), unary(LOG2), unary(LOG10), unary(LOG1P)
sigmoid = expit = unary(LOGISTIC, "sigmoid")
logaddexp, logaddexp2 = binary(LOGADDEXP), binary(LOGADDEXP2)


def gap(x: Any, y: Any) -> Any:
    """`x - y`, and 0 where both are the same infinity: equal terms share the derivative."""
    same = logical_and(equal(x, y), isinf(x))
    return select(same, 0, difference(x, y))


def softplus(x: Any, /) -> Any:
    """`log(1 + exp(x))`, computed without overflow: a smooth `relu`.

    Args:
        x: array or number.

    Returns:
        An array of the shape of `x`, in its floating dtype.

    Example:
        >>> softplus(1000.0)
        np.float64(1000.0)
    """
    return logaddexp(x, 0.0)


def log_sigmoid(x: Any, /) -> Any:
    """`log(sigmoid(x))`, finite for every finite `x`.

    Args:
        x: array or number.

    Returns:
        An array of the shape of `x`, in its floating dtype.

    Example:
        >>> log_sigmoid(-1000.0)
        np.float64(-1000.0)
    """
    return negative(softplus(negative(x)))
