"""Trigonometric arguments modulo multiples of pi: quickly for moderate sizes, exactly for all."""

from __future__ import annotations

from funcgrad.compiler.llvm.mathlib.double_word import Double, sum_of_any
from funcgrad.compiler.llvm.mathlib.number import FORMATS, Number, fma, has_fma, select
from funcgrad.compiler.llvm.types import Value

# pi in parts, and the sizes up to which they are enough. Products of a part with an integer are exact: with
# fused multiply-add anyway, else because the parts are short.
PI = {
    "float": (3.1415927410125732, -8.742277657347586e-08, -3.4302490200117637e-15),
    "double": (3.141592653589793, 1.2246467991473532e-16, -2.9947698097183397e-33),
}
QUICK = {"float": 2.0**18, "double": 2.0**40}
SHORT_PI = {
    "float": (
        3.1416015625,
        -8.907169103622437e-06,
        -1.7412276065442711e-09,
        1.2446743939339977e-13,
    ),
    "double": (
        3.141592651605606,
        1.9841871479187034e-09,
        1.144237741932715e-17,
        3.2892513872648515e-26,
    ),
}
SHORT_QUICK = {"float": 2.0**11, "double": 2.0**25}

# The bits of 2 / pi, 64 of them in each word, after one word of zeros.
TWO_OVER_PI = (
    0x0,
    0xA2F9836E4E441529,
    0xFC2757D1F534DDC0,
    0xDB6295993C439041,
    0xFE5163ABDEBBC561,
    0xB7246E3A424DD2E0,
    0x06492EEA09D1921C,
    0xFE1DEB1CB129A73E,
    0xE88235F52EBB4484,
    0xE99C7026B45F7E41,
    0x3991D639835339F4,
    0x9C845F8BBDF9283B,
    0x1FF897FFDE05980F,
    0xEF2F118B5A0A6D1F,
    0x6D367ECF27CB09B7,
    0x4F463F669E5FEA2D,
    0x7527BAC7EBE5F17B,
    0x3D0739F78A5292EA,
    0x6BFB5FB11F8D5D08,
    0x56033046FC7B6BAB,
    0xF0CFBC209AF4361D,
)
HALF_PI = (1.5707963267948966, 6.123233995736766e-17)


def is_huge(x: Number) -> Number:
    """Whether `subtract_pi` is not exact enough for arguments of this size."""
    return abs(x) > (QUICK if has_fma() else SHORT_QUICK)[x.element]


def subtract_pi(x: Number, n: Number, factor: float = 1.0) -> Number:
    """`x - n * factor * pi` with a small relative error; `factor` is a power of two with a sign."""
    for part in (PI if has_fma() else SHORT_PI)[x.element]:
        x = fma(n, -factor * part, x)
    return x


def subtract_pi_doubled(x: Number, n: Number, factor: float) -> Double:
    """As `subtract_pi`, but also what the first word lacks to the exact difference."""
    first, *middle, last = [-factor * part for part in (PI if has_fma() else SHORT_PI)[x.element]]
    total, rest = fma(n, first, x), n * last
    for part in middle:
        product = n * part
        total, lost = sum_of_any(total, product)
        rest = rest + (fma(n, part, -product) + lost)
    return Double(total, rest)


def reduce_exactly(x: Number) -> tuple[Number, Number, Number]:
    """`(r, rest, quadrant)` with `x = r + rest + quadrant * pi / 2` modulo `2 pi`, for a scalar double above 2**18.

    Source: M. Payne and R. Hanek, Radian reduction for trigonometric functions, 1983. Of the bits of `x * 2 / pi`
    only 192 are made: those before stand for multiples of four quadrants, those after are negligible.
    """
    bits = x.bits
    mantissa = (bits & (2**52 - 1) | 2**52).cast("zext", "i128")
    exponent = (bits >> 52 & 0x7FF) - (FORMATS["double"].bias + 52)
    high, middle, low = [w.cast("zext", "i128") for w in window(exponent + 62)]
    carry = (mantissa * low).op("lshr", 64)
    middle = mantissa * middle + carry
    turns = ((mantissa * high + middle.op("lshr", 64)) << 64) | (middle & (2**64 - 1))
    quadrant = (turns + 2**125).op("lshr", 126)
    fraction = turns - (quadrant << 126)
    is_negative = fraction < 0
    size = select(is_negative, -fraction, fraction)
    zeros = Number(
        x.function, x.function.intrinsic("llvm.ctlz", "i128", [size.value, Value("i1", "false")])
    )
    size = size << zeros
    unit = (2 + 1023 - zeros.cast("trunc", "i64") << 52).as_float()
    unit = select(is_negative, -unit, unit)
    first = size.op("lshr", 75).cast("trunc", "i64").to_float() * (unit * 2.0**-53)
    second = (size << 53).op("lshr", 75).cast("trunc", "i64").to_float() * (unit * 2.0**-106)
    r = first * HALF_PI[0]
    rest = fma(first, HALF_PI[0], -r) + fma(first, HALF_PI[1], second * HALF_PI[0])
    return r, rest, quadrant.cast("trunc", "i64")


def window(start: Number) -> list[Number]:
    """Three words of `TWO_OVER_PI` from this bit on."""
    function = start.function
    words = ", ".join(f"i64 {word - 2**64 if word >= 2**63 else word}" for word in TWO_OVER_PI)
    table = function.module.data(
        "fg_two_over_pi", f"internal constant [{len(TWO_OVER_PI)} x i64] [{words}]"
    )
    index, shift = start >> 6, start & 63
    loaded = [
        Number(function, function.load("i64", function.gep(table, (index + i).value, "i64"), 8))
        for i in range(4)
    ]
    return [a.intrinsic("llvm.fshl", b, shift) for a, b in zip(loaded, loaded[1:], strict=False)]
