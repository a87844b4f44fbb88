"""Reductions that leave out NaN."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from funcgrad.ir.types import is_inexact
from funcgrad.numpy import reductions, statistics
from funcgrad.numpy.accumulations import cumprod, cumsum
from funcgrad.numpy.dtypes import finfo
from funcgrad.numpy.reductions import Unset
from funcgrad.numpy.register import numpy_function
from funcgrad.numpy.searching import argmax, argmin
from funcgrad.ops.compare import isinf, isnan, logical_and, logical_not
from funcgrad.ops.complex import make_complex
from funcgrad.ops.select import select
from funcgrad.ops.sequences import as_array


def present(a: Any, where: Any) -> Any:
    """Where an element counts: it is not NaN, and `where` holds."""
    there = logical_not(isnan(a))
    return there if where is Unset or where is True else logical_and(there, where)


def leave_out(function: Callable[..., Any], original: Any) -> Callable[..., Any]:
    """A reduction over the elements that are not NaN, with the arguments of `function`."""

    def reduce(a: Any, *args: Any, where: Any = Unset, **options: Any) -> Any:
        a = as_array(a)
        if is_inexact(a.dtype):
            where = present(a, where)
        return function(a, *args, where=where, **options)

    reduce.__name__ = reduce.__qualname__ = original.__name__
    reduce.__doc__ = f"Like `{function.__name__}`, with the same arguments, leaving out NaN."
    return numpy_function(original)(reduce)


nansum = leave_out(reductions.sum, np.nansum)
nanprod = leave_out(reductions.prod, np.nanprod)
nanmean = leave_out(reductions.mean, np.nanmean)
nanvar = leave_out(statistics.var, np.nanvar)
nanstd = leave_out(statistics.std, np.nanstd)


def replaced(a: Any, value: float) -> Any:
    """`a` with another value for NaN."""
    a = as_array(a)
    return select(isnan(a), np.asarray(value, a.dtype), a) if is_inexact(a.dtype) else a


def extremum(original: Any, function: Callable[..., Any], worst: float) -> Callable[..., Any]:
    """`nanmax` or `nanmin`: NaN only where every element is."""

    def reduce(
        a: Any,
        axis: Any = None,
        out: Any = None,
        keepdims: Any = Unset,
        initial: Any = Unset,
        where: Any = Unset,
    ) -> Any:
        a = as_array(a)
        result = function(replaced(a, worst), axis, None, keepdims, initial, where)
        if is_inexact(a.dtype) and initial is Unset:
            empty = reductions.all_(isnan(a), axis, keepdims=keepdims)
            result = select(empty, np.asarray(np.nan, a.dtype), result)
        return result if out is None else reductions.write_output(original.__name__, result, out)

    reduce.__name__ = reduce.__qualname__ = original.__name__
    reduce.__doc__ = f"Like `{function.__name__}`, with the same arguments, leaving out NaN."
    return numpy_function(original)(reduce)


nanmax = extremum(np.nanmax, reductions.max, -np.inf)
nanmin = extremum(np.nanmin, reductions.min, np.inf)


@numpy_function(np.nanargmax)
def nanargmax(a: Any, axis: int | None = None, out: Any = None, *, keepdims: Any = Unset) -> Any:
    """Where the largest element is that is not NaN."""
    return argmax(replaced(a, -np.inf), axis, out, keepdims=keepdims)


@numpy_function(np.nanargmin)
def nanargmin(a: Any, axis: int | None = None, out: Any = None, *, keepdims: Any = Unset) -> Any:
    """Where the smallest element is that is not NaN."""
    return argmin(replaced(a, np.inf), axis, out, keepdims=keepdims)


@numpy_function(np.nancumsum)
def nancumsum(a: Any, axis: int | None = None, dtype: Any = None, out: Any = None) -> Any:
    """Running sums, with NaN counted as zero."""
    return cumsum(replaced(a, 0.0), axis, dtype, out)


@numpy_function(np.nancumprod)
def nancumprod(a: Any, axis: int | None = None, dtype: Any = None, out: Any = None) -> Any:
    """Running products, with NaN counted as one."""
    return cumprod(replaced(a, 1.0), axis, dtype, out)


@numpy_function(np.nan_to_num)
def nan_to_num(
    x: Any, copy: bool = True, nan: Any = 0.0, posinf: Any = None, neginf: Any = None
) -> Any:
    """`x` with finite numbers in place of NaN and infinities.

    Args:
        x: array.
        copy: accepted as in NumPy; a new array is returned.
        nan: what replaces NaN.
        posinf, neginf: what replaces infinities; the largest and smallest finite number by default.
    """
    del copy
    x = as_array(x)
    if not is_inexact(x.dtype):
        return x
    if x.dtype.kind == "c":
        parts = [nan_to_num(part, True, nan, posinf, neginf) for part in (x.real, x.imag)]
        return make_complex(*parts)
    limits = finfo(x.dtype)
    high = limits.max if posinf is None else posinf
    low = limits.min if neginf is None else neginf
    x_finite = select(isnan(x), typed(nan, x), x)
    x_finite = select(logical_and(isinf(x), x > 0), typed(high, x), x_finite)
    return select(logical_and(isinf(x), x < 0), typed(low, x), x_finite)


def typed(value: Any, x: Any) -> Any:
    return value if hasattr(value, "shape") else np.asarray(value, x.dtype)
