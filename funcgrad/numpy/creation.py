"""New arrays. Functions that invent a dtype choose float32 or int64; those that get one keep it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import numpy as np

from funcgrad.ir.devices import near, new_arrays_on, only_numpy, placed
from funcgrad.ir.tracer import FUNCTIONS, Tracer, state
from funcgrad.ir.types import PYTHON_SCALARS, is_inexact
from funcgrad.numpy.conversion import FLOAT32, default_dtype
from funcgrad.numpy.register import copy_of, numpy_function
from funcgrad.numpy.shape import as_shape
from funcgrad.ops import create
from funcgrad.ops.arithmetic import add, multiply
from funcgrad.ops.cast import convert
from funcgrad.ops.operands import shape_of
from funcgrad.ops.sequences import as_array
from funcgrad.ops.shape import broadcast_to


def writeable(array: Any) -> Any:
    """A new array that code inside a transformation may write traced values into.

    The innermost running transformation adopts it. Integers have no derivative, so transformations that
    differentiate leave them to the ones around them.
    """
    for trace in reversed(state.stack):
        if is_inexact(array.dtype) or not trace.differentiates:
            if isinstance(array, Tracer) and array.owner is trace:
                return array
            return trace.adopt(array, None)
    return array


def empty(shape: Any, dtype: Any = FLOAT32, *, device: Any = None) -> Any:
    """An array whose elements are to be written; they start as zeros."""
    return zeros(shape, dtype, device=device)


def zeros(shape: Any, dtype: Any = FLOAT32, *, device: Any = None) -> Any:
    """An array of zeros.

    Args:
        shape: int or tuple of ints.
        dtype: float32 by default.
        device: where it goes; the default device if it is None.

    Example:
        >>> import funcgrad.numpy as fnp
        >>> fnp.zeros((2, 2))
        array([[0., 0.],
               [0., 0.]], dtype=float32)
    """
    return full(shape, 0, FLOAT32 if dtype is None else dtype, device=device)


def ones(shape: Any, dtype: Any = FLOAT32, *, device: Any = None) -> Any:
    """An array of ones; see `zeros`."""
    return full(shape, 1, FLOAT32 if dtype is None else dtype, device=device)


def full(shape: Any, fill_value: Any, dtype: Any = None, *, device: Any = None) -> Any:
    """An array filled with one value, which may be traced, or an array that broadcasts to `shape`."""
    with new_arrays_on(device):
        return writeable(filled(as_shape(shape), fill_value, dtype))


def filled(shape: tuple[int, ...], value: Any, dtype: Any = None) -> Any:
    """An array of this shape that holds `value`, a number or an array to broadcast."""
    if dtype is None:
        dtype = default_dtype(value)
    if type(value) in PYTHON_SCALARS:
        return create.full(shape, np.dtype(dtype).type(value).item(), dtype)
    value = as_array(value)
    out = broadcast_to(value if dtype is None else convert(value, dtype), shape)
    return placed(np.array(out)) if isinstance(out, np.ndarray | np.generic) else copy_of(out)


def zeros_like(
    a: Any,
    dtype: Any = None,
    order: str = "K",
    subok: bool = True,
    shape: Any = None,
    **options: Any,
) -> Any:
    """Zeros with the shape and dtype of `a`; inside a transformation, traced values may be written in."""
    return full_like(a, 0, dtype, order, subok, shape, **options)


def ones_like(
    a: Any,
    dtype: Any = None,
    order: str = "K",
    subok: bool = True,
    shape: Any = None,
    **options: Any,
) -> Any:
    """Ones with the shape and dtype of `a`."""
    return full_like(a, 1, dtype, order, subok, shape, **options)


def full_like(
    a: Any,
    fill_value: Any,
    dtype: Any = None,
    order: str = "K",
    subok: bool = True,
    shape: Any = None,
    *,
    device: Any = None,
) -> Any:
    """An array with the shape and dtype of `a`, filled with one value.

    Args:
        a: array or traced value.
        fill_value: number or array that broadcasts.
        dtype: another dtype than that of `a`.
        order, subok: accepted as in NumPy, without effect.
        shape: another shape than that of `a`.
        device: where it goes; beside `a` if it is None.
    """
    del order, subok
    a = as_array(a)
    lengths = shape_of(a) if shape is None else as_shape(shape)
    beside = contextlib.nullcontext() if only_numpy() else near((a,))
    with beside, new_arrays_on(device):
        return writeable(filled(lengths, fill_value, a.dtype if dtype is None else dtype))


numpy_function(np.zeros_like, np.empty_like)(zeros_like)


numpy_function(np.ones_like)(ones_like)


numpy_function(np.full_like)(full_like)


def empty_like(a: Any, dtype: Any = None, **options: Any) -> Any:
    """An array like `a` whose elements are to be written; they start as zeros."""
    return zeros_like(a, dtype, **options)


def arange(
    start: Any, stop: Any = None, step: Any = 1, dtype: Any = None, *, device: Any = None
) -> Any:
    """Numbers from `start` (included) to `stop` (excluded) in steps.

    Args:
        start, stop, step: concrete numbers, because they decide the length; `arange(n)` starts at 0.
        dtype: float32 if any of them is a float, else int64.
        device: where it goes; the default device if it is None.

    Example:
        >>> import funcgrad.numpy as fnp
        >>> fnp.arange(2, 10, 3)
        array([2, 5, 8])
    """
    start, stop = (0, start) if stop is None else (start, stop)
    for number in (start, stop, step):
        if isinstance(number, Tracer):
            number.__index__()
    if dtype is None:
        known = [number.dtype for number in (start, stop, step) if hasattr(number, "dtype")]
        python = [number for number in (start, stop, step) if type(number) in PYTHON_SCALARS]
        dtype = np.result_type(*known, *python) if known else default_dtype(python)
    dtype = np.dtype(dtype)
    if state.ambient is None:
        with new_arrays_on(device):
            return placed(np.arange(start, stop, step, dtype=dtype))
    index = create.iota((len(np.arange(start, stop, step)),), 0, dtype)
    return add(multiply(index, dtype.type(step)), dtype.type(start))


def eye(N: int, M: int | None = None, k: int = 0, dtype: Any = None, *, device: Any = None) -> Any:
    """Ones on the `k`-th diagonal of an N by M matrix, zeros elsewhere."""
    with new_arrays_on(device):
        return placed(convert(np.eye(N, M, k, np.bool_), FLOAT32 if dtype is None else dtype))


def identity(n: int, dtype: Any = None) -> Any:
    """The n by n identity matrix."""
    return eye(n, dtype=dtype)


def tri(N: int, M: int | None = None, k: int = 0, dtype: Any = None) -> Any:
    """Ones at and below the `k`-th diagonal, zeros above."""
    return placed(convert(np.tri(N, M, k, np.bool_), FLOAT32 if dtype is None else dtype))


def fromfunction(function: Callable[..., Any], shape: Any, *, dtype: Any = None) -> Any:
    """`function` called on the index arrays of an array of this shape."""
    index = np.indices(as_shape(shape), np.int64)
    return function(*[placed(convert(row, FLOAT32 if dtype is None else dtype)) for row in index])


# np.zeros(3, like=t) and its relatives arrive here, with NumPy's own default dtypes.
LIKE: dict[Any, Callable[..., Any]] = {
    np.zeros: lambda shape, dtype=float, order="C", **rest: full(shape, 0, dtype, **rest),
    np.empty: lambda shape, dtype=float, order="C", **rest: full(shape, 0, dtype, **rest),
    np.ones: lambda shape, dtype=None, order="C", **rest: full(shape, 1, dtype or float, **rest),
    np.full: lambda shape, fill_value, dtype=None, order="C", **rest: full(
        shape, as_array(fill_value), dtype, **rest
    ),
    np.arange: lambda *args, **options: writeable(placed(np.arange(*args, **options))),
    np.eye: lambda *args, **options: writeable(placed(np.eye(*args, **options))),
    np.identity: lambda *args, **options: writeable(placed(np.identity(*args, **options))),
    np.tri: lambda *args, **options: writeable(placed(np.tri(*args, **options))),
    np.fromfunction: lambda function, shape, dtype=float, **options: function(
        *map(placed, np.indices(shape, dtype)), **options
    ),
}


FUNCTIONS.update(LIKE)
