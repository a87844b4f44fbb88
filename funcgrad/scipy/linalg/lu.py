"""LU factorization, and systems that its factors solve."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.numpy.indexing import take_along_axis
from funcgrad.ops import lu as factors
from funcgrad.ops.arithmetic import add, subtract
from funcgrad.ops.cast import convert
from funcgrad.ops.compare import equal
from funcgrad.ops.create import iota
from funcgrad.ops.matrices import (
    INDEX,
    check_matrix,
    column_vector,
    identity,
    inexact,
    row_vector,
    strictly_lower,
    with_lead,
)
from funcgrad.ops.operands import broadcast_shapes, shape_of
from funcgrad.ops.products import matmul
from funcgrad.ops.sequences import as_array
from funcgrad.ops.triangular import triangular_solve
from funcgrad.scipy.linalg.columns import solved
from funcgrad.scipy.linalg.systems import check_trans


def lu_factor(a: Any, overwrite_a: bool = False, check_finite: bool = True) -> tuple[Any, Any]:
    """LU factors of square matrices for `lu_solve`, with partial pivoting.

    Args:
        a: shape (..., n, n).
        overwrite_a, check_finite: change nothing.

    Returns:
        (lu, piv): `u`, and below its diagonal `l` without its ones; and for each row the one that it changed
        places with.

    Example:
        >>> import numpy as np
        >>> from funcgrad.scipy.linalg import lu_factor, lu_solve
        >>> lu_solve(lu_factor(np.array([[0.0, 2.0], [1.0, 0.0]])), np.ones(2))
        array([1. , 0.5])
    """
    del overwrite_a, check_finite
    a = as_array(a)
    check_matrix("lu_factor", a, square=True)
    found, pivots = factors.LU(*inexact("lu_factor", a))
    return found, pivots


def lu_solve(
    lu_and_piv: tuple[Any, Any],
    b: Any,
    trans: Any = 0,
    overwrite_b: bool = False,
    check_finite: bool = True,
) -> Any:
    """Solution `x` of `a @ x = b`, from the LU factors of `a`.

    Args:
        lu_and_piv: what `lu_factor` returned.
        b: shape (n,), or (..., n, k) for k right-hand sides.
        trans: 0 or "N"; 1 or "T" for `a.T @ x = b`; 2 or "C" for `a.conj().T @ x = b`.
        overwrite_b, check_finite: change nothing.

    Returns:
        Array of the shape of `b`. A singular matrix gives inf or NaN.

    Example:
        >>> import numpy as np
        >>> from funcgrad.scipy.linalg import lu_factor, lu_solve
        >>> lu_solve(lu_factor(np.diag([4.0, 2.0])), np.ones((2, 1)))
        array([[0.25],
               [0.5 ]])
    """
    del overwrite_b, check_finite
    letter = check_trans("lu_solve", trans)
    lu, pivots = map(as_array, lu_and_piv)
    order = factors.LU_PERMUTATION(convert(pivots, factors.PIVOT))
    flags = {"transpose_a": letter != "N", "conjugate_a": letter == "C", "left_side": True}

    def solver(columns: Any) -> Any:
        if letter == "N":
            rows = in_order(columns, order)
            half = triangular_solve(lu, rows, lower=True, unit_diagonal=True, **flags)
            return triangular_solve(lu, half, **flags)
        half = triangular_solve(lu, columns, **flags)
        rows = triangular_solve(lu, half, lower=True, unit_diagonal=True, **flags)
        return in_order(rows, inverse(order))

    return solved(solver, as_array(b))


def lu(
    a: Any,
    permute_l: bool = False,
    overwrite_a: bool = False,
    check_finite: bool = True,
    p_indices: bool = False,
) -> tuple:
    """LU factorization of square matrices: `a = p @ l @ u`.

    Args:
        a: shape (..., n, n).
        permute_l: return `p @ l` in place of `p` and `l`.
        overwrite_a, check_finite: change nothing.
        p_indices: return `p` as the rows of `l` that make up those of `a`: `l[p] @ u = a`.

    Returns:
        (p, l, u), or (p @ l, u).

    Example:
        >>> import numpy as np
        >>> from funcgrad.scipy.linalg import lu
        >>> p, l, u = lu(np.array([[0.0, 2.0], [1.0, 3.0]]), p_indices=True)
        >>> u
        array([[1., 3.],
               [0., 2.]])
    """
    found, pivots = lu_factor(a, overwrite_a, check_finite)
    below = strictly_lower(found)
    lower = add(below, identity(shape_of(found)[-1], found.dtype))
    upper = subtract(found, below)
    order = inverse(factors.LU_PERMUTATION(pivots))
    if permute_l:
        return in_order(lower, order), upper
    if p_indices:
        return order, lower, upper
    real = found.dtype.type(0).real.dtype
    return convert(equal(column_vector(order), row_vector(numbers(order))), real), lower, upper


def numbers(order: Any) -> Any:
    return iota(shape_of(order), len(shape_of(order)) - 1, order.dtype)


def inverse(order: Any) -> Any:
    """The permutation that undoes another one."""
    is_at = equal(row_vector(order), column_vector(numbers(order)))
    return convert(matmul(convert(is_at, INDEX), column_vector(numbers(order)))[..., 0], np.int32)


def in_order(rows: Any, order: Any) -> Any:
    """The rows of matrices in another order, with broadcasting over the leading axes."""
    lead = broadcast_shapes("lu_solve", [shape_of(rows)[:-2], shape_of(order)[:-1]])
    rows, index = with_lead(rows, lead), with_lead(column_vector(order), lead)
    return take_along_axis(rows, index, -2)
