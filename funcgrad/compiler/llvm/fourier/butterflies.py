"""Small Fourier transforms in registers: of 2 to 8 and of a prime number of complex vectors."""

from __future__ import annotations

import math
from typing import NamedTuple

from funcgrad.compiler.llvm.builder import Function
from funcgrad.compiler.llvm.types import Value, constant

# In the order in which lengths are divided by them.
RADICES = (8, 4, 2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31)


class Complex(NamedTuple):
    """Real and imaginary parts, each a vector of as many lines as there are lanes."""

    real: Value
    imaginary: Value


def factors(length: int) -> tuple[int, ...] | None:
    """The length as a product of radices, if it is one."""
    found = []
    for radix in RADICES:
        while length % radix == 0:
            found.append(radix)
            length //= radix
    return tuple(found) if length == 1 else None


def transformed(f: Function, values: list[Complex]) -> list[Complex]:
    """`y[k] = sum over j of exp(-2 pi i j k / n) x[j]`."""
    n = len(values)
    if n == 2:
        x, y = values
        return [add(f, x, y), subtract(f, x, y)]
    if n in (4, 8):
        return _halved(f, values)
    return _odd(f, values)


def add(f: Function, x: Complex, y: Complex) -> Complex:
    return Complex(f.op("fadd", x.real, y.real), f.op("fadd", x.imaginary, y.imaginary))


def subtract(f: Function, x: Complex, y: Complex) -> Complex:
    return Complex(f.op("fsub", x.real, y.real), f.op("fsub", x.imaginary, y.imaginary))


def multiply(f: Function, x: Complex, y: Complex) -> Complex:
    """Each part rounded twice."""
    parts = f.op("fmul", x.imaginary, y.imaginary), f.op("fmul", x.imaginary, y.real)
    return Complex(
        f.intrinsic("llvm.fma", x.real.type, [x.real, y.real, f.fneg(parts[0])]),
        f.intrinsic("llvm.fma", x.real.type, [x.real, y.imaginary, parts[1]]),
    )


def _halved(f: Function, values: list[Complex]) -> list[Complex]:
    """The transforms of the even and of the odd places, put together."""
    even, odd = transformed(f, values[::2]), transformed(f, values[1::2])
    odd = [_turned(f, x, 8 * k // len(values)) for k, x in enumerate(odd)]
    pairs = list(zip(even, odd, strict=True))
    return [add(f, x, y) for x, y in pairs] + [subtract(f, x, y) for x, y in pairs]


def _turned(f: Function, x: Complex, eighths: int) -> Complex:
    """x times `exp(-2 pi i / 8)` to a power from 0 to 3."""
    if eighths >= 2:
        x = Complex(x.imaginary, f.fneg(x.real))
    if eighths % 2 == 0:
        return x
    half = constant(x.real.type, math.sqrt(0.5))
    total = f.op("fadd", x.real, x.imaginary)
    difference = f.op("fsub", x.imaginary, x.real)
    return Complex(f.op("fmul", total, half), f.op("fmul", difference, half))


def _odd(f: Function, values: list[Complex]) -> list[Complex]:
    """Sums and differences of opposite places have real factors."""
    n, first = len(values), values[0]
    pairs = [(values[j], values[n - j]) for j in range(1, n // 2 + 1)]
    sums = [add(f, x, y) for x, y in pairs]
    differences = [subtract(f, x, y) for x, y in pairs]
    total = first
    for x in sums:
        total = add(f, total, x)
    found = [total] * n
    for k in range(1, n // 2 + 1):
        angles = [2 * math.pi * (j * k % n) / n for j in range(1, n // 2 + 1)]
        near = _combined(f, sums, [math.cos(angle) for angle in angles], first)
        far = _combined(f, differences, [math.sin(angle) for angle in angles])
        turned = Complex(far.imaginary, f.fneg(far.real))
        found[k], found[n - k] = add(f, near, turned), subtract(f, near, turned)
    return found


def _combined(
    f: Function, values: list[Complex], numbers: list[float], start: Complex | None = None
) -> Complex:
    """The sum of values times real numbers."""
    parts = []
    for part in range(2):
        total = None if start is None else start[part]
        for value, number in zip(values, numbers, strict=True):
            x, y = value[part], constant(value[part].type, number)
            total = (
                f.op("fmul", x, y)
                if total is None
                else f.intrinsic("llvm.fma", x.type, [x, y, total])
            )
        assert total is not None
        parts.append(total)
    return Complex(*parts)
