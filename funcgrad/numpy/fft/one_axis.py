"""Fourier transforms along one axis."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.numpy.fft.common import SWAPPED_NORM, check_norm, one_length, transformed
from funcgrad.numpy.register import numpy_function
from funcgrad.ops.complex import conjugate
from funcgrad.ops.sequences import as_array


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
