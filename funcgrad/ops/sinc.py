"""The normalised sinc function, with derivatives that are exact at 0 to every order.

With f_n(u) = j_n(u) / u**n (j_n: spherical Bessel function), sinc(x) = f_0(pi x) and
f_n'(u) = -u f_{n+1}(u); every f_n is smooth. Source: DLMF 10.51.3 and 10.53.1.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from funcgrad.ir.types import FLOAT64, is_inexact
from funcgrad.ops.arithmetic import multiply, negative
from funcgrad.ops.cast import convert
from funcgrad.ops.families import SpecialFunction
from funcgrad.ops.sequences import as_array

SERIES_TERMS = 20


class Sinc(SpecialFunction):
    """`sin(pi * x) / (pi * x)`, and 1 at 0."""

    def numpy(self, xp: Any, x: Any) -> Any:
        return xp.sinc(x).astype(x.dtype)  # NumPy gives float32 for bfloat16

    def partials(self, out: Any, x: Any) -> tuple:
        del out
        slope = SPHERICAL_QUOTIENT(multiply(x, math.pi), order=1)
        return (multiply(multiply(x, -math.pi * math.pi), slope),)


class SphericalQuotient(SpecialFunction):
    """`j_n(u) / u**n` for `n = order >= 1`, where j_n is the spherical Bessel function."""

    def numpy(self, xp: Any, u: Any, *, order: int) -> Any:
        with np.errstate(all="ignore"):
            near = self.series(u, order)
            far = self.recurrence(xp, u, order)
        return xp.where(xp.abs(u) < order + 1, near, far)[()]

    @staticmethod
    def series(u: Any, order: int) -> Any:
        """Taylor series: sum of (-u*u/2)**k / (k! (2n+1)!! (2n+3) (2n+5) ... (2n+2k+1))."""
        term = total = 1.0 / math.prod(range(1, 2 * order + 2, 2)) + 0 * u
        for k in range(1, SERIES_TERMS):
            term = term * (u * u) * (-0.5 / (k * (2 * order + 2 * k + 1)))
            total = total + term
        return total

    @staticmethod
    def recurrence(xp: Any, u: Any, order: int) -> Any:
        """Upward from f_0 and f_1, stable for `|u| > order`."""
        square, sine = u * u, xp.sin(u)
        low, high = sine / u, (sine / u - xp.cos(u)) / square
        for n in range(1, order):
            low, high = high, ((2 * n + 1) * high - low) / square
        return high

    def partials(self, out: Any, u: Any, *, order: int) -> tuple:
        del out
        return (negative(multiply(u, self(u, order=order + 1))),)


SINC, SPHERICAL_QUOTIENT = Sinc(), SphericalQuotient()


def sinc(x: Any, /) -> Any:
    """`sin(pi * x) / (pi * x)`, and 1 at 0, where its derivatives are exact too.

    Args:
        x: array or number.

    Returns:
        An array of the shape of `x`, in its floating dtype (float64 for integers).

    Example:
        >>> sinc(0.0)
        np.float64(1.0)
    """
    x = as_array(x)
    return SINC(x if is_inexact(x.dtype) else convert(x, FLOAT64))
