"""First-order linear recurrences: the running sums whose terms decay, and the derivative of running products."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.ir.primitive import Primitive
from funcgrad.ir.types import ArrayType
from funcgrad.ops.arithmetic import MULTIPLY
from funcgrad.ops.batching import all_batched
from funcgrad.ops.cotangents import sum_terms
from funcgrad.ops.create import full
from funcgrad.ops.operands import shape_of
from funcgrad.ops.pieces import STATIC_SLICE, concatenate
from funcgrad.ops.reduce import accumulator


def along(rank: int, axis: int, start: int | None, stop: int | None) -> tuple:
    """The index that slices one axis of an array and takes the others whole."""
    return (slice(None),) * axis + (slice(start, stop),) + (slice(None),) * (rank - axis - 1)


def shifted(x: Any, axis: int, reverse: bool = False, fill: float = 0) -> Any:
    """The element before each one along `axis` (after it, if `reverse`); `fill` where there is none."""
    shape = shape_of(x)
    if not shape[axis]:
        return x
    spec = [(0, n, 1) for n in shape]
    spec[axis] = (1, shape[axis], 1) if reverse else (0, shape[axis] - 1, 1)
    kept = STATIC_SLICE(x, spec=tuple(spec))
    edge = full((*shape[:axis], 1, *shape[axis + 1 :]), fill, x.dtype)
    return concatenate([kept, edge] if reverse else [edge, kept], axis)


class LinearRecurrence(Primitive):
    """`s[k] = factor[k] * s[k - 1] + term[k]` along `axis`, from `s[-1] = 0`; from the end if `reverse`.

    Linear in `term`. No division, so that products with zeros have exact derivatives. Zeros are 0, never -0.
    """

    def type_rule(self, factor: ArrayType, term: ArrayType, **params: Any) -> ArrayType:
        del params
        if factor != term:
            raise TypeError(
                f"[{self.name}] needs operands of one type, but got {factor} and {term}"
            )
        return term

    def numpy(self, xp: Any, factor: Any, term: Any, *, axis: int, reverse: bool) -> Any:
        if reverse:
            factor, term = xp.flip(factor, axis), xp.flip(term, axis)
        out = recur_by_doubling(xp, factor, term, axis)
        return xp.flip(out, axis) if reverse else out

    def jvp(self, primals: Any, tangents: Any, *, axis: int, reverse: bool) -> tuple[Any, Any]:
        (factor, term), (d_factor, d_term) = primals, tangents
        out = self(factor, term, axis=axis, reverse=reverse)
        moved = None if d_factor is None else MULTIPLY(d_factor, shifted(out, axis, reverse))
        change = sum_terms([moved, d_term])
        if change is None:
            return out, None
        return out, self(factor, change, axis=axis, reverse=reverse)

    def transpose(
        self, cotangent: Any, factor: Any, term: Any, *, axis: int, reverse: bool
    ) -> list[Any]:
        del term
        next_factor = shifted(factor, axis, not reverse)
        return [None, self(next_factor, cotangent, axis=axis, reverse=not reverse)]

    def batch(
        self, size: int, args: Any, axes: Any, *, axis: int, reverse: bool
    ) -> tuple[Any, Any]:
        return self(*all_batched(size, args, axes), axis=axis + 1, reverse=reverse), 0

    def lower(self, emit: Any, factor: Any, term: Any, *, axis: int, reverse: bool) -> Any:
        return emit.linear_recurrence(factor, term, axis, reverse)


def recur_by_doubling(xp: Any, factor: Any, term: Any, axis: int) -> Any:
    """All results in log2(n) whole-array steps. A carried 0 stays 0, even if products of factors overflow."""
    wide = accumulator(term.dtype)
    dtype, factor, term = term.dtype, xp.array(factor, wide), xp.array(term, wide)
    term += 0  # no result is -0, in whatever order parts are added up
    length, step = term.shape[axis], 1
    with np.errstate(all="ignore"):
        while step < length:
            later = along(term.ndim, axis, step, None)
            earlier = along(term.ndim, axis, None, length - step)
            carried = term[earlier]
            term[later] += xp.where(carried == 0, carried, factor[later] * carried)
            factor[later] = factor[later] * factor[earlier]
            step *= 2
    return term.astype(dtype)


LINEAR_RECURRENCE = LinearRecurrence()


def linear_recurrence(factor: Any, term: Any, axis: int = -1, reverse: bool = False) -> Any:
    """`s[k] = factor[k] * s[k - 1] + term[k]` along an axis, for operands of equal shape and dtype.

    Args:
        factor: floating array; its first element along the axis (last, if `reverse`) has no effect.
        term: array of the same shape and dtype.
        axis: the axis along which the recurrence runs.
        reverse: run from the end, `s[k] = factor[k] * s[k + 1] + term[k]`.

    Returns:
        All `s[k]`, an array of the shape of `term`.

    Example:
        >>> import numpy as np
        >>> linear_recurrence(np.array([0.0, 0.5, 0.5]), np.array([4.0, 0.0, 1.0]))
        array([4., 2., 2.])
    """
    axis %= len(shape_of(term))
    return LINEAR_RECURRENCE(factor, term, axis=axis, reverse=reverse)
