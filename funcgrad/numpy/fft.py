"""`numpy.fft`: discrete Fourier transforms, their frequencies, and shifts of the spectrum."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.ir.types import real_dtype
from funcgrad.numpy import products
from funcgrad.numpy.creation import check_device
from funcgrad.numpy.register import numpy_function
from funcgrad.numpy.shape import normalize_axis
from funcgrad.ops.arithmetic import divide, multiply
from funcgrad.ops.cast import convert
from funcgrad.ops.complex import conjugate
from funcgrad.ops.families import ndim_of, shape_of
from funcgrad.ops.fft import fourier
from funcgrad.ops.sequences import as_array
from funcgrad.ops.shape import PLACE, STATIC_SLICE, concatenate

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


# --- one axis ---


@numpy_function(np.fft.fft)
def fft(a: Any, n: Any = None, axis: int = -1, norm: str | None = None, out: Any = None) -> Any:
    """Discrete Fourier transform along one axis.

    Args:
        a: array, real or complex.
        n: number of points; `a` is cropped or padded with zeros to it.
        axis: axis to transform.
        norm: "backward" (not scaled), "ortho" (divided by sqrt(n)) or "forward" (divided by n).

    Returns:
        Complex array: complex64 for float32 input, complex128 for float64 and integers.

    Raises:
        ValueError: n < 1, or an unknown norm.

    Example:
        >>> import numpy as np
        >>> import funcgrad.numpy as fnp
        >>> fnp.fft.fft(np.array([1.0, 2.0, 1.0, 0.0]))
        array([4.+0.j, 0.-2.j, 0.+0.j, 0.+2.j])
    """
    return transformed("fft", "fft", a, one_length(n), (axis,), norm, out)


@numpy_function(np.fft.ifft)
def ifft(a: Any, n: Any = None, axis: int = -1, norm: str | None = None, out: Any = None) -> Any:
    """Inverse of `fft`: divided by n unless `norm` says otherwise. Arguments as for `fft`."""
    return transformed("ifft", "ifft", a, one_length(n), (axis,), norm, out)


@numpy_function(np.fft.rfft)
def rfft(a: Any, n: Any = None, axis: int = -1, norm: str | None = None, out: Any = None) -> Any:
    """The first n // 2 + 1 entries of `fft` of a real array; the others are their conjugates.

    Example:
        >>> import numpy as np
        >>> import funcgrad.numpy as fnp
        >>> fnp.fft.rfft(np.array([1.0, 2.0, 1.0, 0.0]))
        array([4.+0.j, 0.-2.j, 0.+0.j])
    """
    return transformed("rfft", "rfft", a, one_length(n), (axis,), norm, out)


@numpy_function(np.fft.irfft)
def irfft(a: Any, n: Any = None, axis: int = -1, norm: str | None = None, out: Any = None) -> Any:
    """Inverse of `rfft`: a real array with `n` points, by default 2 * (length - 1)."""
    return transformed("irfft", "irfft", a, one_length(n), (axis,), norm, out)


@numpy_function(np.fft.hfft)
def hfft(a: Any, n: Any = None, axis: int = -1, norm: str | None = None, out: Any = None) -> Any:
    """Real spectrum of a signal with Hermitian symmetry, given by its first half."""
    check_norm("hfft", norm)
    flipped = conjugate(as_array(a))
    swapped = SWAPPED_NORM[norm]
    return transformed("hfft", "irfft", flipped, one_length(n), (axis,), swapped, out)


@numpy_function(np.fft.ihfft)
def ihfft(a: Any, n: Any = None, axis: int = -1, norm: str | None = None, out: Any = None) -> Any:
    """Inverse of `hfft`: the first half of the Hermitian signal that has the real spectrum `a`."""
    check_norm("ihfft", norm)
    swapped = SWAPPED_NORM[norm]
    return conjugate(transformed("ihfft", "rfft", a, one_length(n), (axis,), swapped, out))


# --- several axes ---


@numpy_function(np.fft.fftn)
def fftn(a: Any, s: Any = None, axes: Any = None, norm: str | None = None, out: Any = None) -> Any:
    """Discrete Fourier transform along several axes.

    Args:
        a: array, real or complex.
        s: number of points per axis, -1 for the length that the axis has.
        axes: axes to transform, all by default (with `s`: the last ones).
        norm: "backward", "ortho" or "forward", as for `fft`.

    Returns:
        Complex array.

    Raises:
        ValueError: `s` and `axes` of different lengths, or an unknown norm.

    Example:
        >>> import numpy as np
        >>> import funcgrad.numpy as fnp
        >>> fnp.fft.fftn(np.ones((2, 2)))
        array([[4.+0.j, 0.+0.j],
               [0.+0.j, 0.+0.j]])
    """
    return transformed("fftn", "fft", a, s, axes, norm, out)


@numpy_function(np.fft.ifftn)
def ifftn(a: Any, s: Any = None, axes: Any = None, norm: str | None = None, out: Any = None) -> Any:
    """Inverse of `fftn`."""
    return transformed("ifftn", "ifft", a, s, axes, norm, out)


@numpy_function(np.fft.rfftn)
def rfftn(a: Any, s: Any = None, axes: Any = None, norm: str | None = None, out: Any = None) -> Any:
    """`rfft` along the last of `axes`, `fft` along the others."""
    return transformed("rfftn", "rfft", a, s, axes, norm, out)


@numpy_function(np.fft.irfftn)
def irfftn(
    a: Any, s: Any = None, axes: Any = None, norm: str | None = None, out: Any = None
) -> Any:
    """Inverse of `rfftn`; give `s` where the last axis had an odd length."""
    return transformed("irfftn", "irfft", a, s, axes, norm, out)


@numpy_function(np.fft.fft2)
def fft2(
    a: Any, s: Any = None, axes: Any = (-2, -1), norm: str | None = None, out: Any = None
) -> Any:
    """`fftn` along two axes."""
    return transformed("fft2", "fft", a, s, axes, norm, out)


@numpy_function(np.fft.ifft2)
def ifft2(
    a: Any, s: Any = None, axes: Any = (-2, -1), norm: str | None = None, out: Any = None
) -> Any:
    """`ifftn` along two axes."""
    return transformed("ifft2", "ifft", a, s, axes, norm, out)


@numpy_function(np.fft.rfft2)
def rfft2(
    a: Any, s: Any = None, axes: Any = (-2, -1), norm: str | None = None, out: Any = None
) -> Any:
    """`rfftn` along two axes."""
    return transformed("rfft2", "rfft", a, s, axes, norm, out)


@numpy_function(np.fft.irfft2)
def irfft2(
    a: Any, s: Any = None, axes: Any = (-2, -1), norm: str | None = None, out: Any = None
) -> Any:
    """`irfftn` along two axes."""
    return transformed("irfft2", "irfft", a, s, axes, norm, out)


# --- frequencies and shifts ---


def frequencies(name: str, n: Any, d: Any, dtype: Any, first: int) -> Any:
    if not isinstance(n, int | np.integer) or n < 1:
        raise ValueError(f"[{name}] n must be an integer of at least 1, but got {n!r}.")
    dtype = np.dtype(np.float32 if dtype is None else dtype)
    count = np.arange(first, n // 2 + 1 if name == "rfftfreq" else first + n)
    count = (np.roll(count, first) if first else count).astype(dtype)
    return count / (n * d) if isinstance(d, int | float) else divide(count, multiply(d, n))


def fftfreq(n: int, d: Any = 1.0, device: Any = None, *, dtype: Any = None) -> Any:
    """Frequencies of the entries of an `fft` with `n` points, in cycles per unit of `d`.

    Args:
        n: number of points.
        d: distance between two points; it may be traced.
        device: None or "cpu".
        dtype: of the result, float32 by default.

    Returns:
        Array of shape (n,): 0, 1, ..., -2, -1 divided by n * d.

    Example:
        >>> import funcgrad.numpy as fnp
        >>> fnp.fft.fftfreq(4, d=0.5)
        array([ 0. ,  0.5, -1. , -0.5], dtype=float32)
    """
    check_device(device)
    return frequencies("fftfreq", n, d, dtype, -(n // 2))


def rfftfreq(n: int, d: Any = 1.0, device: Any = None, *, dtype: Any = None) -> Any:
    """Frequencies of the entries of an `rfft` with `n` points. Arguments as for `fftfreq`."""
    check_device(device)
    return frequencies("rfftfreq", n, d, dtype, 0)


def shifted(name: str, x: Any, axes: Any, amounts: Any) -> Any:
    """`x` rolled along each axis by `amounts(length)`."""
    x = as_array(x)
    rank = ndim_of(x)
    named = range(rank) if axes is None else (axes,) if isinstance(axes, int) else axes
    for axis in [normalize_axis(name, axis, rank) for axis in named]:
        length = shape_of(x)[axis]
        start = length - amounts(length)
        if start != length:
            spec = [(0, n, 1) for n in shape_of(x)]
            tail = STATIC_SLICE(x, spec=(*spec[:axis], (start, length, 1), *spec[axis + 1 :]))
            head = STATIC_SLICE(x, spec=(*spec[:axis], (0, start, 1), *spec[axis + 1 :]))
            x = concatenate([tail, head], axis)
    return x


@numpy_function(np.fft.fftshift)
def fftshift(x: Any, axes: Any = None) -> Any:
    """Move frequency 0 to the middle.

    Args:
        x: array.
        axes: int or tuple of ints, all by default.

    Example:
        >>> import funcgrad.numpy as fnp
        >>> fnp.fft.fftshift(fnp.fft.fftfreq(4))
        array([-0.5 , -0.25,  0.  ,  0.25], dtype=float32)
    """
    return shifted("fftshift", x, axes, lambda length: length // 2)


@numpy_function(np.fft.ifftshift)
def ifftshift(x: Any, axes: Any = None) -> Any:
    """Inverse of `fftshift`; the two differ for odd lengths."""
    return shifted("ifftshift", x, axes, lambda length: length - length // 2)
