"""LAPACK for native code: the functions that SciPy publishes, as symbols such as `fg_lapack_dgetrf`."""

from __future__ import annotations

import functools

from funcgrad.compiler.llvm.runtime import blas


@functools.cache
def functions() -> dict[str, int]:
    """The address of each function of SciPy's LAPACK by its name there; empty if its integers are not C's `int`."""
    return blas.published("scipy.linalg.cython_lapack")


@functools.cache
def is_known() -> bool:
    """Whether native code can call SciPy's BLAS and LAPACK."""
    return "dgetrf" in functions() and "dtrsm" in blas.functions()
