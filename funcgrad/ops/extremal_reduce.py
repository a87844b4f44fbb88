"""Maxima and minima over axes, and their positions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.ir.types import INT64
from funcgrad.ops.arithmetic import DIVIDE
from funcgrad.ops.cast import convert
from funcgrad.ops.compare import greater, less, logical_not
from funcgrad.ops.families import Reduction
from funcgrad.ops.operands import ndim_of, shape_of
from funcgrad.ops.reduce import REDUCE_SUM, WeightedReduction, comparable, keep_axes, normalize_axes
from funcgrad.ops.sequences import as_array
from funcgrad.ops.shape import reshape


class Extremum(WeightedReduction):
    """Largest or smallest element; equal ones share the derivative evenly."""

    def weights(self, x: Any, out: Any, axes: tuple[int, ...]) -> Any:
        """1 / n for the n elements that are extremal, 0 for the others; nothing falls short of NaN."""
        kept = keep_axes(shape_of(x), axes)
        chosen = convert(logical_not(self.falls_short(x, reshape(out, kept))), x.dtype)
        return DIVIDE(chosen, reshape(REDUCE_SUM(chosen, axes=axes), kept))

    def falls_short(self, x: Any, out: Any) -> Any:
        """Where an element is not the extremum."""
        raise NotImplementedError


class ReduceMax(Extremum):
    """Largest element along `axes`; NaN if one is NaN."""

    combine = "maximum"

    def numpy(self, xp: Any, x: Any, *, axes: tuple[int, ...]) -> Any:
        return xp.max(comparable(x), axis=axes).astype(x.dtype, copy=False)

    def falls_short(self, x: Any, out: Any) -> Any:
        return less(x, out)


class ReduceMin(Extremum):
    """Smallest element along `axes`; NaN if one is NaN."""

    combine = "minimum"

    def numpy(self, xp: Any, x: Any, *, axes: tuple[int, ...]) -> Any:
        return xp.min(comparable(x), axis=axes).astype(x.dtype, copy=False)

    def falls_short(self, x: Any, out: Any) -> Any:
        return greater(x, out)


class ArgMax(Reduction):
    """Position of the first largest element along the one axis in `axes`; the first NaN counts as largest."""

    combine = "argmax"

    def output_dtype(self, dtype: np.dtype, **params: Any) -> np.dtype:
        del dtype, params
        return INT64

    def numpy(self, xp: Any, x: Any, *, axes: tuple[int, ...]) -> Any:
        return xp.argmax(comparable(x), axis=axes[0])

    def jvp(self, primals: Any, tangents: Any, **params: Any) -> tuple[Any, Any]:
        del tangents
        return self(*primals, **params), None


class ArgMin(ArgMax):
    """Position of the first smallest element along the one axis in `axes`; the first NaN counts as smallest."""

    combine = "argmin"

    def numpy(self, xp: Any, x: Any, *, axes: tuple[int, ...]) -> Any:
        return xp.argmin(comparable(x), axis=axes[0])


REDUCE_MAX, REDUCE_MIN, ARG_MAX, ARG_MIN = ReduceMax(), ReduceMin(), ArgMax(), ArgMin()


def check_not_empty(name: str, shape: tuple, axes: Sequence[int]) -> None:
    """Raise NumPy's ValueError for an extremum of no elements."""
    empty = [a for a in axes if shape[a] == 0]
    if empty:
        raise ValueError(
            f"[{name}] zero-size array to reduction operation: axis {empty[0]} of shape {shape} has no "
            "elements, and no value is the extremum of nothing. Pass `initial`, or check the length first."
        )


def extremum(primitive: Extremum, x: Any, axes: Any) -> Any:
    x = as_array(x)
    axes = normalize_axes(primitive.name, axes, ndim_of(x))
    check_not_empty(primitive.name, shape_of(x), axes)
    return primitive(x, axes=axes) if axes else x


def reduce_max(x: Any, axes: Sequence[int] | int | None = None) -> Any:
    """Largest element along `axes` (all by default). Equal ones share the derivative evenly.

    Raises:
        ValueError: if there are no elements.

    Example:
        >>> reduce_max([[1.0, 5.0], [7.0, 2.0]], axes=1)
        array([5., 7.])
    """
    return extremum(REDUCE_MAX, x, axes)


def reduce_min(x: Any, axes: Sequence[int] | int | None = None) -> Any:
    """Smallest element along `axes` (all by default). Equal ones share the derivative evenly.

    Raises:
        ValueError: if there are no elements.

    Example:
        >>> reduce_min([[1.0, 5.0], [7.0, 2.0]], axes=1)
        array([1., 2.])
    """
    return extremum(REDUCE_MIN, x, axes)


def position(primitive: ArgMax, x: Any, axis: int | None) -> Any:
    x = as_array(x)
    if axis is None:
        x, axis = reshape(x, (-1,)), 0
    axes = normalize_axes(primitive.name, axis, ndim_of(x))
    check_not_empty(primitive.name, shape_of(x), axes)
    return primitive(x, axes=axes)


def argmax(x: Any, axis: int | None = None) -> Any:
    """Position of the first largest element, along an axis or (None) in the flattened array.

    Args:
        x: array of any shape; a NaN counts as largest, as in NumPy.
        axis: int or None.

    Returns:
        int64 array without that axis. It has no derivative.

    Example:
        >>> argmax([[1, 3, 3], [4, 0, 2]], axis=1)
        array([1, 0])
    """
    return position(ARG_MAX, x, axis)


def argmin(x: Any, axis: int | None = None) -> Any:
    """Position of the first smallest element, along an axis or (None) in the flattened array.

    Args:
        x: array of any shape; a NaN counts as smallest, as in NumPy.
        axis: int or None.

    Returns:
        int64 array without that axis. It has no derivative.

    Example:
        >>> argmin([[1, 3, 0], [4, 0, 2]], axis=1)
        array([2, 1])
    """
    return position(ARG_MIN, x, axis)
