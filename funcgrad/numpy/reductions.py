"""Sums, products, extrema and truth over axes, with NumPy's signatures and result dtypes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from funcgrad.ir.types import kind
from funcgrad.numpy.register import copy_of, numpy_function
from funcgrad.numpy.ufunc import write_output
from funcgrad.ops.arithmetic import add, divide, multiply, subtract
from funcgrad.ops.cast import convert
from funcgrad.ops.extrema import maximum, minimum
from funcgrad.ops.extremal_reduce import reduce_max, reduce_min
from funcgrad.ops.operands import ndim_of, shape_of
from funcgrad.ops.product import reduce_prod
from funcgrad.ops.reduce import (
    REDUCE_SUM,
    accumulator,
    keep_axes,
    normalize_axes,
    reduce_and,
    reduce_or,
    reduce_sum,
)
from funcgrad.ops.select import select
from funcgrad.ops.sequences import as_array
from funcgrad.ops.shape import broadcast_to, reshape

Unset = np._NoValue  # what NumPy passes for "not given"
INT64, UINT64 = np.dtype(np.int64), np.dtype(np.uint64)


def given(value: Any) -> bool:
    return value is not None and value is not Unset


def accumulation_dtype(dtype: np.dtype) -> np.dtype:
    """The dtype in which NumPy adds up: small integers and booleans are widened."""
    if dtype.kind == "b" or (dtype.kind == "i" and dtype.itemsize < 8):
        return INT64
    return UINT64 if dtype.kind == "u" and dtype.itemsize < 8 else dtype


def finish(name: str, out: Any, result: Any, x: Any, axes: tuple, keepdims: Any) -> Any:
    """Put reduced axes back if wanted, write into `out=`, and never return the operand itself."""
    if keepdims is True or (keepdims is not Unset and keepdims):
        result = reshape(result, keep_axes(shape_of(x), axes))
    if given(out):
        return write_output(name, result, out, casting="unsafe")
    return copy_of(result) if result is x else result


def masked(x: Any, where: Any, neutral: Any) -> Any:
    """`x`, with the neutral element where `where` is False."""
    if where is Unset or where is True:
        return x
    where = as_array(where)
    return select(where, x, np.asarray(neutral, x.dtype)[()])


@numpy_function(np.sum)
def sum(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: Any = None,
    keepdims: Any = Unset,
    initial: Any = Unset,
    where: Any = Unset,
) -> Any:
    """Sum of the elements along `axis`.

    Args:
        a: array.
        axis: int, tuple of ints, or None for all.
        dtype: dtype to add up in; small integers are widened to 64 bits.
        out: array to write into, traced itself.
        keepdims: keep reduced axes with length 1.
        initial: number to start from.
        where: boolean array of elements to include.

    Example:
        >>> import funcgrad.numpy as fnp
        >>> fnp.sum(fnp.ones((2, 3)), axis=0)
        array([2., 2., 2.], dtype=float32)
    """
    a = as_array(a)
    a = convert(a, accumulation_dtype(a.dtype) if dtype is None else dtype)
    axes = normalize_axes("sum", axis, ndim_of(a))
    result = masked(a, where, 0)
    if axes:
        result = REDUCE_SUM(result, axes=axes)
    if given(initial):
        result = convert(add(result, initial), a.dtype)
    return finish("add", out, result, a, axes, keepdims)


@numpy_function(np.prod)
def prod(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: Any = None,
    keepdims: Any = Unset,
    initial: Any = Unset,
    where: Any = Unset,
) -> Any:
    """Product of the elements along `axis`; arguments as in `sum`. Its derivative is exact at zeros."""
    a = as_array(a)
    a = convert(a, accumulation_dtype(a.dtype) if dtype is None else dtype)
    axes = normalize_axes("prod", axis, ndim_of(a))
    result = reduce_prod(masked(a, where, 1), axes)
    if given(initial):
        result = convert(multiply(result, initial), a.dtype)
    return finish("multiply", out, result, a, axes, keepdims)


def extremum(
    name: str, reduce: Callable[..., Any], combine: Callable[..., Any]
) -> Callable[..., Any]:
    """The function `max` or `min`."""

    def function(
        a: Any,
        axis: Any = None,
        out: Any = None,
        keepdims: Any = Unset,
        initial: Any = Unset,
        where: Any = Unset,
    ) -> Any:
        a = as_array(a)
        axes = normalize_axes(name, axis, ndim_of(a))
        if not given(initial):
            check_extremum(name, shape_of(a), axes, where)
            result = reduce(a, axes)
        else:
            start = np.asarray(initial, a.dtype)[()] if not hasattr(initial, "dtype") else initial
            covered = masked(a, where, start) if where is not Unset else a
            empty = any(shape_of(a)[i] == 0 for i in axes)
            kept = tuple(n for i, n in enumerate(shape_of(a)) if i not in axes)
            result = broadcast_to(start, kept) if empty else combine(reduce(covered, axes), start)
        return finish(combine.__name__, out, result, a, axes, keepdims)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = (
        f"The {'largest' if name == 'max' else 'smallest'} element along `axis`; NaN if there is one.\n\n"
        "Args:\n    a: array.\n    axis: int, tuple of ints, or None for all.\n"
        "    out: array to write into, traced itself.\n"
        "    keepdims: keep reduced axes with length 1.\n"
        "    initial: number to start from; needed for empty axes and with `where`.\n"
        "    where: boolean array of elements to include.\n\n"
        "Elements that tie share the derivative evenly."
    )
    return function


def check_extremum(name: str, shape: tuple, axes: tuple, where: Any) -> None:
    if where is not Unset and where is not True:
        raise ValueError(
            f"[{name}] where= needs initial=, the result where nothing is included; for example "
            f"{'-np.inf' if name == 'max' else 'np.inf'}."
        )
    if any(shape[i] == 0 for i in axes):
        raise ValueError(
            f"[{name}] zero-size array of shape {shape}: an empty axis has no {name}imum. Give initial=."
        )


max = numpy_function(np.max, np.amax)(extremum("max", reduce_max, maximum))
min = numpy_function(np.min, np.amin)(extremum("min", reduce_min, minimum))
amax, amin = max, min


@numpy_function(np.ptp)
def ptp(a: Any, axis: Any = None, out: Any = None, keepdims: Any = Unset) -> Any:
    """Largest minus smallest element along `axis`."""
    a = as_array(a)
    axes = normalize_axes("ptp", axis, ndim_of(a))
    check_extremum("max", shape_of(a), axes, Unset)
    result = subtract(reduce_max(a, axes), reduce_min(a, axes))
    return finish("subtract", out, result, a, axes, keepdims)


def truth(x: Any) -> Any:
    """Whether each element is not zero."""
    x = as_array(x)
    return x if x.dtype == np.bool_ else convert(x, np.bool_)


@numpy_function(np.any)
def any_(
    a: Any, axis: Any = None, out: Any = None, keepdims: Any = Unset, *, where: Any = Unset
) -> Any:
    """Whether any element along `axis` is true; arguments as in `sum`."""
    a = truth(a)
    axes = normalize_axes("any", axis, ndim_of(a))
    result = reduce_or(masked(a, where, False), axes)
    return finish("logical_or", out, result, a, axes, keepdims)


@numpy_function(np.all)
def all_(
    a: Any, axis: Any = None, out: Any = None, keepdims: Any = Unset, *, where: Any = Unset
) -> Any:
    """Whether all elements along `axis` are true; arguments as in `sum`."""
    a = truth(a)
    axes = normalize_axes("all", axis, ndim_of(a))
    result = reduce_and(masked(a, where, True), axes)
    return finish("logical_and", out, result, a, axes, keepdims)


@numpy_function(np.count_nonzero)
def count_nonzero(a: Any, axis: Any = None, *, keepdims: bool = False) -> Any:
    """How many elements along `axis` are not zero."""
    return sum(truth(a), axis, np.int64, keepdims=keepdims)


def mean_dtype(dtype: np.dtype) -> np.dtype:
    """The dtype of a mean: float64 for integers."""
    return dtype if kind(dtype) in "fc" else np.dtype(np.float64)


def count(x: Any, axes: tuple, where: Any, dtype: np.dtype) -> Any:
    """How many elements are included, in a form that divides sums."""
    if where is Unset or where is True:
        shape = shape_of(x)
        return float(math.prod([shape[i] for i in axes]))
    included = broadcast_to(truth(where), shape_of(x))
    return reduce_sum(convert(included, dtype), axes)


@numpy_function(np.mean)
def mean(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: Any = None,
    keepdims: Any = Unset,
    *,
    where: Any = Unset,
) -> Any:
    """Arithmetic mean along `axis`; arguments as in `sum`. Half precision is added up in float32."""
    a = as_array(a)
    dtype = mean_dtype(a.dtype) if dtype is None else np.dtype(dtype)
    axes = normalize_axes("mean", axis, ndim_of(a))
    wide_dtype = accumulator(dtype)
    wide = masked(convert(a, wide_dtype), where, 0)
    total = REDUCE_SUM(wide, axes=axes) if axes else wide
    result = convert(divide(total, count(a, axes, where, wide_dtype)), dtype)
    return finish("mean", out, result, a, axes, keepdims)
