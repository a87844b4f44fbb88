"""Windows whose position is known only at run time: reading one, and replacing one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.ir.primitive import LinearInput, is_linear
from funcgrad.ir.tracer import Tracer
from funcgrad.ir.types import INT64, ArrayType
from funcgrad.ops.arithmetic import ADD
from funcgrad.ops.cast import convert
from funcgrad.ops.compare import less
from funcgrad.ops.create import full, iota
from funcgrad.ops.families import Linear, all_batched, move_batch_first, ndim_of, shape_of
from funcgrad.ops.gather import GATHER
from funcgrad.ops.reduce import normalize_axes
from funcgrad.ops.scatter import SCATTER_SET
from funcgrad.ops.select import select
from funcgrad.ops.sequences import as_array
from funcgrad.ops.shape import STATIC_SLICE, reshape

ZERO = np.int64(0)


def window(shape: tuple, starts: Sequence[Any], sizes: Sequence[int]) -> tuple:
    """The slices of a window; IndexError if it leaves the array. Negative starts count from the end."""
    slices = []
    for axis, (length, start, size) in enumerate(zip(shape, starts, sizes, strict=True)):
        first = int(start) + (length if start < 0 else 0)
        if not 0 <= first <= length - size:
            raise IndexError(
                f"[dynamic_slice] start index {int(start)} is out of bounds for axis {axis} with size {length}: a "
                f"window of {size} starts at {-length} to {length - size}."
            )
        slices.append(slice(first, first + size))
    return tuple(slices)


def window_indices(
    count: int, shape: tuple, starts: Sequence[Any], axes: Sequence[Any], sizes: Sequence[int]
) -> list[Any]:
    """Index arrays of one window per example, over the example axis and all axes of `shape`."""
    rank = len(sizes) + 1
    indices = [iota((count, *(1,) * (rank - 1)))]
    for i, (length, start, axis, size) in enumerate(zip(shape, starts, axes, sizes, strict=True)):
        if axis is not None:
            start = reshape(start, (count, *(1,) * (rank - 1)))
        start = select(less(start, 0), ADD(start, length), start)
        # What is still negative is out of bounds, and must not count from the end a second time.
        start = select(less(start, 0), length, start)
        column = [1] * rank
        column[i + 1] = size
        indices.append(ADD(start, iota(tuple(column), i + 1)))
    return indices


def window_labels(rank: int) -> dict:
    return {"labels": (-1, *range(rank)), "drop": False}


class DynamicSlice(Linear):
    """The window of `sizes` elements per axis that begins at `starts`, one integer per axis."""

    kind = "library"
    keeps_inputs = True

    def type_rule(self, x: ArrayType, *starts: ArrayType, sizes: tuple[int, ...]) -> ArrayType:
        del starts
        return ArrayType(sizes, x.dtype)

    def numpy(self, xp: Any, x: Any, *starts: Any, sizes: tuple[int, ...]) -> Any:
        del xp
        return x[window(x.shape, starts, sizes)]

    def transpose(self, cotangent: Any, x: LinearInput, *starts: Any, sizes: Any) -> list[Any]:
        del sizes
        zeros = full(x.shape, 0, x.dtype)
        return [DYNAMIC_UPDATE(zeros, cotangent, *starts), *[None] * len(starts)]

    def batch(self, size: int, args: Any, axes: Any, *, sizes: tuple[int, ...]) -> tuple[Any, Any]:
        starts, start_axes = args[1:], axes[1:]
        if all(axis is None for axis in start_axes):
            (x,) = move_batch_first(args[:1], axes[:1])
            return self(x, ZERO, *starts, sizes=(size, *sizes)), 0
        (x,) = all_batched(size, args[:1], axes[:1])
        indices = window_indices(size, shape_of(x)[1:], starts, start_axes, sizes)
        return GATHER(x, *indices, **window_labels(len(sizes))), 0

    def lower(self, emit: Any, x: Any, *starts: Any, sizes: tuple[int, ...]) -> Any:
        return emit.dynamic_slice(x, starts, sizes)


class DynamicUpdate(Linear):
    """`x` with the window that begins at `starts` replaced by `updates`."""

    kind = "library"
    linear_args = (0, 1)
    keeps_inputs = True

    def type_rule(self, x: ArrayType, updates: ArrayType, *starts: ArrayType) -> ArrayType:
        del starts
        if updates.dtype != x.dtype or updates.ndim != x.ndim:
            raise TypeError(f"[{self.name}] cannot write {updates} into {x}")
        return x.strong()

    def numpy(self, xp: Any, x: Any, updates: Any, *starts: Any) -> Any:
        out = xp.array(x)
        out[window(x.shape, starts, updates.shape)] = updates
        return out

    def transpose(self, cotangent: Any, x: Any, updates: Any, *starts: Any) -> list[Any]:
        sizes = shape_of(updates)
        pulled: list[Any] = [None] * (2 + len(starts))
        if is_linear(x):
            pulled[0] = self(cotangent, full(sizes, 0, cotangent.dtype), *starts)
        if is_linear(updates):
            pulled[1] = DYNAMIC_SLICE(cotangent, *starts, sizes=sizes)
        return pulled

    def batch(self, size: int, args: Any, axes: Any) -> tuple[Any, Any]:
        x, updates = all_batched(size, args[:2], axes[:2])
        starts, start_axes = args[2:], axes[2:]
        if all(axis is None for axis in start_axes):
            return self(x, updates, ZERO, *starts), 0
        sizes = shape_of(updates)[1:]
        indices = window_indices(size, shape_of(x)[1:], starts, start_axes, sizes)
        return SCATTER_SET(x, updates, *indices, unique=True, **window_labels(len(sizes))), 0

    def lower(self, emit: Any, x: Any, updates: Any, *starts: Any) -> Any:
        return emit.dynamic_update(x, updates, starts)


DYNAMIC_SLICE, DYNAMIC_UPDATE = DynamicSlice(), DynamicUpdate()


def window_starts(name: str, x: Any, starts: Any, sizes: Sequence[int]) -> list[Any]:
    """Start indices as int64 scalars, one per axis; ValueError if the window cannot fit."""
    shape = shape_of(x)
    if isinstance(starts, Tracer | np.ndarray) and ndim_of(starts) == 1:
        starts = [STATIC_SLICE(starts, spec=(i,)) for i in range(shape_of(starts)[0])]
    starts = list(starts) if isinstance(starts, list | tuple) else [starts]
    if not len(starts) == len(sizes) == len(shape) or any(
        not 0 <= size <= length for size, length in zip(sizes, shape, strict=False)
    ):
        raise ValueError(
            f"[{name}] needs one start and one size per axis, but got {len(starts)} starts and a window of shape "
            f"{tuple(sizes)} for an array of shape {shape}. No size may exceed the length of its axis."
        )
    return [convert(as_array(start), INT64) for start in starts]


def dynamic_slice(x: Any, start_indices: Any, slice_sizes: Sequence[int]) -> Any:
    """The window of `x` that begins at `start_indices`.

    Args:
        x: array.
        start_indices: one integer per axis, which may be traced; negative ones count from the end.
        slice_sizes: one int per axis.

    Raises:
        IndexError: if the window leaves the array, also in compiled code.

    Example:
        >>> import numpy as np
        >>> dynamic_slice(np.arange(5), (2,), (3,))
        array([2, 3, 4])
    """
    x = as_array(x)
    sizes = tuple(int(size) for size in np.atleast_1d(slice_sizes))
    starts = window_starts("dynamic_slice", x, start_indices, sizes)
    return DYNAMIC_SLICE(x, *starts, sizes=sizes) if starts else x


def dynamic_update_slice(x: Any, update: Any, start_indices: Any) -> Any:
    """`x` with the window that begins at `start_indices` replaced by `update`.

    Args:
        x: array.
        update: array with as many axes, nowhere longer than `x`; converted to the dtype of `x`.
        start_indices: one integer per axis, which may be traced; negative ones count from the end.

    Raises:
        IndexError: if the window leaves the array, also in compiled code.

    Example:
        >>> import numpy as np
        >>> dynamic_update_slice(np.zeros(4), np.ones(2), (1,))
        array([0., 1., 1., 0.])
    """
    x, update = as_array(x), as_array(update)
    starts = window_starts("dynamic_update_slice", x, start_indices, shape_of(update))
    update = convert(update, x.dtype)
    return DYNAMIC_UPDATE(x, update, *starts) if starts else update


def starts_at(x: Any, start: Any, axis: int) -> tuple[list[Any], int]:
    """Start indices that are 0 but along one axis, and that axis counted from the front."""
    (axis,) = normalize_axes("dynamic_slice", axis, ndim_of(x))
    starts: list[Any] = [0] * ndim_of(x)
    starts[axis] = start
    return starts, axis


def dynamic_slice_in_dim(x: Any, start_index: Any, slice_size: int, axis: int = 0) -> Any:
    """`slice_size` elements along one axis from `start_index` on, which may be traced."""
    x = as_array(x)
    starts, axis = starts_at(x, start_index, axis)
    sizes = (*shape_of(x)[:axis], slice_size, *shape_of(x)[axis + 1 :])
    return dynamic_slice(x, starts, sizes)


def dynamic_index_in_dim(x: Any, index: Any, axis: int = 0, keepdims: bool = True) -> Any:
    """The elements at one index along an axis, which may be traced; the axis stays unless `keepdims=False`."""
    out = dynamic_slice_in_dim(x, index, 1, axis)
    if keepdims:
        return out
    shape = list(shape_of(out))
    del shape[axis]
    return reshape(out, tuple(shape))


def dynamic_update_slice_in_dim(x: Any, update: Any, start_index: Any, axis: int) -> Any:
    """`x` with the elements along one axis from `start_index` on replaced by `update`."""
    x = as_array(x)
    return dynamic_update_slice(x, update, starts_at(x, start_index, axis)[0])


def dynamic_update_index_in_dim(x: Any, update: Any, index: Any, axis: int) -> Any:
    """`x` with the elements at one index along an axis replaced by `update`, with or without that axis."""
    x, update = as_array(x), as_array(update)
    _, axis = starts_at(x, 0, axis)
    if ndim_of(update) < ndim_of(x):
        shape = shape_of(update)
        update = reshape(update, (*shape[:axis], 1, *shape[axis:]))
    return dynamic_update_slice_in_dim(x, update, index, axis)
