"""Norms, ranks and condition numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.numpy.linalg.factorizations import svdvals
from funcgrad.numpy.linalg.systems import inv
from funcgrad.numpy.register import numpy_function
from funcgrad.ops import (
    norms,
)
from funcgrad.ops.arithmetic import divide, multiply
from funcgrad.ops.cast import convert
from funcgrad.ops.compare import greater, not_equal
from funcgrad.ops.matrices import check_matrix, column_vector
from funcgrad.ops.operands import ndim_of, shape_of
from funcgrad.ops.reduce import reduce_or, reduce_sum
from funcgrad.ops.sequences import as_array


@numpy_function(np.linalg.norm)
def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    """Norm of a vector or matrix. Its derivative is 0 where all elements are 0.

    Args:
        x: array; by default all elements are taken as one vector.
        ord: for vectors a number or inf; for matrices None, "fro", "nuc", inf, -inf, 1, -1, 2 or -2.
        axis: an int for vectors along an axis, a pair for matrices.
        keepdims: whether the axes remain with length 1.

    Example:
        >>> import numpy as np
        >>> import funcgrad as fg
        >>> fg.grad(np.linalg.norm)(np.zeros(2))
        array([0., 0.])
    """
    return norms.norm(as_array(x), ord, axis, keepdims)


@numpy_function(np.linalg.vector_norm)
def vector_norm(x: Any, /, *, axis: Any = None, keepdims: bool = False, ord: Any = 2) -> Any:
    """Norm of the elements along some axes, or all, as of one long vector."""
    return norms.vector_norm(as_array(x), ord, axis, keepdims)


@numpy_function(np.linalg.matrix_norm)
def matrix_norm(x: Any, /, *, keepdims: bool = False, ord: Any = "fro") -> Any:
    """Norm of the matrices in the last two axes."""
    return norms.matrix_norm(as_array(x), ord, keepdims)


@numpy_function(np.linalg.matrix_rank)
def matrix_rank(A: Any, tol: Any = None, hermitian: bool = False, *, rtol: Any = None) -> Any:
    """Number of singular values that are not negligible.

    Args:
        A: shape (..., m, n).
        tol: values up to it count as zero.
        hermitian: promise that `A` is Hermitian; makes no difference where it is traced.
        rtol: the same relative to the largest value; max(m, n) times the resolution of the dtype by default.
    """
    del hermitian
    A = as_array(A)
    if ndim_of(A) < 2:
        return convert(reduce_or(not_equal(A, 0)), np.int64)
    values = svdvals(A)
    if tol is not None:
        cutoff = as_array(tol)
        return reduce_sum(convert(greater(values, cutoff[..., None]), np.int64), -1)
    if rtol is None:
        rtol = max(shape_of(A)[-2:]) * np.finfo(values.dtype).eps
    return norms.rank_of(values, column_vector(as_array(rtol)) if ndim_of(rtol) else rtol)


@numpy_function(np.linalg.cond)
def cond(x: Any, p: Any = None) -> Any:
    """Condition number: the norm of the matrix times that of its inverse.

    Args:
        x: shape (..., m, n); square unless `p` is None, 2 or -2.
        p: order of the norm, as for `norm` of matrices.
    """
    x = as_array(x)
    check_matrix("cond", x)
    if p in (None, 2, -2):
        values = svdvals(x)
        smallest, largest = values[..., -1], values[..., 0]
        return divide(smallest, largest) if p == -2 else divide(largest, smallest)
    return multiply(matrix_norm(x, ord=p), matrix_norm(inv(x), ord=p))
