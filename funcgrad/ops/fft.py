"""Discrete Fourier transforms: one linear primitive in four kinds, each with its exact transpose."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from funcgrad.ir.primitive import LinearInput
from funcgrad.ir.types import ArrayType, is_complex, real_dtype
from funcgrad.ops.arithmetic import divide, multiply
from funcgrad.ops.batching import move_batch_first
from funcgrad.ops.cast import convert
from funcgrad.ops.compare import equal, logical_or
from funcgrad.ops.complex import conjugate
from funcgrad.ops.create import iota
from funcgrad.ops.families import Linear
from funcgrad.ops.operands import shape_of
from funcgrad.ops.select import select


class Fft(Linear):
    """Fourier transform over `axes`, not scaled forward, divided by the number of points backward.

    Kinds "fft" and "ifft" keep the shape. "rfft" maps real input to the half of the spectrum along the last
    of `axes` that determines the rest; "irfft" is its inverse, with `length` points along that axis.
    """

    kind = "library"

    def type_rule(
        self, x: ArrayType, *, transform: str, axes: tuple[int, ...], length: int
    ) -> ArrayType:
        shape = list(x.shape)
        if transform == "rfft":
            shape[axes[-1]] = length // 2 + 1
            return ArrayType(tuple(shape), np.result_type(x.dtype, np.complex64))
        if transform == "irfft":
            shape[axes[-1]] = length
            return ArrayType(tuple(shape), real_dtype(x.dtype))
        return ArrayType(x.shape, x.dtype)

    def numpy(self, xp: Any, x: Any, *, transform: str, axes: tuple[int, ...], length: int) -> Any:
        if transform == "irfft":
            lengths = [*(x.shape[axis] for axis in axes[:-1]), length]
            return xp.fft.irfftn(x, lengths, axes)
        return getattr(xp.fft, transform + "n")(x, axes=axes)

    def lower(self, emit: Any, *values: Any, **params: Any) -> Any:
        return emit.step("fourier", values, **params)

    def transpose(
        self, ct: Any, x: LinearInput, *, transform: str, axes: tuple[int, ...], length: int
    ) -> list[Any]:
        if transform in ("fft", "ifft"):
            return [self(ct, transform=transform, axes=axes, length=length)]
        points = math.prod(x.shape[axis] for axis in axes[:-1]) * length
        if transform == "rfft":
            folded = multiply(conjugate(ct), divide(points, hidden_copies(length, axes[-1], ct)))
            return [self(folded, transform="irfft", axes=axes, length=length)]
        spectrum = self(ct, transform="rfft", axes=axes, length=length)
        weights = divide(hidden_copies(length, axes[-1], spectrum), points)
        return [conjugate(multiply(spectrum, weights))]

    def batch(self, size: int, args: Any, axes: Any, /, **params: Any) -> tuple[Any, Any]:
        del size
        (x,) = move_batch_first(args, axes)
        params["axes"] = tuple(axis + 1 for axis in params["axes"])
        return self(x, **params), 0


def hidden_copies(length: int, axis: int, spectrum: Any) -> Any:
    """How often each entry of a half spectrum stands in the whole: 2, but 1 at frequency 0 and at the middle."""
    shape = [1] * len(shape_of(spectrum))
    shape[axis] = length // 2 + 1
    frequency = iota(tuple(shape), axis)
    is_single = logical_or(equal(frequency, 0), equal(multiply(frequency, 2), length))
    return convert(select(is_single, 1, 2), real_dtype(spectrum.dtype))


FFT = Fft()


def fourier(x: Any, transform: str, axes: tuple[int, ...], length: int | None = None) -> Any:
    """Fourier transform of a floating (for "rfft" real, else complex) array over non-negative `axes`."""
    if is_complex(x.dtype) == (transform == "rfft"):
        wanted = "a real" if transform == "rfft" else "a complex"
        raise TypeError(f"[{transform}] needs {wanted} array, but got dtype {x.dtype}.")
    if length is None:
        length = shape_of(x)[axes[-1]]
    return FFT(x, transform=transform, axes=axes, length=length)
