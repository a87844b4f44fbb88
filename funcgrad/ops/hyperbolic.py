"""Hyperbolic functions and their inverses."""

from __future__ import annotations

from typing import Any

from funcgrad.ir.tracer import type_of
from funcgrad.ops.arithmetic import add, multiply, subtract
from funcgrad.ops.families import Elementwise
from funcgrad.ops.power import sqrt
from funcgrad.ops.public import unary
from funcgrad.ops.rules import ratio
from funcgrad.ops.trigonometry import hypot, one_minus_square


class Sinh(Elementwise):
    """Hyperbolic sine of each element.

    Example:
        >>> sinh(0.0)
        np.float64(0.0)
    """

    ufunc = "sinh"

    def partials(self, out: Any, x: Any) -> tuple:
        del out
        return (cosh(x),)


class Cosh(Elementwise):
    """Hyperbolic cosine of each element.

    Example:
        >>> cosh(0.0)
        np.float64(1.0)
    """

    ufunc = "cosh"

    def partials(self, out: Any, x: Any) -> tuple:
        del out
        return (sinh(x),)


class Tanh(Elementwise):
    """Hyperbolic tangent of each element.

    Example:
        >>> tanh(0.0)
        np.float64(0.0)
    """

    ufunc = "tanh"

    def partials(self, out: Any, x: Any) -> tuple:
        del x
        return (subtract(1.0, multiply(out, out)),)


class Arcsinh(Elementwise):
    """Inverse hyperbolic sine of each element.

    Example:
        >>> arcsinh(0.0)
        np.float64(0.0)
    """

    ufunc = "arcsinh"

    def partials(self, out: Any, x: Any) -> tuple:
        del out
        if type_of(x).dtype.kind == "c":
            return (ratio(1.0, sqrt(add(multiply(x, x), 1.0))),)
        return (ratio(1.0, hypot(x, 1.0)),)


class Arccosh(Elementwise):
    """Inverse hyperbolic cosine of each element, at least 0.

    Example:
        >>> arccosh(1.0)
        np.float64(0.0)
    """

    ufunc = "arccosh"

    def partials(self, out: Any, x: Any) -> tuple:
        del out
        return (ratio(1.0, multiply(sqrt(subtract(x, 1.0)), sqrt(add(x, 1.0)))),)


class Arctanh(Elementwise):
    """Inverse hyperbolic tangent of each element.

    Example:
        >>> arctanh(0.0)
        np.float64(0.0)
    """

    ufunc = "arctanh"

    def partials(self, out: Any, x: Any) -> tuple:
        del out
        return (ratio(1.0, one_minus_square(x)),)


SINH, COSH, TANH = Sinh(), Cosh(), Tanh()
ARCSINH, ARCCOSH, ARCTANH = Arcsinh(), Arccosh(), Arctanh()

sinh, cosh, tanh = unary(SINH), unary(COSH), unary(TANH)
arcsinh, arccosh, arctanh = unary(ARCSINH), unary(ARCCOSH), unary(ARCTANH)
