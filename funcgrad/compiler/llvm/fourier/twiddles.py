"""The roots of unity that the passes of a Fourier transform multiply by, as constant tables."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from funcgrad.compiler.llvm.builder import Module
from funcgrad.compiler.llvm.kernels.registers import register_type
from funcgrad.compiler.llvm.types import Value, float_text


def root(k: int, n: int) -> tuple[float, float]:
    """`exp(-2 pi i k / n)`, from an angle in the first eighth of the circle."""
    k %= n
    quarter, rest = divmod(4 * k, n)
    angle = math.pi * rest / (2 * n)
    if 2 * rest > n:
        other = math.pi * (n - rest) / (2 * n)
        x, y = math.sin(other), math.cos(other)
    else:
        x, y = math.cos(angle), math.sin(angle)
    for _ in range(quarter):
        x, y = -y, x
    return x, -y


def pass_twiddles(length: int, factors: tuple[int, ...]) -> tuple[list[float], list[int]]:
    """The numbers of all passes, one after the other, and where those of each begin."""
    numbers: list[float] = []
    starts = []
    before = 1
    for radix in factors:
        inner = length // (before * radix)
        starts.append(len(numbers))
        if inner > 1:
            for i in range(inner):
                for j in range(1, radix):
                    numbers.extend(root(j * before * i, length))
        before *= radix
    return numbers, starts


def half_twiddles(length: int, is_inverse: bool) -> list[float]:
    """Of the step between a complex transform of half the length and one of real numbers."""
    numbers = []
    for k in range(length // 2):
        x, y = root(k, length)
        numbers += [y, x] if is_inverse else [0.5 * y, -0.5 * x]
    return numbers


def table(module: Module, name: str, dtype: np.dtype, numbers: Iterable[float]) -> Value:
    """The numbers as constant data."""
    type = register_type(dtype)
    words = [f"{type} {float_text(number, type)}" for number in numbers] or [f"{type} 0.0"]
    return module.data(
        name, f"private constant [{len(words)} x {type}] [{', '.join(words)}], align 64"
    )
