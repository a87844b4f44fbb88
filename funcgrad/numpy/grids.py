"""Evenly spaced numbers and coordinate arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.ir.devices import new_arrays_on, placed
from funcgrad.ir.types import is_inexact
from funcgrad.numpy.conversion import FLOAT32, default_dtype
from funcgrad.numpy.register import copy_of, numpy_function
from funcgrad.numpy.shape import as_shape, broadcast_to, expand_dims, moveaxis, reshape
from funcgrad.ops.arithmetic import add, divide, multiply, subtract
from funcgrad.ops.cast import convert
from funcgrad.ops.exponential import exp, log
from funcgrad.ops.floats import absolute, sign
from funcgrad.ops.operands import as_operand, broadcast_shapes, ndim_of, shape_of
from funcgrad.ops.pieces import concatenate
from funcgrad.ops.power import power
from funcgrad.ops.rounding import floor
from funcgrad.ops.select import promote
from funcgrad.ops.sequences import as_array


def linspace(
    start: Any,
    stop: Any,
    num: int = 50,
    endpoint: bool = True,
    retstep: bool = False,
    dtype: Any = None,
    axis: int = 0,
    *,
    device: Any = None,
) -> Any:
    """`num` evenly spaced numbers from `start` to `stop`, which may be arrays and may be traced.

    Args:
        start, stop: first and last value.
        num: how many.
        endpoint: whether `stop` is the last one.
        retstep: return also the distance.
        dtype: float32 for Python numbers, else the promoted dtype of the arrays.
        axis: where the new axis goes.
        device: where it goes; the default device if it is None.

    Example:
        >>> import funcgrad.numpy as fnp
        >>> fnp.linspace(0.0, 1.0, 5)
        array([0.  , 0.25, 0.5 , 0.75, 1.  ], dtype=float32)
    """
    if default_dtype([start, stop]) is not None:
        start, stop = convert(start, FLOAT32), convert(stop, FLOAT32)
    with new_arrays_on(device):
        out = numpy_linspace(start, stop, num, endpoint, retstep, dtype, axis)
        return (placed(out[0]), out[1]) if retstep else placed(out)


@numpy_function(np.linspace)
def numpy_linspace(
    start: Any,
    stop: Any,
    num: int = 50,
    endpoint: bool = True,
    retstep: bool = False,
    dtype: Any = None,
    axis: int = 0,
    **options: Any,
) -> Any:
    """`np.linspace`, with NumPy's default dtype."""
    num = num.__index__()
    if num < 0:
        raise ValueError(f"[linspace] num = {num}, but a number of samples is at least 0.")
    start, stop = as_floating(start, stop)
    rank = len(broadcast_shapes("linspace", [shape_of(start), shape_of(stop)]))
    parts = num - 1 if endpoint else num
    step = divide(subtract(stop, start), float(parts) if parts > 0 else np.nan)
    index = reshape(convert(np.arange(num), start.dtype), (num, *(1,) * rank))
    values = add(multiply(index, step if parts > 0 else subtract(stop, start)), start)
    if endpoint and num > 1:
        last = reshape(broadcast_to(stop, shape_of(values)[1:]), (1, *shape_of(values)[1:]))
        values = concatenate([values[:-1], last])
    values = moveaxis(values, 0, axis)
    if dtype is not None:
        values = convert(floor(values) if np.dtype(dtype).kind in "iu" else values, dtype)
    return (values, step) if retstep else values


def as_floating(*args: Any) -> list[Any]:
    """Arrays of one floating or complex dtype; integers become float64 as in NumPy."""
    operands = promote(*map(as_operand, args))
    dtypes = [x.dtype for x in operands if hasattr(x, "dtype")]
    dtype = dtypes[0] if dtypes and is_inexact(dtypes[0]) else np.dtype(np.float64)
    return [convert(x, dtype) for x in operands]


def logspace(
    start: Any,
    stop: Any,
    num: int = 50,
    endpoint: bool = True,
    base: Any = 10.0,
    dtype: Any = None,
    axis: int = 0,
) -> Any:
    """`base ** linspace(start, stop)`: numbers evenly spaced on a logarithmic scale."""
    out = power(base, linspace(start, stop, num, endpoint, axis=axis))
    return out if dtype is None else convert(out, dtype)


@numpy_function(np.logspace)
def numpy_logspace(
    start: Any,
    stop: Any,
    num: int = 50,
    endpoint: bool = True,
    base: Any = 10.0,
    dtype: Any = None,
    axis: int = 0,
) -> Any:
    """`np.logspace`, with NumPy's default dtype."""
    out = power(base, numpy_linspace(start, stop, num, endpoint, axis=axis))
    return out if dtype is None else convert(out, dtype)


def geomspace(
    start: Any, stop: Any, num: int = 50, endpoint: bool = True, dtype: Any = None, axis: int = 0
) -> Any:
    """Numbers from `start` to `stop` with a constant ratio; both have the same sign."""
    if dtype is None and default_dtype([start, stop]) is not None:
        dtype = FLOAT32
    elif dtype is None:
        dtype = as_floating(start, stop)[0].dtype
    return numpy_geomspace(start, stop, num, endpoint, dtype, axis)


@numpy_function(np.geomspace)
def numpy_geomspace(
    start: Any, stop: Any, num: int = 50, endpoint: bool = True, dtype: Any = None, axis: int = 0
) -> Any:
    """`np.geomspace`, whose default dtype is at least float64."""
    start, stop = as_floating(start, stop)
    if start.dtype.kind == "c":
        raise TypeError(
            "[geomspace] does not spiral between traced complex numbers. "
            "Use np.exp(np.linspace(np.log(a), np.log(b)))."
        )
    start, stop = convert(start, np.float64), convert(stop, np.float64)
    dtype = np.dtype(np.float64) if dtype is None else dtype
    exponents = numpy_linspace(log(absolute(start)), log(absolute(stop)), num, endpoint, axis=axis)
    signs = expand_dims(sign(start), axis) if ndim_of(start) else sign(start)
    return convert(multiply(exp(exponents), signs), dtype)


@numpy_function(np.meshgrid)
def meshgrid(*xi: Any, copy: bool = True, sparse: bool = False, indexing: str = "xy") -> tuple:
    """Coordinate arrays from coordinate vectors.

    Args:
        xi: vectors.
        copy: False for views of the vectors.
        sparse: keep axes of length 1 instead of repeating.
        indexing: "xy" (the first two axes exchanged) or "ij".

    Example:
        >>> import funcgrad.numpy as fnp
        >>> x, y = fnp.meshgrid(fnp.arange(3), fnp.arange(2))
        >>> x
        array([[0, 1, 2],
               [0, 1, 2]])
    """
    if indexing not in ("xy", "ij"):
        raise ValueError(f'[meshgrid] indexing is "xy" or "ij", but got {indexing!r}.')
    vectors = [reshape(as_array(x), -1) for x in xi]
    places = list(range(len(vectors)))
    if indexing == "xy" and len(places) > 1:
        places[:2] = 1, 0
    shape = [0] * len(places)
    for vector, place in zip(vectors, places, strict=True):
        shape[place] = shape_of(vector)[0]
    columns = [
        reshape(vector, tuple(shape[place] if i == place else 1 for i in range(len(places))))
        for vector, place in zip(vectors, places, strict=True)
    ]
    out = columns if sparse else [broadcast_to(column, shape) for column in columns]
    return tuple(copy_of(array) if copy else array for array in out)


def indices(dimensions: Any, dtype: Any = np.int64, sparse: bool = False) -> Any:
    """The index of each element of an array of this shape, along each axis."""
    return np.indices(as_shape(dimensions), dtype, sparse)


def ix_(*args: Any) -> tuple:
    """Index vectors shaped so that together they select a grid."""
    return np.ix_(*args)


def tril_indices(n: int, k: int = 0, m: int | None = None) -> tuple:
    """Indices of the elements at and below the `k`-th diagonal of an n by m matrix."""
    return np.tril_indices(n, k, m)


def triu_indices(n: int, k: int = 0, m: int | None = None) -> tuple:
    """Indices of the elements at and above the `k`-th diagonal of an n by m matrix."""
    return np.triu_indices(n, k, m)


def diag_indices(n: int, ndim: int = 2) -> tuple:
    """Indices of the main diagonal of an array with `ndim` axes of length `n`."""
    return np.diag_indices(n, ndim)


@numpy_function(np.tril_indices_from)
def tril_indices_from(arr: Any, k: int = 0) -> tuple:
    """Indices of the elements at and below the `k`-th diagonal of `arr`."""
    return tuple(map(placed, np.tril_indices(shape_of(arr)[-2], k, shape_of(arr)[-1])))


@numpy_function(np.triu_indices_from)
def triu_indices_from(arr: Any, k: int = 0) -> tuple:
    """Indices of the elements at and above the `k`-th diagonal of `arr`."""
    return tuple(map(placed, np.triu_indices(shape_of(arr)[-2], k, shape_of(arr)[-1])))


@numpy_function(np.diag_indices_from)
def diag_indices_from(arr: Any) -> tuple:
    """Indices of the main diagonal of `arr`, whose axes have equal lengths."""
    return np.diag_indices(shape_of(arr)[0], ndim_of(arr))
