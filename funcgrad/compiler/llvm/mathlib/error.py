"""Error functions."""

from __future__ import annotations

import math
from itertools import zip_longest
from typing import Any

from funcgrad.compiler.llvm.mathlib.coefficients import (
    ERF,
    ERFC,
    ERFC_LOG,
    ERFC_LOW,
    ERFC_SHORT,
    ERFINV_FAR,
    ERFINV_FAR_LOW,
    ERFINV_FAR_SHORT,
    ERFINV_MIDDLE,
    ERFINV_MIDDLE_LOW,
    ERFINV_NEAR,
    ERFINV_NEAR_LOW,
    ERFINV_NEAR_SHORT,
)
from funcgrad.compiler.llvm.mathlib.double_word import Double, sum_of_any, two_product, two_sum
from funcgrad.compiler.llvm.mathlib.exponential import LOG2_E, exp2_short, exp_in_range, exp_of_sum
from funcgrad.compiler.llvm.mathlib.logarithm import log
from funcgrad.compiler.llvm.mathlib.number import (
    Number,
    at_most,
    copysign,
    fma,
    polynomial,
    select,
    sqrt,
)

# Arguments beyond which erfc is 0, for doubles and for floats.
ERFC_LIMIT, ERFC_LIMIT_SHORT = 27.3, 10.1


def erf(x: Number) -> Number:
    """`x` times a polynomial near 0, else `1 - exp` of a polynomial."""
    size = at_most(abs(x), 6.0)
    square = size * size
    near = fma(size, polynomial(square, ERF), size)
    far = 1.0 - exp_in_range(-(size * polynomial(size, ERFC_LOG)))
    return copysign(select(size > 1.0, far, near), x)


def erfc(x: Number) -> Number:
    """`1 - erf(x)` near 0, else `exp(-x**2)` times a polynomial of `t = (x - 3) / (x + 3)` over `x + 3`."""
    if not x.is_double:
        return erfc_float(x)
    size = abs(x)
    square = size * size
    near = 1.0 - fma(x, polynomial(square, ERF), x)
    bounded = at_most(size, ERFC_LIMIT)
    power = two_product(bounded, bounded)
    inverse = 1.0 / (bounded + 3.0)
    t = (bounded - 3.0) * inverse
    t = fma(fma(-t, bounded, fma(t + 1.0, -3.0, bounded)), inverse, t)
    top = precise_polynomial(t)
    ratio = top.high * inverse
    missing = fma(-ratio, bounded, fma(ratio, -3.0, top.high)) + top.low
    tail = exp_of_sum(-power.high, -power.low, fma(missing, inverse, ratio))
    return select(size < 0.5, near, select(x < 0.0, 2.0 - tail, tail))


def precise_polynomial(t: Number) -> Double:
    """The polynomial ERFC in two words: its rounding errors would count more than those of the exponential."""
    first, second, *others = ERFC["double"]
    first_low, second_low = ERFC_LOW["double"]
    inner = two_product(t, polynomial(t, others))
    slope = two_sum(t.constant(second), inner.high)
    outer = two_product(t, slope.high)
    total = sum_of_any(t.constant(first), outer.high)
    low = fma(t, slope.low + (inner.low + second_low), outer.low)
    return Double(total.high, total.low + (low + first_low))


def erfc_float(x: Number) -> Number:
    """Doubles where their digits are needed; the division is one of floats, and a step of Newton's method."""
    size = at_most(abs(x), ERFC_LIMIT_SHORT)
    tail = erfc_tail(size.widen(), (1.0 / (size + 3.0)).widen()).narrow()
    return select(x < 0.0, 2.0 - tail, tail)


def erfc_tail(size: Number, guess: Number) -> Number:
    """As exact as a float needs, from a guess of `1 / (size + 3)`."""
    inverse = fma(fma(-guess, size + 3.0, 1.0), guess, guess)
    ratio = inverse * polynomial(fma(inverse, -6.0, 1.0), ERFC_SHORT)
    return exp2_short(size * size * -LOG2_E) * ratio


def erfinv(x: Number) -> Number:
    """`x` times polynomials of `w = -log(1 - x**2)`. Source: M. Giles, Approximating the erfinv function, 2010."""
    if not x.is_double:
        return erfinv_short(x.widen()).narrow()
    w = -log(fma(-x, x, 1.0))
    root = sqrt(w)
    is_near, is_far = w < 6.25, w > 16.0

    def choose(near: Any, middle: Any, far: Any) -> Number:
        return select(is_near, near, select(is_far, far, x.lift(middle)))

    t = choose(w - 3.125, root - 3.25, root - 5.0)
    sets = [c["double"] for c in (ERFINV_NEAR, ERFINV_MIDDLE, ERFINV_FAR)]
    total = x.constant(0.0)
    for terms in reversed(list(zip_longest(*sets, fillvalue=0.0))[1:]):
        total = fma(total, t, choose(*terms))
    lows = [c["double"][0] for c in (ERFINV_NEAR_LOW, ERFINV_MIDDLE_LOW, ERFINV_FAR_LOW)]
    first = choose(*[c[0] for c in sets])
    ratio = two_sum(first, total * t)
    return with_poles(x, fma(x, ratio.high, x * (ratio.low + choose(*lows))))


def erfinv_short(x: Number) -> Number:
    """Only as exact as a float needs."""
    w = -log(fma(-x, x, 1.0))
    near = polynomial(w - 3.0, ERFINV_NEAR_SHORT)
    far = polynomial(sqrt(w) - 3.25, ERFINV_FAR_SHORT)
    return with_poles(x, x * select(w < 6.0, near, far))


def with_poles(x: Number, result: Number) -> Number:
    """Infinite at 1 and -1."""
    return copysign(select(abs(x).equals(1.0), math.inf, result), x)


FUNCTIONS = {"erf": erf, "erfc": erfc, "erfinv": erfinv}
