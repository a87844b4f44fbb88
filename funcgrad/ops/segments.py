"""Reductions of rows that share a number: segment sums, products and extrema."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad import errors
from funcgrad.ir import source
from funcgrad.ir.tracer import Tracer
from funcgrad.ir.types import is_inexact, kind
from funcgrad.ops.create import full
from funcgrad.ops.index_mode import adjust, as_indices, check_mode
from funcgrad.ops.operands import ndim_of, shape_of
from funcgrad.ops.scatter import scatter
from funcgrad.ops.sequences import as_array


def least(dtype: np.dtype) -> Any:
    """The neutral element of a maximum."""
    if is_inexact(dtype):
        return -np.inf
    return False if kind(dtype) == "b" else np.iinfo(dtype).min


def greatest(dtype: np.dtype) -> Any:
    """The neutral element of a minimum."""
    if is_inexact(dtype):
        return np.inf
    return True if kind(dtype) == "b" else np.iinfo(dtype).max


def number_of_segments(name: str, numbers: Any, given: int | None) -> int:
    """How many segments there are: as given, or one more than the largest concrete number."""
    if given is not None:
        return int(given)
    value = numbers.concrete() if isinstance(numbers, Tracer) else numbers
    if value is None:
        raise errors.ConcretizationTypeError(
            errors.compose(
                f"[{name}] needs num_segments, because segment_ids are traced: {numbers!r}.",
                where=source.where(),
                why="The shape of the result is fixed when the function is traced.",
                fix=f"{name}(data, segment_ids, num_segments=n)",
                page="concretization",
            )
        )
    return int(value.max()) + 1 if value.size else 0


COMBINE = {
    "segment_sum": "add",
    "segment_prod": "multiply",
    "segment_max": "max",
    "segment_min": "min",
}


def segment_reduce(
    name: str,
    neutral: Any,
    data: Any,
    segment_ids: Any,
    num_segments: int | None,
    unique_indices: bool,
    mode: str | None,
) -> Any:
    data, numbers = as_array(data), as_indices(name, segment_ids)
    if ndim_of(numbers) != 1 or shape_of(data)[:1] != shape_of(numbers):
        raise ValueError(
            f"[{name}] segment_ids must hold one number per row of data, but the shapes are "
            f"{shape_of(numbers)} and {shape_of(data)}."
        )
    mode = check_mode(name, mode)
    count = number_of_segments(name, numbers, num_segments)
    start = full((count, *shape_of(data)[1:]), neutral, data.dtype)
    drop = mode in ("fill", "drop")
    numbers = adjust(numbers, count, mode)
    return scatter(COMBINE[name], start, (numbers,), data, drop=drop, unique=unique_indices)


def segment_sum(
    data: Any,
    segment_ids: Any,
    num_segments: int | None = None,
    indices_are_sorted: bool = False,
    unique_indices: bool = False,
    mode: str | None = None,
) -> Any:
    """The sum of the rows of each segment; 0 for a segment without rows.

    Args:
        data: array `(n, ...)`.
        segment_ids: integers `(n,)`, the segment of each row.
        num_segments: int; one more than the largest number by default, needed under `jit` and `vmap`.
        indices_are_sorted: accepted for JAX's sake.
        unique_indices: promises that no segment has two rows.
        mode: for numbers out of bounds: None raises IndexError, "drop" leaves their rows out.

    Returns:
        Array `(num_segments, ...)` of the dtype of `data`.

    Example:
        >>> import numpy as np
        >>> segment_sum(np.array([1.0, 2.0, 4.0]), [0, 0, 2])
        array([3., 0., 4.])
    """
    del indices_are_sorted
    return segment_reduce("segment_sum", 0, data, segment_ids, num_segments, unique_indices, mode)


def segment_prod(
    data: Any,
    segment_ids: Any,
    num_segments: int | None = None,
    indices_are_sorted: bool = False,
    unique_indices: bool = False,
    mode: str | None = None,
) -> Any:
    """The product of the rows of each segment; 1 for a segment without rows. Arguments as `segment_sum`.

    Example:
        >>> import numpy as np
        >>> segment_prod(np.array([2.0, 3.0, 4.0]), [0, 0, 2])
        array([6., 1., 4.])
    """
    del indices_are_sorted
    return segment_reduce("segment_prod", 1, data, segment_ids, num_segments, unique_indices, mode)


def segment_max(
    data: Any,
    segment_ids: Any,
    num_segments: int | None = None,
    indices_are_sorted: bool = False,
    unique_indices: bool = False,
    mode: str | None = None,
) -> Any:
    """The largest row of each segment, element by element; -inf (the least int) for one without rows.

    Arguments as `segment_sum`. Equal elements share the derivative evenly.

    Example:
        >>> import numpy as np
        >>> segment_max(np.array([2.0, 3.0, 4.0]), [0, 0, 2])
        array([  3., -inf,   4.])
    """
    del indices_are_sorted
    neutral = least(as_array(data).dtype)
    return segment_reduce(
        "segment_max", neutral, data, segment_ids, num_segments, unique_indices, mode
    )


def segment_min(
    data: Any,
    segment_ids: Any,
    num_segments: int | None = None,
    indices_are_sorted: bool = False,
    unique_indices: bool = False,
    mode: str | None = None,
) -> Any:
    """The smallest row of each segment, element by element; inf (the greatest int) for one without rows.

    Arguments as `segment_sum`. Equal elements share the derivative evenly.

    Example:
        >>> import numpy as np
        >>> segment_min(np.array([2.0, 3.0, 4.0]), [0, 0, 2])
        array([ 2., inf,  4.])
    """
    del indices_are_sorted
    neutral = greatest(as_array(data).dtype)
    return segment_reduce(
        "segment_min", neutral, data, segment_ids, num_segments, unique_indices, mode
    )
