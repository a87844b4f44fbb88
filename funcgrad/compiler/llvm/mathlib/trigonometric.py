"""Sine, cosine and tangent."""

from __future__ import annotations

import math

from funcgrad.compiler.llvm.mathlib.coefficients import SIN, TAN
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
    rounded = fma(size, 1.0 / math.pi, x.format.rounder)
    r = subtract_pi(size, rounded - x.format.rounder)
    result = with_sign(flip_sign(sin_half_turn(r), rounded.bits), x, size)
    return redo("sin_huge", is_huge, sin_huge, result, x)


def cos(x: Number) -> Number:
    """`sin((n + 1/2) pi - |x|)`, with the sign of (-1)**n."""
    size = abs(x)
    rounded = fma(size, 1.0 / math.pi, -0.5) + x.format.rounder
    r = subtract_pi(-size, rounded - x.format.rounder + 0.5, -1.0)
    return redo("cos_huge", is_huge, cos_huge, flip_sign(sin_half_turn(r), rounded.bits), x)


def tan(x: Number) -> Number:
    size = abs(x)
    rounded = fma(size, 2.0 / math.pi, x.format.rounder)
    r, rest = subtract_pi_doubled(size, rounded - x.format.rounder, 0.5)
    result = with_sign(tan_quarter_turn(r, rest, rounded.bits), x, size)
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


def sin_half_turn(r: Number) -> Number:
    """Sine of at most pi / 2 in size."""
    square = r * r
    return fma(r * square, polynomial(square, SIN), r)


def tan_quarter_turn(r: Number, rest: Number, quadrant: Number) -> Number:
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
    quadrant = quadrant + quarter_turns
    is_odd = (quadrant & 1).equals(1)
    size = select(is_odd, math.pi / 2 - abs(r), r)
    rest = select(is_odd, 0.0, rest)
    result = flip_sign(sin_half_turn(size) + rest, quadrant >> 1)
    return valid(x, result if quarter_turns else flip_sign(result, x.bits >> 63))


def cos_huge(x: Number) -> Number:
    return sin_huge(x, 1)


def tan_huge(x: Number) -> Number:
    if not x.is_double:
        return tan_huge(x.widen()).narrow()
    return valid(x, flip_sign(tan_quarter_turn(*reduce_exactly(x)), x.bits >> 63))


def valid(x: Number, result: Number) -> Number:
    """NaN for an infinite `x`."""
    return select(abs(x).equals(math.inf), math.nan, result)


FUNCTIONS = {"sin": sin, "cos": cos, "tan": tan, "sinc": sinc}
