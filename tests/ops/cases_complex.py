"""Rows of the parts of complex numbers."""

from __future__ import annotations

import numpy as np

from funcgrad.ops import complex
from tests.ops.case import COMPLEX, EVERY, REAL, Case, uniform

PARTS = {
    "elementwise": True,
    "dtypes": (*COMPLEX, "float32", "int64"),
    "smooth": ("complex128",),
    "recorded": COMPLEX,
}

CASES = [
    Case("real", complex.real, (uniform(-2, 2),), reference=np.real, **PARTS),
    Case("imag", complex.imag, (uniform(-2, 2),), reference=np.imag, **PARTS),
    Case(
        "conjugate",
        complex.conjugate,
        (uniform(-2, 2),),
        reference=np.conjugate,
        dtypes=EVERY,
        smooth=("float64", "complex128"),
        elementwise=True,
    ),
    Case(
        "complex",
        complex.make_complex,
        (uniform(-2, 2), uniform(-2, 2, (3,))),
        reference=lambda x, y: x + np.complex64(1j) * y,
        dtypes=tuple(dtype for dtype in REAL if isinstance(dtype, str)),
        elementwise=True,
    ),
]
