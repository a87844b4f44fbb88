"""Inverse trigonometric functions."""

from __future__ import annotations

import math

from funcgrad.compiler.llvm.mathlib.coefficients import ASIN, ATAN
from funcgrad.compiler.llvm.mathlib.number import (
    Number,
    at_least,
    copysign,
    fma,
    polynomial,
    select,
    sqrt,
)

# pi / 2 in two parts.
HALF_PI = {
    "float": (1.5707963705062866, -4.371138828673793e-08),
    "double": (1.5707963267948966, 6.123233995736766e-17),
}

HALF_PI_LESS_ONE = {
    "float": (0.5707963109016418, 1.5893254712295857e-08),
    "double": (0.5707963267948967, -4.9789962505147994e-17),
}


def arcsin(x: Number) -> Number:
    """`pi / 2 - 2 arcsin(sqrt((1 - a) / 2))` for `a = |x|` above 1 / 2."""
    is_steep, base, bend = arcsin_parts(abs(x))
    high, low = HALF_PI_LESS_ONE[x.element]
    steep = ((high - base * 2.0) - fma(bend, 2.0, -low)) + 1.0  # the first difference is exact
    return copysign(select(is_steep, steep, base + bend), x)


def arccos(x: Number) -> Number:
    is_steep, base, bend = arcsin_parts(abs(x))
    high, low = HALF_PI[x.element]
    angle = base + bend
    level = high - (copysign(angle, x) - low)
    doubled = angle * 2.0
    steep = select(x < 0.0, 2.0 * high - (doubled - 2.0 * low), doubled)
    return select(is_steep, steep, level)


def arcsin_parts(size: Number) -> tuple[Number, Number, Number]:
    """Whether `size` is above 1 / 2, and in two parts the arcsine of it or of `sqrt((1 - size) / 2)`."""
    is_steep = size > 0.5
    square = select(is_steep, (1.0 - size) * 0.5, size * size)
    base = select(is_steep, sqrt(square), size)
    return is_steep, base, base * square * polynomial(square, ASIN)


def arctan_unit(a: Number) -> Number:
    """Arctangent of `a` in [0, 1]."""
    square = a * a
    return fma(a * square, polynomial(square, ATAN), a)


def arctan(x: Number) -> Number:
    size = abs(x)
    is_steep = size > 1.0
    angle = arctan_unit(select(is_steep, 1.0, size) / select(is_steep, size, 1.0))
    high, low = HALF_PI[x.element]
    return copysign(select(is_steep, high - (angle - low), angle), x)


def arctan2(y: Number, x: Number) -> Number:
    height, width = abs(y), abs(x)
    is_steep = height > width
    below = select(is_steep, height, width)
    above = select(is_steep, width, height)
    tiny = math.ldexp(1.0, 1 - x.format.bias - x.format.fraction)
    slope = above / at_least(below, tiny)  # 0 / 0 counts as 0
    are_infinite = above.equals(math.inf) & below.equals(math.inf)
    angle = arctan_unit(select(are_infinite, 1.0, slope))
    high, low = HALF_PI[x.element]
    angle = select(is_steep, high - (angle - low), angle)
    angle = select(x.bits < 0, 2.0 * high - (angle - 2.0 * low), angle)
    return copysign(angle, y)


FUNCTIONS = {"arcsin": arcsin, "arccos": arccos, "arctan": arctan, "arctan2": arctan2}
