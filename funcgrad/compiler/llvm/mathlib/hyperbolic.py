"""Hyperbolic functions."""

from __future__ import annotations

from funcgrad.compiler.llvm.mathlib.coefficients import EXPM1, SINH, TANH
from funcgrad.compiler.llvm.mathlib.exponent import floor_to_power, scale
from funcgrad.compiler.llvm.mathlib.exponential import EXP_RANGE, LOG2_E, LOG_2, reduce
from funcgrad.compiler.llvm.mathlib.number import (
    Number,
    at_most,
    copysign,
    fma,
    polynomial,
    select,
)

# Arguments from which on tanh is 1.
TANH_HIGH = {"float": 10.0, "double": 20.0}


def tanh(x: Number) -> Number:
    """Addition theorem for `|x| = r + n log(2) / 2`, where `tanh(n log(2) / 2) = (2**n - 1) / (2**n + 1)`.

    Rounding n down from 0.75 keeps the numerator for n = 1 away from its zero, and a denominator made from the
    numerator makes their errors cancel where both are large.
    """
    size = at_most(abs(x), TANH_HIGH[x.element])
    n, power = floor_to_power(fma(size, 2.0 * LOG2_E, 0.25))
    high, low = LOG_2[x.element]
    if x.is_double:
        r = fma(n, -0.5 * low, fma(n, -0.5 * high, size))
    else:
        r = fma(n, -0.5 * (high + low), size)
    square = r * r
    t = fma(r * square, polynomial(square, TANH), r)
    numerator = fma(power + 1.0, t, power - 1.0)
    return copysign(numerator / (numerator + fma(t, -2.0, 2.0)), x)


def sinh(x: Number) -> Number:
    size = abs(x)
    square = size * size
    near = fma(size * square, polynomial(square, SINH), size)
    half = half_exp(size)
    return copysign(select(size < 1.0, near, half - 0.25 / half), x)


def cosh(x: Number) -> Number:
    half = half_exp(abs(x))
    return half + 0.25 / half


def half_exp(x: Number) -> Number:
    """`exp(x) / 2`, which overflows no earlier than its sum with `exp(-x) / 2`."""
    r, n = reduce(at_most(x, EXP_RANGE[x.element][1] + 1.0))
    return scale(polynomial(r, (1.0, 1.0, *EXPM1[x.element])), n - 1.0)


FUNCTIONS = {"sinh": sinh, "cosh": cosh, "tanh": tanh}
