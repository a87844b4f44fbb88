"""Inverse trigonometric functions."""

from __future__ import annotations

import math

from funcgrad.compiler.llvm.mathlib.coefficients import ATAN
from funcgrad.compiler.llvm.mathlib.number import (
    Number,
    at_least,
    copysign,
    fma,
    polynomial,
    select,
)

# pi / 2 in two parts.
HALF_PI = {
    "float": (1.5707963705062866, -4.371138828673793e-08),
    "double": (1.5707963267948966, 6.123233995736766e-17),
}


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
    angle = arctan_unit(select(above.equals(math.inf), 1.0, slope))
    high, low = HALF_PI[x.element]
    angle = select(is_steep, high - (angle - low), angle)
    angle = select(x.bits < 0, 2.0 * high - (angle - 2.0 * low), angle)
    return copysign(angle, y)


FUNCTIONS = {"arctan": arctan, "arctan2": arctan2}
