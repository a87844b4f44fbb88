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

    @property
    def last_length(self) -> int:
        """Of the complex transforms along the last of the axes."""
        return self.length // 2 if self.is_halved and self.length % 2 == 0 else self.length

    def supports(self) -> bool:
        """Whether there is native code for it."""
        lengths = (*self.lengths[:-1], self.last_length)
        has_factors = all(0 < n <= LONGEST and factors(n) is not None for n in lengths)
        is_known = self.dtype.name in ("float32", "float64") and math.prod(self.shape) > 0
        is_long = self.points > 1 and (not self.is_halved or self.length > 2)
        return is_known and is_long and has_factors

    def stages(self) -> list[Stage]:
        """What is done, one axis after the other."""
        axes = [axis for axis in self.axes if self.half_shape[axis] > 1]
        if self.is_halved:
            axes.remove(self.axes[-1])
        shape = self.half_shape
        found = [Stage("complex", *_around(shape, axis), shape[axis]) for axis in axes[::-1]]
        outer, inner = _around(shape, self.axes[-1])
        is_even = self.length % 2 == 0
        if self.transform == "rfft":
            kind = "unpack" if is_even else "narrow"
            found.insert(0, Stage(kind, outer, inner, self.last_length))
        if self.transform == "irfft":
            kind = "pack" if is_even else "widen"
            found.append(Stage(kind, outer, inner, self.last_length))
        return found


def _around(shape: tuple[int, ...], axis: int) -> tuple[int, int]:
    return math.prod(shape[:axis]), math.prod(shape[axis + 1 :])


@dataclass(frozen=True)
class Stage:
    """The transforms along one axis.

    Attributes:
        kind: "complex"; from real numbers "unpack" if their number is even, "narrow" if it is odd; to them "pack"
            and "widen".
        outer, inner: elements of the axes before and after.
        length: of the complex transforms.
    """

    kind: str
    outer: int
    inner: int
    length: int
