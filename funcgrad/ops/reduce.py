"""Reductions over axes: sums, and whether all or any elements hold."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.ir.primitive import LinearInput, Operation
from funcgrad.ir.types import BOOL, FLOAT32, kind
from funcgrad.ops.arithmetic import ADD
from funcgrad.ops.cast import convert
from funcgrad.ops.cotangents import scale
from funcgrad.ops.families import Linear, Reduction
from funcgrad.ops.operands import RULES, ndim_of
from funcgrad.ops.shape import RESHAPE, broadcast_to, reshape


def normalize_axes(name: str, axis: Any, rank: int) -> tuple[int, ...]:
    """Sorted non-negative axes; None means all."""
    if axis is None:
        return tuple(range(rank))
    axes = [axis] if isinstance(axis, int | np.integer) else list(axis)
    for a in axes:
        if not -rank <= a < rank:
            raise np.exceptions.AxisError(
                f"[{name}] axis {a} is out of bounds for an array with {rank} axes. "
                f"Use {-rank} to {rank - 1}."
            )
    wanted = sorted({int(a) % rank for a in axes})
    if len(wanted) != len(axes):
        raise ValueError(f"[{name}] axis {tuple(axes)} names the same axis twice")
    return tuple(wanted)


def keep_axes(shape: tuple, axes: tuple[int, ...]) -> tuple:
    """`shape` with length 1 along `axes`."""
    return tuple(1 if i in axes else n for i, n in enumerate(shape))


@functools.cache
def accumulator(dtype: np.dtype) -> np.dtype:
    """The dtype in which elements of this dtype are summed: float32 for all smaller floating dtypes."""
    if kind(dtype) == "f" and dtype.itemsize < 4:
        return FLOAT32
    return dtype if dtype.isnative else dtype.newbyteorder("=")


def comparable(x: Any) -> Any:
    """`x` in a dtype that NumPy orders right: ml_dtypes' own comparisons misplace NaN."""
    return x if x.dtype.kind in "biufc" else x.astype(FLOAT32)


class ReduceSum(Linear, Reduction):
    """Sum along `axes`. Half precision is summed in float32."""

    kind = "reduction"

    def numpy(self, xp: Any, x: Any, *, axes: tuple[int, ...]) -> Any:
        del xp
        wide = accumulator(x.dtype)
        out = x.sum(axis=axes, dtype=wide)
        return out if wide == x.dtype else out.astype(x.dtype)

    def transpose(self, cotangent: Any, x: LinearInput, *, axes: tuple[int, ...]) -> list[Any]:
        if len(axes) < len(x.shape):
            cotangent = reshape(cotangent, keep_axes(x.shape, axes))
        return [broadcast_to(cotangent, x.shape)]

    def batch(self, size: int, args: Any, axes: Any, /, **params: Any) -> tuple[Any, Any]:
        return Reduction.batch(self, size, args, axes, **params)

    def batch_sum(self, args: Any, batch: Any, /, *, axes: tuple[int, ...]) -> Any:
        if None in batch:
            return NotImplemented
        moved = tuple(a + (a >= batch[0]) for a in axes)
        return self(*args, axes=tuple(sorted((batch[0], *moved))))

    def simplify(self, known: Any, x: Any, *, axes: tuple[int, ...]) -> Any:
        del known
        if any(x.type.shape[a] != 1 for a in axes):
            return None
        shape = tuple(n for i, n in enumerate(x.type.shape) if i not in axes)
        single = Operation(RESHAPE, x, shape=shape)
        # NumPy's sum begins with 0, which -0.0 becomes as well.
        return (
            Operation(ADD, single, x.type.dtype.type(0)) if kind(x.type.dtype) in "fc" else single
        )


class ReduceAnd(Reduction):
    """Whether all booleans along `axes` hold."""

    combine = "and"

    def numpy(self, xp: Any, x: Any, *, axes: tuple[int, ...]) -> Any:
        return xp.all(x, axis=axes)


class ReduceOr(Reduction):
    """Whether any boolean along `axes` holds."""

    combine = "or"

    def numpy(self, xp: Any, x: Any, *, axes: tuple[int, ...]) -> Any:
        return xp.any(x, axis=axes)


REDUCE_SUM, REDUCE_AND, REDUCE_OR = ReduceSum(), ReduceAnd(), ReduceOr()


class WeightedReduction(Reduction):
    """A reduction whose tangent is the sum of the tangents of its elements times `weights`."""

    def weights(self, x: Any, out: Any, axes: tuple[int, ...]) -> Any:
        """The derivative of the result with respect to each element."""
        raise NotImplementedError

    def jvp(self, primals: Any, tangents: Any, *, axes: tuple[int, ...]) -> tuple[Any, Any]:
        (x,), (tangent,) = primals, tangents
        out = self(x, axes=axes)
        return out, REDUCE_SUM(scale(tangent, self.weights(x, out, axes)), axes=axes)

    def vjp(self, primals: Any, active: Any, *, axes: tuple[int, ...]) -> tuple[Any, Any]:
        del active
        (x,) = primals
        out = self(x, axes=axes)

        def pullback(cotangent: Any) -> list[Any]:
            spread = broadcast_to(reshape(cotangent, keep_axes(x.shape, axes)), x.shape)
            return [scale(spread, self.weights(x, out, axes))]

        return out, pullback


def reduce_sum(x: Any, axes: Sequence[int] | int | None = None) -> Any:
    """Sum of the elements along `axes` (all by default), in the dtype of `x`."""
    axes = normalize_axes("sum", axes, ndim_of(x))
    return x if not axes else REDUCE_SUM(x, axes=axes)


def reduce_and(x: Any, axes: Sequence[int] | int | None = None) -> Any:
    """Whether all elements along `axes` (all by default) are true or not zero."""
    axes = normalize_axes("all", axes, ndim_of(x))
    x = convert(x, BOOL)
    return x if not axes else REDUCE_AND(x, axes=axes)


def reduce_or(x: Any, axes: Sequence[int] | int | None = None) -> Any:
    """Whether any element along `axes` (all by default) is true or not zero."""
    axes = normalize_axes("any", axes, ndim_of(x))
    x = convert(x, BOOL)
    return x if not axes else REDUCE_OR(x, axes=axes)


RULES["reduce_sum"] = REDUCE_SUM
