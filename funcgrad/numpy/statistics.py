"""Variance, averages, covariance and what is built on them."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.ir.types import is_complex, real_dtype
from funcgrad.numpy.products import dot
from funcgrad.numpy.reductions import (
    Unset,
    count,
    finish,
    given,
    masked,
    mean_dtype,
    sum as sum_of,
)
from funcgrad.numpy.register import numpy_function
from funcgrad.numpy.shape import broadcast_to, expand_dims, reshape, transpose
from funcgrad.ops.arithmetic import divide, multiply, subtract
from funcgrad.ops.cast import convert
from funcgrad.ops.compare import equal
from funcgrad.ops.complex import conjugate, real
from funcgrad.ops.extrema import maximum
from funcgrad.ops.operands import ndim_of, shape_of
from funcgrad.ops.pieces import concatenate
from funcgrad.ops.power import sqrt, square
from funcgrad.ops.reduce import accumulator, keep_axes, normalize_axes, reduce_sum
from funcgrad.ops.select import select
from funcgrad.ops.sequences import as_array


def squared_size(x: Any) -> Any:
    """`|x|**2`, real also for complex `x`."""
    return real(multiply(x, conjugate(x))) if is_complex(x.dtype) else square(x)


def degrees_of_freedom(ddof: Any, correction: Any) -> Any:
    """`correction` is the array API's name for `ddof`."""
    if correction is Unset:
        return ddof
    if ddof != 0:
        raise ValueError("[var] ddof and correction are the same number: give one of them.")
    return correction


def spread(
    name: str, a: Any, axis: Any, dtype: Any, ddof: Any, where: Any, mean: Any
) -> tuple[Any, Any, tuple, np.dtype]:
    """The variance in wide precision, the operand, its reduced axes, and the dtype of the result."""
    a = as_array(a)
    dtype = mean_dtype(a.dtype) if dtype is None else np.dtype(dtype)
    wide = convert(a, accumulator(dtype))
    axes = normalize_axes(name, axis, ndim_of(a))
    total = count(a, axes, where, real_dtype(wide.dtype))
    if not given(mean):
        mean = divide(reduce_sum(masked(wide, where, 0), axes), total)
        mean = reshape(mean, keep_axes(shape_of(a), axes))
    deviation = squared_size(subtract(wide, mean))
    freedom = total - ddof
    freedom = max(freedom, 0.0) if isinstance(freedom, float) else maximum(freedom, 0.0)
    variance = divide(reduce_sum(masked(deviation, where, 0), axes), freedom)
    return variance, a, axes, real_dtype(dtype)


@numpy_function(np.var)
def var(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: Any = None,
    ddof: Any = 0,
    keepdims: Any = Unset,
    *,
    where: Any = Unset,
    mean: Any = Unset,
    correction: Any = Unset,
) -> Any:
    """Mean squared distance from the mean along `axis`.

    Args:
        a: array; complex elements count with their absolute value.
        axis: int, tuple of ints, or None for all.
        dtype: dtype to compute in; float64 for integers.
        out: array to write into, traced itself.
        ddof, correction: what is subtracted from the number of elements before dividing.
        keepdims: keep reduced axes with length 1.
        where: boolean array of elements to include.
        mean: the mean, with reduced axes kept, if it is known already.

    Example:
        >>> import funcgrad.numpy as fnp
        >>> float(fnp.var(fnp.asarray([1.0, 2.0, 3.0]), ddof=1))
        1.0
    """
    ddof = degrees_of_freedom(ddof, correction)
    variance, a, axes, dtype = spread("var", a, axis, dtype, ddof, where, mean)
    return finish("var", out, convert(variance, dtype), a, axes, keepdims)


@numpy_function(np.std)
def std(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: Any = None,
    ddof: Any = 0,
    keepdims: Any = Unset,
    *,
    where: Any = Unset,
    mean: Any = Unset,
    correction: Any = Unset,
) -> Any:
    """Square root of `var`, with the same arguments. Its derivative for equal elements is 0."""
    ddof = degrees_of_freedom(ddof, correction)
    variance, a, axes, dtype = spread("std", a, axis, dtype, ddof, where, mean)
    return finish("std", out, convert(safe_sqrt(variance), dtype), a, axes, keepdims)


def safe_sqrt(x: Any) -> Any:
    """Square root with derivative 0 at 0, where a norm has its smallest subgradient."""
    is_zero = equal(x, 0.0)
    return select(is_zero, 0.0, sqrt(select(is_zero, 1.0, x)))


@numpy_function(np.average)
def average(
    a: Any, axis: Any = None, weights: Any = None, returned: bool = False, *, keepdims: Any = Unset
) -> Any:
    """Weighted mean along `axis`.

    Args:
        a: array.
        axis: int, tuple of ints, or None for all.
        weights: of the shape of `a`, or of its lengths along `axis`; equal weights by default.
        returned: return also the sum of the weights.
        keepdims: keep reduced axes with length 1.
    """
    a = as_array(a)
    axes = normalize_axes("average", axis, ndim_of(a))
    weights = np.ones((), a.dtype) if weights is None else as_array(weights)
    dtype = mean_dtype(np.result_type(a.dtype, weights.dtype))
    if shape_of(weights) not in ((), shape_of(a)):
        lengths = tuple(shape_of(a)[i] for i in axes)
        if shape_of(weights) != lengths:
            raise ValueError(
                f"[average] weights of shape {shape_of(weights)} fit neither the array, {shape_of(a)}, "
                f"nor its lengths along axis {axis}, {lengths}."
            )
        places = [i for i in range(ndim_of(a)) if i not in axes]
        weights = expand_dims(weights, tuple(places)) if places else weights
    weights = broadcast_to(convert(weights, dtype), shape_of(a))
    total = sum_of(weights, axes, keepdims=keepdims)
    result = divide(sum_of(multiply(convert(a, dtype), weights), axes, keepdims=keepdims), total)
    return (result, total) if returned else result


@numpy_function(np.cov)
def cov(
    m: Any,
    y: Any = None,
    rowvar: bool = True,
    bias: bool = False,
    ddof: Any = None,
    fweights: Any = None,
    aweights: Any = None,
    *,
    dtype: Any = None,
) -> Any:
    """Covariance matrix.

    Args:
        m: one variable per row (per column with `rowvar=False`).
        y: more variables.
        rowvar: whether rows are variables.
        bias: divide by N instead of N - 1.
        ddof: divide by N - ddof.
        fweights, aweights: how often each observation counts; how reliable it is.
        dtype: dtype of the result; at least float64 for integers.
    """
    x = observations(m, rowvar, dtype)
    if y is not None:
        more = observations(y, rowvar, dtype)
        common = np.result_type(x.dtype, more.dtype)
        x = concatenate([convert(x, common), convert(more, common)])
    ddof = (0 if bias else 1) if ddof is None else ddof
    weights = None if fweights is None else convert(as_array(fweights), real_dtype(x.dtype))
    if aweights is not None:
        reliability = convert(as_array(aweights), real_dtype(x.dtype))
        weights = reliability if weights is None else multiply(weights, reliability)
    if weights is None:
        freedom: Any = max(float(shape_of(x)[1] - ddof), 0.0)
        centre = sum_of(x, 1, keepdims=True) / float(shape_of(x)[1])
        weighted = centred = subtract(x, centre)
    else:
        total = sum_of(weights)
        centred = subtract(x, sum_of(multiply(x, weights), 1, keepdims=True) / total)
        weighted = multiply(centred, weights)
        shrink = total if aweights is None else sum_of(multiply(weights, reliability)) / total
        freedom = maximum(total - ddof * (1.0 if aweights is None else shrink), 0.0)
    out = divide(dot(centred, conjugate(transpose(weighted))), freedom)
    return reshape(out, ()) if shape_of(out) == (1, 1) else out


def observations(m: Any, rowvar: bool, dtype: Any) -> Any:
    """A matrix with one variable per row."""
    m = as_array(m)
    if ndim_of(m) > 2:
        raise ValueError(f"[cov] needs 1 or 2 axes, but got shape {shape_of(m)}.")
    m = convert(m, np.result_type(m.dtype, np.float64) if dtype is None else dtype)
    if ndim_of(m) < 2:
        return reshape(m, (1, -1))
    return m if rowvar else transpose(m)


@numpy_function(np.corrcoef)
def corrcoef(x: Any, y: Any = None, rowvar: bool = True, *, dtype: Any = None) -> Any:
    """Correlation coefficients: the covariance matrix scaled to a unit diagonal."""
    c = cov(x, y, rowvar, dtype=dtype)
    if ndim_of(c) == 0:
        return divide(c, c)
    size = sqrt(real(c.diagonal()))
    return clipped(divide(divide(c, size[:, None]), size[None, :]))


def clipped(c: Any) -> Any:
    """Rounding may leave coefficients a little outside of -1 to 1."""
    return c if is_complex(c.dtype) else maximum(-1.0, minimum_of_one(c))


def minimum_of_one(c: Any) -> Any:
    return select(c > 1.0, 1.0, c)
