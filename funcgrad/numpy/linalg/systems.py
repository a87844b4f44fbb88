"""Linear systems, inverses and determinants."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.linalg import LinAlgError

from funcgrad.ir.tracer import Tracer
from funcgrad.numpy import shape as shapes
from funcgrad.numpy.register import numpy_function
from funcgrad.ops import (
    determinant,
    norms,
    solve as systems,
    spectral,
)
from funcgrad.ops.arithmetic import add, multiply
from funcgrad.ops.cast import convert
from funcgrad.ops.matrices import check_matrix, inexact
from funcgrad.ops.operands import ndim_of, shape_of
from funcgrad.ops.products import matmul as matrix_product
from funcgrad.ops.reduce import reduce_sum
from funcgrad.ops.sequences import as_array
from funcgrad.ops.shape import broadcast_to, reshape

# NumPy's result type, so that a traced function returns the same tree as a plain one.
SlogdetResult = type(np.linalg.slogdet(np.eye(1)))


@numpy_function(np.linalg.solve)
def solve(a: Any, b: Any) -> Any:
    """Solution `x` of `a @ x = b`.

    Args:
        a: shape (..., n, n).
        b: shape (n,), or (..., n, k) for k right-hand sides.

    Returns:
        Array of the shape of `b`, with broadcasting over the leading axes.

    Raises:
        LinAlgError: `a` is singular.

    Example:
        >>> import numpy as np
        >>> import funcgrad.numpy as fnp
        >>> fnp.linalg.solve(np.array([[2.0, 0.0], [0.0, 4.0]]), np.ones(2))
        array([0.5 , 0.25])
    """
    return systems.solve(as_array(a), as_array(b))


@numpy_function(np.linalg.inv)
def inv(a: Any) -> Any:
    """Inverse of square matrices; `solve` is better for systems of equations."""
    return systems.inv(as_array(a))


@numpy_function(np.linalg.pinv)
def pinv(a: Any, rcond: Any = None, hermitian: bool = False, *, rtol: Any = np._NoValue) -> Any:
    """Moore-Penrose pseudoinverse.

    Args:
        a: shape (..., m, n).
        rcond: singular values up to rcond times the largest count as zero; 1e-15 by default.
        hermitian: promise that `a` is Hermitian; makes no difference where it is traced.
        rtol: the same as `rcond`; None stands for max(m, n) times the resolution of the dtype.

    Returns:
        Array of shape (..., n, m). Its derivative is that at constant rank.
    """
    del hermitian
    a = as_array(a)
    check_matrix("pinv", a)
    (a,) = inexact("pinv", a)
    *lead, m, n = shape_of(a)
    if rcond is None:
        rcond = 1e-15 if rtol is np._NoValue else rtol
    if rcond is None:
        rcond = max(m, n) * np.finfo(a.dtype).eps
    cutoff = broadcast_to(convert(as_array(rcond), np.float64), tuple(lead))
    return systems.PINV(a, cutoff)


@numpy_function(np.linalg.lstsq)
def lstsq(a: Any, b: Any, rcond: Any = None) -> tuple[Any, Any, Any, Any]:
    """Least-squares solution of `a @ x = b`, the shortest one where there are several.

    Args:
        a: shape (m, n).
        b: shape (m,) or (m, k).
        rcond: singular values up to rcond times the largest count as zero; by default max(m, n) times
            the resolution of the dtype.

    Returns:
        (x, residuals, rank, singular values). The residuals are those of each column, and empty for m <= n;
        for a rank below n NumPy's are empty too, under `jit` they are not.
    """
    a, b = as_array(a), as_array(b)
    check_matrix("lstsq", a)
    a, b = inexact("lstsq", a, b)
    if ndim_of(a) != 2 or ndim_of(b) not in (1, 2) or shape_of(b)[0] != shape_of(a)[0]:
        raise LinAlgError(
            f"[lstsq] needs a of shape (m, n) and b of shape (m,) or (m, k), but got {shape_of(a)} and "
            f"{shape_of(b)}. Use vmap for stacks of systems."
        )
    if rcond is None:
        rcond = max(shape_of(a)) * np.finfo(a.dtype).eps
    values = spectral.SVDVALS(a)
    x = matrix_product(systems.PINV(a, convert(as_array(rcond), np.float64)), b)
    rank = norms.rank_of(values, rcond)
    misfit = norms.squared_magnitude(add(b, multiply(matrix_product(a, x), -1)))
    residuals = reduce_sum(misfit, 0)
    residuals = residuals if shape_of(residuals) else reshape(residuals, (1,))
    deficient = not isinstance(rank, Tracer) and rank < shape_of(a)[1]
    if shape_of(a)[0] <= shape_of(a)[1] or deficient:
        residuals = np.empty(0, residuals.dtype)
    return x, residuals, convert(rank, np.int32), values


@numpy_function(np.linalg.tensorsolve)
def tensorsolve(a: Any, b: Any, axes: Any = None) -> Any:
    """Solution `x` of `tensordot(a, x, x.ndim) = b`.

    Args:
        a: shape b.shape + q, where the product of q is that of b.shape.
        b: right-hand side.
        axes: axes of `a` to move to the end first.

    Returns:
        Array of shape q.
    """
    a, b = as_array(a), as_array(b)
    if axes is not None:
        moved = [axis % ndim_of(a) for axis in axes]
        a = shapes.moveaxis(a, moved, range(ndim_of(a) - len(moved), ndim_of(a)))
    tail = shape_of(a)[ndim_of(b) :]
    size = int(np.prod(tail))
    if size * size != a.size:
        raise LinAlgError(
            f"[tensorsolve] a of shape {shape_of(a)} and b of shape {shape_of(b)} do not fit: the lengths "
            "of a after those of b must have the same product as b.shape."
        )
    return reshape(solve(reshape(a, (size, size)), reshape(b, (-1,))), tail)


@numpy_function(np.linalg.tensorinv)
def tensorinv(a: Any, ind: int = 2) -> Any:
    """Inverse of `x -> tensordot(a, x, ind)`; the first `ind` axes of `a` go to the end."""
    a = as_array(a)
    if ind <= 0:
        raise ValueError(f"[tensorinv] ind must be positive, but got {ind}.")
    head, tail = shape_of(a)[:ind], shape_of(a)[ind:]
    return reshape(inv(reshape(a, (int(np.prod(tail)), -1))), (*tail, *head))


@numpy_function(np.linalg.det)
def det(a: Any) -> Any:
    """Determinant. Its derivative is the adjugate, also for singular matrices.

    Example:
        >>> import numpy as np
        >>> import funcgrad as fg
        >>> fg.grad(np.linalg.det)(np.array([[1.0, 2.0], [2.0, 4.0]])).round(12) + 0.0
        array([[ 4., -2.],
               [-2.,  1.]])
    """
    return determinant.det(as_array(a))


@numpy_function(np.linalg.slogdet)
def slogdet(a: Any) -> Any:
    """Sign and logarithm of the absolute value of the determinant; (0, -inf) for singular matrices."""
    return SlogdetResult(*determinant.slogdet(as_array(a)))
