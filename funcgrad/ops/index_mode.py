"""What an index out of bounds does: "clip", "wrap", "fill" (when reading) or "drop" (when writing)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.ir.types import INT64, is_inexact, kind
from funcgrad.ops.cast import convert
from funcgrad.ops.compare import greater_equal, less, logical_and
from funcgrad.ops.extrema import maximum, minimum
from funcgrad.ops.operands import ndim_of, shape_of
from funcgrad.ops.rounding import remainder
from funcgrad.ops.select import select
from funcgrad.ops.sequences import as_array
from funcgrad.ops.shape import reshape

MODES = ("clip", "wrap", "fill", "drop", "promise_in_bounds")


def as_indices(name: str, indices: Any) -> Any:
    """An int64 array; TypeError for floats, as in NumPy."""
    indices = as_array(indices)
    if indices.dtype.kind not in "iu":
        raise TypeError(
            f"[{name}] indices must be integers, but got dtype {indices.dtype}. Use x.astype(int)."
        )
    return convert(indices, INT64)


def check_mode(name: str, mode: str | None) -> str | None:
    """`mode` with None for raising, which every index that is promised to be in bounds may do."""
    if mode not in (None, "raise", *MODES):
        raise ValueError(
            f"[{name}] mode = {mode!r} is unknown. Use None (raise IndexError), 'clip', 'wrap', 'fill' or 'drop'."
        )
    return None if mode in ("raise", "promise_in_bounds") else mode


def adjust(index: Any, size: int, mode: str | None) -> Any:
    """An integer index array after clipping or wrapping; negative ones count from the end first."""
    if mode == "wrap" and size:
        return remainder(index, size)
    if mode == "clip":
        return minimum(maximum(index, -size), size - 1)
    return index


def fill_outside(out: Any, indices: Sequence[Any], lengths: Sequence[int], fill_value: Any) -> Any:
    """`out`, the gathered elements with index axes first, with `fill_value` where an index is out of bounds."""
    value = missing_value(out.dtype) if fill_value is None else fill_value
    inside: Any = True
    for index, size in zip(indices, lengths, strict=True):
        inside = logical_and(inside, logical_and(greater_equal(index, -size), less(index, size)))
    column = reshape(inside, (*shape_of(inside), *(1,) * (ndim_of(out) - ndim_of(inside))))
    return select(column, out, np.asarray(value).astype(out.dtype)[()])


def missing_value(dtype: np.dtype) -> Any:
    """What stands for an element that does not exist: NaN, the least int, the greatest uint, or True."""
    if is_inexact(dtype):
        return np.nan
    if kind(dtype) == "b":
        return True
    limits = np.iinfo(dtype)
    return limits.min if kind(dtype) == "i" else limits.max
