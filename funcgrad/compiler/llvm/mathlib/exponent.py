"""Exponent and mantissa: scaling by powers of two, and splitting a number into both."""

from __future__ import annotations

from typing import Any

from funcgrad.compiler.llvm.mathlib.number import Number, fma, has_avx512, rint, select
from funcgrad.compiler.llvm.types import Value, constant


def power_of_two(n: Number) -> Number:
    """`2**n` for an integer float `n` of a normal result: its sum with the rounder, shifted into place."""
    form = n.format
    return ((n + (form.rounder + form.bias)).bits << form.fraction).as_float()


def round_to_power(x: Number, factor: float, shift: int = 0) -> tuple[Number, Number]:
    """`(n, 2**(n + shift))` where `n` is the integer nearest to `x * factor`; the power must be a normal number."""
    form = x.format
    biased = form.rounder + form.bias + shift
    rounded = fma(x, factor, biased)
    return rounded - biased, (rounded.bits << form.fraction).as_float()


def floor_to_power(x: Number) -> tuple[Number, Number]:
    """`(n, 2**n)` where `n` is the largest integer up to `x`; the power must be a normal number."""
    if is_vector_register(x):
        power = avx512(x, "scalef", x.constant(1.0), x)
        return avx512(x, "getexp", power), power
    n = x.intrinsic("llvm.floor")
    return n, power_of_two(n)


def scale(x: Number, n: Number) -> Number:
    """`x * 2**n`, rounded once, for an integer float `n` up to 1.5 times the bias in size; NaN stays NaN."""
    if is_vector_register(x):
        return avx512(x, "scalef", x, n)
    half = rint(n * 0.5)
    return x * power_of_two(half) * power_of_two(n - half)


def split(x: Number) -> tuple[Number, Number]:
    """`(m, e)` with `x = m * 2**e`, `m` in [0.75, 1.5), `e` an integer float, for any positive finite `x`.

    With AVX-512: `e` is -inf, inf for 0, inf, and `m` is NaN for negative numbers. Elsewhere these give any value.
    """
    if is_vector_register(x):
        mantissa = avx512(x, "getmant", x, 0b1011)
        exponent = avx512(x, "getexp", x) - avx512(x, "getexp", mantissa)
        return mantissa, exponent
    form = x.format
    tiny = x < form.smallest_normal
    lifted = select(tiny, x * 2.0 ** (form.fraction + 1), x)
    bits = lifted.bits
    shift = (bits - x.constant(0.75).bits) >> form.fraction
    mantissa = (bits - (shift << form.fraction)).as_float()
    lift = select(tiny, x.constant(form.rounder + form.fraction + 1.0), form.rounder)
    return mantissa, (shift + x.constant(form.rounder).bits).as_float() - lift


def is_vector_register(x: Number) -> bool:
    """Whether AVX-512 registers hold exactly this type."""
    return has_avx512() and x.lanes * x.format.width in (128, 256, 512, 1024)


def avx512(x: Number, operation: str, *operands: Number | int) -> Number:
    """An AVX-512 instruction through its intrinsic: unmasked, rounding as usual."""
    function, width = x.function, x.lanes * x.format.width
    if width == 1024:
        halves = [
            avx512(
                x.part(i), operation, *[o.part(i) if isinstance(o, Number) else o for o in operands]
            )
            for i in (0, 1)
        ]
        return halves[0].join(halves[1])
    suffix = {"float": "ps", "double": "pd"}[x.element]
    arguments: list[Any] = [
        operand.value if isinstance(operand, Number) else Value("i32", str(operand))
        for operand in operands
    ]
    arguments += [x.value, constant("i16" if x.lanes == 16 else "i8", -1)]
    if width == 512:
        arguments.append(Value("i32", "4"))
    name = f"llvm.x86.avx512.mask.{operation}.{suffix}.{width}"
    return Number(function, function.external(name, x.type, arguments))


def multiply_by_power(x: Number, n: Number) -> Number:
    """`x * 2**n`, rounded once, for any `x` and an integer `n` of its width, at most 3 times the bias in size."""
    form = x.format
    for _ in range(2):
        # A first step down must not already round: it leaves room for the digits.
        low = select(n < 1 - form.bias, 1 - form.bias + form.fraction + 1, n)
        part = select(n > form.bias, form.bias, low)
        x = x * ((part + form.bias) << form.fraction).as_float()
        n = n - part
    low = select(n < 1 - form.bias, 1 - form.bias, n)
    return x * ((select(n > form.bias, form.bias, low) + form.bias) << form.fraction).as_float()
