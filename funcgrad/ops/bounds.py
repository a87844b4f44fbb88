"""Integer indices of axes: bounds checks with the user's axis in the message, and flat row numbers."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np


def check_bounds(indices: Sequence[Any], shape: Sequence[int], labels: Sequence[int]) -> None:
    """Raise IndexError for the first index array that leaves its axis.

    Args:
        indices: integer arrays, one per axis; negative ones count from the end.
        shape: length of each indexed axis.
        labels: number of each axis as the user counts them.
    """
    for index, size, label in zip(indices, shape, labels, strict=True):
        if not index.size or (-size <= index.min() and index.max() < size):
            continue
        bad = index[(index < -size) | (index >= size)] if index.ndim else index
        raise_out_of_bounds(int(bad.ravel()[0]), label, size)


def raise_out_of_bounds(index: int, axis: int, size: int) -> None:
    raise out_of_bounds_error(index, axis, size)


def out_of_bounds_error(index: int, axis: int, size: int) -> IndexError:
    """The error for an index that leaves its axis, as the user counts axes; it knows the index."""
    allowed = f"Use {-size} to {size - 1}" if size else "The axis is empty: check its length first"
    error = IndexError(
        f"index {index} is out of bounds for axis {axis} with size {size}. {allowed}, or say what shall "
        'happen: x.at[index].get(mode="clip"), "wrap" or "fill"; x.at[index].set(v, mode="drop").'
    )
    vars(error)["index"] = index
    return error


def window_error(start: int, axis: int, length: int, size: int) -> IndexError:
    """The error for a window of `size` elements that leaves its axis."""
    return IndexError(
        f"[dynamic_slice] start index {start} is out of bounds for axis {axis} with size {length}: a window "
        f"of {size} starts at {-length} to {length - size}."
    )


def is_valid(xp: Any, indices: Sequence[Any], shape: Sequence[int]) -> Any:
    """Where every index lies in its axis, in the common shape of the index arrays."""
    valid = [(index >= -size) & (index < size) for index, size in zip(indices, shape, strict=True)]
    return functools.reduce(xp.logical_and, valid)


def row_numbers(xp: Any, indices: Sequence[Any], shape: Sequence[int]) -> Any:
    """Position, in C order over axes of this shape, of the element each valid index names."""
    rows: Any = 0
    for index, size in zip(indices, shape, strict=True):
        index = xp.asarray(index, np.int64)
        if index.size and index.min() < 0:
            index = xp.where(index < 0, index + size, index)
        rows = rows * size + index
    return rows
