"""Trigonometric functions, their inverses, and polar coordinates."""

from __future__ import annotations

import math
from typing import Any

from funcgrad.ops.arithmetic import add, multiply, negative, subtract
from funcgrad.ops.compare import equal
from funcgrad.ops.families import Elementwise
from funcgrad.ops.power import sqrt
from funcgrad.ops.public import binary, unary
from funcgrad.ops.rules import product, ratio
from funcgrad.ops.select import select


class Sin(Elementwise):
    """Sine of each element, in radians.

    Example:
        >>> sin(0.0)
        np.float64(0.0)
    """

    ufunc = "sin"

    def partials(self, out: Any, x: Any) -> tuple:
        del out
        return (cos(x),)


class Cos(Elementwise):
    """Cosine of each element, in radians.

    Example:
        >>> cos(0.0)
        np.float64(1.0)
    """

    ufunc = "cos"

    def partials(self, out: Any, x: Any) -> tuple:
        del out
        return (negative(sin(x)),)


class Tan(Elementwise):
    """Tangent of each element, in radians.

    Example:
        >>> tan(0.0)
        np.float64(0.0)
    """

    ufunc = "tan"

    def partials(self, out: Any, x: Any) -> tuple:
        del x
        return (add(product(out, out), 1.0),)


class Arcsin(Elementwise):
    """Inverse sine of each element, between -pi/2 and pi/2.

    Example:
        >>> arcsin(1.0)
        np.float64(1.5707963)
    """

    ufunc = "arcsin"

    def partials(self, out: Any, x: Any) -> tuple:
        del out
        return (ratio(1.0, sqrt(one_minus_square(x))),)


class Arccos(Elementwise):
    """Inverse cosine of each element, between 0 and pi.

    Example:
        >>> arccos(1.0)
        np.float64(0.0)
    """

    ufunc = "arccos"

    def partials(self, out: Any, x: Any) -> tuple:
        del out
        return (ratio(-1.0, sqrt(one_minus_square(x))),)


class Arctan(Elementwise):
    """Inverse tangent of each element, between -pi/2 and pi/2.

    Example:
        >>> arctan(1.0)
        np.float64(0.7853981)
    """

    ufunc = "arctan"

    def partials(self, out: Any, x: Any) -> tuple:
        del out
        return (ratio(1.0, add(product(x, x), 1.0)),)


class Hypot(Elementwise):
    """Length of the vector `(x, y)`. Its derivative at the origin is 0.

    Example:
        >>> hypot(3.0, 4.0)
        np.float64(5.0)
    """

    ufunc = "hypot"

    def partials(self, out: Any, x: Any, y: Any) -> tuple:
        return lambda: zero_at_origin(x, out), lambda: zero_at_origin(y, out)


class Arctan2(Elementwise):
    """Angle of the vector with height `x` and width `y`, between -pi and pi.

    Example:
        >>> arctan2(1.0, -1.0)
        np.float64(2.3561944)
    """

    ufunc = "arctan2"

    def partials(self, out: Any, x: Any, y: Any) -> tuple:
        del out

        def slope(side: Any) -> Any:
            length = hypot(x, y)
            return zero_at_origin(zero_at_origin(side, length), length)

        return lambda: slope(y), lambda: negative(slope(x))


class Deg2rad(Elementwise):
    """Degrees to radians.

    Example:
        >>> deg2rad(180.0)
        np.float64(3.1415926)
    """

    ufunc = "deg2rad"

    def partials(self, out: Any, x: Any) -> tuple:
        del out, x
        return (math.pi / 180.0,)


class Rad2deg(Elementwise):
    """Radians to degrees.

    Example:
        >>> rad2deg(0.0)
        np.float64(0.0)
    """

    ufunc = "rad2deg"

    def partials(self, out: Any, x: Any) -> tuple:
        del out, x
        return (180.0 / math.pi,)


def one_minus_square(x: Any) -> Any:
    """`1 - x * x`, exact near 1."""
    return multiply(subtract(1.0, x), add(x, 1.0))


def zero_at_origin(side: Any, length: Any) -> Any:
    """`side / length` of a vector, 0 where the vector is zero."""
    is_zero = equal(length, 0)
    return select(is_zero, 0, ratio(side, select(is_zero, 1, length)))


SIN, COS, TAN = Sin(), Cos(), Tan()
ARCSIN, ARCCOS, ARCTAN = Arcsin(), Arccos(), Arctan()
HYPOT, ARCTAN2, DEG2RAD, RAD2DEG = Hypot(), Arctan2(), Deg2rad(), Rad2deg()

sin, cos, tan = unary(SIN), unary(COS), unary(TAN)
arcsin, arccos, arctan = unary(ARCSIN), unary(ARCCOS), unary(ARCTAN)
hypot, arctan2 = binary(HYPOT), binary(ARCTAN2)
deg2rad, rad2deg = unary(DEG2RAD), unary(RAD2DEG)
