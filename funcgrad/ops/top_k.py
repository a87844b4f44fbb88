"""The largest elements of each row, without sorting the others."""

from __future__ import annotations

from typing import Any

from funcgrad.ir.primitive import Primitive
from funcgrad.ir.types import INT64, ArrayType
from funcgrad.ops.batching import all_batched
from funcgrad.ops.gather import gather_along
from funcgrad.ops.operands import ndim_of, shape_of
from funcgrad.ops.reduce import comparable
from funcgrad.ops.sequences import as_array


class TopPositions(Primitive):
    """Positions of the `k` largest elements along the last axis, the largest and the first of equal ones first."""

    def type_rule(self, x: ArrayType, *, k: int) -> ArrayType:
        return ArrayType((*x.shape[:-1], k), INT64)

    def numpy(self, xp: Any, x: Any, *, k: int) -> Any:
        x = comparable(x)
        n = x.shape[-1]
        if 0 < k < n and x.dtype.kind != "c":
            places = chosen_places(xp, x, n - k)
            x = xp.take_along_axis(x, places, -1)
        else:
            places = xp.broadcast_to(xp.arange(n), x.shape)
        # Sorted from the back, so that equal elements keep their order when the whole is turned round.
        order = n_of(x) - 1 - xp.argsort(x[..., ::-1], axis=-1, kind="stable")[..., ::-1]
        return xp.take_along_axis(places, order[..., :k], -1)

    def jvp(self, primals: Any, tangents: Any, **params: Any) -> tuple[Any, Any]:
        del tangents
        return self(*primals, **params), None

    def batch(self, size: int, args: Any, axes: Any, *, k: int) -> tuple[Any, Any]:
        return self(*all_batched(size, args, axes), k=k), 0


def n_of(x: Any) -> int:
    return x.shape[-1]


def chosen_places(xp: Any, x: Any, start: int) -> Any:
    """Positions, in their order, of the elements that a stable sort puts from `start` on, the first of equal ones."""
    least = xp.partition(x, start, axis=-1)[..., start : start + 1]
    above, level = x > least, x == least
    if x.dtype.kind == "f":
        is_nan, least_is_nan = xp.isnan(x), xp.isnan(least)
        above, level = above | is_nan & ~least_is_nan, level | is_nan & least_is_nan
    missing = n_of(x) - start - above.sum(-1, keepdims=True)
    if bool((level.sum(-1, keepdims=True) > missing).any()):
        level &= xp.cumsum(level, axis=-1) <= missing
    return xp.nonzero(above | level)[-1].reshape((*x.shape[:-1], n_of(x) - start))


TOP_POSITIONS = TopPositions()


def top_k(x: Any, k: int) -> tuple[Any, Any]:
    """The `k` largest elements along the last axis in decreasing order, and their positions.

    Args:
        x: array `(..., n)`.
        k: int from 0 to n. Of equal elements the first come first; NaN counts as largest.

    Returns:
        (values, positions), both `(..., k)`.

    Example:
        >>> import numpy as np
        >>> top_k(np.array([1.0, 3.0, 2.0]), 2)
        (array([3., 2.]), array([1, 2]))
    """
    x = as_array(x)
    if not ndim_of(x) or not 0 <= k <= shape_of(x)[-1]:
        raise ValueError(
            f"[top_k] k = {k}, but the last axis of shape {shape_of(x)} has fewer elements. Use k <= x.shape[-1]."
        )
    places = TOP_POSITIONS(x, k=k)
    return gather_along(x, places, ndim_of(x) - 1), places
