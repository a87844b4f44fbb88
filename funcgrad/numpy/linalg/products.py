"""Products and powers of matrices and vectors, traces and diagonals."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.linalg import LinAlgError

from funcgrad.numpy import diagonals, products, shape as shapes
from funcgrad.numpy.linalg.systems import inv
from funcgrad.numpy.register import numpy_function
from funcgrad.ops import (
    matrices,
)
from funcgrad.ops.matrices import check_matrix, column_vector, row_vector
from funcgrad.ops.operands import ndim_of, shape_of
from funcgrad.ops.products import matmul as matrix_product
from funcgrad.ops.sequences import as_array
from funcgrad.ops.shape import broadcast_to, reshape


@numpy_function(np.linalg.matrix_power)
def matrix_power(a: Any, n: int) -> Any:
    """Square matrices multiplied `n` times with themselves; a negative `n` inverts first.

    Example:
        >>> import numpy as np
        >>> import funcgrad.numpy as fnp
        >>> fnp.linalg.matrix_power(np.array([[1, 1], [1, 0]]), 10)
        array([[89, 55],
               [55, 34]])
    """
    a = as_array(a)
    check_matrix("matrix_power", a, square=True)
    if not hasattr(n, "__index__"):
        raise TypeError(f"[matrix_power] the exponent must be an integer, but got {n!r}.")
    n = n.__index__()
    if n == 0:
        size = shape_of(a)[-1]
        return broadcast_to(matrices.identity(size, a.dtype), shape_of(a))
    base, left, out = (inv(a) if n < 0 else a), abs(n), None
    while left:
        if left & 1:
            out = base if out is None else matrix_product(out, base)
        left >>= 1
        base = matrix_product(base, base) if left else base
    return out


@numpy_function(np.linalg.multi_dot)
def multi_dot(arrays: Any, *, out: Any = None) -> Any:
    """Product of a chain of matrices, in the cheapest order.

    Args:
        arrays: at least two; the first and the last one may be vectors.

    Returns:
        The product, as `arrays[0] @ arrays[1] @ ...`.
    """
    factors = [as_array(array) for array in arrays]
    if len(factors) < 2:
        raise ValueError(f"[multi_dot] needs at least two arrays, but got {len(factors)}.")
    shape = (*shape_of(factors[0])[:-1], *shape_of(factors[-1])[1:])
    if ndim_of(factors[0]) == 1:
        factors[0] = row_vector(factors[0])
    if ndim_of(factors[-1]) == 1:
        factors[-1] = column_vector(factors[-1])
    for factor in factors:
        if ndim_of(factor) != 2:
            raise LinAlgError(f"[multi_dot] needs matrices, but got shape {shape_of(factor)}.")
    lengths = [shape_of(factors[0])[0], *(shape_of(factor)[1] for factor in factors)]
    product = reshape(
        product_in_order(factors, cheapest_order(lengths), 0, len(factors) - 1), shape
    )
    return products.into("multi_dot", product, out)


def cheapest_order(lengths: list[int]) -> dict[tuple[int, int], int]:
    """Where to split the chain of factors i to j, for matrices of sizes lengths[i] x lengths[i + 1].

    Source: Cormen et al., "Introduction to Algorithms", section 14.2.
    """
    count = len(lengths) - 1
    cost = {(i, i): 0 for i in range(count)}
    split = {}
    for distance in range(1, count):
        for i in range(count - distance):
            j = i + distance
            cost[i, j], split[i, j] = min(
                (cost[i, k] + cost[k + 1, j] + lengths[i] * lengths[k + 1] * lengths[j + 1], k)
                for k in range(i, j)
            )
    return split


def product_in_order(factors: list[Any], split: dict, i: int, j: int) -> Any:
    if i == j:
        return factors[i]
    k = split[i, j]
    left = product_in_order(factors, split, i, k)
    return matrix_product(left, product_in_order(factors, split, k + 1, j))


@numpy_function(np.linalg.matmul)
def matmul(x1: Any, x2: Any, /) -> Any:
    """Matrix product, as `x1 @ x2`."""
    return matrix_product(x1, x2)


@numpy_function(np.linalg.tensordot)
def tensordot(x1: Any, x2: Any, /, *, axes: Any = 2) -> Any:
    """Sum of products over several axes; see `numpy.tensordot`."""
    return products.tensordot(x1, x2, axes)


@numpy_function(np.linalg.vecdot)
def vecdot(x1: Any, x2: Any, /, *, axis: int = -1) -> Any:
    """Dot products of vectors along an axis, with `x1` conjugated."""
    return products.vecdot(x1, x2, axis=axis)


@numpy_function(np.linalg.outer)
def outer(x1: Any, x2: Any, /) -> Any:
    """All products of an element of one vector with one of another."""
    x1, x2 = as_array(x1), as_array(x2)
    if ndim_of(x1) != 1 or ndim_of(x2) != 1:
        raise ValueError(
            f"[outer] needs two vectors, but got shapes {shape_of(x1)} and {shape_of(x2)}. "
            "Use np.outer, which flattens its arguments."
        )
    return products.outer(x1, x2)


@numpy_function(np.linalg.cross)
def cross(x1: Any, x2: Any, /, *, axis: int = -1) -> Any:
    """Cross product of vectors with three components along an axis."""
    x1, x2 = as_array(x1), as_array(x2)
    if shape_of(x1)[axis] != 3 or shape_of(x2)[axis] != 3:
        raise ValueError(
            f"[cross] needs vectors of three components along axis {axis}, but got shapes {shape_of(x1)} "
            f"and {shape_of(x2)}."
        )
    return products.cross(x1, x2, axis=axis)


@numpy_function(np.linalg.trace)
def trace(x: Any, /, *, offset: int = 0, dtype: Any = None) -> Any:
    """Sum of a diagonal of the matrices in the last two axes."""
    return diagonals.trace(x, offset, -2, -1, dtype)


@numpy_function(np.linalg.diagonal, view=True)
def diagonal(x: Any, /, *, offset: int = 0) -> Any:
    """A diagonal of the matrices in the last two axes."""
    return diagonals.diagonal(x, offset, -2, -1)


@numpy_function(np.linalg.matrix_transpose, view=True)
def matrix_transpose(x: Any, /) -> Any:
    """The matrices in the last two axes, transposed."""
    return shapes.matrix_transpose(x)
