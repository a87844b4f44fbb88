"""Order statistics: median, percentile and quantile, with and without NaN."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.ir.tracer import Tracer
from funcgrad.ir.types import is_inexact, real_dtype
from funcgrad.numpy.reductions import finish, mean_dtype
from funcgrad.numpy.register import numpy_function
from funcgrad.numpy.shape import moveaxis, reshape
from funcgrad.ops.arithmetic import add, divide, multiply, subtract
from funcgrad.ops.cast import convert
from funcgrad.ops.compare import equal, isinf, isnan, logical_and, logical_not
from funcgrad.ops.extrema import clip
from funcgrad.ops.gather import gather_along
from funcgrad.ops.operands import ndim_of, shape_of
from funcgrad.ops.reduce import normalize_axes, reduce_sum
from funcgrad.ops.rounding import ceil, floor, remainder, rint
from funcgrad.ops.select import select
from funcgrad.ops.sequences import as_array
from funcgrad.ops.shape import broadcast_to
from funcgrad.ops.sort import sort

# Hyndman and Fan (1996), "Sample quantiles in statistical packages": alpha and beta of methods 4 to 9.
PLOTTING_POSITIONS = {
    "linear": (1.0, 1.0),
    "interpolated_inverted_cdf": (0.0, 1.0),
    "hazen": (0.5, 0.5),
    "weibull": (0.0, 0.0),
    "median_unbiased": (1 / 3, 1 / 3),
    "normal_unbiased": (3 / 8, 3 / 8),
}
# Methods that choose an element: the position of that element, counted from 0, for `n` elements.
CHOICES = {
    "lower": lambda n, q: floor(multiply(subtract(n, 1.0), q)),
    "higher": lambda n, q: ceil(multiply(subtract(n, 1.0), q)),
    "nearest": lambda n, q: rint(multiply(subtract(n, 1.0), q)),
    "inverted_cdf": lambda n, q: subtract(ceil(multiply(n, q)), 1.0),
    "closest_observation": lambda n, q: closest(subtract(multiply(n, q), 1.5)),
}


def closest(position: Any) -> Any:
    """The next position, or the one below an odd one that is met exactly."""
    below = floor(position)
    met = logical_and(equal(position, below), equal(remainder(below, 2.0), 1.0))
    return select(met, below, add(below, 1.0))


def position_of(method: str, n: Any, q: Any) -> Any:
    """The position of a quantile between the sorted elements."""
    if method in PLOTTING_POSITIONS:
        alpha, beta = PLOTTING_POSITIONS[method]
        shift = add(multiply(q, 1.0 - alpha - beta), alpha)
        return subtract(add(multiply(n, q), shift), 1.0)
    if method == "midpoint":
        exact = multiply(subtract(n, 1.0), q)
        return multiply(add(floor(exact), ceil(exact)), 0.5)
    if method == "averaged_inverted_cdf":
        exact = subtract(multiply(n, q), 1.0)
        below = floor(exact)
        return add(below, select(equal(exact, below), 0.5, 1.0))
    known = ", ".join(sorted((*PLOTTING_POSITIONS, *CHOICES, "midpoint", "averaged_inverted_cdf")))
    raise ValueError(f"[quantile] unknown method {method!r}. Use one of {known}.")


def take_sorted(rows: Any, position: Any) -> Any:
    """Elements of sorted rows at whole positions, which form the last axes of the result."""
    index = convert(position, np.int64)
    if not isinstance(index, Tracer) and index.ndim == 1:
        return rows[..., index]
    return gather_along(rows, index, ndim_of(rows) - 1)


def element_quantiles(rows: Any, n: Any, q: Any, method: str) -> Any:
    """Quantiles of rows sorted along the last axis, of which the first `n` elements count."""
    last = select(n > 0, subtract(n, 1.0), 0.0) if hasattr(n, "shape") else max(n - 1.0, 0.0)
    if method in CHOICES:
        return take_sorted(rows, clip(CHOICES[method](n, q), 0.0, last))
    position = clip(position_of(method, n, q), 0.0, last)
    below = floor(position)
    low = take_sorted(rows, below)
    high = take_sorted(rows, ceil(position))
    dtype = np.promote_types(mean_dtype(low.dtype), q.dtype)
    fraction = convert(subtract(position, below), dtype)
    low, high = convert(low, dtype), convert(high, dtype)
    same = logical_and(isinf(low), equal(low, high))
    gap = subtract(select(same, 0, high), select(same, 0, low))  # 0.0 would widen bfloat16
    return add(low, multiply(gap, fraction))


def quantiles(
    name: str, a: Any, q: Any, axis: Any, out: Any, method: str, keepdims: Any, skip_nan: bool
) -> Any:
    """The shared body of the functions below; `q` is between 0 and 1."""
    a = as_array(a)
    if a.dtype.kind == "c" and name not in ("median", "nanmedian"):
        raise TypeError(f"[{name}] needs an array of real numbers, but got {a.dtype}.")
    q = as_fractions(a, q)
    if not isinstance(q, Tracer) and not ((q >= 0) & (q <= 1)).all():
        raise ValueError(f"[{name}] quantiles must be in the range 0 to 1 (percentiles 0 to 100).")
    axes = normalize_axes(name, axis, ndim_of(a))
    kept = tuple(i for i in range(ndim_of(a)) if i not in axes)
    rest = tuple(shape_of(a)[i] for i in kept)
    rows = moveaxis(a, kept, range(len(kept)))
    length = int(np.prod([shape_of(a)[i] for i in axes], dtype=np.int64))
    rows = sort(reshape(rows, (*rest, length)))
    points = reshape(q, -1)
    result = row_quantiles(rows, points, method, skip_nan)
    result = moveaxis(result, -1, 0)
    if keepdims is True:
        rest = tuple(1 if i in axes else n for i, n in enumerate(shape_of(a)))
    result = reshape(result, (*shape_of(q), *rest))
    return finish(name, out, result, a, axes, False)


def row_quantiles(rows: Any, points: Any, method: str, skip_nan: bool) -> Any:
    """One quantile per point for each sorted row; NaN, sorted last, decides a row or is left out."""
    length = shape_of(rows)[-1]
    if length == 0:
        return broadcast_to(
            np.asarray(np.nan, mean_dtype(rows.dtype)), (*shape_of(rows)[:-1], len(points))
        )
    if not is_inexact(rows.dtype):
        return element_quantiles(rows, float(length), points, method)
    if skip_nan:
        present = convert(logical_not(isnan(rows)), points.dtype)
        n = reduce_sum(present, ndim_of(rows) - 1)
        return element_quantiles(rows, reshape(n, (*shape_of(n), 1)), points, method)
    result = element_quantiles(rows, float(length), points, method)
    return select(isnan(rows[..., -1:]), np.asarray(np.nan, result.dtype), result)


def refuse_weights(name: str, weights: Any) -> None:
    if weights is not None:
        raise TypeError(
            f"[{name}] weights= is not supported on traced values; use average(), or repeat()."
        )


@numpy_function(np.quantile)
def quantile(
    a: Any,
    q: Any,
    axis: Any = None,
    out: Any = None,
    overwrite_input: bool = False,
    method: str = "linear",
    keepdims: bool = False,
    *,
    weights: Any = None,
) -> Any:
    """The values below which the fractions `q` of the elements lie.

    Args:
        a: array.
        q: number or array between 0 and 1; its axes come first in the result.
        axis: int, tuple of ints, or None for all.
        out: array to write into, traced itself.
        overwrite_input: accepted as in NumPy; the input is never changed.
        method: how to read between two elements, one of the thirteen of NumPy.
        keepdims: keep reduced axes with length 1.
        weights: not supported on traced values.

    Example:
        >>> import funcgrad.numpy as fnp
        >>> float(fnp.quantile(fnp.arange(5), 0.25))
        1.0
    """
    del overwrite_input
    refuse_weights("quantile", weights)
    return quantiles("quantile", a, q, axis, out, method, keepdims, False)


@numpy_function(np.percentile)
def percentile(
    a: Any,
    q: Any,
    axis: Any = None,
    out: Any = None,
    overwrite_input: bool = False,
    method: str = "linear",
    keepdims: bool = False,
    *,
    weights: Any = None,
) -> Any:
    """Like `quantile`, with `q` between 0 and 100."""
    del overwrite_input
    refuse_weights("percentile", weights)
    return quantiles("percentile", a, hundredth(a, q), axis, out, method, keepdims, False)


def as_fractions(a: Any, q: Any) -> Any:
    """`q` in the dtype of NumPy's computation: a number adopts that of `a`, an array takes part in promotion."""
    a, q = as_array(a), as_array(q)
    dtype = real_dtype(a.dtype) if is_inexact(a.dtype) else np.dtype(np.float64)
    if ndim_of(q):
        other = q.dtype if is_inexact(q.dtype) or dtype.kind == "f" else np.dtype(np.float64)
        dtype = np.promote_types(dtype, other)
    return q.astype(dtype) if isinstance(q, np.ndarray | np.generic) else convert(q, dtype)


def hundredth(a: Any, q: Any) -> Any:
    q = as_fractions(a, q)
    # A known number stays known, so that its range can be checked.
    return divide(q, 100.0) if isinstance(q, Tracer) else np.asarray(q / 100.0, q.dtype)


@numpy_function(np.median)
def median(
    a: Any, axis: Any = None, out: Any = None, overwrite_input: bool = False, keepdims: bool = False
) -> Any:
    """The middle element along `axis`, or the mean of the two in the middle."""
    del overwrite_input
    return quantiles("median", a, 0.5, axis, out, "linear", keepdims, False)


@numpy_function(np.nanquantile)
def nanquantile(
    a: Any,
    q: Any,
    axis: Any = None,
    out: Any = None,
    overwrite_input: bool = False,
    method: str = "linear",
    keepdims: bool = False,
    *,
    weights: Any = None,
) -> Any:
    """Like `quantile`, leaving out NaN."""
    del overwrite_input
    refuse_weights("nanquantile", weights)
    return quantiles("nanquantile", a, q, axis, out, method, keepdims, True)


@numpy_function(np.nanpercentile)
def nanpercentile(
    a: Any,
    q: Any,
    axis: Any = None,
    out: Any = None,
    overwrite_input: bool = False,
    method: str = "linear",
    keepdims: bool = False,
    *,
    weights: Any = None,
) -> Any:
    """Like `percentile`, leaving out NaN."""
    del overwrite_input
    refuse_weights("nanpercentile", weights)
    return quantiles("nanpercentile", a, hundredth(a, q), axis, out, method, keepdims, True)


@numpy_function(np.nanmedian)
def nanmedian(
    a: Any, axis: Any = None, out: Any = None, overwrite_input: bool = False, keepdims: bool = False
) -> Any:
    """Like `median`, leaving out NaN."""
    del overwrite_input
    return quantiles("nanmedian", a, 0.5, axis, out, "linear", keepdims, True)
