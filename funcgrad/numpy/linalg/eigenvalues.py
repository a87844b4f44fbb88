"""Eigenvalues and eigenvectors."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.numpy.register import numpy_function
from funcgrad.ops import (
    eigen,
    matrices,
    spectral,
)
from funcgrad.ops.arithmetic import add
from funcgrad.ops.matrices import adjoint, check_matrix, inexact
from funcgrad.ops.sequences import as_array

# NumPy's result types, so that a traced function returns the same tree as a plain one.
EighResult = type(np.linalg.eigh(np.eye(1)))
EigResult = type(np.linalg.eig(np.eye(1)))


def hermitian_operand(name: str, a: Any, triangle: str | None) -> Any:
    """`a`, or the Hermitian matrix that one of its triangles describes."""
    a = as_array(a)
    check_matrix(name, a, square=True)
    (a,) = inexact(name, a)
    if triangle is None:
        return a
    if triangle not in ("L", "U", "l", "u"):
        raise ValueError(f"[{name}] UPLO={triangle!r} is not known. Use 'L' or 'U'.")
    lower = a if triangle in "Ll" else adjoint(a)
    below = matrices.strictly_lower(lower)
    return add(add(below, adjoint(below)), matrices.diagonal_matrix(matrices.diagonal(lower)))


@numpy_function(np.linalg.eigh)
def eigh(a: Any, UPLO: str | None = None) -> Any:
    """Eigenvalues and eigenvectors of Hermitian matrices.

    Args:
        a: shape (..., n, n). Where it is traced its Hermitian part is taken, unless UPLO is given.
        UPLO: "L" or "U" to read, and to differentiate by, only the lower or upper triangle.

    Returns:
        (eigenvalues, eigenvectors): ascending; eigenvector `i` is column `i`. The derivative of
        eigenvectors is NaN where a function depends on them beyond what equal eigenvalues leave defined.

    Example:
        >>> import numpy as np
        >>> import funcgrad.numpy as fnp
        >>> fnp.linalg.eigh(np.array([[2.0, 0.0], [0.0, 1.0]])).eigenvalues
        array([1., 2.])
    """
    return EighResult(*spectral.EIGH(hermitian_operand("eigh", a, UPLO)))


@numpy_function(np.linalg.eigvalsh)
def eigvalsh(a: Any, UPLO: str | None = None) -> Any:
    """Eigenvalues of Hermitian matrices, ascending; arguments as for `eigh`."""
    return spectral.EIGVALSH(hermitian_operand("eigvalsh", a, UPLO))


@numpy_function(np.linalg.eig)
def eig(a: Any) -> Any:
    """Eigenvalues and right eigenvectors of general square matrices.

    Args:
        a: shape (..., n, n).

    Returns:
        (eigenvalues, eigenvectors). Always complex where `a` is traced; NumPy's are real when all
        eigenvalues happen to be.
    """
    return EigResult(*eigen.eig(as_array(a)))


@numpy_function(np.linalg.eigvals)
def eigvals(a: Any) -> Any:
    """Eigenvalues of general square matrices; always complex where `a` is traced."""
    return eigen.eigvals(as_array(a))
