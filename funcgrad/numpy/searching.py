"""Finding elements: those that are not zero, extrema, and places in sorted arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from funcgrad.ir.tracer import Tracer
from funcgrad.numpy.options import Order
from funcgrad.numpy.reductions import Unset, given, truth
from funcgrad.numpy.register import numpy_function
from funcgrad.numpy.shape import normalize_axis, ravel, reshape
from funcgrad.numpy.ufunc import write_output
from funcgrad.ops import extremal_reduce, select as ops, sort as sorts
from funcgrad.ops.arithmetic import add, subtract
from funcgrad.ops.cast import convert
from funcgrad.ops.compare import (
    greater,
    isnan,
    less,
    less_equal,
    logical_and,
    logical_not,
    logical_or,
)
from funcgrad.ops.create import full
from funcgrad.ops.index import getitem
from funcgrad.ops.index_key import concrete_mask
from funcgrad.ops.operands import ndim_of, shape_of
from funcgrad.ops.products import promoted_arrays
from funcgrad.ops.reduce import reduce_sum
from funcgrad.ops.rounding import floor_divide
from funcgrad.ops.sequences import as_array


def nonzero(a: Any, *, size: int | None = None, fill_value: Any = None) -> tuple:
    """The positions of elements that are not zero, one index array per axis.

    Args:
        a: array. How many there are decides the shape, so under `jit` and `vmap` give `size`.
        size: number of positions to return; more are cut off, fewer are filled up.
        fill_value: index that fills up, 0 by default, or one per axis.

    Example:
        >>> import funcgrad.numpy as fnp
        >>> fnp.nonzero(fnp.asarray([0, 3, 0, 4]))
        (array([1, 3]),)
    """
    mask = truth(a)
    if size is None:
        return np.nonzero(concrete_mask(mask))
    flat = ravel(mask)
    order = sorts.argsort(logical_not(flat))[:size]
    missing = size - shape_of(order)[0]
    order = order if missing <= 0 else np.pad(order, (0, missing))
    valid = less(np.arange(size), reduce_sum(convert(flat, np.int64)))
    fills = fill_value if isinstance(fill_value, tuple) else (fill_value or 0,) * ndim_of(mask)
    places = unravel_index(order, shape_of(mask))
    return tuple(ops.select(valid, place, fill) for place, fill in zip(places, fills, strict=True))


numpy_function(np.nonzero)(lambda a: nonzero(a))


@numpy_function(np.argwhere)
def argwhere(a: Any) -> Any:
    """The positions of elements that are not zero, as the rows of a matrix."""
    return np.argwhere(concrete_mask(truth(a)))


@numpy_function(np.flatnonzero)
def flatnonzero(a: Any) -> Any:
    """The positions of elements that are not zero in the flattened array."""
    return np.flatnonzero(concrete_mask(truth(a)))


@numpy_function(np.unravel_index)
def unravel_index(indices: Any, shape: Any, order: Order = "C") -> tuple:
    """Positions in a flattened array as one index array per axis."""
    if not isinstance(indices, Tracer):
        return np.unravel_index(indices, shape, order)
    lengths = tuple(shape) if order == "C" else tuple(shape)[::-1]
    places = []
    for length in lengths[::-1]:
        places.append(indices % length)
        indices = floor_divide(indices, length)
    return tuple(places[::-1] if order == "C" else places)


@numpy_function(np.ravel_multi_index)
def ravel_multi_index(multi_index: Any, dims: Any, mode: Any = "raise", order: Order = "C") -> Any:
    """Positions in the flattened array from one index array per axis; "clip" and "wrap" limit them."""
    indices = list(multi_index)
    if not any(isinstance(index, Tracer) for index in indices):
        return np.ravel_multi_index(tuple(indices), dims, mode, order)
    modes = [mode] * len(indices) if isinstance(mode, str) else mode
    if "raise" in modes:
        raise ValueError('[ravel_multi_index] traced indices need mode="clip" or mode="wrap".')
    limited = [
        index % n if how == "wrap" else index.clip(0, n - 1)
        for index, n, how in zip(indices, dims, modes, strict=True)
    ]
    pairs = list(zip(limited, dims, strict=True))
    flat = 0
    for index, n in pairs if order == "C" else pairs[::-1]:
        flat = flat * n + index
    return flat


def position(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """The function `argmax` or `argmin`."""

    def find(a: Any, axis: int | None = None, out: Any = None, *, keepdims: Any = Unset) -> Any:
        a = as_array(a)
        result = function(a, axis)
        if keepdims is not Unset and keepdims:
            shape = shape_of(a)
            kept = normalize_axis(name, axis, len(shape)) if axis is not None else None
            result = reshape(
                result, tuple(1 if kept in (None, i) else n for i, n in enumerate(shape))
            )
        return write_output(name, result, out) if given(out) else result

    find.__name__ = find.__qualname__ = name
    find.__doc__ = (
        f"The index of the {'largest' if name == 'argmax' else 'smallest'} element along `axis`, the first "
        "of several; of a NaN if there is one.\n\nArgs:\n    a: array.\n"
        "    axis: None searches the flattened array.\n    out: array to write into, traced itself.\n"
        "    keepdims: keep the reduced axis with length 1."
    )
    return find


argmax = numpy_function(np.argmax)(position("argmax", extremal_reduce.argmax))


argmin = numpy_function(np.argmin)(position("argmin", extremal_reduce.argmin))


@numpy_function(np.searchsorted)
def searchsorted(a: Any, v: Any, side: str = "left", sorter: Any = None) -> Any:
    """Where `v` would have to be inserted into the sorted vector `a`.

    Args:
        a: sorted vector.
        v: numbers to place.
        side: "left" for the first possible place, "right" for the last.
        sorter: indices that sort `a`, if it is not sorted.
    """
    if side not in ("left", "right"):
        raise ValueError(f'[searchsorted] side is "left" or "right", but got {side!r}.')
    a, v = promoted_arrays(a, v)
    a = a if sorter is None else getitem(a, sorter)
    # Binary search: the answer is the sum of the steps that stay in front of it.
    size = shape_of(a)[0]
    place = full(shape_of(v), 0, np.int64)
    step = 1 << max(size.bit_length() - 1, 0)
    while step and size:
        probe = add(place, step)
        element = getitem(a, np.minimum(probe - 1, size - 1))
        before = comes_before(element, v, side)
        place = ops.select(logical_and(less_equal(probe, size), before), probe, place)
        step >>= 1
    return place


def comes_before(element: Any, v: Any, side: str) -> Any:
    """Whether an element lies before the place of `v`; NaN lies behind all numbers."""
    before = less(element, v) if side == "left" else less_equal(element, v)
    if element.dtype.kind not in "fc":
        return before
    behind = isnan(v) if side == "right" else logical_and(isnan(v), logical_not(isnan(element)))
    return logical_or(before, behind)


@numpy_function(np.digitize)
def digitize(x: Any, bins: Any, right: bool = False) -> Any:
    """The number of the bin of each element, between increasing or decreasing edges.

    Args:
        x: array.
        bins: edges in order.
        right: whether an edge belongs to the bin on its left.
    """
    bins = as_array(bins)
    count = shape_of(bins)[0]

    def among_rising() -> Any:
        return searchsorted(bins, x, "left" if right else "right")

    def among_falling() -> Any:
        return subtract(count, searchsorted(bins[::-1], x, "right" if right else "left"))

    falling = greater(bins[0], bins[-1]) if count else False
    if isinstance(falling, Tracer):
        return ops.select(falling, among_falling(), among_rising())
    return among_falling() if falling else among_rising()
