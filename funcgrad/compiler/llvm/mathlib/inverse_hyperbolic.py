"""Inverse hyperbolic functions: logarithms of sums in two words. Floats are computed as doubles."""

from __future__ import annotations

import math

from funcgrad.compiler.llvm.mathlib.double_word import two_sum
from funcgrad.compiler.llvm.mathlib.logarithm import log1p_of_sum
from funcgrad.compiler.llvm.mathlib.number import Number, copysign, fma, select, sqrt

# From here on 1 is negligible, and the square may overflow.
LARGE = 2.0**500


def arcsinh(x: Number) -> Number:
    """`log(1 + a + a**2 / (1 + sqrt(1 + a**2)))` for `a = |x|`; `log(2 a)` for large ones."""
    if not x.is_double:
        return arcsinh(x.widen()).narrow()
    size = abs(x)
    is_large = size > LARGE
    a = select(is_large, 1.0, size)
    square = a * a
    bend = select(is_large, 0.0, square / (sqrt(square + 1.0) + 1.0))
    return copysign(log1p_of_sum(*two_sum(size, bend), doubled=is_large), x)


def arccosh(x: Number) -> Number:
    """`log(1 + t + sqrt(t * (x + 1)))` with `t = x - 1`; `log(2 x)` for large ones."""
    if not x.is_double:
        return arccosh(x.widen()).narrow()
    is_large = x > LARGE
    t = x - 1.0
    root = select(is_large, 0.0, sqrt(t * (x + 1.0)))
    result = log1p_of_sum(
        *two_sum(select(is_large, x, root), select(is_large, 0.0, t)), doubled=is_large
    )
    return select(x < 1.0, math.nan, result)


def arctanh(x: Number) -> Number:
    """`log(1 + 2 a / (1 - a)) / 2` for `a = |x|`."""
    if not x.is_double:
        return arctanh(x.widen()).narrow()
    size = abs(x)
    below = 1.0 - size
    lost = (1.0 - below) - size
    twice = size + size
    ratio = twice / below
    rest = fma(-ratio, below, twice) - ratio * lost
    rest = select(abs(ratio) < 2.0**60, rest * fma(ratio, 0.5, 1.0), 0.0)
    return copysign(log1p_of_sum(ratio, rest) * 0.5, x)


FUNCTIONS = {"arcsinh": arcsinh, "arccosh": arccosh, "arctanh": arctanh}
