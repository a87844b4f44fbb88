"""Products over axes, with a derivative that is exact where elements are zero."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from funcgrad.ops.arithmetic import MULTIPLY
from funcgrad.ops.cumulative import CUM_PROD
from funcgrad.ops.operands import ndim_of, shape_of
from funcgrad.ops.recurrence import shifted
from funcgrad.ops.reduce import WeightedReduction, accumulator, normalize_axes
from funcgrad.ops.sequences import as_array
from funcgrad.ops.shape import reshape, transpose


class ReduceProd(WeightedReduction):
    """Product along `axes`. Half precision is multiplied in float32."""

    combine = "multiply"

    def numpy(self, xp: Any, x: Any, *, axes: tuple[int, ...]) -> Any:
        return xp.prod(x, axis=axes, dtype=accumulator(x.dtype)).astype(x.dtype)

    def weights(self, x: Any, out: Any, axes: tuple[int, ...]) -> Any:
        del out
        return product_of_others(x, axes)


def product_of_others(x: Any, axes: tuple[int, ...]) -> Any:
    """For each element, the product of all others along `axes`: those before times those after it."""
    shape = shape_of(x)
    order = [*(i for i in range(len(shape)) if i not in axes), *axes]
    rest = tuple(shape[i] for i in order[: len(shape) - len(axes)])
    count = math.prod(shape[i] for i in axes)
    rows = reshape(transpose(x, order), (*rest, count))
    last = len(rest)
    before = shifted(CUM_PROD(rows, axis=last, reverse=False), last, fill=1)
    after = shifted(CUM_PROD(rows, axis=last, reverse=True), last, reverse=True, fill=1)
    others = reshape(MULTIPLY(before, after), tuple(shape[i] for i in order))
    return transpose(others, [order.index(i) for i in range(len(shape))])


REDUCE_PROD = ReduceProd()


def reduce_prod(x: Any, axes: Sequence[int] | int | None = None) -> Any:
    """Product of the elements along `axes` (all by default), in the dtype of `x`.

    The derivative multiplies the other elements instead of dividing, so that zeros are exact.

    Example:
        >>> reduce_prod([[1.0, 2.0], [3.0, 4.0]], axes=0)
        array([3., 8.])
    """
    x = as_array(x)
    axes = normalize_axes("prod", axes, ndim_of(x))
    return REDUCE_PROD(x, axes=axes) if axes else x
