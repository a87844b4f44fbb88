"""Diagonals and triangles of matrices."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.ir.tracer import Tracer
from funcgrad.numpy.reductions import sum as sum_of
from funcgrad.numpy.register import numpy_function
from funcgrad.numpy.shape import moveaxis, ravel, reshape
from funcgrad.numpy.views import view_of
from funcgrad.ops import shape as ops
from funcgrad.ops.index import getitem, setitem
from funcgrad.ops.operands import ndim_of, shape_of
from funcgrad.ops.pieces import PLACE
from funcgrad.ops.select import select
from funcgrad.ops.sequences import as_array
from funcgrad.ops.shape import broadcast_to


def diagonal_slice(height: int, width: int, offset: int) -> tuple[int, int, int]:
    """Where a diagonal lies in the flattened matrix: start, stop, step."""
    start = offset if offset >= 0 else -offset * width
    length = max(min(height + min(offset, 0), width - max(offset, 0)), 0)
    return (start, start + (length - 1) * (width + 1) + 1, width + 1) if length else (0, 0, 1)


@numpy_function(np.diagonal, view=True)
def diagonal(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    """The `offset`-th diagonal of two axes, as the last axis of the result."""
    a = as_array(a)
    if ndim_of(a) < 2:
        raise ValueError(f"[diagonal] needs at least two axes, but got shape {shape_of(a)}.")
    return view_of(a, lambda x: diagonal_of(x, offset, axis1, axis2))


def diagonal_of(a: Any, offset: int, axis1: int, axis2: int) -> Any:
    a = moveaxis(a, (axis1, axis2), (-2, -1))
    *lead, height, width = shape_of(a)
    flat = ops.reshape(a, (*lead, height * width))
    return getitem(flat, (..., slice(*diagonal_slice(height, width, offset))))


@numpy_function(np.trace)
def trace(
    a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: Any = None, out: Any = None
) -> Any:
    """Sum of the elements of a diagonal; arguments as in `diagonal`."""
    return sum_of(diagonal(a, offset, axis1, axis2), -1, dtype, out)


@numpy_function(np.diag)
def diag(v: Any, k: int = 0) -> Any:
    """A matrix with the vector `v` on its `k`-th diagonal, or the `k`-th diagonal of a matrix.

    Example:
        >>> import funcgrad.numpy as fnp
        >>> fnp.diag(fnp.arange(2), 1)
        array([[0, 0, 0],
               [0, 0, 1],
               [0, 0, 0]])
    """
    v = as_array(v)
    if ndim_of(v) == 2:
        return diagonal(v, k)
    if ndim_of(v) != 1:
        raise ValueError(f"[diag] needs a vector or a matrix, but got shape {shape_of(v)}.")
    size = shape_of(v)[0] + abs(k)
    spec = (diagonal_slice(size, size, k),)
    return reshape(PLACE(v, spec=spec, shape=(size * size,)), (size, size))


@numpy_function(np.diagflat)
def diagflat(v: Any, k: int = 0) -> Any:
    """A matrix with the flattened `v` on its `k`-th diagonal."""
    return diag(ravel(v), k)


@numpy_function(np.fill_diagonal)
def fill_diagonal(a: Any, val: Any, wrap: bool = False) -> None:
    """Write `val` into the main diagonal of `a`, in place."""
    if not isinstance(a, Tracer):
        np.fill_diagonal(a, val, wrap)  # raises our error if `val` is traced
        return
    shape = shape_of(a)
    if len(shape) < 2 or (len(shape) > 2 and len(set(shape)) > 1):
        raise ValueError(f"[fill_diagonal] needs a matrix, or equal axes, but got shape {shape}.")
    step = 1 + int(np.cumprod(shape[:0:-1]).sum())
    end = None if wrap or len(shape) > 2 else shape[1] * shape[1]
    flat = np.arange(a.size)[:end:step]
    values = ravel(val)[np.arange(flat.size) % np.size(val)]
    setitem(a, np.unravel_index(flat, shape), values)


@numpy_function(np.tril)
def tril(m: Any, k: int = 0) -> Any:
    """`m` with zeros above its `k`-th diagonal."""
    m = at_least_matrix(m)
    height, width = shape_of(m)[-2:]
    return select(np.tri(height, width, k, bool), m, np.zeros((), m.dtype))


@numpy_function(np.triu)
def triu(m: Any, k: int = 0) -> Any:
    """`m` with zeros below its `k`-th diagonal."""
    m = at_least_matrix(m)
    height, width = shape_of(m)[-2:]
    return select(np.tri(height, width, k - 1, bool), np.zeros((), m.dtype), m)


def at_least_matrix(m: Any) -> Any:
    """NumPy repeats a vector as the rows of a square matrix."""
    m = as_array(m)
    return broadcast_to(m, (shape_of(m)[0],) * 2) if ndim_of(m) == 1 else m
