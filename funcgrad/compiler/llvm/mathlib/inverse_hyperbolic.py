"""Inverse hyperbolic functions: logarithms of sums in two words."""

from __future__ import annotations

from funcgrad.compiler.llvm.mathlib.double_word import two_sum
from funcgrad.compiler.llvm.mathlib.logarithm import log1p_of_sum
from funcgrad.compiler.llvm.mathlib.number import Number, at_least, copysign, fma, select, sqrt
from funcgrad.compiler.llvm.mathlib.rare import outside_of_domain

# From here on 1 is negligible, and the square may overflow.
LARGE = {"float": 2.0**50, "double": 2.0**500}


def arcsinh(x: Number) -> Number:
    """`log(1 + a + a**2 / (1 + sqrt(1 + a**2)))` for `a = |x|`; `log(2 a)` for large ones."""
    size = abs(x)
    is_large = size > LARGE[x.element]
    a = select(is_large, 1.0, size)
    square = a * a
    bend = select(is_large, 0.0, square / (sqrt(square + 1.0) + 1.0))
    return copysign(log1p_of_sum(*two_sum(size, bend), doubled=is_large), x)


def arccosh(x: Number) -> Number:
    """`log(1 + t + sqrt(t**2 + 2 t))` with `t = x - 1`; `log(2 x)` for large ones."""
    is_large = x > LARGE[x.element]
    t = select(is_large, 0.0, x - 1.0)
    square = fma(t, t, t + t)
    root = sqrt(square)
    lost = fma(-root, root, square) * 0.5 / at_least(root, x.format.smallest_normal)
    high, low = two_sum(select(is_large, x, root), t)
    result = log1p_of_sum(high, low + lost, doubled=is_large)
    return outside_of_domain(x, result, x < 1.0)


def arctanh(x: Number) -> Number:
    """`log(1 + 2 a / (1 - a)) / 2` for `a = |x|`."""
    size = abs(x)
    below = 1.0 - size
    lost = (1.0 - below) - size
    twice = size + size
    ratio = twice / below
    rest = fma(-ratio, below, twice) - ratio * lost
    rest = select(abs(ratio) < 2.0**60, rest * fma(ratio, 0.5, 1.0), 0.0)
    result = copysign(log1p_of_sum(ratio, rest) * 0.5, x)
    return outside_of_domain(x, result, size > 1.0)


FUNCTIONS = {"arcsinh": arcsinh, "arccosh": arccosh, "arctanh": arctanh}
