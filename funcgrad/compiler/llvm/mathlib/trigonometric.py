"""Sine, cosine and tangent."""

from __future__ import annotations

import math

from funcgrad.compiler.llvm.mathlib.coefficients import COS, SIN, TAN
from funcgrad.compiler.llvm.mathlib.number import Number, fma, polynomial, select
from funcgrad.compiler.llvm.mathlib.rare import redo
from funcgrad.compiler.llvm.mathlib.reduction import (
    is_huge,
    reduce_exactly,
    subtract_pi,
    subtract_pi_doubled,
)


def sin(x: Number) -> Number:
    size = abs(x)
    r, quadrant = reduce_quickly(size)
    result = with_sign(sin_of_parts(r, quadrant), x, size)
    return redo("sin_huge", is_huge, sin_huge, result, x)


def cos(x: Number) -> Number:
    r, quadrant = reduce_quickly(abs(x))
    return redo("cos_huge", is_huge, cos_huge, sin_of_parts(r, quadrant + 1), x)


def tan(x: Number) -> Number:
    size = abs(x)
    quadrant, turns = quadrant_of(size)
    r, rest = subtract_pi_doubled(size, turns, 0.5)
    result = with_sign(tan_of_parts(r, rest, quadrant), x, size)
    return redo("tan_huge", is_huge, tan_huge, result, x)


def sinc(x: Number) -> Number:
    """`sin(pi x) / (pi x)`, with the product rounded as NumPy does."""
    angle = x * math.pi
    return select(angle.equals(0.0), 1.0, sin(angle) / angle)


def flip_sign(x: Number, parity: Number) -> Number:
    """`-x` where an integer is odd."""
    return (x.bits ^ (parity << (x.format.width - 1))).as_float()


def with_sign(result: Number, x: Number, size: Number) -> Number:
    """`-result` where `x` is negative; `size` is `abs(x)`."""
    return (result.bits ^ (x.bits ^ size.bits)).as_float()


def quadrant_of(size: Number) -> tuple[Number, Number]:
    """The nearest multiple of pi / 2: an integer of which the low bits are right, and the same as a float."""
    rounded = fma(size, 2.0 / math.pi, size.format.rounder)
    return rounded.bits, rounded - size.format.rounder


def reduce_quickly(size: Number) -> tuple[Number, Number]:
    """`(r, quadrant)` with `size = r + quadrant * pi / 2` modulo `2 pi`."""
    quadrant, turns = quadrant_of(size)
    return subtract_pi(size, turns, 0.5), quadrant


def sin_of_parts(r: Number, quadrant: Number) -> Number:
    """Sine of `r + quadrant * pi / 2`, `r` of at most pi / 4 in size.

    In odd quadrants the cosine of `r`: it differs only in its coefficients and in what they are added to, so that
    vectors choose between these and go through one polynomial.
    """
    is_odd = (quadrant & 1).equals(1)
    base, square = select(is_odd, r.constant(1.0), r), r * r
    pairs = zip(COS[r.element], SIN[r.element], strict=True)
    bend = polynomial(square, [select(is_odd, r.constant(c), r.constant(s)) for c, s in pairs])
    return flip_sign(fma(base * square, bend, base), quadrant >> 1)


def tan_of_parts(r: Number, rest: Number, quadrant: Number) -> Number:
    """Tangent of `r + rest + quadrant * pi / 2`, `r` of at most pi / 4 in size and `rest` tiny."""
    square = r * r
    bend = fma(r * square, polynomial(square, TAN), fma(rest, square, rest))
    tangent = r + bend
    is_odd = (quadrant & 1).equals(1)
    return select(is_odd, -1.0, tangent) / select(is_odd, tangent, 1.0)


# --- scalars of any size ---


def sin_huge(x: Number, quarter_turns: int = 0) -> Number:
    """Sine of `x` plus some quarter turns."""
    if not x.is_double:
        return sin_huge(x.widen(), quarter_turns).narrow()
    r, rest, quadrant = reduce_exactly(x)
    result = sin_of_parts(r + rest, quadrant + quarter_turns)
    return valid(x, result if quarter_turns else flip_sign(result, x.bits >> 63))


def cos_huge(x: Number) -> Number:
    return sin_huge(x, 1)


def tan_huge(x: Number) -> Number:
    if not x.is_double:
        return tan_huge(x.widen()).narrow()
    return valid(x, flip_sign(tan_of_parts(*reduce_exactly(x)), x.bits >> 63))


def valid(x: Number, result: Number) -> Number:
    """NaN for an infinite `x`."""
    return select(abs(x).equals(math.inf), math.nan, result)


FUNCTIONS = {"sin": sin, "cos": cos, "tan": tan, "sinc": sinc}
