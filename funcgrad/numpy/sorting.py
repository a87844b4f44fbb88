"""Sorting, and the positions that sort."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.numpy.indexing import take_along_axis
from funcgrad.numpy.register import numpy_function
from funcgrad.ops import sort as sorts
from funcgrad.ops.cast import convert
from funcgrad.ops.complex import imag, real
from funcgrad.ops.sequences import as_array


def sort_order(kind: Any, order: Any, stable: Any) -> None:
    """All sorts here are stable, so `kind` and `stable` need no attention; `order` is for records."""
    del kind, stable
    if order is not None:
        raise TypeError("[sort] order= names the fields of records; these arrays have none.")


@numpy_function(np.sort)
def sort(
    a: Any, axis: int | None = -1, kind: Any = None, order: Any = None, *, stable: Any = None
) -> Any:
    """The elements along `axis` in increasing order; stable, NaN last.

    Args:
        a: array.
        axis: None sorts the flattened array.
        kind, stable: every sort is stable.
        order: not supported; it is for records.
    """
    sort_order(kind, order, stable)
    a = as_array(a)
    return sorts.sort(a, axis)


@numpy_function(np.argsort)
def argsort(
    a: Any, axis: int | None = -1, kind: Any = None, order: Any = None, *, stable: Any = None
) -> Any:
    """The positions that sort `a` along `axis`; arguments as in `sort`."""
    sort_order(kind, order, stable)
    return sorts.argsort(a, axis)


@numpy_function(np.lexsort)
def lexsort(keys: Any, axis: int = -1) -> Any:
    """The positions that sort by several keys; the last key counts most."""
    return sorts.lexsort(keys, axis)


@numpy_function(np.partition)
def partition(a: Any, kth: Any, axis: int | None = -1, kind: Any = None, order: Any = None) -> Any:
    """The elements with the `kth` in its sorted place, smaller ones before it: here fully sorted."""
    del kth
    return sort(a, axis, kind, order)


@numpy_function(np.argpartition)
def argpartition(
    a: Any, kth: Any, axis: int | None = -1, kind: Any = None, order: Any = None
) -> Any:
    """The positions that partition `a`: here those that sort it."""
    del kth
    return argsort(a, axis, kind, order)


@numpy_function(np.sort_complex)
def sort_complex(a: Any) -> Any:
    """The elements as complex numbers, sorted by real and then imaginary part."""
    a = as_array(a)
    small = a.dtype.char in "bhBHF"
    a = convert(a, np.complex64 if small else np.complex128)
    order = sorts.lexsort((imag(a), real(a)))
    return take_along_axis(a, order, -1)
