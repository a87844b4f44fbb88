"""Running sums, products, extrema and log-sum-exps along one axis, forward or from the end."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.ir.primitive import LinearInput, Primitive
from funcgrad.ir.types import FLOAT64, ArrayType, is_inexact
from funcgrad.ops.arithmetic import DIVIDE, MULTIPLY, subtract
from funcgrad.ops.batching import move_batch_first
from funcgrad.ops.cast import convert
from funcgrad.ops.compare import equal, greater, isinf, less
from funcgrad.ops.create import full
from funcgrad.ops.exponential import exp
from funcgrad.ops.families import Linear
from funcgrad.ops.operands import ndim_of
from funcgrad.ops.recurrence import LINEAR_RECURRENCE, along, shifted
from funcgrad.ops.reduce import accumulator, normalize_axes
from funcgrad.ops.select import select
from funcgrad.ops.sequences import as_array


class Cumulative(Primitive):
    """Combines all elements up to each one along `axis` (from each one on, if `reverse`)."""

    combine = ""

    def type_rule(self, x: ArrayType, *, axis: int, reverse: bool) -> ArrayType:
        del axis, reverse
        return x.strong()

    def numpy(self, xp: Any, x: Any, *, axis: int, reverse: bool) -> Any:
        wide = accumulator(x.dtype)
        out = xp.flip(x, axis) if reverse else x
        out = accumulate(xp, getattr(xp, self.combine), out.astype(wide), axis)
        return (xp.flip(out, axis) if reverse else out).astype(x.dtype)

    def batch(
        self, size: int, args: Any, axes: Any, *, axis: int, reverse: bool
    ) -> tuple[Any, Any]:
        del size
        return self(*move_batch_first(args, axes), axis=axis + 1, reverse=reverse), 0

    def lower(self, emit: Any, x: Any, *, axis: int, reverse: bool) -> Any:
        return emit.cumulative(self.combine, x, axis, reverse)


def accumulate(xp: Any, function: Any, x: Any, axis: int) -> Any:
    """`function.accumulate`; array modules without it combine in log2(n) whole-array steps."""
    if xp is np:
        return function.accumulate(x, axis=axis, dtype=x.dtype)
    out, step = x.copy(), 1
    while step < x.shape[axis]:
        later = along(x.ndim, axis, step, None)
        earlier = along(x.ndim, axis, None, x.shape[axis] - step)
        out[later] = function(out[earlier], out[later])
        step *= 2
    return out


class CumSum(Cumulative, Linear):
    """Running sum. Half precision is summed in float32."""

    combine = "add"

    def transpose(self, cotangent: Any, x: LinearInput, *, axis: int, reverse: bool) -> list[Any]:
        del x
        return [self(cotangent, axis=axis, reverse=not reverse)]


class CumProd(Cumulative):
    """Running product. Its derivative is a recurrence without division, exact where elements are zero."""

    combine = "multiply"

    def jvp(self, primals: Any, tangents: Any, *, axis: int, reverse: bool) -> tuple[Any, Any]:
        (x,), (dx,) = primals, tangents
        out = self(x, axis=axis, reverse=reverse)
        change = MULTIPLY(dx, shifted(out, axis, reverse, fill=1))
        return out, LINEAR_RECURRENCE(x, change, axis=axis, reverse=reverse)


class CumExtremum(Cumulative):
    """Running extremum. Equal elements share its derivative evenly, as those of a reduction do."""

    def jvp(self, primals: Any, tangents: Any, *, axis: int, reverse: bool) -> tuple[Any, Any]:
        (x,), (dx,) = primals, tangents
        params = {"axis": axis, "reverse": reverse}
        out = self(x, **params)
        zero, one = full((), 0, x.dtype), full((), 1, x.dtype)
        # 1 where the extremum stays what it was, so that the sums over its elements go on.
        stays = select(self.falls_short(shifted(out, axis, reverse), out), zero, one)
        reaches = select(self.falls_short(x, out), zero, one)
        count = LINEAR_RECURRENCE(stays, reaches, **params)
        return out, DIVIDE(LINEAR_RECURRENCE(stays, MULTIPLY(dx, reaches), **params), count)

    def falls_short(self, x: Any, out: Any) -> Any:
        """Where an element is not the extremum; nothing falls short of NaN."""
        raise NotImplementedError


class CumMax(CumExtremum):
    """Running maximum; NaN from the first NaN on."""

    combine = "maximum"

    def falls_short(self, x: Any, out: Any) -> Any:
        return less(x, out)


class CumMin(CumExtremum):
    """Running minimum; NaN from the first NaN on."""

    combine = "minimum"

    def falls_short(self, x: Any, out: Any) -> Any:
        return greater(x, out)


class CumLogSumExp(Cumulative):
    """Running `log(sum(exp(x)))` without overflow; infinities give values, not NaN."""

    combine = "logaddexp"

    def jvp(self, primals: Any, tangents: Any, *, axis: int, reverse: bool) -> tuple[Any, Any]:
        (x,), (dx,) = primals, tangents
        out = self(x, axis=axis, reverse=reverse)
        before = shifted(out, axis, reverse, fill=-np.inf)
        kept, added = share(before, x, out), share(x, before, out)
        return out, LINEAR_RECURRENCE(kept, MULTIPLY(added, dx), axis=axis, reverse=reverse)


def share(x: Any, other: Any, total: Any) -> Any:
    """`exp(x - total)` where `total = logaddexp(x, other)`: the derivative of `total` by `x`.

    Two equal infinities share: 1/2 each at +inf, 0 at -inf.
    """
    is_infinite = isinf(total)
    finite = exp(subtract(x, select(is_infinite, 0.0, total)))
    half = select(equal(x, other), 0.5, 1.0)
    return convert(select(is_infinite, select(equal(x, np.inf), half, 0.0), finite), total.dtype)


CUM_SUM, CUM_PROD, CUM_LOG_SUM_EXP = CumSum(), CumProd(), CumLogSumExp()
CUM_MAX, CUM_MIN = CumMax(), CumMin()


def cumulative(primitive: Cumulative, x: Any, axis: int, reverse: bool) -> Any:
    x = as_array(x)
    (axis,) = normalize_axes(primitive.name, axis, ndim_of(x))
    return primitive(x, axis=axis, reverse=bool(reverse))


def cumsum(x: Any, axis: int = 0, reverse: bool = False) -> Any:
    """Running sum along an axis, in the dtype of `x`; from the end if `reverse`.

    Example:
        >>> cumsum([1.0, 2.0, 3.0], reverse=True)
        array([6., 5., 3.])
    """
    return cumulative(CUM_SUM, x, axis, reverse)


def cumprod(x: Any, axis: int = 0, reverse: bool = False) -> Any:
    """Running product along an axis, in the dtype of `x`; its derivative is exact at zeros.

    Example:
        >>> cumprod([2.0, 0.0, 3.0])
        array([2., 0., 0.])
    """
    return cumulative(CUM_PROD, x, axis, reverse)


def cummax(x: Any, axis: int = 0, reverse: bool = False) -> Any:
    """Running maximum along an axis. Of equal elements each shares its derivative with those before it.

    Example:
        >>> cummax([1, 3, 2])
        array([1, 3, 3])
    """
    return cumulative(CUM_MAX, x, axis, reverse)


def cummin(x: Any, axis: int = 0, reverse: bool = False) -> Any:
    """Running minimum along an axis. Of equal elements each shares its derivative with those before it.

    Example:
        >>> cummin([3, 1, 2])
        array([3, 1, 1])
    """
    return cumulative(CUM_MIN, x, axis, reverse)


def cumlogsumexp(x: Any, axis: int = 0, reverse: bool = False) -> Any:
    """Running `log(sum(exp(x)))` along an axis, without overflow and without NaN at infinities.

    Example:
        >>> cumlogsumexp([-np.inf, 0.0, 0.0])
        array([  -inf, 0.    , 0.6931])
    """
    x = as_array(x)
    if not is_inexact(x.dtype):
        x = convert(x, FLOAT64)
    return cumulative(CUM_LOG_SUM_EXP, x, axis, reverse)
