"""Products that sum over axes: one primitive for matmul, dot, tensordot and einsum."""

from __future__ import annotations

import functools
import math
from typing import Any

from funcgrad.ir.primitive import is_linear
from funcgrad.ir.types import ArrayType
from funcgrad.ops.families import Multilinear, ndim_of, shape_of
from funcgrad.ops.shape import moveaxis, transpose

Axes = tuple[tuple[int, ...], tuple[int, ...]]


@functools.cache
def free_axes(rank: int, contract: tuple[int, ...], batch: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(i for i in range(rank) if i not in contract and i not in batch)


Plan = tuple[Axes, Axes, tuple[int, ...] | None]


@functools.cache
def left_plan(rank_x: int, rank_y: int, contract: Axes, batch: Axes) -> Plan:
    """The product of (cotangent, y) that is the cotangent of x, and the permutation that follows it."""
    lead = len(batch[0])
    free_x = free_axes(rank_x, contract[0], batch[0])
    free_y = free_axes(rank_y, contract[1], batch[1])
    start = lead + len(free_x)
    summed = tuple(range(start, start + len(free_y)))
    # What remains of y are its contracted axes in increasing order.
    remaining = [contract[0][contract[1].index(i)] for i in sorted(contract[1])]
    order = (*batch[0], *free_x, *remaining)
    return (summed, free_y), (tuple(range(lead)), batch[1]), inverse_order(order)


@functools.cache
def right_plan(rank_x: int, rank_y: int, contract: Axes, batch: Axes) -> Plan:
    """The product of (x, cotangent) that is the cotangent of y, and the permutation that follows it."""
    lead = len(batch[0])
    free_x = free_axes(rank_x, contract[0], batch[0])
    free_y = free_axes(rank_y, contract[1], batch[1])
    summed = tuple(range(lead, lead + len(free_x)))
    remaining = [contract[1][contract[0].index(i)] for i in sorted(contract[0])]
    order = (*batch[1], *remaining, *free_y)
    return (free_x, summed), (batch[0], tuple(range(lead))), inverse_order(order)


def inverse_order(order: tuple[int, ...]) -> tuple[int, ...] | None:
    """The permutation that sorts these axes; None if they are sorted."""
    inverse = tuple(order.index(i) for i in range(len(order)))
    return None if inverse == tuple(range(len(order))) else inverse


def permuted(x: Any, order: tuple[int, ...] | None) -> Any:
    return x if order is None else transpose(x, order)


def narrowed(out: Any, dtype: Any) -> Any:
    """The product in the dtype of its operands: NumPy has no matmul for bfloat16 and answers in float32."""
    return out if out.dtype == dtype else out.astype(dtype)


class DotGeneral(Multilinear):
    """Sum of products over the `contract` axes, for each place of the `batch` axes.

    The result has the batch axes, then the free axes of `x`, then those of `y`.
    """

    def type_rule(self, x: ArrayType, y: ArrayType, *, contract: Axes, batch: Axes) -> ArrayType:
        if x.dtype != y.dtype:
            raise TypeError(f"[dot_general] needs equal dtypes, but got {x} and {y}")
        shape = (
            *(x.shape[i] for i in batch[0]),
            *(x.shape[i] for i in free_axes(x.ndim, contract[0], batch[0])),
            *(y.shape[i] for i in free_axes(y.ndim, contract[1], batch[1])),
        )
        return ArrayType(shape, x.dtype)

    def numpy(self, xp: Any, x: Any, y: Any, *, contract: Axes, batch: Axes) -> Any:
        if x.ndim == 2 and y.ndim == 2 and len(contract[0]) == 1 and not batch[0]:
            left = x if contract[0] == (1,) else x.T
            right = y if contract[1] == (0,) else y.T
            return narrowed(xp.matmul(left, right), x.dtype)
        free_x = free_axes(x.ndim, contract[0], batch[0])
        free_y = free_axes(y.ndim, contract[1], batch[1])
        lead = [x.shape[i] for i in batch[0]]
        shape_x, shape_y = [x.shape[i] for i in free_x], [y.shape[i] for i in free_y]
        inner = math.prod(x.shape[i] for i in contract[0])
        left = x.transpose((*batch[0], *free_x, *contract[0]))
        right = y.transpose((*batch[1], *contract[1], *free_y))
        left = left.reshape((*lead, math.prod(shape_x), inner))
        right = right.reshape((*lead, inner, math.prod(shape_y)))
        # An outer product per batch element is a product with broadcasting.
        out = left * right if inner == 1 else xp.matmul(left, right)
        return narrowed(out, x.dtype).reshape((*lead, *shape_x, *shape_y))[()]

    def transpose(
        self, cotangent: Any, x: Any, y: Any, *, contract: Axes, batch: Axes
    ) -> list[Any]:
        if is_linear(x):
            plan = left_plan(len(x.shape), ndim_of(y), contract, batch)
            return [permuted(self(cotangent, y, contract=plan[0], batch=plan[1]), plan[2]), None]
        plan = right_plan(ndim_of(x), len(y.shape), contract, batch)
        return [None, permuted(self(x, cotangent, contract=plan[0], batch=plan[1]), plan[2])]

    def batch(self, size: int, args: Any, axes: Any, *, contract: Axes, batch: Axes) -> tuple:
        del size
        (x, y), (axis_x, axis_y) = args, axes
        if axis_x is not None and axis_y is not None:
            shift = [tuple(i + 1 for i in side) for side in (*contract, *batch)]
            out = self(
                moveaxis(x, axis_x, 0),
                moveaxis(y, axis_y, 0),
                contract=(shift[0], shift[1]),
                batch=((0, *shift[2]), (0, *shift[3])),
            )
            return out, 0
        lead = len(batch[0])
        if axis_x is not None:
            x = moveaxis(x, axis_x, -1)
            out = self(x, y, contract=contract, batch=batch)
            free = ndim_of(x) - len(contract[0]) - lead
            return out, lead + free - 1
        y = moveaxis(y, axes[1], -1)
        out = self(x, y, contract=contract, batch=batch)
        return out, ndim_of(out) - 1

    def lower(self, emit: Any, x: Any, y: Any, *, contract: Axes, batch: Axes) -> Any:
        return emit.dot(x, y, contract, batch)


DOT_GENERAL = DotGeneral()


def dot_general(x: Any, y: Any, contract: Axes, batch: Axes = ((), ())) -> Any:
    """Sum of products over `contract` axes; see `DotGeneral`. Operands have equal dtypes."""
    shape_x, shape_y = shape_of(x), shape_of(y)
    for i, j in zip((*contract[0], *batch[0]), (*contract[1], *batch[1]), strict=True):
        if shape_x[i] != shape_y[j]:
            raise ValueError(
                f"[dot_general] shapes {shape_x} and {shape_y} do not fit: axis {i} of the first has length "
                f"{shape_x[i]}, axis {j} of the second {shape_y[j]}. Axes that are summed must be equal."
            )
    return DOT_GENERAL(x, y, contract=contract, batch=batch)
