"""Arrays put together."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.numpy.options import Casting
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
from funcgrad.ops import pieces as ops
from funcgrad.ops.cast import convert
from funcgrad.ops.operands import ndim_of, shape_of
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
    casting: Casting = "same_kind",
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
        if not all(np.can_cast(item.dtype, dtype, casting) for item in items):
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
    arrays: Any,
    axis: int = 0,
    out: Any = None,
    *,
    dtype: Any = None,
    casting: Casting = "same_kind",
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
def vstack(tup: Any, *, dtype: Any = None, casting: Casting = "same_kind") -> Any:
    """Rows (or matrices) on top of each other."""
    return join_after(atleast_2d, 0, tup, {"dtype": dtype, "casting": casting})


@numpy_function(np.hstack)
def hstack(tup: Any, *, dtype: Any = None, casting: Casting = "same_kind") -> Any:
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
