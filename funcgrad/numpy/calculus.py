"""Functions given by samples: interpolation, slopes, integrals, convolution."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.ir.types import is_complex, is_inexact, real_dtype
from funcgrad.numpy.joining import concatenate
from funcgrad.numpy.rearranging import along
from funcgrad.numpy.reductions import sum as sum_of
from funcgrad.numpy.register import numpy_function
from funcgrad.numpy.searching import searchsorted
from funcgrad.numpy.shape import axis_tuple, normalize_axis, reshape
from funcgrad.ops.arithmetic import add, divide, multiply, subtract
from funcgrad.ops.cast import convert
from funcgrad.ops.compare import equal, greater, less
from funcgrad.ops.complex import conjugate
from funcgrad.ops.convolution import convolve as convolve_windows
from funcgrad.ops.extrema import clip
from funcgrad.ops.index import getitem
from funcgrad.ops.operands import ndim_of, shape_of
from funcgrad.ops.products import promoted_arrays
from funcgrad.ops.rounding import remainder
from funcgrad.ops.select import select
from funcgrad.ops.sequences import as_array
from funcgrad.ops.sliding import Sliding
from funcgrad.ops.sort import argsort


def as_floats(*args: Any) -> list[Any]:
    """Arrays of one floating dtype; integers become float64."""
    arrays = promoted_arrays(*args)
    return [x if is_inexact(x.dtype) else convert(x, np.float64) for x in arrays]


@numpy_function(np.interp)
def interp(
    x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None, period: Any = None
) -> Any:
    """Piecewise linear interpolation of the points `(xp, fp)`.

    Args:
        x: where to evaluate.
        xp: increasing vector of positions.
        fp: vector of values.
        left, right: results outside the range; the first and last value by default.
        period: makes `xp` periodic, and `left` and `right` unused.

    Returns:
        float64, as in NumPy whatever the arguments are, or complex128.

    Example:
        >>> import funcgrad.numpy as fnp
        >>> float(fnp.interp(2.5, [1.0, 2.0, 3.0], [3.0, 2.0, 0.0]))
        1.0
    """
    x, xp, fp = as_array(x), as_array(xp), as_array(fp)
    if ndim_of(xp) != 1 or shape_of(xp) != shape_of(fp) or not shape_of(xp)[0]:
        raise ValueError(
            f"[interp] xp and fp must be vectors of one length, at least 1, but got {shape_of(xp)} and "
            f"{shape_of(fp)}."
        )
    if is_complex(x.dtype) or is_complex(xp.dtype):
        raise TypeError(f"[interp] x and xp must be real, but are {x.dtype} and {xp.dtype}.")
    x, xp = convert(x, np.float64), convert(xp, np.float64)
    fp = convert(fp, np.complex128 if is_complex(fp.dtype) else np.float64)
    if period is not None:
        x, xp, fp = wrap_period(x, xp, fp, period)
        left = right = None
    return interpolate(
        x, xp, fp, fp[0] if left is None else left, fp[-1] if right is None else right
    )


def wrap_period(x: Any, xp: Any, fp: Any, period: Any) -> tuple[Any, Any, Any]:
    """Positions within one period, with one point added on either side."""
    if not isinstance(period, int | float) or period == 0:
        raise ValueError(f"[interp] period must be a number other than 0, but got {period!r}.")
    period = abs(period)
    x, xp = remainder(x, period), remainder(xp, period)
    order = argsort(xp)
    xp, fp = getitem(xp, order), getitem(fp, order)
    xp = concatenate([xp[-1:] - period, xp, xp[:1] + period])
    return x, xp, concatenate([fp[-1:], fp, fp[:1]])


def interpolate(x: Any, xp: Any, fp: Any, left: Any, right: Any) -> Any:
    last = shape_of(xp)[0] - 1
    if last == 0:
        inside = add(fp[0], multiply(x, 0.0))
    else:
        above = clip(searchsorted(xp, x, "right"), 1, last)
        below = subtract(above, 1)
        start, left_value = getitem(xp, below), getitem(fp, below)
        width = subtract(getitem(xp, above), start)
        flat = equal(width, 0.0)
        slope = divide(subtract(getitem(fp, above), left_value), select(flat, 1.0, width))
        inside = add(left_value, multiply(slope, subtract(x, start)))
        inside = select(equal(x, xp[last]), fp[last], inside)
    out = select(less(x, xp[0]), left, inside)
    return select(greater(x, xp[last]), right, out)


@numpy_function(np.trapezoid)
def trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Any:
    """Integral along `axis` by the trapezoid rule.

    Args:
        y: samples.
        x: their positions; `dx` apart by default.
        dx: distance of the samples.
        axis: the axis to integrate along.
    """
    y = as_array(y)
    axis = normalize_axis("trapezoid", axis, ndim_of(y))
    if x is not None:
        x = as_array(x)
        place = 0 if ndim_of(x) == 1 else axis
        dx = subtract(x[along(place, slice(1, None))], x[along(place, slice(None, -1))])
        if ndim_of(x) == 1:
            dx = reshape(dx, tuple(-1 if i == axis else 1 for i in range(ndim_of(y))))
    pairs = add(y[along(axis, slice(1, None))], y[along(axis, slice(None, -1))])
    return sum_of(multiply(dx, divide(pairs, 2.0)), axis)


@numpy_function(np.gradient)
def gradient(f: Any, *varargs: Any, axis: Any = None, edge_order: int = 1) -> Any:
    """Slopes by central differences inside and one-sided differences at the edges.

    Args:
        f: samples on a grid.
        varargs: one distance for all axes, or one distance or vector of positions per axis.
        axis: axes to differentiate along; all by default.
        edge_order: 1 or 2, the order of the differences at the edges.

    Returns:
        One array for one axis, else a tuple with one array per axis.
    """
    f = as_array(f)
    f = f if is_inexact(f.dtype) else convert(f, np.float64)
    wanted = range(ndim_of(f)) if axis is None else axis_tuple(axis)
    axes = [normalize_axis("gradient", place, ndim_of(f)) for place in wanted]
    spacings = list(varargs) or [1.0]
    spacings = spacings * len(axes) if len(spacings) == 1 else spacings
    if len(spacings) != len(axes):
        raise TypeError(f"[gradient] got {len(varargs)} distances for {len(axes)} axes.")
    slopes = [
        slope_along(f, axis, spacing, edge_order)
        for axis, spacing in zip(axes, spacings, strict=True)
    ]
    return slopes[0] if len(slopes) == 1 else tuple(slopes)


def slope_along(f: Any, axis: int, spacing: Any, edge_order: int) -> Any:
    length = shape_of(f)[axis]
    if edge_order not in (1, 2) or length < edge_order + 1:
        raise ValueError(
            f"[gradient] axis {axis} has {length} samples, but edge_order={edge_order} needs at least "
            f"{edge_order + 1}; edge_order is 1 or 2."
        )
    gaps = spacing_column(spacing, axis, f)
    first, last = slice(None, -1), slice(1, None)
    steps = divide(subtract(f[along(axis, last)], f[along(axis, first)]), gaps)
    left, right = steps[along(axis, first)], steps[along(axis, last)]
    if ndim_of(gaps):
        before, after = gaps[along(axis, first)], gaps[along(axis, last)]
        inner = divide(add(multiply(left, after), multiply(right, before)), add(before, after))
    else:
        before = after = gaps
        inner = divide(add(left, right), 2.0)
    ends = [steps[along(axis, slice(0, 1))], steps[along(axis, slice(-1, None))]]
    if edge_order == 2:
        ends = [
            extrapolated(left, right, before, after, axis, slice(0, 1), True),
            extrapolated(left, right, before, after, axis, slice(-1, None), False),
        ]
    return convert(concatenate([ends[0], inner, ends[1]], axis), f.dtype)


def spacing_column(spacing: Any, axis: int, f: Any) -> Any:
    """Distances of neighbours: a number, or an array that lies along `axis`."""
    spacing = as_array(spacing)
    if not ndim_of(spacing):
        return convert(spacing, real_dtype(f.dtype))
    if shape_of(spacing) != (shape_of(f)[axis],):
        raise ValueError(
            f"[gradient] positions of shape {shape_of(spacing)} do not fit axis {axis} of {shape_of(f)}."
        )
    gaps = subtract(spacing[1:], spacing[:-1])
    return reshape(gaps, tuple(-1 if i == axis else 1 for i in range(ndim_of(f))))


def extrapolated(
    left: Any, right: Any, before: Any, after: Any, axis: int, edge: slice, at_start: bool
) -> Any:
    """The slope at an edge from the two steps beside it, exact for parabolas."""
    near, far = (left, right) if at_start else (right, left)
    near_gap, far_gap = (before, after) if at_start else (after, before)
    if ndim_of(before):
        near_gap, far_gap = near_gap[along(axis, edge)], far_gap[along(axis, edge)]
    near, far = near[along(axis, edge)], far[along(axis, edge)]
    weight = divide(near_gap, add(near_gap, far_gap))
    return add(near, multiply(weight, subtract(near, far)))


def sliding(a: Any, v: Any, mode: str) -> Any:
    """Dot products of the vector `v` with all windows of `a`, for `len(a) >= len(v)`."""
    m = shape_of(v)[0]
    low, high = {"full": (m - 1, m - 1), "same": (m // 2, (m - 1) // 2), "valid": (0, 0)}[mode]
    return convolve_windows(a, v, ("0", "0", "0"), (Sliding(m, low=low, high=high),))


def check_vectors(name: str, a: Any, v: Any, mode: str) -> None:
    if ndim_of(a) != 1 or ndim_of(v) != 1 or not shape_of(a)[0] or not shape_of(v)[0]:
        raise ValueError(
            f"[{name}] needs two vectors that are not empty, but got {shape_of(a)} and {shape_of(v)}."
        )
    if mode not in ("full", "same", "valid"):
        raise ValueError(f'[{name}] mode is "full", "same" or "valid", but got {mode!r}.')


@numpy_function(np.convolve)
def convolve(a: Any, v: Any, mode: str = "full") -> Any:
    """Convolution of two vectors.

    Args:
        a, v: vectors.
        mode: "full" for every overlap, "same" for the length of the longer, "valid" for whole overlaps.

    Example:
        >>> import funcgrad.numpy as fnp
        >>> fnp.convolve([1, 2, 3], [0, 1])
        array([0, 1, 2, 3])
    """
    a, v = promoted_arrays(a, v)
    a, v = (reshape(x, (1,)) if not ndim_of(x) else x for x in (a, v))
    check_vectors("convolve", a, v, mode)
    if shape_of(v)[0] > shape_of(a)[0]:
        a, v = v, a
    return sliding(a, v[::-1], mode)


@numpy_function(np.correlate)
def correlate(a: Any, v: Any, mode: str = "valid") -> Any:
    """Correlation of two vectors: sums of `a[k + n] * conj(v[n])`; modes as in `convolve`."""
    a, v = promoted_arrays(a, v)
    check_vectors("correlate", a, v, mode)
    v = conjugate(v)
    if shape_of(v)[0] <= shape_of(a)[0]:
        return sliding(a, v, mode)
    # With the longer vector second, the windows run the other way.
    return sliding(v, a, mode)[::-1]
