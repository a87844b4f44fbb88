"""Numbers as unevaluated sums of two floats, for results that one float cannot carry.

Source: T. J. Dekker, A floating-point technique for extending the available precision, 1971.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from funcgrad.compiler.llvm.mathlib.number import Number, fma, has_fma


class Double(NamedTuple):
    """`high + low`, with `low` small against `high`."""

    high: Number
    low: Number


def two_sum(a: Number, b: Number) -> Double:
    """The exact sum, for `|a| >= |b|` or `a = 0`."""
    high = a + b
    return Double(high, b - (high - a))


def sum_of_any(a: Number, b: Number) -> Double:
    """The exact sum of numbers of any sizes."""
    high = a + b
    of_b = high - a
    return Double(high, (a - (high - of_b)) + (b - of_b))


def two_product(a: Number, b: Any) -> Double:
    """The exact product."""
    b = a.lift(b)
    high = a * b
    if has_fma():
        return Double(high, fma(a, b, -high))
    (a_high, a_low), (b_high, b_low) = halves(a), halves(b)
    low = ((a_high * b_high - high) + a_high * b_low + a_low * b_high) + a_low * b_low
    return Double(high, low)


def halves(x: Number) -> Double:
    """Both parts have half as many bits."""
    cut = (x.format.fraction + 2) // 2 + 1
    high = ((x.bits + (1 << (cut - 1))) & (-1 << cut)).as_float()
    return Double(high, x - high)


def multiply(a: Double, b: Double) -> Double:
    high, low = two_product(a.high, b.high)
    return Double(high, low + fma(a.high, b.low, a.low * b.high))


def add(a: Double, b: Double) -> Double:
    """The sum, for `|a.high| >= |b.high|` or `a.high = 0`."""
    high, low = two_sum(a.high, b.high)
    return Double(high, low + (a.low + b.low))
