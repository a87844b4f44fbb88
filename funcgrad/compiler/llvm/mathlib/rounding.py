"""Rounding, and division with a remainder as NumPy does it."""

from __future__ import annotations

import math

from funcgrad.compiler.llvm.mathlib.double_word import two_product
from funcgrad.compiler.llvm.mathlib.exponent import multiply_by_power
from funcgrad.compiler.llvm.mathlib.number import Number, copysign, rint, select
from funcgrad.compiler.llvm.mathlib.rare import redo
from funcgrad.compiler.llvm.types import Value


def floor(x: Number) -> Number:
    return x.intrinsic("llvm.floor")


def ceil(x: Number) -> Number:
    return x.intrinsic("llvm.ceil")


def trunc(x: Number) -> Number:
    return x.intrinsic("llvm.trunc")


def fmod(x: Number, y: Number) -> Number:
    """`x - q y` is exact if the quotient `q` is: it is at most one too large, and then the difference is negative."""
    size, divisor = abs(x), abs(y)
    product = two_product(trunc(size / divisor), divisor)
    rest = (size - product.high) - product.low
    rest = select(rest < 0.0, rest + divisor, rest)
    result = copysign(select(size < divisor, size, rest), x)
    return redo("fmod_far", is_far, fmod_far, result, x, y)


def is_far(x: Number, y: Number) -> Number:
    """Whether the quotient of finite numbers has too many digits for `fmod` to be exact."""
    quotient = abs(x) / abs(y)
    return (quotient >= 2.0**x.format.fraction) & (abs(x) < math.inf) & (abs(y) > 0.0)


def fmod_far(x: Number, y: Number) -> Number:
    """Long division of the mantissas, some digits at a time, for scalars."""
    if not x.is_double:
        return fmod_far(x.widen(), y.widen()).narrow()
    function, step = x.function, 11
    dividend, x_exponent = integer_parts(abs(x))
    divisor, y_exponent = integer_parts(abs(y))
    distance = x_exponent - y_exponent
    head = distance.op("urem", step)
    first = (dividend.op("urem", divisor) << head).op("urem", divisor)
    turns = distance.op("udiv", step) + 1
    with function.loop(Value("i64", "0"), turns.value) as loop:
        phi = function.carry(loop, first.value)
        rest = Number(function, phi)
        following = (rest << step).op("urem", divisor)
        is_last = Number(function, loop.index).equals(turns - 1)
        rest = select(is_last, rest, following)
        function.update(loop, phi, rest.value)
    return copysign(multiply_by_power(rest.to_float(), y_exponent), x)


def integer_parts(x: Number) -> tuple[Number, Number]:
    """`(m, e)` with `x = m * 2**e` and integer `m`, for a positive finite double."""
    bits = x.bits
    exponent, fraction = bits >> 52, bits & (2**52 - 1)
    is_normal = exponent > 0
    mantissa = select(is_normal, fraction | 2**52, fraction)
    return mantissa, select(is_normal, exponent, 1) - (1023 + 52)


def remainder(x: Number, y: Number) -> Number:
    return divmod(x, y)[1]


def floor_divide(x: Number, y: Number) -> Number:
    return divmod(x, y)[0]


def divmod(x: Number, y: Number) -> tuple[Number, Number]:
    """Floor quotient and remainder with NumPy's rounding (its `npy_divmod`)."""
    rest = fmod(x, y)
    quotient = (x - rest) / y
    is_zero = rest.equals(0.0)
    differs = ((y < 0.0) ^ (rest < 0.0)) & ~is_zero
    modulus = select(differs, rest + y, rest)
    modulus = select(is_zero, copysign(x.constant(0.0), y), modulus)
    quotient = select(differs, quotient - 1.0, quotient)
    whole = floor(quotient)
    whole = select(quotient - whole > 0.5, whole + 1.0, whole)
    exact = x / y
    whole = select(quotient.equals(0.0), copysign(x.constant(0.0), exact), whole)
    return select(y.equals(0.0), exact, whole), select(y.equals(0.0), rest, modulus)


FUNCTIONS = {
    "floor": floor,
    "ceil": ceil,
    "trunc": trunc,
    "rint": rint,
    "fmod": fmod,
    "remainder": remainder,
    "floor_divide": floor_divide,
}
