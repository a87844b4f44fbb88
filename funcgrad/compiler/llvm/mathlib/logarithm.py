"""Logarithms: exponent and mantissa, then a polynomial of the mantissa near 1."""

from __future__ import annotations

import math
from collections.abc import Callable

from funcgrad.compiler.llvm.mathlib.coefficients import LOG, LOG_RATIO
from funcgrad.compiler.llvm.mathlib.exponent import is_vector_register, power_of_two, split
from funcgrad.compiler.llvm.mathlib.exponential import LOG_2, exp, exp2
from funcgrad.compiler.llvm.mathlib.number import (
    Number,
    at_least,
    copysign,
    fma,
    polynomial,
    select,
)
from funcgrad.compiler.llvm.mathlib.rare import outside_of_domain

# The logarithm of 2 (the first part has trailing zeros) and of e to each base, in two parts.
LOG10_2 = {
    "float": (0.301025390625, 4.605039066518657e-06),
    "double": (0.30102999566395283, 2.8363394551044964e-14),
}
LOG2_E = {
    "float": (1.4426950216293335, 1.925963033500011e-08),
    "double": (1.4426950408889634, 2.0355273740931033e-17),
}
LOG10_E = {
    "float": (0.4342944920063019, -1.0103049952192578e-08),
    "double": (0.4342944819032518, 1.098319650216765e-17),
}


def log_near_one(f: Number) -> Number:
    """`log(1 + f) - f` for `f` in [-0.25, 0.5]."""
    if not f.is_double:
        return f * f * polynomial(f, (-0.5, *LOG["float"]))
    s = f / (f + 2.0)
    z = s * s
    half_square = f * f * 0.5
    return fma(s, fma(z, polynomial(z, LOG_RATIO), half_square), -half_square)


def log(x: Number) -> Number:
    mantissa, exponent = split(x)
    return with_specials(x, natural(mantissa - 1.0, exponent))


def natural(f: Number, exponent: Number) -> Number:
    """`log((1 + f) * 2**exponent)`."""
    high, low = LOG_2[f.element]
    return fma(exponent, high, f + fma(exponent, low, log_near_one(f)))


def log2(x: Number) -> Number:
    mantissa, exponent = split(x)
    return with_specials(x, exponent + rescaled(mantissa - 1.0, *LOG2_E[x.element]))


def log10(x: Number) -> Number:
    mantissa, exponent = split(x)
    high, low = LOG10_2[x.element]
    rest = fma(exponent, low, rescaled(mantissa - 1.0, *LOG10_E[x.element]))
    return with_specials(x, fma(exponent, high, rest))


def rescaled(f: Number, high: float, low: float) -> Number:
    """`log(1 + f)` times a constant in two parts."""
    return fma(f, high, fma(log_near_one(f), high, f * low))


def log1p(x: Number) -> Number:
    return copysign(log1p_of_sum(x, x.constant(0.0)), x)


def log1p_of_sum(high: Number, low: Number, doubled: Number | None = None) -> Number:
    """`log(1 + high + low)` for a small `low`, plus log 2 where `doubled`.

    The mantissa of `1 + high` is corrected by what the sum lost.
    """
    total = high + 1.0
    lost = (high - (total - 1.0)) + low
    mantissa, exponent = split(total)
    power = power_of_two(at_least(-exponent, 2.0 - high.format.bias))
    if doubled is not None:
        exponent = select(doubled, exponent + 1.0, exponent)
    result = natural(fma(lost, power, mantissa - 1.0), exponent)
    return with_specials(total, select(total.equals(math.inf), total, result))


def with_specials(x: Number, result: Number) -> Number:
    """Where the CPU does not give them by itself: -inf for 0, NaN below, inf for inf."""
    if is_vector_register(x):
        return result
    outside = select(x.equals(0.0), result.constant(-math.inf), math.nan)
    return select(x > 0.0, select(x.equals(math.inf), math.inf, result), outside)


def noted(formula: Callable[[Number], Number], pole: float = 0.0) -> Callable[[Number], Number]:
    """The function of this formula for users: the CPU notes numbers at and below the pole."""

    def function(x: Number) -> Number:
        above = x - pole if pole else x
        return outside_of_domain(above, formula(x), above < 0.0, above.equals(0.0))

    return function


# --- of two operands ---


def logaddexp(x: Number, y: Number) -> Number:
    """The larger one plus `log(1 + exp(-difference))`, as NumPy: not exact relative to a result near 0."""
    larger, gap = larger_and_gap(x, y)
    return larger + log1p(exp(gap))


def logaddexp2(x: Number, y: Number) -> Number:
    larger, gap = larger_and_gap(x, y)
    return larger + log1p(exp2(gap)) * (1.0 / math.log(2.0))


def larger_and_gap(x: Number, y: Number) -> tuple[Number, Number]:
    """`max(x, y)` and `-|x - y|`, which is 0 for equal infinities."""
    gap = select(x.equals(y), 0.0, -abs(x - y))
    return select(x > y, x, y), gap


def xlogy(x: Number, y: Number) -> Number:
    """`x log(y)`, 0 where `x` is 0."""
    return select(x.equals(0.0) & ~y.is_nan(), 0.0, x * log(y))


def xlog1py(x: Number, y: Number) -> Number:
    """`x log(1 + y)`, 0 where `x` is 0."""
    return select(x.equals(0.0) & ~y.is_nan(), 0.0, x * log1p(y))


FUNCTIONS = {
    "log": noted(log),
    "log2": noted(log2),
    "log10": noted(log10),
    "log1p": noted(log1p, -1.0),
    "logaddexp": logaddexp,
    "logaddexp2": logaddexp2,
    "xlogy": xlogy,
    "xlog1py": xlog1py,
}
