"""Fourier transforms along several axes."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.numpy.fft.common import transformed
from funcgrad.numpy.register import numpy_function


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
