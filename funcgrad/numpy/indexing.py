"""Taking and putting elements by index."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.ir.tracer import Tracer, rebind
from funcgrad.numpy.options import Casting, OutOfBounds
from funcgrad.numpy.rearranging import along
from funcgrad.numpy.register import is_plain, numpy_function
from funcgrad.numpy.shape import normalize_axis, ravel, reshape
from funcgrad.numpy.ufunc import write_output
from funcgrad.ops import select as ops
from funcgrad.ops.at import at
from funcgrad.ops.cast import convert
from funcgrad.ops.create import iota
from funcgrad.ops.index_key import concrete_mask
from funcgrad.ops.operands import broadcast_shapes, ndim_of, shape_of
from funcgrad.ops.operators import fit_output, is_weak
from funcgrad.ops.pieces import stack
from funcgrad.ops.sequences import as_array
from funcgrad.ops.shape import broadcast_to as stretch

MODES = {None: None, "raise": None, "clip": "clip", "wrap": "wrap", "fill": "fill", "drop": "drop"}


def index_mode(name: str, mode: str | None) -> str | None:
    try:
        return MODES[mode]
    except KeyError:
        raise ValueError(
            f'[{name}] mode is "raise", "clip", "wrap" or "fill", but got {mode!r}.'
        ) from None


@numpy_function(np.take)
def numpy_take(
    a: Any, indices: Any, axis: int | None = None, out: Any = None, mode: str = "raise"
) -> Any:
    """`np.take` on traced values."""
    return take(a, indices, axis, out, mode)


def take(
    a: Any,
    indices: Any,
    axis: int | None = None,
    out: Any = None,
    mode: str | None = None,
    fill_value: Any = None,
) -> Any:
    """Elements of `a` at positions along `axis`, whose place the axes of `indices` take.

    Args:
        a: array.
        indices: integer array, which may be traced.
        axis: None takes from the flattened array.
        out: array to write into, traced itself.
        mode: for an index out of bounds: None or "raise" raises IndexError, "clip" takes the nearest element,
            "wrap" counts round, "fill" gives `fill_value`.
        fill_value: NaN by default, for integers the smallest or largest one.

    Example:
        >>> import funcgrad.numpy as fnp
        >>> fnp.take(fnp.asarray([5, 6, 7]), [2, 0])
        array([7, 5])
    """
    if mode in (None, "raise") and is_plain(a, indices):
        return np.take(a, indices, axis, out)
    a, indices = as_array(a), as_array(indices)
    if axis is None:
        a, axis = ravel(a), 0
    axis = normalize_axis("take", axis, ndim_of(a))
    if mode == "clip" and not isinstance(indices, Tracer):
        indices, mode = np.clip(indices, 0, shape_of(a)[axis] - 1), None
    place = at(a)[along(axis, indices)]
    result = place.get(mode=index_mode("take", mode), fill_value=fill_value)
    return result if out is None else write_output("take", result, out)


def lines(name: str, arr: Any, indices: Any, axis: int | None) -> tuple[Any, Any, int]:
    """Operands of the functions that go along an axis: equal rank, broadcast over the other axes."""
    arr, indices = as_array(arr), as_array(indices)
    if axis is None:
        arr, axis = ravel(arr), 0
    axis = normalize_axis(name, axis, ndim_of(arr))
    if ndim_of(indices) != ndim_of(arr):
        raise ValueError(
            f"[{name}] indices of shape {shape_of(indices)} must have as many axes as the array, "
            f"{shape_of(arr)}. Use np.take for indices that are the same everywhere."
        )
    return arr, indices, axis


def places_along(arr: Any, indices: Any, axis: int) -> tuple:
    """The index that names each element by `indices` along `axis` and by its own place elsewhere."""
    grid = []
    for i, n in enumerate(shape_of(arr)):
        column = tuple(n if j == i else 1 for j in range(ndim_of(arr)))
        grid.append(indices if i == axis else iota(column, i))
    return tuple(grid)


@numpy_function(np.take_along_axis)
def numpy_take_along_axis(arr: Any, indices: Any, axis: int | None = -1) -> Any:
    """`np.take_along_axis` on traced values."""
    return take_along_axis(arr, indices, axis)


def take_along_axis(
    arr: Any,
    indices: Any,
    axis: int | None = -1,
    mode: str | None = None,
    fill_value: Any = None,
) -> Any:
    """Elements at positions along `axis` that differ from line to line, such as those of `argsort`.

    Args:
        arr: array.
        indices: integer array with as many axes; the others broadcast.
        axis: None takes from the flattened array.
        mode, fill_value: as in `take`.
    """
    if mode in (None, "raise") and is_plain(arr, indices):
        return np.take_along_axis(as_array(arr), as_array(indices), axis)
    arr, indices, axis = lines("take_along_axis", arr, indices, axis)
    place = at(arr)[places_along(arr, indices, axis)]
    return place.get(mode=index_mode("take_along_axis", mode), fill_value=fill_value)


@numpy_function(np.put_along_axis)
def put_along_axis(arr: Any, indices: Any, values: Any, axis: int | None) -> None:
    """Write values at positions along `axis`, in place."""
    if not isinstance(arr, Tracer):
        return np.put_along_axis(arr, indices, values, axis)
    flat, indices, place = lines("put_along_axis", arr, indices, axis)
    new = at(flat)[places_along(flat, indices, place)].set(values)
    rebind(arr, reshape(new, shape_of(arr)))
    return None


@numpy_function(np.put)
def put(a: Any, ind: Any, v: Any, mode: OutOfBounds = "raise") -> None:
    """Write values at positions of the flattened array, in place; too few values are repeated."""
    if not isinstance(a, Tracer):
        return np.put(a, ind, v, mode)
    ind, v = ravel(ind), ravel(v)
    values = v[np.arange(shape_of(ind)[0]) % shape_of(v)[0]]
    new = at(ravel(a))[ind].set(convert(values, a.dtype), mode=index_mode("put", mode))
    rebind(a, reshape(new, shape_of(a)))
    return None


@numpy_function(np.copyto)
def copyto(dst: Any, src: Any, casting: Casting = "same_kind", where: Any = True) -> None:
    """Write `src` into `dst`, in place, where `where` holds."""
    src = as_array(src)
    if not isinstance(dst, Tracer):
        return np.copyto(dst, src, casting, where)
    value = fit_output("copyto", src, shape_of(dst), dst.dtype, casting)
    rebind(dst, value if where is True else ops.select(where, value, dst))
    return None


@numpy_function(np.putmask)
def putmask(a: Any, mask: Any, values: Any) -> None:
    """Write into the elements where `mask` holds the values at the same places of `values`, repeated."""
    if not isinstance(a, Tracer):
        return np.putmask(a, mask, values)
    values = ravel(values)
    repeated = values[np.arange(a.size) % shape_of(values)[0]]
    chosen = ops.select(mask, reshape(convert(repeated, a.dtype), shape_of(a)), a)
    rebind(a, chosen)
    return None


@numpy_function(np.place)
def place(arr: Any, mask: Any, vals: Any) -> None:
    """Write into the elements where the concrete `mask` holds the first of `vals`, repeated."""
    if not isinstance(arr, Tracer):
        return np.place(arr, mask, vals)
    positions = np.flatnonzero(concrete_mask(mask))
    put(arr, positions, vals)
    return None


@numpy_function(np.compress)
def compress(condition: Any, a: Any, axis: int | None = None, out: Any = None) -> Any:
    """The slices along `axis` where the concrete vector `condition` holds."""
    a, axis = (ravel(a), 0) if axis is None else (as_array(a), axis)
    axis = normalize_axis("compress", axis, ndim_of(a))
    kept = np.flatnonzero(concrete_mask(condition))
    result = a[along(axis, kept)]
    return result if out is None else write_output("compress", result, out)


@numpy_function(np.extract)
def extract(condition: Any, arr: Any) -> Any:
    """The elements where the concrete `condition` holds."""
    return take(ravel(arr), np.flatnonzero(concrete_mask(condition)))


@numpy_function(np.choose)
def choose(a: Any, choices: Any, out: Any = None, mode: str = "raise") -> Any:
    """For each element of `a` the element of `choices[a]` at the same place."""
    a = as_array(a)
    arrays = ops.promote(*choices)
    shape = broadcast_shapes("choose", [shape_of(a), *map(shape_of, arrays)])
    dtype = next(array.dtype for array in arrays if not is_weak(array))
    table = stack([stretch(convert(array, dtype), shape) for array in arrays])
    index = stretch(a, shape)[None]
    result = take_along_axis(table, index, 0, mode)[0]
    return result if out is None else write_output("choose", result, out)
