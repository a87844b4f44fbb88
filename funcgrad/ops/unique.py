"""Distinct elements."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad import errors
from funcgrad.ir import source
from funcgrad.ir.tracer import Tracer
from funcgrad.ir.types import INT64, is_inexact
from funcgrad.ops.arithmetic import subtract
from funcgrad.ops.cast import convert
from funcgrad.ops.compare import isnan, less, logical_and, logical_not, not_equal
from funcgrad.ops.create import full, iota
from funcgrad.ops.cumulative import CUM_SUM
from funcgrad.ops.gather import gather
from funcgrad.ops.operands import shape_of
from funcgrad.ops.recurrence import shifted
from funcgrad.ops.reduce import reduce_sum
from funcgrad.ops.scatter import scatter
from funcgrad.ops.select import select
from funcgrad.ops.sequences import as_array
from funcgrad.ops.shape import reshape
from funcgrad.ops.sort import argsort


def unique(
    x: Any,
    return_index: bool = False,
    return_inverse: bool = False,
    return_counts: bool = False,
    *,
    equal_nan: bool = True,
    size: int | None = None,
    fill_value: Any = None,
) -> Any:
    """The distinct elements of an array, sorted.

    Args:
        x: array; it is flattened.
        return_index: also the position of the first occurrence of each.
        return_inverse: also, in the shape of `x`, the number of each element in the result.
        return_counts: also how often each occurs.
        equal_nan: whether all NaNs count as one.
        size: length of the result, needed under `jit` and `vmap`: more are cut off, fewer are filled up.
        fill_value: what fills up; the least element by default. Positions fill up with that of the least element,
            counts with 0.

    Returns:
        The elements, or a tuple of them and what else was asked for.

    Example:
        >>> unique([3, 1, 3], return_counts=True)
        (array([1, 3]), array([1, 2]))
    """
    x = as_array(x)
    flat = reshape(x, (-1,))
    count = shape_of(flat)[0]
    order = argsort(flat)
    ordered = gather(flat, (order,))
    starts = run_starts(ordered, equal_nan)
    number = subtract(CUM_SUM(convert(starts, INT64), axis=0, reverse=False), 1)
    length = number_of_runs(starts) if size is None else int(size)
    positions = iota((count,))
    # Positions behind the last run, and runs behind `size`, have no place in the table.
    place = select(starts, number, length)
    first = full((length,), 0, INT64)
    first = scatter("set", first, (place,), positions, drop=True)
    index = gather(order, (first,)) if count else first
    values = gather(flat, (index,)) if count else full((length,), 0, flat.dtype)
    counts = scatter(
        "add", full((length,), 0, INT64), (number,), full((count,), 1, INT64), drop=True
    )
    if size is not None and fill_value is not None:
        is_run = less(iota((length,)), reduce_sum(convert(starts, INT64)))
        values = select(is_run, values, np.asarray(fill_value, flat.dtype)[()])
    inverse = scatter("set", full((count,), 0, INT64), (order,), number, unique=True)
    wanted = [
        (True, values),
        (return_index, index),
        (return_inverse, reshape(inverse, shape_of(x))),
        (return_counts, counts),
    ]
    results = tuple(value for is_wanted, value in wanted if is_wanted)
    return results if len(results) > 1 else values


def run_starts(ordered: Any, equal_nan: bool) -> Any:
    """Where a sorted vector differs from the element before."""
    before = shifted(ordered, 0)
    differs = not_equal(ordered, before)
    if equal_nan and is_inexact(ordered.dtype):
        differs = logical_and(differs, logical_not(logical_and(isnan(ordered), isnan(before))))
    is_first = less(iota(shape_of(ordered)), 1)
    return select(is_first, True, differs)


def number_of_runs(starts: Any) -> int:
    """How many distinct elements there are, as a concrete number."""
    value = starts.concrete() if isinstance(starts, Tracer) else starts
    if value is None:
        raise errors.ConcretizationTypeError(
            errors.compose(
                f"[unique] needs `size`, because the elements are traced: {starts!r}.",
                where=source.where(),
                why="How many distinct elements there are is known only at run time, and decides the shape.",
                fix="funcgrad.numpy.unique(x, size=n)    # n elements, cut off or filled up",
                page="concretization",
            )
        )
    return int(value.sum())
