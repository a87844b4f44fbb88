"""Joining arrays and taking them apart."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.numpy.register import copy_of, numpy_function
from funcgrad.numpy.shape import (
    atleast_1d,
    atleast_2d,
    atleast_3d,
    expand_dims,
    moveaxis,
    normalize_axis,
    ravel,
    reshape,
    transpose,
)
from funcgrad.numpy.ufunc import write_output
from funcgrad.ops import shape as ops
from funcgrad.ops.cast import convert
from funcgrad.ops.families import ndim_of, shape_of
from funcgrad.ops.products import promoted_arrays
from funcgrad.ops.sequences import as_array


def items_of(name: str, arrays: Any) -> list[Any]:
    """The arrays to join: a list, or the rows of one array."""
    items = [arrays[i] for i in range(len(arrays))] if hasattr(arrays, "shape") else list(arrays)
    if not items:
        raise ValueError(f"[{name}] needs at least one array, but got none.")
    return [as_array(item) for item in items]


@numpy_function(np.concatenate)
def concatenate(
    arrays: Any,
    /,
    axis: int | None = 0,
    out: Any = None,
    *,
    dtype: Any = None,
    casting: str = "same_kind",
) -> Any:
    """Arrays one after the other along an axis.

    Args:
        arrays: sequence of arrays, equal in all axes but one.
        axis: the axis to join along; None joins the flattened arrays.
        out: array to write into, traced itself.
        dtype: dtype of the result; the promoted one by default.
        casting: which conversions to `dtype` or `out` are allowed.

    Example:
        >>> import funcgrad.numpy as fnp
        >>> fnp.concatenate([fnp.arange(2), fnp.arange(3)])
        array([0, 1, 0, 1, 2])
    """
    items = items_of("concatenate", arrays)
    if axis is None:
        items, axis = [ravel(item) for item in items], 0
    check_joinable(items, axis)
    items = promoted_arrays(*items)
    if dtype is not None:
        if not all(np.can_cast(item.dtype, dtype, casting) for item in items):  # type: ignore[arg-type]
            raise TypeError(
                f"[concatenate] cannot cast {items[0].dtype} to {np.dtype(dtype)} with casting={casting!r}."
            )
        items = [convert(item, dtype) for item in items]
    result = ops.concatenate(items, axis) if len(items) > 1 else copy_of(items[0])
    return result if out is None else write_output("concatenate", result, out, casting=casting)


concat = concatenate


def check_joinable(items: list[Any], axis: int) -> None:
    shapes = [shape_of(item) for item in items]
    rank = len(shapes[0])
    if rank == 0:
        raise ValueError("[concatenate] arrays without axes cannot be joined. Use np.stack.")
    axis = normalize_axis("concatenate", axis, rank)
    for index, shape in enumerate(shapes):
        rest = (*shape[:axis], *shape[axis + 1 :])
        if len(shape) != rank or rest != (*shapes[0][:axis], *shapes[0][axis + 1 :]):
            raise ValueError(
                f"[concatenate] array 0 has shape {shapes[0]} and array {index} {shape}: they may differ "
                f"only along axis {axis}."
            )


@numpy_function(np.stack)
def stack(
    arrays: Any, axis: int = 0, out: Any = None, *, dtype: Any = None, casting: str = "same_kind"
) -> Any:
    """Arrays of equal shape along a new axis; arguments as in `concatenate`."""
    items = items_of("stack", arrays)
    shapes = {shape_of(item) for item in items}
    if len(shapes) > 1:
        raise ValueError(f"[stack] all arrays must have the same shape, but got {sorted(shapes)}.")
    items = [expand_dims(item, axis) for item in items]
    return concatenate(items, axis, out, dtype=dtype, casting=casting)


@numpy_function(np.unstack)
def unstack(x: Any, /, *, axis: int = 0) -> tuple:
    """The arrays along an axis, as a tuple."""
    x = moveaxis(x, axis, 0)
    return tuple(x[i] for i in range(shape_of(x)[0]))


def join_after(prepare: Any, axis: int, arrays: Any, options: dict) -> Any:
    return concatenate([prepare(item) for item in items_of("stack", arrays)], axis, **options)


@numpy_function(np.vstack)
def vstack(tup: Any, *, dtype: Any = None, casting: str = "same_kind") -> Any:
    """Rows (or matrices) on top of each other."""
    return join_after(atleast_2d, 0, tup, {"dtype": dtype, "casting": casting})


@numpy_function(np.hstack)
def hstack(tup: Any, *, dtype: Any = None, casting: str = "same_kind") -> Any:
    """Arrays side by side: along axis 1, or axis 0 for vectors."""
    items = [atleast_1d(item) for item in items_of("hstack", tup)]
    axis = 0 if ndim_of(items[0]) == 1 else 1
    return concatenate(items, axis, dtype=dtype, casting=casting)


@numpy_function(np.dstack)
def dstack(tup: Any) -> Any:
    """Arrays one behind the other, along axis 2."""
    return join_after(atleast_3d, 2, tup, {})


@numpy_function(np.column_stack)
def column_stack(tup: Any) -> Any:
    """Vectors as the columns of a matrix."""
    return join_after(lambda a: a if ndim_of(a) > 1 else transpose(atleast_2d(a)), 1, tup, {})


def sections_of(name: str, length: int, indices_or_sections: Any, equal: bool) -> list[int]:
    """Where the parts of `split` begin and end."""
    if not hasattr(indices_or_sections, "__len__"):
        number = indices_or_sections.__index__()
        if number < 1 or (equal and length % number):
            raise ValueError(
                f"[{name}] an axis of length {length} has no {number} equal parts. Use np.array_split."
            )
        return [0, *np.cumsum([len(part) for part in np.array_split(range(length), number)])]
    inner = [index.__index__() for index in indices_or_sections]
    return [0, *inner, length]


def parts_of(name: str, ary: Any, indices_or_sections: Any, axis: int, equal: bool) -> list[Any]:
    ary = as_array(ary)
    axis = normalize_axis(name, axis, ndim_of(ary))
    bounds = sections_of(name, shape_of(ary)[axis], indices_or_sections, equal)
    lead = (slice(None),) * axis
    # NumPy reads bounds as slices do, so the last part of an index list has no end of its own.
    stops = [*bounds[1:-1], None]
    return [
        ary[(*lead, slice(int(start), None if stop is None else int(stop)))]
        for start, stop in zip(bounds[:-1], stops, strict=True)
    ]


@numpy_function(np.split, view=True)
def split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Any]:
    """Equal parts along an axis, or parts between the given indices."""
    return parts_of("split", ary, indices_or_sections, axis, True)


@numpy_function(np.array_split, view=True)
def array_split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Any]:
    """Parts along an axis, of lengths that differ by at most one."""
    return parts_of("array_split", ary, indices_or_sections, axis, False)


@numpy_function(np.vsplit, view=True)
def vsplit(ary: Any, indices_or_sections: Any) -> list[Any]:
    """Parts along axis 0."""
    return split(ary, indices_or_sections, 0)


@numpy_function(np.hsplit, view=True)
def hsplit(ary: Any, indices_or_sections: Any) -> list[Any]:
    """Parts along axis 1, or along axis 0 of a vector."""
    return split(ary, indices_or_sections, 1 if ndim_of(ary) > 1 else 0)


@numpy_function(np.dsplit, view=True)
def dsplit(ary: Any, indices_or_sections: Any) -> list[Any]:
    """Parts along axis 2."""
    return split(ary, indices_or_sections, 2)


@numpy_function(np.append)
def append(arr: Any, values: Any, axis: int | None = None) -> Any:
    """`arr` followed by `values`; both are flattened if `axis` is None."""
    return concatenate([arr, values], axis)


@numpy_function(np.block)
def block(arrays: Any) -> Any:
    """An array from nested lists of blocks: the innermost lists run along the last axis."""
    depth = nesting(arrays)
    blocks = [as_array(a) for a in flatten(arrays)]
    rank = max([depth, *map(ndim_of, blocks)])
    return copy_of(assemble(arrays, depth, rank))


def nesting(value: Any) -> int:
    return 1 + max(map(nesting, value)) if isinstance(value, list) else 0


def flatten(value: Any) -> list[Any]:
    return (
        [leaf for item in value for leaf in flatten(item)] if isinstance(value, list) else [value]
    )


def assemble(value: Any, depth: int, rank: int) -> Any:
    if not isinstance(value, list):
        value = as_array(value)
        return reshape(value, (*(1,) * (rank - ndim_of(value)), *shape_of(value)))
    if not value:
        raise ValueError("[block] a list of blocks is empty.")
    return concatenate([assemble(item, depth - 1, rank) for item in value], -depth)


@numpy_function(np.delete)
def delete(arr: Any, obj: Any, axis: int | None = None) -> Any:
    """`arr` without the elements at the concrete indices `obj` (int, slice, indices or mask)."""
    arr = as_array(arr)
    arr, axis = (
        (ravel(arr), 0) if axis is None else (arr, normalize_axis("delete", axis, ndim_of(arr)))
    )
    kept = np.delete(np.arange(shape_of(arr)[axis]), obj)
    return arr[(*(slice(None),) * axis, kept)]


@numpy_function(np.insert)
def insert(arr: Any, obj: Any, values: Any, axis: int | None = None) -> Any:
    """`arr` with `values` put in before the concrete indices `obj`.

    Args:
        arr: array.
        obj: int, slice or indices.
        values: what to insert; converted to the dtype of `arr`.
        axis: None flattens `arr` first.
    """
    arr, values = as_array(arr), as_array(values)
    arr, axis = (
        (ravel(arr), 0) if axis is None else (arr, normalize_axis("insert", axis, ndim_of(arr)))
    )
    length = shape_of(arr)[axis]
    places = np.arange(length)[obj] if isinstance(obj, slice) else np.asarray(obj)
    if places.dtype == np.bool_:
        places = places.nonzero()[0]
    values = reshape(values, (*(1,) * (ndim_of(arr) - ndim_of(values)), *shape_of(values)))
    if places.ndim == 0:
        values = moveaxis(values, 0, axis)
    added = shape_of(values)[axis] if places.size == 1 else places.size
    order = np.insert(np.arange(length), places, length + np.arange(added))
    wanted = (*shape_of(arr)[:axis], added, *shape_of(arr)[axis + 1 :])
    values = ops.broadcast_to(convert(values, arr.dtype), wanted)
    return concatenate([arr, values], axis)[(*(slice(None),) * axis, order)]
