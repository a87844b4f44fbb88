"""`reduce`, `accumulate`, `reduceat`, `outer` and `at` of ufuncs on traced values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from funcgrad import errors
from funcgrad.ir import source
from funcgrad.ir.tracer import UFUNC_METHODS, Tracer, rebind
from funcgrad.numpy import accumulations, reductions
from funcgrad.numpy.joining import concatenate, stack
from funcgrad.numpy.rearranging import along
from funcgrad.numpy.reductions import Unset, finish, given, masked
from funcgrad.numpy.shape import normalize_axis, reshape
from funcgrad.numpy.ufunc import call_ufunc, write_output
from funcgrad.ops.at import at
from funcgrad.ops.cast import convert
from funcgrad.ops.cumulative import cumlogsumexp, cummax, cummin
from funcgrad.ops.logsumexp import logsumexp
from funcgrad.ops.operands import ndim_of, shape_of
from funcgrad.ops.reduce import normalize_axes, reduce_and, reduce_or
from funcgrad.ops.sequences import as_array

REDUCE: dict[Any, Callable[..., Any]] = {
    np.add: reductions.sum,
    np.multiply: reductions.prod,
    np.maximum: reductions.max,
    np.minimum: reductions.min,
}
ACCUMULATE: dict[Any, Callable[..., Any]] = {
    np.maximum: cummax,
    np.minimum: cummin,
    np.logaddexp: cumlogsumexp,
}
# Reductions that exist as one operation, of one array over some axes.
REDUCE_AT_ONCE: dict[Any, Callable[..., Any]] = {
    np.logaddexp: logsumexp,
    np.logical_and: reduce_and,
    np.logical_or: reduce_or,
}
# Any grouping and order of the operands gives the same result.
ASSOCIATIVE = (
    np.add, np.multiply, np.maximum, np.minimum, np.fmax, np.fmin, np.logaddexp, np.logaddexp2, np.hypot,
    np.bitwise_and, np.bitwise_or, np.bitwise_xor, np.logical_and, np.logical_or, np.logical_xor,
    np.gcd, np.lcm,
)  # fmt: skip
AT = {
    np.add: "add", np.subtract: "subtract", np.multiply: "multiply", np.divide: "divide",
    np.maximum: "max", np.minimum: "min", np.power: "power",
}  # fmt: skip


def unsupported(ufunc: Any, method: str, fix: str) -> TypeError:
    return TypeError(
        errors.compose(
            f"np.{ufunc.__name__}.{method} has no counterpart for traced values.",
            where=source.where(),
            why="Its result depends on the order in which elements are combined.",
            fix=fix,
            page="no-counterpart",
        )
    )


def pick(array: Any, axis: int, start: Any, stop: Any = None, step: Any = None) -> Any:
    return array[along(axis, slice(start, stop, step))]


def reduce(
    ufunc: Any,
    array: Any,
    axis: Any = 0,
    dtype: Any = None,
    out: Any = None,
    keepdims: bool = False,
    initial: Any = Unset,
    where: Any = True,
) -> Any:
    """Combine the elements along axes."""
    out = out[0] if isinstance(out, tuple) else out
    where = Unset if where is True else where
    if ufunc in (np.add, np.multiply):
        return REDUCE[ufunc](array, axis, dtype, out, keepdims, initial, where)
    array = as_array(array) if dtype is None else convert(as_array(array), dtype)
    if ufunc in REDUCE:
        return REDUCE[ufunc](array, axis, out, keepdims, initial, where)
    if ufunc not in ASSOCIATIVE:
        raise unsupported(
            ufunc, "reduce", "for i in range(1, len(x)): y = f(y, x[i])    # in the order you mean"
        )
    axes = normalize_axes(ufunc.__name__, axis, ndim_of(array))
    if ufunc in (np.logical_and, np.logical_or, np.logical_xor):
        array = reductions.truth(array)
    if where is not Unset:
        array = masked(array, where, neutral_element(ufunc, initial))
    if ufunc in REDUCE_AT_ONCE:
        result = REDUCE_AT_ONCE[ufunc](array, axes)
    else:
        result = array
        for place in reversed(axes):
            result = fold(ufunc, result, place)
    if given(initial):
        result = call_ufunc(ufunc, (result, initial), {})
    return finish(ufunc.__name__, out, result, array, axes, keepdims)


def neutral_element(ufunc: Any, initial: Any) -> Any:
    value = initial if given(initial) else ufunc.identity
    if value is None:
        raise ValueError(f"[{ufunc.__name__}.reduce] where= needs initial=.")
    return value


def fold(ufunc: Any, array: Any, axis: int) -> Any:
    """Combine the halves until one element is left."""
    length = shape_of(array)[axis]
    if length == 0:
        if ufunc.identity is None:
            raise ValueError(
                f"[{ufunc.__name__}.reduce] zero-size array of shape {shape_of(array)} has no identity. "
                "Give initial=."
            )
        shape = (*shape_of(array)[:axis], *shape_of(array)[axis + 1 :])
        return np.full(shape, ufunc.identity, array.dtype)
    while length > 1:
        half = length // 2
        folded = call_ufunc(
            ufunc, (pick(array, axis, 0, half), pick(array, axis, half, 2 * half)), {}
        )
        if length % 2:
            folded = concatenate([folded, pick(array, axis, length - 1)], axis)
        array, length = folded, half + length % 2
    return array[along(axis, 0)]


def accumulate(ufunc: Any, array: Any, axis: int = 0, dtype: Any = None, out: Any = None) -> Any:
    """All running results along an axis."""
    out = out[0] if isinstance(out, tuple) else out
    if ufunc in (np.add, np.multiply):
        function = accumulations.cumsum if ufunc is np.add else accumulations.cumprod
        return function(array, axis, dtype, out)
    array = as_array(array) if dtype is None else convert(as_array(array), dtype)
    axis = normalize_axis(ufunc.__name__, axis, ndim_of(array))
    if ufunc in ACCUMULATE:
        result = ACCUMULATE[ufunc](array, axis)
    elif ufunc in ASSOCIATIVE:
        result = scan_by_doubling(ufunc, array, axis)
    else:
        raise unsupported(
            ufunc, "accumulate", "funcgrad.lax.scan(step, x[0], x[1:])    # in the order you mean"
        )
    return result if out is None else write_output(ufunc.__name__, result, out)


def scan_by_doubling(ufunc: Any, array: Any, axis: int) -> Any:
    """Combine each element with the one 1, 2, 4, ... places before it."""
    length, step = shape_of(array)[axis], 1
    if ufunc in (np.logical_and, np.logical_or, np.logical_xor):
        array = reductions.truth(array)
    while step < length:
        moved = call_ufunc(
            ufunc, (pick(array, axis, 0, length - step), pick(array, axis, step)), {}
        )
        array = concatenate([pick(array, axis, 0, step), moved], axis)
        step *= 2
    return array


def reduceat(
    ufunc: Any, array: Any, indices: Any, axis: int = 0, dtype: Any = None, out: Any = None
) -> Any:
    """Reduce slices that start at concrete indices and end before the next one."""
    array = as_array(array)
    axis = normalize_axis(ufunc.__name__, axis, ndim_of(array))
    starts = [index.__index__() for index in indices]
    stops = [*starts[1:], shape_of(array)[axis]]
    parts = [
        reduce(ufunc, pick(array, axis, start, max(stop, start + 1)), axis, dtype)
        for start, stop in zip(starts, stops, strict=True)
    ]
    result = stack(parts, axis)
    out = out[0] if isinstance(out, tuple) else out
    return result if out is None else write_output(ufunc.__name__, result, out)


def outer(ufunc: Any, x: Any, y: Any, /, **options: Any) -> Any:
    """The function on all pairs of elements."""
    x, y = as_array(x), as_array(y)
    column = reshape(x, (*shape_of(x), *(1,) * ndim_of(y)))
    return call_ufunc(ufunc, (column, y), options)


def at_indices(ufunc: Any, a: Any, indices: Any, *args: Any) -> None:
    """Apply in place at some elements; repeated ones count repeatedly."""
    if not isinstance(a, Tracer):
        raise errors.TracerArrayConversionError(
            errors.compose(
                f"np.{ufunc.__name__}.at would write traced values into an ndarray of shape {a.shape}.",
                where=source.where(),
                why="A real array cannot hold a value that has none yet.",
                fix=f"a = np.zeros({a.shape}, like=x)    # then np.{ufunc.__name__}.at(a, i, x)",
                page="tracer-array",
            )
        )
    if ufunc not in AT:
        raise unsupported(
            ufunc,
            "at",
            f"x = x.at[i].set(np.{ufunc.__name__}(x[i]))    # repeated elements count once",
        )
    rebind(a, getattr(at(a)[indices], AT[ufunc])(*args))


UFUNC_METHODS.update(
    reduce=reduce, accumulate=accumulate, reduceat=reduceat, outer=outer, at=at_indices
)
