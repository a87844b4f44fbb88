"""Elements repeated, turned round, shifted or surrounded."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.numpy.joining import concatenate
from funcgrad.numpy.register import copy_of, numpy_function
from funcgrad.numpy.shape import as_shape, axis_tuple, normalize_axis, ravel, reshape, transpose
from funcgrad.numpy.views import view_of
from funcgrad.ops.operands import ndim_of, shape_of
from funcgrad.ops.reduce import normalize_axes
from funcgrad.ops.sequences import as_array
from funcgrad.ops.shape import broadcast_to


def along(axis: int, entry: Any) -> tuple:
    """An index that applies `entry` to one axis."""
    return (*(slice(None),) * axis, entry)


def reverse(m: Any, axes: tuple[int, ...]) -> Any:
    if not axes:
        return m
    return m[tuple(slice(None, None, -1 if i in axes else 1) for i in range(max(axes) + 1))]


@numpy_function(np.flip, view=True)
def flip(m: Any, axis: Any = None) -> Any:
    """The elements in reverse order along the axes (all by default)."""
    m = as_array(m)
    axes = normalize_axes("flip", axis, ndim_of(m))
    return view_of(m, lambda x: reverse(x, axes), lambda _, new: reverse(new, axes))


@numpy_function(np.fliplr, view=True)
def fliplr(m: Any) -> Any:
    """The columns in reverse order."""
    return flip(m, 1)


@numpy_function(np.flipud, view=True)
def flipud(m: Any) -> Any:
    """The rows in reverse order."""
    return flip(m, 0)


@numpy_function(np.rot90, view=True)
def rot90(m: Any, k: int = 1, axes: tuple[int, int] = (0, 1)) -> Any:
    """Turn by 90 degrees `k` times, from the first of `axes` towards the second."""
    m = as_array(m)
    first, second = (normalize_axis("rot90", axis, ndim_of(m)) for axis in axes)
    if first == second:
        raise ValueError(f"[rot90] axes = {axes} must be two different axes.")
    order = list(range(ndim_of(m)))
    order[first], order[second] = second, first
    turns = k % 4
    if turns == 2:
        return flip(m, (first, second))
    if turns == 1:
        return transpose(flip(m, second), order)
    return flip(transpose(m, order), second) if turns == 3 else flip(m, ())


@numpy_function(np.roll)
def roll(a: Any, shift: Any, axis: Any = None) -> Any:
    """Shift the elements round along axes; those pushed out come in at the other end.

    Args:
        a: array.
        shift: int, or one per axis.
        axis: None rolls the flattened array.
    """
    a = as_array(a)
    if axis is None:
        return reshape(roll(ravel(a), shift, 0), shape_of(a))
    shifts = np.broadcast_arrays(shift, axis)
    for amount, place in zip(*[np.atleast_1d(x).tolist() for x in shifts], strict=True):
        place = normalize_axis("roll", place, ndim_of(a))
        length = shape_of(a)[place]
        split = -amount % length if length else 0
        if split:
            a = concatenate(
                [a[along(place, slice(split, None))], a[along(place, slice(split))]], place
            )
    return a


@numpy_function(np.tile)
def tile(A: Any, reps: Any) -> Any:
    """`A` repeated as a block, `reps` times along each axis."""
    A = as_array(A)
    reps = as_shape(reps)
    rank = max(ndim_of(A), len(reps))
    reps = (*(1,) * (rank - len(reps)), *reps)
    shape = (*(1,) * (rank - ndim_of(A)), *shape_of(A))
    paired = [n for pair in zip(reps, shape, strict=True) for n in pair]
    spread = reshape(A, tuple(n for length in shape for n in (1, length)))
    total = tuple(r * n for r, n in zip(reps, shape, strict=True))
    return copy_of(reshape(broadcast_to(spread, paired), total))


@numpy_function(np.repeat)
def repeat(a: Any, repeats: Any, axis: int | None = None) -> Any:
    """Each element repeated in place.

    Args:
        a: array.
        repeats: concrete int, or one per element along `axis`, because they decide the shape.
        axis: None flattens `a` first.
    """
    a = as_array(a)
    a, axis = (ravel(a), 0) if axis is None else (a, normalize_axis("repeat", axis, ndim_of(a)))
    shape = shape_of(a)
    counts = np.asarray(repeats)
    if counts.size != 1:
        return a[along(axis, np.repeat(np.arange(shape[axis]), counts))]
    count = int(counts.reshape(()))
    column = reshape(a, (*shape[: axis + 1], 1, *shape[axis + 1 :]))
    wide = broadcast_to(column, (*shape[: axis + 1], count, *shape[axis + 1 :]))
    return copy_of(reshape(wide, (*shape[:axis], shape[axis] * count, *shape[axis + 1 :])))


@numpy_function(np.resize)
def resize(a: Any, new_shape: Any) -> Any:
    """An array of this shape, filled with repeated copies of `a`."""
    a = ravel(a)
    new_shape = as_shape(new_shape)
    needed = int(np.prod(new_shape, dtype=np.int64))
    if shape_of(a)[0] == 0:
        return np.zeros(new_shape, a.dtype)
    copies = -(-needed // shape_of(a)[0])
    return reshape(tile(a, copies)[:needed], new_shape)


@numpy_function(np.trim_zeros)
def trim_zeros(filt: Any, trim: str = "fb", axis: Any = None) -> Any:
    """A vector without leading and trailing zeros. The values decide the shape, so they must be concrete."""
    nonzero = np.asarray(filt) != 0
    bounds = [slice(None)] * nonzero.ndim
    for place in range(nonzero.ndim) if axis is None else axis_tuple(axis):
        others = tuple(i for i in range(nonzero.ndim) if i != place % nonzero.ndim)
        found = nonzero.any(others).nonzero()[0]
        start = found[0] if found.size and "f" in trim.lower() else 0
        stop = found[-1] + 1 if found.size and "b" in trim.lower() else nonzero.shape[place]
        bounds[place] = slice(start, stop if found.size else start)
    return as_array(filt)[tuple(bounds)]
