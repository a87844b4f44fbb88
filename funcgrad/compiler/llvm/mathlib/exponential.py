"""Exponentials and the sigmoid: reduction by multiples of log 2, a polynomial, scaling by a power of two."""

from __future__ import annotations

from funcgrad.compiler.llvm.mathlib.coefficients import EXP2, EXP2_SHORT, EXPM1
from funcgrad.compiler.llvm.mathlib.exponent import power_of_two, round_to_power, scale
from funcgrad.compiler.llvm.mathlib.number import (
    Number,
    at_least,
    at_most,
    copysign,
    fma,
    polynomial,
    select,
)

LOG2_E = 1.4426950408889634
# log 2 in two parts; the product of the first with an exponent is exact.
LOG_2 = {
    "float": (0.693145751953125, 1.428606765330187e-06),
    "double": (0.6931471805598903, 5.497923018708371e-14),
}
# Arguments beyond which exp is 0 or overflows. Far below, where masked scores lie, 0 is chosen, not computed: results
# that are too small for normal numbers cost the CPU a hundred cycles and more.
EXP_RANGE = {"float": (-104.0, 89.0), "double": (-745.5, 710.0)}
EXP2_RANGE = {"float": (-151.0, 129.0), "double": (-1076.0, 1025.0)}
# Arguments beyond which the sigmoid is 0 and 1, and the power of two that brings exp of the first into range.
LOGISTIC_RANGE = {"float": (-104.0, 40.0, 25), "double": (-745.5, 80.0, 54)}
# Arguments beyond which expm1 is -1, and tanh is 1.
EXPM1_LOW = {"float": -25.0, "double": -45.0}


def reduce(x: Number) -> tuple[Number, Number]:
    """`(r, n)` with `x = r + n log 2`, `|r| <= log(2) / 2` and `n` integer."""
    rounder = x.format.rounder
    n = fma(x, LOG2_E, rounder) - rounder
    high, low = LOG_2[x.element]
    return fma(n, -low, fma(n, -high, x)), n


def exp(x: Number) -> Number:
    low, high = EXP_RANGE[x.element]
    vanishes = x < low
    return select(vanishes, 0.0, exp_in_range(select(vanishes, 0.0, at_most(x, high))))


def exp_in_range(x: Number) -> Number:
    """`exp(x)` where it neither vanishes nor overflows."""
    r, n = reduce(x)
    return scale(polynomial(r, (1.0, 1.0, *EXPM1[x.element])), n)


def exp2_short(t: Number) -> Number:
    """`2**t` for doubles of moderate size, precise enough for a result that becomes a float."""
    n, power = round_to_power(t, 1.0)
    return polynomial(t - n, (1.0, *EXP2_SHORT["double"])) * power


def exp_of_sum(high: Number, low: Number, factor: Number | None = None) -> Number:
    """`exp(high + low)`, times a factor in [0.1, 2], for a `high` within the range of exp and a small `low`."""
    r, n = reduce(high)
    r = r + low
    growth = r * polynomial(r, (1.0, *EXPM1[high.element]))
    return scale(growth + 1.0 if factor is None else fma(factor, growth, factor), n)


def exp2(x: Number) -> Number:
    low, high = EXP2_RANGE[x.element]
    vanishes = x < low
    x = select(vanishes, 0.0, at_most(x, high))
    rounder = x.format.rounder
    n = (x + rounder) - rounder
    return select(vanishes, 0.0, scale(polynomial(x - n, (1.0, *EXP2[x.element])), n))


def expm1(x: Number) -> Number:
    high = EXP_RANGE[x.element][1]
    r, n = reduce(at_least(at_most(x, high), EXPM1_LOW[x.element]))
    curve = r * r * polynomial(r, EXPM1)
    half_power = power_of_two(n - 1.0)  # the whole one may overflow
    scaled = fma(half_power, curve, fma(half_power, r, half_power - 0.5)) * 2.0
    return copysign(select(n.equals(0.0), r + curve, scaled), x)


def logistic(x: Number) -> Number:
    """`unit / (unit + unit * exp(-x))`: the small unit keeps the denominator finite where the result is denormal."""
    low, high, shift = LOGISTIC_RANGE[x.element]
    vanishes = x < low
    x = select(vanishes, 0.0, at_most(x, high))
    n, power = round_to_power(x, -LOG2_E, -shift)
    high, low = LOG_2[x.element]
    r = fma(n, -low, fma(n, -high, -x))
    growth = r * polynomial(r, (1.0, *EXPM1[x.element]))
    unit = 2.0**-shift
    return select(vanishes, 0.0, unit / (power + fma(power, growth, unit)))


FUNCTIONS = {"exp": exp, "exp2": exp2, "expm1": expm1, "logistic": logistic}
