"""Which Fourier transform is computed, and how it divides into stages along one axis each."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from funcgrad.compiler.llvm.fourier.butterflies import factors

# Longer ones leave the caches, and need large tables.
LONGEST = 1 << 13


@dataclass(frozen=True)
class FourierSpec:
    """A transform of an array in C order.

    Attributes:
        dtype: of real and imaginary parts.
        transform: "fft", "ifft", "rfft" or "irfft".
        shape: of the operand.
        axes: that are transformed; of "rfft" and "irfft" the last one is halved.
        length: of the last of these axes, of real numbers.
    """

    dtype: np.dtype
    transform: str
    shape: tuple[int, ...]
    axes: tuple[int, ...]
    length: int

    @property
    def is_inverse(self) -> bool:
        return self.transform in ("ifft", "irfft")

    @property
    def is_halved(self) -> bool:
        return self.transform in ("rfft", "irfft")

    @property
    def lengths(self) -> tuple[int, ...]:
        return (*(self.shape[axis] for axis in self.axes[:-1]), self.length)

    @property
    def points(self) -> int:
        return math.prod(self.lengths)

    @property
    def half_shape(self) -> tuple[int, ...]:
        """Of the complex array that all complex stages read and write."""
        shape = list(self.shape)
        if self.is_halved:
            shape[self.axes[-1]] = self.length // 2 + 1
        return tuple(shape)

    def supports(self) -> bool:
        """Whether there is native code for it."""
        complex_lengths = [*self.lengths[:-1], self.length // 2 if self.is_halved else self.length]
        is_even = not self.is_halved or (self.length % 2 == 0 and self.length >= 4)
        has_factors = all(0 < n <= LONGEST and factors(n) is not None for n in complex_lengths)
        is_known = self.dtype.name in ("float32", "float64") and math.prod(self.shape) > 0
        return is_known and is_even and has_factors and self.points > 1

    def stages(self) -> list[Stage]:
        """What is done, one axis after the other."""
        axes = [axis for axis in self.axes if self.half_shape[axis] > 1]
        if self.is_halved:
            axes.remove(self.axes[-1])
        shape = self.half_shape
        found = [Stage("complex", *_around(shape, axis), shape[axis]) for axis in axes[::-1]]
        outer, inner = _around(shape, self.axes[-1])
        if self.transform == "rfft":
            found.insert(0, Stage("unpack", outer, inner, self.length // 2))
        if self.transform == "irfft":
            found.append(Stage("pack", outer, inner, self.length // 2))
        return found


def _around(shape: tuple[int, ...], axis: int) -> tuple[int, int]:
    return math.prod(shape[:axis]), math.prod(shape[axis + 1 :])


@dataclass(frozen=True)
class Stage:
    """The transforms along one axis.

    Attributes:
        kind: "complex", or "unpack" from real numbers, or "pack" to them.
        outer, inner: elements of the axes before and after.
        length: of the complex transforms.
    """

    kind: str
    outer: int
    inner: int
    length: int
