"""Positive definite matrices: Cholesky factors, and systems that they solve."""

from __future__ import annotations

from typing import Any

from funcgrad.ops import factorizations
from funcgrad.ops.matrices import adjoint
from funcgrad.ops.sequences import as_array
from funcgrad.scipy.linalg.systems import solved_by_factor


def cholesky(
    a: Any, lower: bool = False, overwrite_a: bool = False, check_finite: bool = True
) -> Any:
    """Cholesky factor of Hermitian positive definite matrices.

    Args:
        a: shape (..., n, n), of which the Hermitian part is taken.
        lower: return the lower factor `l` with `l @ l^H = a`, instead of the upper one `u` with `u^H @ u = a`.
        overwrite_a, check_finite: change nothing.

    Returns:
        Array of the shape of `a`.

    Raises:
        LinAlgError: a matrix is not positive definite.

    Example:
        >>> import numpy as np
        >>> from funcgrad.scipy.linalg import cholesky
        >>> cholesky(np.array([[4.0, 2.0], [2.0, 5.0]]))
        array([[2., 1.],
               [0., 2.]])
    """
    del overwrite_a, check_finite
    found = factorizations.cholesky(as_array(a))
    return found if lower else adjoint(found)


def cho_factor(
    a: Any, lower: bool = False, overwrite_a: bool = False, check_finite: bool = True
) -> tuple[Any, bool]:
    """Cholesky factor for `cho_solve`.

    Args:
        a: shape (..., n, n), of which the Hermitian part is taken.
        lower: whether to make the lower factor.
        overwrite_a, check_finite: change nothing.

    Returns:
        (factor, lower). The other triangle of the factor is zero; SciPy leaves anything there.

    Raises:
        LinAlgError: a matrix is not positive definite.

    Example:
        >>> import numpy as np
        >>> from funcgrad.scipy.linalg import cho_factor, cho_solve
        >>> cho_solve(cho_factor(np.diag([4.0, 2.0])), np.ones(2))
        array([0.25, 0.5 ])
    """
    return cholesky(a, lower, overwrite_a, check_finite), lower


def cho_solve(
    c_and_lower: tuple[Any, bool], b: Any, overwrite_b: bool = False, check_finite: bool = True
) -> Any:
    """Solution `x` of `a @ x = b`, from the Cholesky factor of `a`.

    Args:
        c_and_lower: what `cho_factor` returned.
        b: shape (n,), or (..., n, k) for k right-hand sides.
        overwrite_b, check_finite: change nothing.

    Returns:
        Array of the shape of `b`.

    Example:
        >>> import numpy as np
        >>> from funcgrad.scipy.linalg import cho_factor, cho_solve
        >>> cho_solve(cho_factor(np.diag([4.0, 2.0]), lower=True), np.ones((2, 1)))
        array([[0.25],
               [0.5 ]])
    """
    del overwrite_b, check_finite
    factor, lower = c_and_lower
    factor = as_array(factor)
    return solved_by_factor(factor if lower else adjoint(factor), as_array(b))
