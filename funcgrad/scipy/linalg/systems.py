"""Systems of linear equations, inverses and determinants."""

from __future__ import annotations

from typing import Any

from funcgrad.numpy.linalg.eigenvalues import hermitian_operand
from funcgrad.ops import determinant, solve as systems
from funcgrad.ops.arithmetic import divide
from funcgrad.ops.factorizations import cholesky
from funcgrad.ops.matrices import (
    adjoint,
    check_matrix,
    column_vector,
    conj,
    diagonal,
    inexact,
    swap,
)
from funcgrad.ops.sequences import as_array
from funcgrad.ops.triangular import triangular_solve
from funcgrad.scipy.linalg.columns import solved

# What `solve` knows of a matrix, under SciPy's names.
GENERAL = (None, "gen", "general", "sym", "symmetric", "her", "hermitian", "banded", "tridiagonal")
POSITIVE = ("pos", "positive definite")
TRIANGLES = {"upper triangular": False, "lower triangular": True}
TRANS = {0: "N", 1: "T", 2: "C", "N": "N", "T": "T", "C": "C"}


def check_trans(name: str, trans: Any) -> str:
    """The letter for what happens to the matrix of a system first."""
    if trans not in TRANS:
        raise ValueError(
            f"[{name}] trans={trans!r} is not known. Use 0 or 'N' for a, 1 or 'T' for a.T, 2 or 'C' for a.conj().T."
        )
    return TRANS[trans]


def solve_triangular(
    a: Any,
    b: Any,
    trans: Any = 0,
    lower: bool = False,
    unit_diagonal: bool = False,
    overwrite_b: bool = False,
    check_finite: bool = True,
) -> Any:
    """Solution `x` of `a @ x = b` for a triangular `a`.

    Args:
        a: shape (..., n, n), of which one triangle is read.
        b: shape (n,), or (..., n, k) for k right-hand sides.
        trans: 0 or "N"; 1 or "T" for `a.T @ x = b`; 2 or "C" for `a.conj().T @ x = b`.
        lower: which triangle is read.
        unit_diagonal: take the diagonal to be ones.
        overwrite_b, check_finite: change nothing.

    Returns:
        Array of the shape of `b`, with broadcasting over the leading axes. A zero on the diagonal gives inf or
        NaN, where SciPy raises an error.

    Example:
        >>> import numpy as np
        >>> from funcgrad.scipy.linalg import solve_triangular
        >>> solve_triangular(np.array([[2.0, 0.0], [1.0, 1.0]]), np.ones(2), lower=True)
        array([0.5, 0.5])
    """
    del overwrite_b, check_finite
    letter = check_trans("solve_triangular", trans)
    a, b = as_array(a), as_array(b)
    return solved(
        lambda columns: triangular_solve(
            a,
            columns,
            left_side=True,
            lower=lower,
            transpose_a=letter != "N",
            conjugate_a=letter == "C",
            unit_diagonal=unit_diagonal,
        ),
        b,
    )


def solve(
    a: Any,
    b: Any,
    lower: bool = False,
    overwrite_a: bool = False,
    overwrite_b: bool = False,
    check_finite: bool = True,
    assume_a: str | None = None,
    transposed: bool = False,
) -> Any:
    """Solution `x` of `a @ x = b`.

    Args:
        a: shape (..., n, n).
        b: shape (n,), or (..., n, k) for k right-hand sides.
        lower: for `assume_a="pos"`: which triangle is read.
        overwrite_a, overwrite_b, check_finite: change nothing.
        assume_a: what is known of `a`: "pos" (positive definite), "diagonal", "upper triangular",
            "lower triangular"; "gen", "sym", "her", "banded" and "tridiagonal" use all of the matrix. It is not
            looked for where it is None.
        transposed: solve `a.T @ x = b`.

    Returns:
        Array of the shape of `b`, with broadcasting over the leading axes.

    Raises:
        LinAlgError: `a` is singular, or not positive definite where that was assumed.

    Example:
        >>> import numpy as np
        >>> from funcgrad.scipy.linalg import solve
        >>> solve(np.array([[4.0, 0.0], [0.0, 2.0]]), np.ones(2), assume_a="pos")
        array([0.25, 0.5 ])
    """
    del overwrite_a, overwrite_b, check_finite
    a, b = as_array(a), as_array(b)
    if assume_a in TRIANGLES:
        return solve_triangular(a, b, "T" if transposed else "N", TRIANGLES[assume_a])
    if assume_a in POSITIVE:
        whole = hermitian_operand("solve", a, "L" if lower else "U")
        return solved_by_factor(cholesky(conj(whole) if transposed else whole), b)
    if assume_a == "diagonal":
        check_matrix("solve", a, square=True)
        a, b = inexact("solve", a, b)
        return solved(lambda columns: divide(columns, column_vector(diagonal(a))), b)
    if assume_a not in GENERAL:
        raise ValueError(
            f"[solve] assume_a={assume_a!r} is not known. Use 'gen', 'pos', 'diagonal', 'upper triangular' or "
            "'lower triangular'."
        )
    check_matrix("solve", a, square=True)
    return systems.solve(swap(a) if transposed else a, b)


def solved_by_factor(lower: Any, b: Any) -> Any:
    """The solution of `lower @ lower^H @ x = b`."""

    def solver(columns: Any) -> Any:
        half = triangular_solve(lower, columns, left_side=True, lower=True)
        return triangular_solve(adjoint(lower), half, left_side=True)

    return solved(solver, b)


def inv(a: Any, overwrite_a: bool = False, check_finite: bool = True) -> Any:
    """Inverse of square matrices; `solve` is better for systems of equations.

    Args:
        a: shape (..., n, n).
        overwrite_a, check_finite: change nothing.

    Returns:
        Array of the shape of `a`.

    Raises:
        LinAlgError: `a` is singular.

    Example:
        >>> import numpy as np
        >>> from funcgrad.scipy.linalg import inv
        >>> inv(np.array([[2.0, 0.0], [0.0, 4.0]]))
        array([[0.5 , 0.  ],
               [0.  , 0.25]])
    """
    del overwrite_a, check_finite
    return systems.inv(as_array(a))


def det(a: Any, overwrite_a: bool = False, check_finite: bool = True) -> Any:
    """Determinant of square matrices.

    Args:
        a: shape (..., n, n).
        overwrite_a, check_finite: change nothing.

    Returns:
        Array of shape (...).

    Example:
        >>> import numpy as np
        >>> from funcgrad.scipy.linalg import det
        >>> det(np.array([[2.0, 0.0], [0.0, 4.0]])).round(12)
        np.float64(8.0)
    """
    del overwrite_a, check_finite
    return determinant.det(as_array(a))
