"""Signs, extremes, neighbours and tests of floats, with NumPy's treatment of NaN."""

from __future__ import annotations

import math

import numpy as np

from funcgrad.compiler.llvm.mathlib.exponent import multiply_by_power
from funcgrad.compiler.llvm.mathlib.number import Number, copysign, select


def absolute(x: Number) -> Number:
    return abs(x)


def sign(x: Number) -> Number:
    signed = select(x < 0.0, -1.0, select(x > 0.0, x.constant(1.0), 0.0))
    return select(x.is_nan(), x, signed)


def nextafter(x: Number, y: Number) -> Number:
    grows = (x < y) ^ (x < 0.0)
    bits = x.bits
    moved = select(grows, bits + 1, bits - 1).as_float()
    tiny = copysign(x.constant(math.ldexp(1.0, 1 - x.format.bias - x.format.fraction)), y)
    result = select(x.equals(y), y, select(x.equals(0.0), tiny, moved))
    return select(x.is_nan() | y.is_nan(), x + y, result)


def ldexp(x: Number, y: Number) -> Number:
    """`y` is an integer of any width."""
    limit = 4 * x.format.bias
    y = select(y > limit, limit, select(y < -limit, -limit, y))
    if y.element != x.format.integer:
        narrower = int(y.element[1:]) > x.format.width
        y = y.cast("trunc" if narrower else "sext", x.format.integer)
    return multiply_by_power(x, y)


# --- extremes ---


def maximum(x: Number, y: Number) -> Number:
    return select(x.is_nan(), x, select(x > y, x, y))


def minimum(x: Number, y: Number) -> Number:
    return select(x.is_nan(), x, select(x < y, x, y))


def fmax(x: Number, y: Number) -> Number:
    return select(y.is_nan(), x, select(x > y, x, y))


def fmin(x: Number, y: Number) -> Number:
    return select(y.is_nan(), x, select(x < y, x, y))


def heaviside(x: Number, y: Number) -> Number:
    step = select(x < 0.0, 0.0, select(x > 0.0, 1.0, y))
    return select(x.is_nan(), x, step)


# --- tests: their results are conditions ---


def isnan(x: Number) -> Number:
    return x.is_nan()


def isinf(x: Number) -> Number:
    return abs(x).equals(math.inf)


def isfinite(x: Number) -> Number:
    return abs(x) < math.inf


def signbit(x: Number) -> Number:
    return x.bits < 0


# --- simple products ---


def square(x: Number) -> Number:
    return x * x


def reciprocal(x: Number) -> Number:
    return 1.0 / x


def deg2rad(x: Number) -> Number:
    kind = np.float64 if x.is_double else np.float32
    return x * float(kind(np.pi) / kind(180.0))


def rad2deg(x: Number) -> Number:
    kind = np.float64 if x.is_double else np.float32
    return x * float(kind(180.0) / kind(np.pi))


FUNCTIONS = {
    "absolute": absolute,
    "sign": sign,
    "copysign": copysign,
    "nextafter": nextafter,
    "ldexp": ldexp,
    "maximum": maximum,
    "minimum": minimum,
    "fmax": fmax,
    "fmin": fmin,
    "heaviside": heaviside,
    "isnan": isnan,
    "isinf": isinf,
    "isfinite": isfinite,
    "signbit": signbit,
    "square": square,
    "reciprocal": reciprocal,
    "deg2rad": deg2rad,
    "rad2deg": rad2deg,
}
