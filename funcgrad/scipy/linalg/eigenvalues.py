"""Eigenvalues and eigenvectors, also of pairs of matrices."""

from __future__ import annotations

from typing import Any

from funcgrad.numpy.linalg.eigenvalues import hermitian_operand
from funcgrad.ops import eigen, spectral
from funcgrad.ops.factorizations import cholesky
from funcgrad.ops.matrices import adjoint
from funcgrad.ops.sequences import as_array
from funcgrad.ops.triangular import triangular_solve


def eigh(
    a: Any,
    b: Any = None,
    *,
    lower: bool = True,
    eigvals_only: bool = False,
    overwrite_a: bool = False,
    overwrite_b: bool = False,
    type: int = 1,
    check_finite: bool = True,
    subset_by_index: Any = None,
    subset_by_value: Any = None,
    driver: str | None = None,
) -> Any:
    """Eigenvalues and eigenvectors of Hermitian matrices: `a @ v = b @ v @ diag(w)`.

    Args:
        a: shape (..., n, n), of which one triangle is read.
        b: positive definite, of the shape of `a`; None for the identity.
        lower: which triangle is read.
        eigvals_only: return the eigenvalues alone.
        overwrite_a, overwrite_b, check_finite, driver: change nothing.
        type: must be 1.
        subset_by_index: (first, last) of the eigenvalues to return.
        subset_by_value: must be None, as shapes may not depend on values.

    Returns:
        (w, v), or w alone: ascending; eigenvector `i` is column `i`.

    Raises:
        LinAlgError: `b` is not positive definite.

    Example:
        >>> import numpy as np
        >>> from funcgrad.scipy.linalg import eigh
        >>> eigh(np.diag([2.0, 3.0]), np.diag([1.0, 3.0]), eigvals_only=True).round(12)
        array([1., 2.])
    """
    del overwrite_a, overwrite_b, check_finite, driver
    if type != 1 or subset_by_value is not None:
        raise NotImplementedError(
            f"[eigh] type={type} with subset_by_value={subset_by_value} is not there. Use type=1, and "
            "subset_by_index for some of the eigenvalues."
        )
    triangle = "L" if lower else "U"
    a = hermitian_operand("eigh", a, triangle)
    first, last = (0, a.shape[-1] - 1) if subset_by_index is None else subset_by_index
    chosen = (..., slice(first, last + 1))
    if b is None:
        if eigvals_only:
            return spectral.EIGVALSH(a)[chosen]
        w, v = spectral.EIGH(a)
        return w[chosen], v[chosen]
    root = cholesky(hermitian_operand("eigh", b, triangle))
    half = triangular_solve(root, a, left_side=True, lower=True)
    whitened = triangular_solve(adjoint(root), half)
    if eigvals_only:
        return spectral.EIGVALSH(whitened)[chosen]
    w, v = spectral.EIGH(whitened)
    return w[chosen], triangular_solve(adjoint(root), v, left_side=True)[chosen]


def eigvalsh(a: Any, b: Any = None, *, lower: bool = True, **options: Any) -> Any:
    """Eigenvalues of Hermitian matrices, ascending; arguments as for `eigh`.

    Example:
        >>> import numpy as np
        >>> from funcgrad.scipy.linalg import eigvalsh
        >>> eigvalsh(np.diag([3.0, 2.0]))
        array([2., 3.])
    """
    return eigh(a, b, lower=lower, eigvals_only=True, **options)


def eig(
    a: Any,
    b: None = None,
    left: bool = False,
    right: bool = True,
    overwrite_a: bool = False,
    overwrite_b: bool = False,
    check_finite: bool = True,
    homogeneous_eigvals: bool = False,
) -> Any:
    """Eigenvalues and right eigenvectors of general square matrices.

    Args:
        a: shape (..., n, n).
        b, left, homogeneous_eigvals: must be None and False.
        right: whether to return eigenvectors.
        overwrite_a, overwrite_b, check_finite: change nothing.

    Returns:
        (w, v), or w alone; always complex.

    Example:
        >>> import numpy as np
        >>> from funcgrad.scipy.linalg import eig
        >>> eig(np.diag([2.0, 3.0]), right=False)
        array([2.+0.j, 3.+0.j])
    """
    del overwrite_a, overwrite_b, check_finite
    if b is not None or left or homogeneous_eigvals:
        raise NotImplementedError(
            "[eig] b, left=True and homogeneous_eigvals=True are not there. Use eig(solve(b, a)) for b, and "
            "eig(a.conj().T) for left eigenvectors."
        )
    if not right:
        return eigvals(a)
    w, v = eigen.eig(as_array(a))
    return w, v


def eigvals(a: Any, overwrite_a: bool = False, check_finite: bool = True) -> Any:
    """Eigenvalues of general square matrices; always complex.

    Args:
        a: shape (..., n, n).
        overwrite_a, check_finite: change nothing.

    Returns:
        Array of shape (..., n).

    Example:
        >>> import numpy as np
        >>> from funcgrad.scipy.linalg import eigvals
        >>> eigvals(np.diag([2.0, 3.0]))
        array([2.+0.j, 3.+0.j])
    """
    del overwrite_a, check_finite
    return eigen.eigvals(as_array(a))
