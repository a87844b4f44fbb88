"""The frequencies of a spectrum, and shifts that bring frequency 0 to the middle."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.ir.devices import new_arrays_on, placed
from funcgrad.numpy.register import numpy_function
from funcgrad.numpy.shape import normalize_axis
from funcgrad.ops.arithmetic import divide, multiply
from funcgrad.ops.operands import ndim_of, shape_of
from funcgrad.ops.pieces import STATIC_SLICE, concatenate
from funcgrad.ops.sequences import as_array


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
        device: where it goes; the default device if it is None.
        dtype: of the result, float32 by default.

    Returns:
        Array of shape (n,): 0, 1, ..., -2, -1 divided by n * d.

    Example:
        >>> import funcgrad.numpy as fnp
        >>> fnp.fft.fftfreq(4, d=0.5)
        array([ 0. ,  0.5, -1. , -0.5], dtype=float32)
    """
    with new_arrays_on(device):
        return placed(frequencies("fftfreq", n, d, dtype, -(n // 2)))


def rfftfreq(n: int, d: Any = 1.0, device: Any = None, *, dtype: Any = None) -> Any:
    """Frequencies of the entries of an `rfft` with `n` points. Arguments as for `fftfreq`."""
    with new_arrays_on(device):
        return placed(frequencies("rfftfreq", n, d, dtype, 0))


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
