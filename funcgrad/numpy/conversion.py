"""Turning numbers, lists and arrays into arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.ir.devices import new_arrays_on, placed
from funcgrad.ir.tracer import state
from funcgrad.ir.types import PYTHON_SCALARS
from funcgrad.numpy.dtypes import DEFAULT_DTYPES
from funcgrad.numpy.register import copy_of, numpy_function
from funcgrad.ops import create
from funcgrad.ops.cast import convert
from funcgrad.ops.operands import as_operand, ndim_of, shape_of
from funcgrad.ops.sequences import as_array, contains_tracer
from funcgrad.ops.shape import reshape

FLOAT32 = np.dtype(np.float32)


@numpy_function(np.asarray, np.asanyarray, np.ascontiguousarray, np.asfortranarray)
def numpy_asarray(a: Any, dtype: Any = None, **options: Any) -> Any:
    """`np.asarray(a, like=t)` and its relatives: traced values inside lists are stacked."""
    out = as_array(a)
    out = out if dtype is None else convert(out, dtype)
    return copy_of(out) if options.get("copy") and out is a else out


@numpy_function(np.array)
def numpy_array(
    object: Any, dtype: Any = None, *, copy: bool | None = True, ndmin: int = 0, **options: Any
) -> Any:
    """`np.array(a, like=t)`."""
    out = numpy_asarray(object, dtype, copy=copy)
    return with_rank(out, ndmin)


def with_rank(array: Any, rank: int) -> Any:
    """`array` with at least this many axes; new ones come first."""
    missing = rank - ndim_of(array)
    return reshape(array, (*(1,) * missing, *shape_of(array))) if missing > 0 else array


def python_leaves(value: Any) -> set[type]:
    """The types of the numbers inside a nested list."""
    if isinstance(value, list | tuple):
        return set().union(*map(python_leaves, value)) if value else {float}
    return {type(value)}


def default_dtype(value: Any) -> Any:
    """The default dtype for Python numbers and lists of them; None for arrays, which keep theirs."""
    leaves = python_leaves(value)
    if not leaves <= set(PYTHON_SCALARS):
        return None
    return DEFAULT_DTYPES[max(leaves, key=PYTHON_SCALARS.index)]


def asarray(
    obj: Any, dtype: Any = None, *, device: Any = None, copy: bool | None = None, order: Any = "K"
) -> Any:
    """`obj` as an array; Python numbers become float32 or int64, arrays keep their dtype.

    Args:
        obj: array, traced value, number, or nested list of these.
        dtype: dtype of the result.
        device: where a new array goes; the default device if it is None.
        copy: True for a result that shares no memory with `obj`; False to forbid a copy.
        order: accepted as in NumPy; traced arrays have no memory order.

    Example:
        >>> import funcgrad.numpy as fnp
        >>> fnp.asarray([1.0, 2.0]).dtype
        dtype('float32')
    """
    if dtype is None:
        dtype = default_dtype(obj)
    with new_arrays_on(device):
        if state.stack and type(obj) in PYTHON_SCALARS:
            return create.full((), obj, np.dtype(dtype))
        if not contains_tracer(obj):
            array = np.asarray(obj, dtype, order=order, copy=copy)
            return indexable(placed(array))
    out = as_operand(obj)
    out = as_array(out) if dtype is None else convert(out, np.dtype(dtype))
    if copy is False and out is not obj:
        raise ValueError("[asarray] copy=False, but a list, number or other dtype needs a copy.")
    return copy_of(out) if copy and out is obj else out


def indexable(array: Any) -> Any:
    """An array that traced integers may index; those of transformations that only differentiate are plain."""
    if state.ambient is not None:
        return state.ambient.adopt(array, None)
    for trace in reversed(state.stack):
        if not trace.differentiates:
            return trace.adopt(array, None)
    return array


def array(
    obj: Any, dtype: Any = None, *, copy: bool = True, order: str = "K", ndmin: int = 0
) -> Any:
    """A new array; see `asarray`. `ndmin` adds axes of length 1 in front."""
    return with_rank(asarray(obj, dtype, copy=True if copy else None, order=order), ndmin)


@numpy_function(np.copy)
def copy(a: Any, order: str = "K", subok: bool = False) -> Any:
    """A new array with the elements of `a`."""
    del order, subok
    return copy_of(as_array(a))
