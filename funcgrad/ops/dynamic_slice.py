"""Windows whose position is known only at run time: reading one, and replacing one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.ir.primitive import LinearInput, is_linear
from funcgrad.ir.tracer import Tracer
from funcgrad.ir.types import INT64, ArrayType
from funcgrad.ops.arithmetic import add
from funcgrad.ops.batching import all_batched, move_batch_first
from funcgrad.ops.bounds import window_error
from funcgrad.ops.cast import convert
from funcgrad.ops.create import full
from funcgrad.ops.families import Linear
from funcgrad.ops.operands import RULES, ndim_of, shape_of
from funcgrad.ops.pieces import STATIC_SLICE
from funcgrad.ops.reduce import normalize_axes
from funcgrad.ops.sequences import as_array
from funcgrad.ops.shape import reshape

ZERO = np.int64(0)


def first_places(shape: tuple, starts: Sequence[Any], sizes: Sequence[int]) -> list[Any]:
    """Where windows begin, counted from the front; IndexError for the first that leaves the array."""
    places = []
    for axis, (length, start, size) in enumerate(zip(shape, starts, sizes, strict=True)):
        place = start + (start < 0) * length
        is_outside = (place < 0) | (place > length - size)
        if is_outside.any():
            bad = int(start[is_outside].ravel()[0])
            raise window_error(bad, axis, length, size)
        places.append(place)
    return places


def windows(xp: Any, x: Any, starts: Sequence[Any], sizes: Sequence[int]) -> tuple[Any, tuple]:
    """An array and the index that selects its windows, one for each example of the leading axes."""
    lead = starts[0].ndim
    places = first_places(x.shape[lead:], starts, sizes)
    if not lead:
        return x, tuple(slice(int(p), int(p) + n) for p, n in zip(places, sizes, strict=True))
    # A view with all possible windows: overlapping, so that only the chosen ones are touched.
    counts = [n - size + 1 for n, size in zip(x.shape[lead:], sizes, strict=True)]
    view = xp.lib.stride_tricks.as_strided(
        x, (*x.shape[:lead], *counts, *sizes), (*x.strides, *x.strides[lead:])
    )
    examples = xp.meshgrid(*map(xp.arange, x.shape[:lead]), indexing="ij")
    return view, (*examples, *places)


class DynamicSlice(Linear):
    """The window of `sizes` elements per axis that begins at `starts`, one integer per axis.

    Starts may have leading axes that `x` has too: then there is one window per example.
    """

    kind = "library"
    keeps_inputs = True

    def type_rule(self, x: ArrayType, *starts: ArrayType, sizes: tuple[int, ...]) -> ArrayType:
        return ArrayType((*starts[0].shape, *sizes), x.dtype)

    def numpy(self, xp: Any, x: Any, *starts: Any, sizes: tuple[int, ...]) -> Any:
        view, index = windows(xp, x, starts, sizes)
        return view[index]

    def transpose(self, cotangent: Any, x: LinearInput, *starts: Any, sizes: Any) -> list[Any]:
        del sizes
        zeros = full(x.shape, 0, x.dtype)
        return [DYNAMIC_UPDATE(zeros, cotangent, *starts), *[None] * len(starts)]

    def transpose_onto(
        self, total: Any, cotangent: Any, x: LinearInput, *starts: Any, sizes: Any
    ) -> Any:
        del x
        window = add(self(total, *starts, sizes=sizes), cotangent)
        return DYNAMIC_UPDATE(total, window, *starts)

    def batch(self, size: int, args: Any, axes: Any, *, sizes: tuple[int, ...]) -> tuple[Any, Any]:
        starts = args[1:]
        if not ndim_of(starts[0]) and all(axis is None for axis in axes[1:]):
            (x,) = move_batch_first(args[:1], axes[:1])
            return self(x, ZERO, *starts, sizes=(size, *sizes)), 0
        return self(*all_batched(size, args, axes), sizes=sizes), 0

    def lower(self, emit: Any, x: Any, *starts: Any, sizes: tuple[int, ...]) -> Any:
        return emit.dynamic_slice(x, starts, sizes)


class DynamicUpdate(Linear):
    """`x` with the window that begins at `starts` replaced by `updates`; leading axes as in `DynamicSlice`."""

    kind = "library"
    linear_args = (0, 1)
    keeps_inputs = True

    def type_rule(self, x: ArrayType, updates: ArrayType, *starts: ArrayType) -> ArrayType:
        del starts
        if updates.dtype != x.dtype or updates.ndim != x.ndim:
            raise TypeError(f"[{self.name}] cannot write {updates} into {x}")
        return x.strong()

    def numpy(self, xp: Any, x: Any, updates: Any, *starts: Any) -> Any:
        out = xp.array(x, order="C")
        view, index = windows(xp, out, starts, updates.shape[starts[0].ndim :])
        view[index] = updates
        return out

    def transpose(self, cotangent: Any, x: Any, updates: Any, *starts: Any) -> list[Any]:
        shape = shape_of(updates)
        pulled: list[Any] = [None] * (2 + len(starts))
        # What is read comes first, so that the rest can be written in place.
        if is_linear(updates):
            pulled[1] = DYNAMIC_SLICE(cotangent, *starts, sizes=shape[ndim_of(starts[0]) :])
        if is_linear(x):
            pulled[0] = self(cotangent, full(shape, 0, cotangent.dtype), *starts)
        return pulled

    def batch(self, size: int, args: Any, axes: Any) -> tuple[Any, Any]:
        starts = args[2:]
        if not ndim_of(starts[0]) and all(axis is None for axis in axes[2:]):
            return self(*all_batched(size, args[:2], axes[:2]), ZERO, *starts), 0
        return self(*all_batched(size, args, axes)), 0

    def lower(self, emit: Any, x: Any, updates: Any, *starts: Any) -> Any:
        return emit.dynamic_update(x, updates, starts)


DYNAMIC_SLICE, DYNAMIC_UPDATE = DynamicSlice(), DynamicUpdate()
RULES["dynamic_update"] = DYNAMIC_UPDATE


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
