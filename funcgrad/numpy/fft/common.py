"""What all Fourier transforms share: lengths, axes, norms and dtypes, brought to the one primitive."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.ir.types import real_dtype
from funcgrad.numpy import products
from funcgrad.numpy.shape import normalize_axis
from funcgrad.ops.arithmetic import multiply
from funcgrad.ops.cast import convert
from funcgrad.ops.fft import fourier
from funcgrad.ops.operands import ndim_of, shape_of
from funcgrad.ops.pieces import PLACE, STATIC_SLICE
from funcgrad.ops.sequences import as_array

SWAPPED_NORM = {None: "forward", "backward": "forward", "ortho": "ortho", "forward": "backward"}


def check_norm(name: str, norm: str | None) -> None:
    if norm not in SWAPPED_NORM:
        raise ValueError(
            f'[{name}] norm={norm!r} is not known. Use "backward" (the default), "ortho" or "forward".'
        )


def scale_factor(transform: str, points: int, norm: str | None) -> float | None:
    """What the result of the primitive is multiplied by; None for 1. The primitive scales backward."""
    if norm in (None, "backward"):
        return None
    factor = 1 / math.sqrt(points) if norm == "ortho" else 1 / points
    return 1 / factor if transform in ("ifft", "irfft") else factor


def resize(x: Any, axis: int, length: int) -> Any:
    """`x` cropped, or padded with zeros at the end, to `length` along `axis`."""
    shape = shape_of(x)
    if shape[axis] == length:
        return x
    spec = [(0, n, 1) for n in shape]
    spec[axis] = (0, min(length, shape[axis]), 1)
    if length < shape[axis]:
        return STATIC_SLICE(x, spec=tuple(spec))
    return PLACE(x, spec=tuple(spec), shape=(*shape[:axis], length, *shape[axis + 1 :]))


def transform_input(name: str, transform: str, a: Any) -> Any:
    """`a` in the dtype that the transform computes in: at least float32, complex unless it is "rfft"."""
    x = as_array(a)
    if x.dtype.kind == "c" and transform == "rfft":
        raise TypeError(
            f"[{name}] needs a real array, but got dtype {x.dtype}. "
            f"Use np.fft.{name.replace('rfft', 'fft').replace('ihfft', 'ifft')}, or pass x.real."
        )
    dtype = np.result_type(np.result_type(x.dtype, 1.0), np.float32)
    return convert(x, dtype if transform == "rfft" else np.result_type(dtype, np.complex64))


def transform_axes(name: str, rank: int, s: Any, axes: Any) -> list[int]:
    """The non-negative axes to transform, in order."""
    if axes is None:
        axes = range(rank) if s is None else range(-len(s), 0)
    found = [normalize_axis(name, axis, rank) for axis in axes]
    if s is not None and len(s) != len(found):
        raise ValueError(
            f"[{name}] s = {tuple(s)} and axes = {tuple(axes)} must have the same length: one length "
            "per transformed axis."
        )
    return found


def transform_lengths(
    name: str, transform: str, shape: tuple, s: Sequence[Any] | None, axes: list[int]
) -> list[int]:
    """The number of points along each axis."""
    natural = [shape[axis] for axis in axes]
    if transform == "irfft" and natural:
        natural[-1] = 2 * (natural[-1] - 1)
    given = [None] * len(axes) if s is None else s
    lengths = [
        shape[axis] if n == -1 else default if n is None else n.__index__()
        for n, default, axis in zip(given, natural, axes, strict=True)
    ]
    if any(n < 1 for n in lengths):
        raise ValueError(
            f"[{name}] the number of points along each axis must be at least 1, but got {lengths} "
            f"for an array of shape {shape}."
        )
    return lengths


def transformed(
    name: str, transform: str, a: Any, s: Any, axes: Any, norm: str | None, out: Any
) -> Any:
    """The Fourier transform of `a`: what all public functions are made of."""
    check_norm(name, norm)
    x = transform_input(name, transform, a)
    order = transform_axes(name, ndim_of(x), s, axes)
    if not order:
        return products.into(name, x, out)
    lengths = transform_lengths(name, transform, shape_of(x), s, order)
    if len(set(order)) < len(order):
        return products.into(name, one_by_one(name, transform, x, lengths, order, norm), out)
    for axis, length in zip(order, lengths, strict=True):
        half = transform == "irfft" and axis == order[-1]
        x = resize(x, axis, length // 2 + 1 if half else length)
    y = fourier(x, transform, tuple(order), lengths[-1])
    factor = scale_factor(transform, math.prod(lengths), norm)
    y = y if factor is None else multiply(y, factor)
    if transform == "irfft":
        # NumPy computes float16 input in complex64, but returns float16.
        y = convert(y, real_dtype(np.result_type(as_array(a).dtype, 1.0)))
    return products.into(name, y, out)


def one_by_one(
    name: str, transform: str, x: Any, lengths: list[int], axes: list[int], norm: str | None
) -> Any:
    """A transform that names an axis several times: the last one first, or at the end for "irfft"."""
    steps = [(transform.replace("rf", "f"), *step) for step in zip(axes, lengths, strict=True)]
    steps[-1] = (transform, axes[-1], lengths[-1])
    for kind, axis, length in steps if transform == "irfft" else reversed(steps):
        x = transformed(name, kind, x, (length,), (axis,), norm, None)
    return x


def one_length(n: Any) -> tuple | None:
    return None if n is None else (n,)
