"""Powers: exp of `y log |x|`, computed with about twice the precision of the result; roots."""

from __future__ import annotations

import math

from funcgrad.compiler.llvm.mathlib.coefficients import CBRT, LOG2_SHORT, LOG_CUBE
from funcgrad.compiler.llvm.mathlib.double_word import Double, add, multiply, two_product, two_sum
from funcgrad.compiler.llvm.mathlib.exponent import power_of_two, split
from funcgrad.compiler.llvm.mathlib.exponential import EXP_RANGE, LOG_2, exp2_short, exp_of_sum
from funcgrad.compiler.llvm.mathlib.logarithm import with_specials
from funcgrad.compiler.llvm.mathlib.number import (
    Number,
    at_least,
    at_most,
    copysign,
    fma,
    polynomial,
    rint,
    select,
    sqrt,
)
from funcgrad.compiler.llvm.mathlib.rare import outside_of_domain

# The power of any other number than 1 with this exponent is 0 or infinite.
ENOUGH = 2.0**70
TWO_THIRDS = (0.6666666666666666, 3.700743415417188e-17)


def power(x: Number, y: Number) -> Number:
    """C99's pow. The base is made positive; sign and invalid operands follow from `y` being an integer."""
    size = abs(x)
    bounded = at_least(at_most(y, ENOUGH), -ENOUGH)  # so that 1**inf is exp(0)
    magnitude = (power_double if x.is_double else power_float)(size, bounded)
    is_one = y.equals(0.0) | x.equals(1.0)
    magnitude = select(is_one, 1.0, magnitude)
    half = y * 0.5
    is_whole = rint(y).equals(y)
    is_odd = is_whole & ~rint(half).equals(half)
    sign = x.bits & (-1 << (x.format.width - 1))
    signed = (magnitude.bits ^ select(is_odd, sign, 0)).as_float()
    is_invalid = (x < 0.0) & (x > -math.inf) & ~(is_whole | y.is_nan())
    return outside_of_domain(x, signed, is_invalid)


def power_float(x: Number, y: Number) -> Number:
    """For floats, all in doubles. `x` is not negative."""
    mantissa, exponent = split(x)
    f = (mantissa - 1.0).widen()
    s = f / (f + 2.0)
    square = s * s
    factor = fma(square, polynomial(square, LOG2_SHORT), 2.0 / math.log(2.0))
    logarithm = with_specials(x, fma(s, factor, exponent.widen()))
    t = at_least(at_most(y.widen() * logarithm, 200.0), -200.0)
    return exp2_short(t).narrow()


def power_double(x: Number, y: Number) -> Number:
    logarithm = precise_log(x)
    high, low = two_product(y, logarithm.high)
    minimum, maximum = EXP_RANGE["double"]
    is_regular = abs(high) < 1000.0
    low = select(is_regular, fma(y, logarithm.low, low), 0.0)
    return exp_of_sum(at_least(at_most(high, maximum), minimum), low)


def precise_log(x: Number) -> Double:
    """`2 artanh(s)` with `s = (m - 1) / (m + 1)` for the mantissa `m`, plus the exponent's part; `x >= 0`."""
    mantissa, exponent = split(x)
    s = precise_ratio(mantissa)
    square = multiply(s, s)
    tail = square.high * polynomial(square.high, LOG_CUBE["double"])
    high, low = two_sum(square.high.constant(TWO_THIRDS[0]), tail)
    cube = multiply(multiply(s, square), Double(high, low + TWO_THIRDS[1]))
    near = add(Double(s.high * 2.0, s.low * 2.0), cube)
    log_high, log_low = LOG_2["double"]
    total = add(Double(exponent * log_high, exponent * log_low), near)
    return Double(with_specials(x, total.high), select(abs(total.high) < math.inf, total.low, 0.0))


def precise_ratio(m: Number) -> Double:
    """`(m - 1) / (m + 1)` for `m` in [0.75, 1.5)."""
    numerator, denominator = m - 1.0, m + 1.0
    lost = m - (denominator - 1.0)
    inverse = 1.0 / denominator
    high = numerator * inverse
    product = two_product(high, denominator)
    rest = (numerator - product.high) - product.low
    return Double(high, (rest - high * lost) * inverse)


def rsqrt(x: Number) -> Number:
    return 1.0 / sqrt(x)


def hypot(x: Number, y: Number) -> Number:
    """Scaled by a power of two, so that no square overflows or vanishes; floats are computed as doubles."""
    if not x.is_double:
        root = sqrt(fma(x.widen(), x.widen(), y.widen() * y.widen())).narrow()
    else:
        a, b = abs(x), abs(y)
        longer, shorter = select(a > b, a, b), select(a > b, b, a)
        exponent = at_most(at_least(split(longer)[1], -1000.0), 1000.0)
        factor = power_of_two(-exponent)
        longer, shorter = longer * factor, shorter * factor
        root = sqrt(fma(longer, longer, shorter * shorter)) * power_of_two(exponent)
    return select(abs(x).equals(math.inf) | abs(y).equals(math.inf), math.inf, root)


def cbrt(x: Number) -> Number:
    """A polynomial of the mantissa, a step of Halley's method, and for doubles an exact one of Newton's."""
    mantissa, exponent = split(abs(x))
    third = rint(exponent * (1.0 / 3.0))
    left = exponent - third * 3.0

    def shifted(value: Number, base: float) -> Number:
        """`value * base**left`."""
        return value * select(left > 0.0, base, select(left < 0.0, x.constant(1 / base), 1.0))

    value = shifted(mantissa, 2.0)
    guess = shifted(polynomial(mantissa - 1.0, CBRT["double"]), 2.0 ** (1 / 3))
    root = (cbrt_double if x.is_double else cbrt_float)(value, guess) * power_of_two(third)
    is_special = x.equals(0.0) | ~(abs(x) < math.inf)
    return select(is_special, x, copysign(root, x))


def cbrt_float(value: Number, guess: Number) -> Number:
    """The step is so small that only the difference it starts from needs more digits."""
    square = two_product(guess, guess)
    cube = two_product(square.high, guess)
    missing = (value - cube.high) - fma(square.low, guess, cube.low)
    return fma(guess, missing / fma(cube.high, 2.0, value), guess)


def cbrt_double(value: Number, guess: Number) -> Number:
    cube = guess * guess * guess
    root = guess * ((cube + value * 2.0) / (cube * 2.0 + value))
    square = two_product(root, root)
    rest = fma(square.high, root, -value) + square.low * root
    return root - rest / (square.high * 3.0)


FUNCTIONS = {"cbrt": cbrt, "hypot": hypot, "power": power, "sqrt": sqrt, "rsqrt": rsqrt}
