"""Reductions over axes: sum, product, extrema, and their positions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.ir.primitive import LinearInput
from funcgrad.ops.families import RULES, Linear, Reduction, ndim_of
from funcgrad.ops.shape import broadcast_to, reshape


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


class ReduceSum(Linear, Reduction):
    """Sum along `axes`. Half precision is summed in float32, as NumPy does."""

    kind = "reduction"

    def numpy(self, xp: Any, x: Any, *, axes: tuple[int, ...]) -> Any:
        return xp.sum(x, axis=axes, dtype=x.dtype)

    def transpose(self, cotangent: Any, x: LinearInput, *, axes: tuple[int, ...]) -> list[Any]:
        return [broadcast_to(reshape(cotangent, keep_axes(x.shape, axes)), x.shape)]

    def batch(self, size: int, args: Any, axes: Any, **params: Any) -> tuple[Any, Any]:
        return Reduction.batch(self, size, args, axes, **params)


REDUCE_SUM = ReduceSum()


def reduce_sum(x: Any, axes: Sequence[int] | int | None = None) -> Any:
    """Sum of the elements along `axes` (all by default), in the dtype of `x`."""
    axes = normalize_axes("sum", axes, ndim_of(x))
    return x if not axes else REDUCE_SUM(x, axes=axes)


RULES["reduce_sum"] = reduce_sum
