"""Sums of products: matrix products, dot products, and their relatives."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.ir.types import is_complex
from funcgrad.numpy.register import numpy_function
from funcgrad.numpy.shape import axis_tuple, expand_dims, moveaxis, normalize_axis, ravel, reshape
from funcgrad.numpy.ufunc import write_output
from funcgrad.ops import products as ops
from funcgrad.ops.arithmetic import multiply, subtract
from funcgrad.ops.complex import conjugate
from funcgrad.ops.matmul import DOT_GENERAL, dot_general
from funcgrad.ops.operands import broadcast_shapes, ndim_of, shape_of
from funcgrad.ops.pieces import stack
from funcgrad.ops.products import promoted_arrays
from funcgrad.ops.sequences import as_array
from funcgrad.ops.shape import broadcast_to


def conjugated(x: Any) -> Any:
    return conjugate(x) if is_complex(x.dtype) else x


def into(name: str, result: Any, out: Any) -> Any:
    return result if out is None else write_output(name, result, out)


@numpy_function(np.dot)
def dot(a: Any, b: Any, out: Any = None) -> Any:
    """Product of scalars, vectors and matrices; sums over the last axis of `a` and the second-last of `b`.

    Args:
        a, b: arrays; `matmul` is clearer for more than two axes.
        out: array to write into, traced itself.

    Example:
        >>> import funcgrad.numpy as fnp
        >>> int(fnp.dot(fnp.arange(3), fnp.arange(3)))
        5
    """
    a, b = promoted_arrays(a, b)
    shape_a, shape_b = shape_of(a), shape_of(b)
    if not shape_a or not shape_b:
        return into("dot", multiply(a, b), out)
    axis_a, axis_b = len(shape_a) - 1, max(len(shape_b) - 2, 0)
    if shape_a[axis_a] != shape_b[axis_b]:
        refuse_lengths("dot", a, b, axis_a, axis_b)
    product = DOT_GENERAL(a, b, contract=((axis_a,), (axis_b,)), batch=((), ()))
    return product if out is None else write_output("dot", product, out)


def check_lengths(name: str, a: Any, b: Any, axis_a: int, axis_b: int) -> None:
    if shape_of(a)[axis_a] != shape_of(b)[axis_b]:
        refuse_lengths(name, a, b, axis_a, axis_b)


def refuse_lengths(name: str, a: Any, b: Any, axis_a: int, axis_b: int) -> None:
    """Raise for axes that are summed together but have different lengths."""
    raise ValueError(
        f"[{name}] shapes {shape_of(a)} and {shape_of(b)} not aligned: axis {axis_a} of the first has "
        f"length {shape_of(a)[axis_a]}, axis {axis_b} of the second {shape_of(b)[axis_b]}."
    )


@numpy_function(np.vdot)
def vdot(a: Any, b: Any, /) -> Any:
    """Dot product of the flattened arrays, with `a` conjugated."""
    a, b = promoted_arrays(a, b)
    return dot(conjugated(ravel(a)), ravel(b))


@numpy_function(np.inner)
def inner(a: Any, b: Any, /) -> Any:
    """Sum of products over the last axes."""
    a, b = promoted_arrays(a, b)
    if not ndim_of(a) or not ndim_of(b):
        return multiply(a, b)
    check_lengths("inner", a, b, ndim_of(a) - 1, ndim_of(b) - 1)
    return dot_general(a, b, ((ndim_of(a) - 1,), (ndim_of(b) - 1,)))


@numpy_function(np.outer)
def outer(a: Any, b: Any, out: Any = None) -> Any:
    """All products of an element of `a` with one of `b`, as a matrix."""
    column, row = reshape(a, (-1, 1)), reshape(b, (1, -1))
    return into("outer", multiply(column, row), out)


def vector_product(name: str, x1: Any, x2: Any, axis: int) -> Any:
    """Dot products along `axis`, with broadcasting over the other axes."""
    x1, x2 = promoted_arrays(x1, x2)
    if not ndim_of(x1) or not ndim_of(x2):
        raise ValueError(f"[{name}] needs arrays with an axis to sum over, but got a scalar.")
    x1, x2 = moveaxis(x1, axis, -1), moveaxis(x2, axis, -1)
    check_lengths(name, x1, x2, ndim_of(x1) - 1, ndim_of(x2) - 1)
    lead = broadcast_shapes(name, [shape_of(x1)[:-1], shape_of(x2)[:-1]])
    x1, x2 = (broadcast_to(x, (*lead, shape_of(x)[-1])) for x in (x1, x2))
    batch = tuple(range(len(lead)))
    return dot_general(conjugated(x1), x2, ((len(lead),), (len(lead),)), (batch, batch))


def matmul(x1: Any, x2: Any, /, *, axes: Any = None) -> Any:
    """Matrix product of the last two axes, with broadcasting over the others.

    Args:
        x1, x2: matrices, stacks of them, or vectors.
        axes: for `x1`, `x2` and the result, which axes hold the matrices.
    """
    if axes is None:
        return ops.matmul(x1, x2)
    first, second, out = (axis_tuple(group) for group in axes)
    places = {1: (-1,), 2: (-2, -1)}
    x1 = moveaxis(x1, first, places[len(first)])
    x2 = moveaxis(x2, second, places[len(second)])
    return moveaxis(ops.matmul(x1, x2), places[len(out)], out) if out else ops.matmul(x1, x2)


def vecdot(x1: Any, x2: Any, /, *, axis: int = -1) -> Any:
    """Dot products of vectors along `axis`, with `x1` conjugated and broadcasting over the rest."""
    return vector_product("vecdot", x1, x2, axis)


def matvec(x1: Any, x2: Any, /) -> Any:
    """Matrices times vectors, with broadcasting over the leading axes."""
    return ops.matmul(x1, expand_dims(x2, -1))[..., 0]


def vecmat(x1: Any, x2: Any, /) -> Any:
    """Conjugated vectors times matrices, with broadcasting over the leading axes."""
    return ops.matmul(expand_dims(conjugated(as_array(x1)), -2), x2)[..., 0, :]


@numpy_function(np.tensordot)
def tensordot(a: Any, b: Any, axes: Any = 2) -> Any:
    """Sum of products over several axes.

    Args:
        a, b: arrays.
        axes: n for the last n axes of `a` and the first n of `b`, or (axes of a, axes of b).

    Example:
        >>> import funcgrad.numpy as fnp
        >>> fnp.tensordot(fnp.ones((2, 3, 4)), fnp.ones((4, 3)), ([2, 1], [0, 1]))
        array([12., 12.], dtype=float32)
    """
    a, b = promoted_arrays(a, b)
    if isinstance(axes, int | np.integer):
        axes = range(ndim_of(a) - axes, ndim_of(a)), range(axes)
    axes_a, axes_b = (
        tuple(normalize_axis("tensordot", axis, ndim_of(x)) for axis in axis_tuple(side))
        for x, side in zip((a, b), axes, strict=True)
    )
    return dot_general(a, b, (axes_a, axes_b))


@numpy_function(np.kron)
def kron(a: Any, b: Any) -> Any:
    """Kronecker product: `b` scaled by every element of `a`."""
    a, b = promoted_arrays(a, b)
    rank = max(ndim_of(a), ndim_of(b))
    shape_a, shape_b = ((*(1,) * (rank - ndim_of(x)), *shape_of(x)) for x in (a, b))
    spread_a = reshape(a, tuple(n for length in shape_a for n in (length, 1)))
    spread_b = reshape(b, tuple(n for length in shape_b for n in (1, length)))
    shape = tuple(m * n for m, n in zip(shape_a, shape_b, strict=True))
    return reshape(multiply(spread_a, spread_b), shape)


@numpy_function(np.cross)
def cross(
    a: Any, b: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None
) -> Any:
    """Cross product of vectors with 3 components (2 are taken as a plane: only the third remains).

    Args:
        a, b: arrays of vectors.
        axisa, axisb, axisc: which axis of `a`, of `b` and of the result holds the components.
        axis: one number for all three.
    """
    if axis is not None:
        axisa = axisb = axisc = axis
    a, b = promoted_arrays(a, b)
    a, b = moveaxis(a, axisa, 0), moveaxis(b, axisb, 0)
    if not {len(a), len(b)} <= {2, 3}:
        raise ValueError(
            f"[cross] vectors have 2 or 3 components, but got {len(a)} along axis {axisa} of the first and "
            f"{len(b)} along axis {axisb} of the second."
        )
    planar = len(a) == len(b) == 2
    components = [
        subtract(product_or_zero(a, b, i, j), product_or_zero(a, b, j, i))
        for i, j in (((0, 1),) if planar else ((1, 2), (2, 0), (0, 1)))
    ]
    return components[0] if planar else moveaxis(stack(components), 0, axisc)


def product_or_zero(a: Any, b: Any, i: int, j: int) -> Any:
    """`a[i] * b[j]`, where a vector in the plane has a third component of zero."""
    first = a[i] if i < len(a) else a[0] * 0
    second = b[j] if j < len(b) else b[0] * 0
    return multiply(first, second)
