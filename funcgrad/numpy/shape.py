"""The same elements in another shape or order of axes. The results are views, as in NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.numpy.register import copy_of, numpy_function
from funcgrad.numpy.views import ravel_shares_memory, reshape_shares_memory, view_of
from funcgrad.ops import shape as ops
from funcgrad.ops.operands import broadcast_shapes as joined_shape, ndim_of, shape_of
from funcgrad.ops.reduce import normalize_axes
from funcgrad.ops.sequences import as_array


def as_shape(shape: Any) -> tuple[int, ...]:
    """A shape from an int or a sequence of ints; traced lengths raise our error from `__index__`."""
    if hasattr(shape, "__index__") and not shape_of(shape):
        return (shape.__index__(),)
    return tuple(length.__index__() for length in shape)


def normalize_axis(name: str, axis: Any, rank: int) -> int:
    """A non-negative axis, or AxisError."""
    return normalize_axes(name, axis.__index__(), rank)[0]


def reversed_axes(a: Any) -> tuple[int, ...]:
    return tuple(range(ndim_of(a)))[::-1]


@numpy_function(np.reshape, view=True)
def reshape(a: Any, /, shape: Any, order: str = "C", *, copy: bool | None = None) -> Any:
    """The elements of `a` in another shape; one length may be -1.

    Args:
        a: array.
        shape: int or tuple of ints.
        order: "C", "F" or "A", the order in which elements are read and placed.
        copy: True for a result that shares no memory with `a`.

    Example:
        >>> import funcgrad.numpy as fnp
        >>> fnp.reshape(fnp.arange(6), (2, -1))
        array([[0, 1, 2],
               [3, 4, 5]])
    """
    a = as_array(a)
    shape = as_shape(shape)
    found = shape_of(a)
    place = columns_first if order == "F" else ops.reshape
    if not reshape_shares_memory(a, shape, order):
        return copy_of(place(a, shape))
    out = view_of(a, lambda x: place(x, shape), lambda _, new: place(new, found))
    return copy_of(out) if copy else out


def columns_first(a: Any, shape: tuple[int, ...]) -> Any:
    """Reshape with the first axis running fastest (Fortran order)."""
    return ops.transpose(ops.reshape(ops.transpose(a), shape[::-1]))


@numpy_function(np.ravel, view=True)
def ravel(a: Any, order: str = "C") -> Any:
    """All elements along one axis."""
    return reshape(a, -1, order, copy=not ravel_shares_memory(a, order))


def flat_view(a: Any) -> Any:
    """All elements along one axis, as a view also where `ravel` copies: the `flat` of an array."""
    found = shape_of(a)
    return view_of(a, lambda x: ops.reshape(x, (-1,)), lambda _, new: ops.reshape(new, found))


@numpy_function(np.transpose, view=True)
def transpose(a: Any, axes: Any = None) -> Any:
    """`a` with its axes in another order, reversed by default.

    Args:
        a: array.
        axes: permutation of the axes.

    Example:
        >>> import funcgrad.numpy as fnp
        >>> fnp.transpose(fnp.zeros((2, 3, 4)), (1, 0, 2)).shape
        (3, 2, 4)
    """
    a = as_array(a)
    order = reversed_axes(a) if axes is None else tuple(axis % max(ndim_of(a), 1) for axis in axes)
    inverse = tuple(np.argsort(order).tolist())
    return view_of(a, lambda x: ops.transpose(x, order), lambda _, new: ops.transpose(new, inverse))


permute_dims = transpose


@numpy_function(np.matrix_transpose, view=True)
def matrix_transpose(x: Any, /) -> Any:
    """`x` with its last two axes exchanged."""
    if ndim_of(x) < 2:
        raise ValueError(
            f"[matrix_transpose] needs at least 2 axes, but got shape {shape_of(x)}. Use x[:, None]."
        )
    return swapaxes(x, -1, -2)


@numpy_function(np.swapaxes, view=True)
def swapaxes(a: Any, axis1: int, axis2: int) -> Any:
    """`a` with two axes exchanged."""
    a = as_array(a)
    order = list(range(ndim_of(a)))
    first = normalize_axis("swapaxes", axis1, len(order))
    second = normalize_axis("swapaxes", axis2, len(order))
    order[first], order[second] = order[second], order[first]
    return transpose(a, order)


def axis_tuple(axis: Any) -> tuple:
    return (axis,) if isinstance(axis, int | np.integer) else tuple(axis)


@numpy_function(np.moveaxis, view=True)
def moveaxis(a: Any, source: Any, destination: Any) -> Any:
    """Move axes to other places; the others keep their order."""
    a = as_array(a)
    rank = ndim_of(a)
    origins = [normalize_axis("moveaxis", axis, rank) for axis in axis_tuple(source)]
    targets = [normalize_axis("moveaxis", axis, rank) for axis in axis_tuple(destination)]
    if len(origins) != len(targets) or len(set(origins)) + len(set(targets)) != 2 * len(origins):
        raise ValueError(
            f"[moveaxis] source {source} and destination {destination} must have the same number of "
            "different axes."
        )
    order = [axis for axis in range(rank) if axis not in origins]
    for target, origin in sorted(zip(targets, origins, strict=True)):
        order.insert(target, origin)
    return transpose(a, order)


@numpy_function(np.rollaxis, view=True)
def rollaxis(a: Any, axis: int, start: int = 0) -> Any:
    """Move `axis` backwards until it lies before `start`."""
    rank = ndim_of(a)
    axis = normalize_axis("rollaxis", axis, rank)
    start = start + rank if start < 0 else start
    return moveaxis(a, axis, start - (axis < start))


@numpy_function(np.squeeze, view=True)
def squeeze(a: Any, axis: Any = None) -> Any:
    """`a` without axes of length 1 (all of them, or those named)."""
    a = as_array(a)
    shape = shape_of(a)
    if axis is None:
        axes = tuple(i for i, length in enumerate(shape) if length == 1)
    else:
        axes = normalize_axes("squeeze", axis, len(shape))
    if any(shape[i] != 1 for i in axes):
        raise ValueError(
            f"[squeeze] cannot drop axis {axis} of shape {shape}: only axes of length 1 can go. "
            "Use x[0] or x.sum(axis) for others."
        )
    return reshape(a, tuple(length for i, length in enumerate(shape) if i not in axes))


@numpy_function(np.expand_dims, view=True)
def expand_dims(a: Any, axis: Any) -> Any:
    """`a` with new axes of length 1 at the named places of the result."""
    a = as_array(a)
    places = axis_tuple(axis)
    rank = ndim_of(a) + len(places)
    new = normalize_axes("expand_dims", places, rank)
    lengths = iter(shape_of(a))
    return reshape(a, tuple(1 if i in new else next(lengths) for i in range(rank)))


@numpy_function(np.broadcast_to, view=True)
def broadcast_to(array: Any, shape: Any, subok: bool = False) -> Any:
    """Stretch axes of length 1 so that `array` has `shape`."""
    del subok
    shape = as_shape(shape)
    return view_of(as_array(array), lambda x: ops.broadcast_to(x, shape))


@numpy_function(np.broadcast_arrays, view=True)
def broadcast_arrays(*args: Any, subok: bool = False) -> tuple:
    """All arrays stretched to their common shape."""
    del subok
    arrays = [as_array(arg) for arg in args]
    shape = joined_shape("broadcast_arrays", [shape_of(array) for array in arrays])
    return tuple(broadcast_to(array, shape) for array in arrays)


def broadcast_shapes(*args: Any) -> tuple[int, ...]:
    """The shape that arrays of these shapes broadcast to."""
    return np.broadcast_shapes(*args)


def apply_to_each(function: Any, arrays: tuple) -> Any:
    """Apply `function` to each array; one result for one array, else a tuple."""
    out = tuple(function(as_array(array)) for array in arrays)
    return out[0] if len(out) == 1 else out


def as_2d(a: Any) -> Any:
    return reshape(a, (*(1,) * (2 - min(ndim_of(a), 2)), *shape_of(a)))


def as_3d(a: Any) -> Any:
    shape = shape_of(a)
    padded = {0: (1, 1, 1), 1: (1, *shape, 1), 2: (*shape, 1)}.get(len(shape), shape)
    return reshape(a, padded)


@numpy_function(np.atleast_1d, view=True)
def atleast_1d(*arys: Any) -> Any:
    """Each argument with at least one axis."""
    return apply_to_each(lambda a: a if shape_of(a) else reshape(a, (1,)), arys)


@numpy_function(np.atleast_2d, view=True)
def atleast_2d(*arys: Any) -> Any:
    """Each argument with at least two axes; new ones come first."""
    return apply_to_each(as_2d, arys)


@numpy_function(np.atleast_3d, view=True)
def atleast_3d(*arys: Any) -> Any:
    """Each argument with at least three axes: (N,) becomes (1, N, 1), (M, N) becomes (M, N, 1)."""
    return apply_to_each(as_3d, arys)


@numpy_function(np.shape)
def shape(a: Any) -> tuple[int, ...]:
    """The lengths of the axes."""
    return shape_of(as_array(a))


@numpy_function(np.ndim)
def ndim(a: Any) -> int:
    """The number of axes."""
    return ndim_of(as_array(a))


@numpy_function(np.size)
def size(a: Any, axis: Any = None) -> int:
    """The number of elements, or the length of an axis."""
    lengths = shape_of(as_array(a))
    axes = normalize_axes("size", axis, len(lengths))
    return int(np.prod([lengths[i] for i in axes], dtype=np.int64))
