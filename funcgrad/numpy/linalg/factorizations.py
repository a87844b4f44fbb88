"""Cholesky, QR and singular value factorizations."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.numpy.register import numpy_function
from funcgrad.ops import (
    factorizations,
    spectral,
)
from funcgrad.ops.matrices import adjoint, check_matrix, inexact
from funcgrad.ops.sequences import as_array

# NumPy's result types, so that a traced function returns the same tree as a plain one.
QRResult = type(np.linalg.qr(np.eye(1)))
SVDResult = type(np.linalg.svd(np.eye(1)))


@numpy_function(np.linalg.cholesky)
def cholesky(a: Any, /, *, upper: bool = False) -> Any:
    """Cholesky factor of Hermitian positive definite matrices.

    Args:
        a: shape (..., n, n). Where it is traced its Hermitian part is taken, so that the gradient is
            Hermitian too.
        upper: return the upper factor `u` with `u^H @ u = a`.

    Returns:
        Lower triangular `l` with `l @ l^H = a`.

    Raises:
        LinAlgError: the matrix is not positive definite.

    Example:
        >>> import numpy as np
        >>> import funcgrad.numpy as fnp
        >>> fnp.linalg.cholesky(np.array([[4.0, 2.0], [2.0, 5.0]]))
        array([[2., 0.],
               [1., 2.]])
    """
    lower = factorizations.cholesky(as_array(a))
    return adjoint(lower) if upper else lower


@numpy_function(np.linalg.qr)
def qr(a: Any, mode: str = "reduced") -> Any:
    """QR factorization: `q` with orthonormal columns, `r` upper triangular, `q @ r = a`.

    Args:
        a: shape (..., m, n).
        mode: "reduced" (`q` has min(m, n) columns), "complete" (`q` is square), or "r" (only `r`). The
            mode "raw" works on plain arrays only.

    Returns:
        (Q, R), or R. Differentiable where the first min(m, n) columns of `a` are linearly independent.
    """
    if mode not in ("reduced", "complete", "r"):
        raise ValueError(
            f"[qr] mode={mode!r} is not available for traced arrays. Use 'reduced', 'complete' or 'r'."
        )
    q, r = factorizations.qr(as_array(a), mode == "complete")
    return r if mode == "r" else QRResult(q, r)


@numpy_function(np.linalg.svd)
def svd(
    a: Any, full_matrices: bool = True, compute_uv: bool = True, hermitian: bool = False
) -> Any:
    """Singular value decomposition `a = (u * s) @ vh`.

    Args:
        a: shape (..., m, n).
        full_matrices: whether `u` and `vh` are square.
        compute_uv: whether to return more than the singular values.
        hermitian: promise that `a` is Hermitian; makes no difference where it is traced.

    Returns:
        (U, S, Vh), or S alone; singular values are in descending order. Derivatives of U and Vh are NaN where
        a function depends on them beyond what equal singular values leave defined.
    """
    del hermitian
    if not compute_uv:
        return svdvals(a)
    a = as_array(a)
    check_matrix("svd", a)
    return SVDResult(*spectral.SVD(*inexact("svd", a), full_matrices=bool(full_matrices)))


@numpy_function(np.linalg.svdvals)
def svdvals(x: Any, /) -> Any:
    """Singular values, in descending order."""
    x = as_array(x)
    check_matrix("svdvals", x)
    return spectral.SVDVALS(*inexact("svdvals", x))
