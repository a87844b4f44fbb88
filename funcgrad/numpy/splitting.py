"""Arrays taken apart, or changed in a few places."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.numpy.joining import concatenate
from funcgrad.numpy.register import numpy_function
from funcgrad.numpy.shape import (
    moveaxis,
    normalize_axis,
    ravel,
    reshape,
)
from funcgrad.ops import shape as ops
from funcgrad.ops.cast import convert
from funcgrad.ops.operands import ndim_of, shape_of
from funcgrad.ops.sequences import as_array


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
