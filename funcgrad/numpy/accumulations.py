"""Running sums and products, and differences of neighbours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from funcgrad.numpy.joining import concatenate
from funcgrad.numpy.rearranging import along
from funcgrad.numpy.reductions import accumulation_dtype
from funcgrad.numpy.register import numpy_function
from funcgrad.numpy.shape import normalize_axis, ravel
from funcgrad.numpy.ufunc import write_output
from funcgrad.ops import cumulative as ops
from funcgrad.ops.arithmetic import subtract
from funcgrad.ops.cast import convert
from funcgrad.ops.compare import not_equal
from funcgrad.ops.operands import ndim_of, shape_of
from funcgrad.ops.sequences import as_array


def running(
    name: str, function: Callable[..., Any], a: Any, axis: Any, dtype: Any, out: Any
) -> Any:
    a = as_array(a)
    a = convert(a, accumulation_dtype(a.dtype) if dtype is None else dtype)
    a, axis = (ravel(a), 0) if axis is None else (a, normalize_axis(name, axis, ndim_of(a)))
    result = function(a, axis)
    return result if out is None else write_output(name, result, out)


@numpy_function(np.cumsum)
def cumsum(a: Any, axis: int | None = None, dtype: Any = None, out: Any = None) -> Any:
    """Running sums along `axis`.

    Args:
        a: array.
        axis: None flattens `a` first.
        dtype: dtype to add up in; small integers are widened to 64 bits.
        out: array to write into, traced itself.
    """
    return running("cumsum", ops.cumsum, a, axis, dtype, out)


@numpy_function(np.cumprod)
def cumprod(a: Any, axis: int | None = None, dtype: Any = None, out: Any = None) -> Any:
    """Running products along `axis`; arguments as in `cumsum`."""
    return running("cumprod", ops.cumprod, a, axis, dtype, out)


def cumulative(
    name: str, function: Callable[..., Any], x: Any, axis: Any, dtype: Any, out: Any, first: Any
) -> Any:
    """The array API's running functions; `first` is put in front if it is not None."""
    x = as_array(x)
    if axis is None and ndim_of(x) != 1:
        raise ValueError(f"[{name}] axis= must be given for an array of shape {shape_of(x)}.")
    result = running(name, function, x, axis, dtype, None)
    if first is not None:
        axis = normalize_axis(name, 0 if axis is None else axis, ndim_of(x))
        shape = (*shape_of(x)[:axis], 1, *shape_of(x)[axis + 1 :])
        result = concatenate([np.full(shape, first, result.dtype), result], axis)
    return result if out is None else write_output(name, result, out)


@numpy_function(np.cumulative_sum)
def cumulative_sum(
    x: Any,
    /,
    *,
    axis: int | None = None,
    dtype: Any = None,
    out: Any = None,
    include_initial: bool = False,
) -> Any:
    """Running sums along `axis`, with a leading zero if `include_initial`."""
    first = 0 if include_initial else None
    return cumulative("cumulative_sum", ops.cumsum, x, axis, dtype, out, first)


@numpy_function(np.cumulative_prod)
def cumulative_prod(
    x: Any,
    /,
    *,
    axis: int | None = None,
    dtype: Any = None,
    out: Any = None,
    include_initial: bool = False,
) -> Any:
    """Running products along `axis`, with a leading one if `include_initial`."""
    first = 1 if include_initial else None
    return cumulative("cumulative_prod", ops.cumprod, x, axis, dtype, out, first)


@numpy_function(np.diff)
def diff(
    a: Any, n: int = 1, axis: int = -1, prepend: Any = np._NoValue, append: Any = np._NoValue
) -> Any:
    """Differences of neighbours along `axis`, taken `n` times.

    Args:
        a: array.
        n: how many times.
        axis: the axis.
        prepend, append: values put before and after `a` first.
    """
    a = as_array(a)
    if not ndim_of(a) or n < 0:
        raise ValueError(
            f"[diff] needs n >= 0 and an array with axes, but got n={n}, shape {shape_of(a)}."
        )
    axis = normalize_axis("diff", axis, ndim_of(a))
    parts = [end_values(a, value, axis) for value in (prepend, append)]
    if any(part is not None for part in parts):
        a = concatenate([part for part in (parts[0], a, parts[1]) if part is not None], axis)
    step = not_equal if a.dtype == np.bool_ else subtract
    for _ in range(n):
        a = step(a[along(axis, slice(1, None))], a[along(axis, slice(None, -1))])
    return a


def end_values(a: Any, value: Any, axis: int) -> Any:
    """What `diff` puts in front or behind; a number is repeated."""
    if value is np._NoValue or value is None:
        return None
    value = as_array(value)
    if ndim_of(value):
        return value
    return np.broadcast_to(value, (*shape_of(a)[:axis], 1, *shape_of(a)[axis + 1 :]))


@numpy_function(np.ediff1d)
def ediff1d(ary: Any, to_end: Any = None, to_begin: Any = None) -> Any:
    """Differences of neighbours in the flattened array, with values put before and after."""
    change = diff(ravel(ary))
    ends = [
        None if x is None else ravel(convert(as_array(x), change.dtype)) for x in (to_begin, to_end)
    ]
    return concatenate([part for part in (ends[0], change, ends[1]) if part is not None])
