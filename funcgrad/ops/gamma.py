"""Gamma functions."""

from __future__ import annotations

import math
import operator
from typing import Any

from funcgrad.ops.arithmetic import add, subtract
from funcgrad.ops.families import SpecialFunction
from funcgrad.ops.operands import array_function
from funcgrad.ops.public import binary, promote_as, unary
from funcgrad.ops.rules import product


class Gamma(SpecialFunction):
    """Gamma function: `gamma(n + 1) = n!`.

    Example:
        >>> gamma(5.0)
        np.float64(24.0)
    """

    ufunc = "scipy.special:gamma"

    def partials(self, out: Any, x: Any) -> tuple:
        return (product(out, digamma(x)),)


class Gammaln(SpecialFunction):
    """Logarithm of the magnitude of the gamma function.

    Example:
        >>> gammaln(1.0)
        np.float64(0.0)
    """

    ufunc = "scipy.special:gammaln"

    def partials(self, out: Any, x: Any) -> tuple:
        del out
        return (digamma(x),)


class Digamma(SpecialFunction):
    """Derivative of `gammaln`.

    Example:
        >>> digamma(1.0)
        np.float64(-0.5772156)
    """

    ufunc = "scipy.special:psi"

    def partials(self, out: Any, x: Any) -> tuple:
        del out
        return (POLYGAMMA(x, order=1),)


class Polygamma(SpecialFunction):
    """Derivative of order `order >= 1` of `digamma`. Source: DLMF 5.15.1 and 25.11.1."""

    def numpy(self, xp: Any, x: Any, *, order: int) -> Any:
        factor = math.factorial(order) * (-1.0) ** (order + 1)
        return factor * array_function(xp, "scipy.special:zeta")(order + 1, x)

    def partials(self, out: Any, x: Any, *, order: int) -> tuple:
        del out
        return (self(x, order=order + 1),)


class Betaln(SpecialFunction):
    """Logarithm of the magnitude of the beta function.

    Example:
        >>> betaln(1.0, 1.0)
        np.float64(0.0)
    """

    ufunc = "scipy.special:betaln"

    def partials(self, out: Any, x: Any, y: Any) -> tuple:
        del out

        def slope(side: Any) -> Any:
            return subtract(digamma(side), digamma(add(x, y)))

        return lambda: slope(x), lambda: slope(y)


GAMMA, GAMMALN, DIGAMMA, POLYGAMMA, BETALN = Gamma(), Gammaln(), Digamma(), Polygamma(), Betaln()

gamma, gammaln, digamma = unary(GAMMA), unary(GAMMALN), unary(DIGAMMA)
betaln = binary(BETALN)


def polygamma(n: int, x: Any, /) -> Any:
    """Derivative of order `n` of the digamma function.

    Args:
        n: order, a Python integer of at least 0.
        x: array or number.

    Returns:
        An array of the shape of `x`, in its floating dtype.

    Raises:
        ValueError: `n` is negative.

    Example:
        >>> polygamma(1, 1.0)
        np.float64(1.6449340)
    """
    order = operator.index(n)
    if order < 0:
        raise ValueError(f"[polygamma] the order n must be at least 0, but got {order}")
    (x,) = promote_as("scipy.special:gammaln", x)
    return POLYGAMMA(x, order=order) if order else DIGAMMA(x)
