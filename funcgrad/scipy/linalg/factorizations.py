"""QR and singular value factorizations."""

from __future__ import annotations

from typing import Any

from funcgrad.numpy.linalg import factorizations

QR_MODES = {"full": "complete", "economic": "reduced", "r": "r"}


def qr(
    a: Any,
    overwrite_a: bool = False,
    lwork: Any = None,
    mode: str = "full",
    pivoting: bool = False,
    check_finite: bool = True,
) -> Any:
    """QR factorization: `q` with orthonormal columns, `r` upper triangular, `q @ r = a`.

    Args:
        a: shape (..., m, n).
        overwrite_a, lwork, check_finite: change nothing.
        mode: "full" (`q` is square), "economic" (`q` has min(m, n) columns), or "r" (only `r`).
        pivoting: must be False.

    Returns:
        (q, r), or a tuple of `r` alone.

    Example:
        >>> import numpy as np
        >>> from funcgrad.scipy.linalg import qr
        >>> q, r = qr(np.array([[3.0], [4.0]]), mode="economic")
        >>> abs(r)
        array([[5.]])
    """
    del overwrite_a, lwork, check_finite
    if pivoting:
        raise NotImplementedError(
            "[qr] pivoting=True has no derivative and is not there. Use qr(a) without it, or svd."
        )
    if mode not in QR_MODES:
        raise ValueError(f"[qr] mode={mode!r} is not known. Use 'full', 'economic' or 'r'.")
    found = factorizations.qr(a, QR_MODES[mode])
    return (found,) if mode == "r" else tuple(found)


def svd(
    a: Any,
    full_matrices: bool = True,
    compute_uv: bool = True,
    overwrite_a: bool = False,
    check_finite: bool = True,
    lapack_driver: str = "gesdd",
) -> Any:
    """Singular value decomposition `a = (u * s) @ vh`.

    Args:
        a: shape (..., m, n).
        full_matrices: whether `u` and `vh` are square.
        compute_uv: whether to return more than the singular values.
        overwrite_a, check_finite, lapack_driver: change nothing.

    Returns:
        (u, s, vh), or s alone; singular values are in descending order.

    Raises:
        LinAlgError: the iteration did not converge.

    Example:
        >>> import numpy as np
        >>> from funcgrad.scipy.linalg import svd
        >>> svd(np.diag([1.0, 2.0]), compute_uv=False)
        array([2., 1.])
    """
    del overwrite_a, check_finite, lapack_driver
    if not compute_uv:
        return factorizations.svdvals(a)
    return tuple(factorizations.svd(a, full_matrices))


def svdvals(a: Any, overwrite_a: bool = False, check_finite: bool = True) -> Any:
    """Singular values, in descending order.

    Args:
        a: shape (..., m, n).
        overwrite_a, check_finite: change nothing.

    Returns:
        Array of shape (..., min(m, n)).

    Example:
        >>> import numpy as np
        >>> from funcgrad.scipy.linalg import svdvals
        >>> svdvals(np.diag([1.0, 2.0]))
        array([2., 1.])
    """
    del overwrite_a, check_finite
    return factorizations.svdvals(a)
