"""Norms of vectors and matrices, with derivative 0 where all elements are 0."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from funcgrad.ir.types import ArrayType, is_complex, is_inexact, real_dtype
from funcgrad.ops.arithmetic import add, multiply
from funcgrad.ops.cast import convert
from funcgrad.ops.compare import equal, greater, not_equal
from funcgrad.ops.complex import imag, real
from funcgrad.ops.extremal_reduce import reduce_max, reduce_min
from funcgrad.ops.families import Elementwise
from funcgrad.ops.floats import absolute
from funcgrad.ops.matrices import columns
from funcgrad.ops.operands import ndim_of, shape_of
from funcgrad.ops.power import power, square
from funcgrad.ops.reduce import keep_axes, normalize_axes, reduce_sum
from funcgrad.ops.rules import ratio
from funcgrad.ops.select import select
from funcgrad.ops.shape import reshape, transpose
from funcgrad.ops.spectral import SVDVALS


class NormRoot(Elementwise):
    """`s ** (1 / order)` for a sum of powers `s`. The derivative at 0 is 0, the second one NaN."""

    ufunc = "sqrt"

    def type_rule(self, s: ArrayType, *, order: float) -> ArrayType:
        del order
        return s.strong()

    def numpy(self, xp: Any, s: Any, *, order: float) -> Any:
        # Powers of bfloat16 are float32 in NumPy.
        return xp.sqrt(s) if order == 2 else xp.power(s, 1 / order).astype(s.dtype, copy=False)

    def partials(self, out: Any, s: Any, *, order: float) -> tuple:
        del out
        return (lambda: NORM_ROOT_SLOPE(s, order=order),)

    def scalar(self, emit: Any, s: Any, *, order: float) -> Any:
        if order == 2:
            return emit.math("sqrt", s)
        return emit.math("power", s, emit.constant(1 / order))


class NormRootSlope(Elementwise):
    """The derivative of `NormRoot`."""

    ufunc = "sqrt"

    def type_rule(self, s: ArrayType, *, order: float) -> ArrayType:
        del order
        return s.strong()

    def numpy(self, xp: Any, s: Any, *, order: float) -> Any:
        is_zero = xp.equal(s, 0)
        slope = xp.power(xp.where(is_zero, xp.ones_like(s), s), 1 / order - 1) / order
        return xp.where(is_zero, xp.zeros_like(s), slope).astype(s.dtype, copy=False)

    def partials(self, out: Any, s: Any, *, order: float) -> tuple:
        return (lambda: ratio(multiply(out, 1 / order - 1), s),)

    def scalar(self, emit: Any, s: Any, *, order: float) -> Any:
        zero = emit.constant(0)
        slope = emit.math("power", s, emit.constant(1 / order - 1))
        slope = emit.multiply(slope, emit.constant(1 / order))
        return emit.select(emit.math("equal", s, zero), zero, slope)


NORM_ROOT, NORM_ROOT_SLOPE = NormRoot(), NormRootSlope()

MATRIX_ORDERS = (None, "fro", "f", "nuc", math.inf, -math.inf, 1, -1, 2, -2)


def squared_magnitude(x: Any) -> Any:
    """`abs(x) ** 2` without the root."""
    if is_complex(x.dtype):
        return add(square(real(x)), square(imag(x)))
    return multiply(x, x)


def p_norm(x: Any, order: Any, axes: tuple[int, ...]) -> Any:
    """Vector norm over `axes` of a floating or complex array."""
    if order is None or order == 2:
        return NORM_ROOT(reduce_sum(squared_magnitude(x), axes), order=2)
    if isinstance(order, str):
        raise ValueError(
            f"[norm] order {order!r} is for matrices, but the norm is taken over {len(axes)} axis. "
            "Use a number, or two axes."
        )
    order = float(order)
    if order == 0:
        return reduce_sum(convert(not_equal(x, 0), real_dtype(x.dtype)), axes)
    size = absolute(x)
    if order == math.inf:
        return largest(size, axes)
    if order == -math.inf:
        return reduce_min(size, axes)
    if order == 1:
        return reduce_sum(size, axes)
    return NORM_ROOT(reduce_sum(power(size, order), axes), order=order)


def operator_norm(x: Any, order: Any, axes: tuple[int, ...]) -> Any:
    """Matrix norm over the axes of rows and of columns."""
    if order not in MATRIX_ORDERS:
        raise ValueError(
            f"[norm] Invalid norm order {order!r} for matrices. Use None, 'fro', 'nuc', inf, -inf, 1, -1, "
            "2 or -2."
        )
    if order in (None, "fro", "f"):
        return p_norm(x, 2, axes)
    if order in ("nuc", 2, -2):
        values = singular_values(x, axes)
        combine = {"nuc": reduce_sum, 2: largest, -2: reduce_min}[order]
        return combine(values, -1)
    summed, compared = axes if abs(order) == 1 else axes[::-1]
    sums = reduce_sum(absolute(x), summed)
    compared -= compared > summed
    return largest(sums, compared) if order > 0 else reduce_min(sums, compared)


def largest(size: Any, axes: Any) -> Any:
    """The largest of numbers that are not negative; 0 if there are none, as norms of nothing are."""
    return reduce_max(size, axes) if size.size else reduce_sum(size, axes)


def singular_values(x: Any, axes: tuple[int, ...]) -> Any:
    """Singular values over two axes, in the last axis; those that are 0 have derivative 0."""
    rest = [i for i in range(ndim_of(x)) if i not in axes]
    values = SVDVALS(transpose(x, (*rest, *axes)))
    return select(equal(values, 0), 0.0, values)


def vector_norm(x: Any, order: Any = 2, axis: Any = None, keepdims: bool = False) -> Any:
    """Norm of all elements along some axes, as of one long vector."""
    x = floating(x)
    axes = normalize_axes("vector_norm", axis, ndim_of(x))
    return kept(p_norm(x, order, axes), x, axes, keepdims)


def matrix_norm(x: Any, order: Any = "fro", keepdims: bool = False) -> Any:
    """Norm of the matrices in the last two axes."""
    return norm(x, order, (-2, -1), keepdims)


def norm(x: Any, order: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    """Norm of a vector or matrix, as `np.linalg.norm`."""
    x = floating(x)
    rank = ndim_of(x)
    if axis is None and (order is None or (order == 2 and rank == 1)):
        axes = tuple(range(rank))
        return kept(p_norm(x, 2, axes), x, axes, keepdims)
    named = range(rank) if axis is None else (axis,) if isinstance(axis, int | np.integer) else axis
    axes = normalize_axes("norm", tuple(named), rank)
    if len(axes) == 1:
        return kept(p_norm(x, order, axes), x, axes, keepdims)
    if len(axes) != 2:
        raise ValueError(
            f"[norm] Improper number of dimensions to norm: {len(axes)} axes of shape {shape_of(x)}. "
            "Give axis=i for vectors, axis=(i, j) for matrices, or use vector_norm."
        )
    ordered = tuple(int(i) % rank for i in named)
    return kept(operator_norm(x, order, ordered), x, axes, keepdims)


def rank_of(values: Any, rtol: Any) -> Any:
    """How many singular values are larger than `rtol` times the largest; of dtype int64."""
    large = greater(values, multiply(columns(values, 0, 1), rtol))
    return reduce_sum(convert(large, np.int64), -1)


def floating(x: Any) -> Any:
    return x if is_inexact(x.dtype) else convert(x, np.float64)


def kept(out: Any, x: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
    return reshape(out, keep_axes(shape_of(x), axes)) if keepdims else out
