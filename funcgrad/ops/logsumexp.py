"""`log(sum(exp(x)))` without overflow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.ir.types import FLOAT64, is_inexact
from funcgrad.ops.arithmetic import add, divide, subtract
from funcgrad.ops.cast import convert
from funcgrad.ops.compare import equal, isfinite, isinf
from funcgrad.ops.exponential import exp, log
from funcgrad.ops.extrema import maximum
from funcgrad.ops.extremal_reduce import REDUCE_MAX
from funcgrad.ops.operands import ndim_of, shape_of
from funcgrad.ops.reduce import (
    REDUCE_SUM,
    WeightedReduction,
    accumulator,
    keep_axes,
    normalize_axes,
)
from funcgrad.ops.select import select
from funcgrad.ops.sequences import as_array
from funcgrad.ops.shape import reshape


class LogSumExp(WeightedReduction):
    """`log(sum(exp(x)))` along `axes`, also of infinities: -inf if all are -inf, inf if one is inf.

    A primitive because its derivative, exp(x - out), needs the output: composed of exp, sum and log it is
    0 / 0 for a row of -inf and inf / inf for a row with inf.
    """

    combine = "logaddexp"

    def numpy(self, xp: Any, x: Any, *, axes: tuple[int, ...]) -> Any:
        wide = x.astype(accumulator(x.dtype), copy=False)
        with np.errstate(divide="ignore"):
            if 0 in x.shape:  # CuPy's `max` has no start value
                largest = xp.full(keep_axes(x.shape, axes), -np.inf, wide.real.dtype)
            else:
                largest = xp.max(wide.real, axis=axes, keepdims=True)
            shift = xp.where(xp.isfinite(largest), largest, xp.zeros_like(largest))
            total = xp.log(xp.sum(xp.exp(wide - shift), axis=axes))
            return (total + shift.reshape(total.shape)).astype(x.dtype, copy=False)

    def lower(self, emit: Any, x: Any, *, axes: tuple[int, ...]) -> Any:
        if x.dtype.kind == "c" or 0 in x.shape:
            return NotImplemented
        return emit.traced(lambda value: log_of_sum(value, axes), x)

    def weights(self, x: Any, out: Any, axes: tuple[int, ...]) -> Any:
        """`exp(x - out)`. Where `out` is inf, its infinite elements share evenly; where it is -inf, 0."""
        kept = keep_axes(shape_of(x), axes)
        total = reshape(out, kept)
        is_infinite = isinf(total)
        finite = exp(subtract(x, select(is_infinite, 0.0, total)))
        is_inf = convert(equal(x, np.inf), x.dtype)
        count = maximum(reshape(REDUCE_SUM(is_inf, axes=axes), kept), 1.0)
        return select(is_infinite, divide(is_inf, count), finite)


LOG_SUM_EXP = LogSumExp()


def log_of_sum(x: Any, axes: tuple[int, ...]) -> Any:
    """The same as a composition, for compilers that fuse it: right at infinities, as its derivative is not needed."""
    dtype, kept = x.dtype, keep_axes(shape_of(x), axes)
    x = convert(x, accumulator(dtype))
    largest = REDUCE_MAX(x, axes=axes)
    shift = select(isfinite(largest), largest, 0.0)
    total = log(REDUCE_SUM(exp(subtract(x, reshape(shift, kept))), axes=axes))
    return convert(add(total, shift), dtype)


def logsumexp(x: Any, axes: Sequence[int] | int | None = None) -> Any:
    """`log(sum(exp(x)))` along `axes` (all by default) without overflow.

    Integers become float64. Derivatives are softmax(x), also at infinities: of [inf, 1] they are [1, 0], and of
    a row of -inf they are 0.

    Example:
        >>> logsumexp([1000.0, 1000.0])
        np.float64(1000.6931)
    """
    x = as_array(x)
    if not is_inexact(x.dtype):
        x = convert(x, FLOAT64)
    return LOG_SUM_EXP(x, axes=normalize_axes("logsumexp", axes, ndim_of(x)))
