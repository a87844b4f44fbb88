"""`pad` in all its modes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from funcgrad.numpy.grids import numpy_linspace
from funcgrad.numpy.joining import concatenate
from funcgrad.numpy.quantiles import median
from funcgrad.numpy.rearranging import along
from funcgrad.numpy.reductions import max as largest, mean, min as smallest
from funcgrad.numpy.register import numpy_function
from funcgrad.ops.cast import convert
from funcgrad.ops.operands import ndim_of, shape_of
from funcgrad.ops.rounding import rint
from funcgrad.ops.sequences import as_array
from funcgrad.ops.shape import broadcast_to

# Modes in which every new element is a copy of one old element.
BY_INDEX = ("edge", "wrap", "reflect", "symmetric")
STATISTICS: dict[str, Callable[..., Any]] = {
    "maximum": largest,
    "minimum": smallest,
    "mean": mean,
    "median": median,
}


@numpy_function(np.pad)
def pad(array: Any, pad_width: Any, mode: Any = "constant", **options: Any) -> Any:
    """`array` with new elements around it.

    Args:
        array: array.
        pad_width: how many elements before and after: int, (before, after), one pair per axis, or a
            dict from axis to either.
        mode: "constant", "edge", "reflect", "symmetric", "wrap", "linear_ramp", "maximum", "minimum",
            "mean", "median", or "empty" (zeros).
        options: `constant_values`, `end_values`, `stat_length`, `reflect_type`, as in NumPy.

    Example:
        >>> import funcgrad.numpy as fnp
        >>> fnp.pad(fnp.arange(3), 1, mode="reflect")
        array([1, 0, 1, 2, 1])
    """
    array = as_array(array)
    widths = pad_widths(pad_width, ndim_of(array))
    if (widths < 0).any():
        raise ValueError(f"[pad] pad_width = {pad_width}, but widths are at least 0.")
    extend = extension(mode, options)
    for axis, (before, after) in enumerate(widths.tolist()):
        if before or after:
            array = extend(array, axis, before, after)
    return array


def pad_widths(pad_width: Any, rank: int) -> np.ndarray:
    if isinstance(pad_width, dict):
        widths = np.zeros((rank, 2), np.int64)
        for axis, width in pad_width.items():
            widths[axis] = width
        return widths
    return np.broadcast_to(np.asarray(pad_width), (rank, 2)).astype(np.int64)


def extension(mode: Any, options: dict) -> Callable[[Any, int, int, int], Any]:
    """The function that pads one axis."""
    if mode in BY_INDEX:
        if options.get("reflect_type", "even") != "even":
            raise TypeError(
                '[pad] reflect_type="odd" is not supported; write 2 * x[:1] - np.flip(x[1 : n + 1]).'
            )
        return lambda x, axis, before, after: by_index(x, axis, before, after, mode)
    if mode in STATISTICS:
        lengths = options.get("stat_length")
        return lambda x, axis, *widths: by_statistic(x, axis, widths, STATISTICS[mode], lengths)
    if mode in ("constant", "empty", "linear_ramp"):
        values = options.get("constant_values", options.get("end_values", 0))
        join = ramp if mode == "linear_ramp" else constant
        return lambda x, axis, *widths: join(x, axis, widths, values)
    raise ValueError(
        f"[pad] unknown mode {mode!r}. Use constant, edge, reflect, symmetric, wrap, linear_ramp, maximum, "
        "minimum, mean, median or empty."
    )


def by_index(x: Any, axis: int, before: int, after: int, mode: Any) -> Any:
    """New elements are copies: of slices, if no element is copied twice on one side."""
    if 0 < max(before, after) <= shape_of(x)[axis] - (mode == "reflect"):
        return attach(x, axis, *neighbours(x, axis, before, after, mode))
    order = np.pad(np.arange(shape_of(x)[axis]), (before, after), mode)
    return x[along(axis, order)]


def neighbours(x: Any, axis: int, before: int, after: int, mode: Any) -> tuple[Any, Any]:
    """What stands before and behind an axis, made of the slices that it copies."""
    n, skipped = shape_of(x)[axis], int(mode == "reflect")

    def part(start: int, stop: int) -> Any:
        return x[along(axis, slice(start, stop))]

    if mode == "edge":
        first, last = part(0, 1), part(n - 1, n)
        return (
            broadcast_to(first, resized(x, axis, before)),
            broadcast_to(last, resized(x, axis, after)),
        )
    if mode == "wrap":
        return part(n - before, n), part(0, after)
    backward = along(axis, slice(None, None, -1))
    left, right = part(skipped, skipped + before), part(n - skipped - after, n - skipped)
    return left[backward], right[backward]


def both_sides(values: Any, axis: int) -> tuple[Any, Any]:
    """The values before and after one axis, from a scalar, a pair, or a pair per axis."""
    if not hasattr(values, "__len__") or getattr(values, "shape", None) == ():
        return values, values
    if hasattr(values[0], "__len__") and getattr(values[0], "shape", None) != ():
        values = values[axis if len(values) > 1 else 0]
    return values[0], values[-1]


def attach(x: Any, axis: int, left: Any, right: Any) -> Any:
    return concatenate([left, x, right], axis)


def resized(x: Any, axis: int, length: int) -> tuple:
    return (*shape_of(x)[:axis], length, *shape_of(x)[axis + 1 :])


def constant(x: Any, axis: int, widths: Any, values: Any) -> Any:
    sides = [
        broadcast_to(convert(as_array(value), x.dtype), resized(x, axis, width))
        for value, width in zip(both_sides(values, axis), widths, strict=True)
    ]
    return attach(x, axis, *sides)


def ramp(x: Any, axis: int, widths: Any, values: Any) -> Any:
    first, last = both_sides(values, axis)
    before, after = (
        numpy_linspace(end, x[along(axis, edge)], width, endpoint=False, axis=axis, dtype=x.dtype)
        for end, edge, width in zip((first, last), (0, -1), widths, strict=True)
    )
    return attach(x, axis, before, after[along(axis, slice(None, None, -1))])


def by_statistic(x: Any, axis: int, widths: Any, statistic: Any, lengths: Any) -> Any:
    size = shape_of(x)[axis]
    sides = []
    for which, length in enumerate(both_sides(lengths, axis)):
        length = size if length is None else min(length, size)
        part = slice(0, length) if which == 0 else slice(size - length, None)
        value = statistic(x[along(axis, part)], axis, keepdims=True)
        if x.dtype.kind in "iu":
            value = rint(value)
        sides.append(broadcast_to(convert(value, x.dtype), resized(x, axis, widths[which])))
    return attach(x, axis, *sides)
