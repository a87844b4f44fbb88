"""Rows of Fourier transforms: even and odd lengths, one axis and several."""

from __future__ import annotations

import numpy as np

from funcgrad.ops.fft import fourier
from tests.ops.case import Case, uniform


def real_forward(x, axes):
    return fourier(x, "rfft", axes)


def real_backward(x, axes, length):
    return fourier(x, "irfft", axes, length)


def irfftn(x, axes, length):
    lengths = [*(x.shape[axis] for axis in axes[:-1]), length]
    return np.fft.irfftn(x, lengths, axes)


COMPLEX = {"dtypes": ("complex64", "complex128"), "smooth": ("complex128",), "tolerance": 16.0}
REAL = {"dtypes": ("float32", "float64"), "tolerance": 16.0}

CASES = [
    *(
        Case(
            "fft",
            lambda x, axes, kind=kind: fourier(x, kind, axes),
            (uniform(-1, 1, (3, 4)),),
            params={"axes": axes},
            label=f"{kind}{axes}",
            reference=getattr(np.fft, kind + "n"),
            **COMPLEX,
        )
        for kind in ("fft", "ifft")
        for axes in ((0,), (1, 0))
    ),
    *(
        Case(
            "fft",
            real_forward,
            (uniform(-1, 1, (3, length)),),
            params={"axes": axes},
            label=f"rfft{length}{axes}",
            reference=np.fft.rfftn,
            **REAL,
        )
        for length in (1, 4, 5)
        for axes in ((1,), (0, 1), (1, 0))
    ),
    *(
        Case(
            "fft",
            real_backward,
            (uniform(-1, 1, (3, length // 2 + 1)),),
            params={"axes": axes, "length": length},
            label=f"irfft{length}{axes}",
            reference=irfftn,
            **COMPLEX,
        )
        for length in (1, 4, 5)
        for axes in ((1,), (0, 1))
    ),
]
