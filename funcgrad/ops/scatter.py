"""Other ways to combine updates into elements at integer indices: set, multiply, maximum, minimum.

An element may be named more than once. `set`: the last update wins, also in derivatives. `multiply`: exact
without division. Extrema: equal candidates share the derivative evenly.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.ir.primitive import LinearInput, is_linear
from funcgrad.ops.arithmetic import ADD, DIVIDE, MULTIPLY
from funcgrad.ops.cast import convert
from funcgrad.ops.compare import equal, greater, greater_equal, less, logical_and
from funcgrad.ops.cotangents import RULES_STATE, scale, sum_terms, zeros_for
from funcgrad.ops.create import full, iota
from funcgrad.ops.gather import (
    GATHER,
    SCATTER_ADD,
    Scatter,
    ScatterLinear,
    index_shape,
)
from funcgrad.ops.operands import ndim_of, shape_of
from funcgrad.ops.recurrence import LINEAR_RECURRENCE, shifted
from funcgrad.ops.select import select
from funcgrad.ops.shape import broadcast_to, reshape
from funcgrad.ops.sort import argsort


class ScatterSet(ScatterLinear):
    """`x` with the indexed elements replaced by `updates`; of several for one element the last wins."""

    combine = "set"

    def write(self, xp: Any, out: Any, rows: Any, updates: Any, unique: bool) -> Any:
        if xp is not np and not unique and rows.size:
            order = xp.argsort(rows, kind="stable")
            ordered = rows[order]
            last = order[xp.concatenate([ordered[1:] != ordered[:-1], xp.ones(1, bool)])]
            rows, updates = rows[last], updates[last]
        out[rows] = updates
        return out

    def transpose(
        self, cotangent: Any, x: Any, updates: Any, *indices: Any, **params: Any
    ) -> list[Any]:
        pulled: list[Any] = [None] * (2 + len(indices))
        # What is read comes first, so that the rest can be written in place.
        if is_linear(updates):
            shared = {name: value for name, value in params.items() if name != "unique"}
            taken = GATHER(cotangent, *indices, **shared)
            if not params["unique"]:
                wins = last_writes(indices, shape_of(cotangent)[: len(indices)], shared)
                taken = select(as_column(wins, taken), taken, 0.0)
            pulled[1] = taken
        if is_linear(x):
            shape = (*index_shape(indices), *shape_of(cotangent)[len(indices) :])
            zeros = full(shape, 0, cotangent.dtype)
            pulled[0] = self(cotangent, zeros, *indices, **params)
        return pulled


def last_writes(indices: Sequence[Any], shape: tuple, params: dict) -> Any:
    """Whether each update is the last one for its element, in the shape of the index arrays."""
    wanted = index_shape(indices)
    number = reshape(iota((math.prod(wanted),)), wanted)
    table = SCATTER_SET(full(shape, -1, np.int64), number, *indices, unique=False, **params)
    return equal(GATHER(table, *indices, **params), number)


def as_column(mask: Any, values: Any) -> Any:
    """`mask` with axes of length 1 appended up to the rank of `values`."""
    return reshape(mask, (*shape_of(mask), *(1,) * (ndim_of(values) - ndim_of(mask))))


class ScatterMultiply(Scatter):
    """`x` with the indexed elements multiplied by `updates`."""

    combine = "multiply"

    def jvp(self, primals: Any, tangents: Any, **params: Any) -> tuple[Any, Any]:
        (x, updates, *indices), (dx, du, *_) = primals, tangents
        out = self(*primals, **params)
        moved = None if dx is None else self(dx, updates, *indices, **params)
        if du is not None:
            factor = GATHER(x, *indices, labels=params["labels"], drop=params["drop"])
            if not params["unique"]:
                others = product_of_other_updates(updates, indices, shape_of(x), params["drop"])
                factor = MULTIPLY(factor, others)
            change = SCATTER_ADD(zeros_for(out), MULTIPLY(du, factor), *indices, **params)
            moved = sum_terms([moved, change])
        return out, moved

    def transpose(
        self, cotangent: Any, x: LinearInput, updates: Any, *indices: Any, **params: Any
    ) -> list[Any]:
        """It is linear in `x`, each element of which has its factor."""
        if RULES_STATE.masked:
            ones = full(x.shape, 1, cotangent.dtype)
            pulled = scale(cotangent, self(ones, updates, *indices, **params))
        else:
            pulled = self(cotangent, updates, *indices, **params)
        return [pulled, *[None] * (1 + len(indices))]


def product_of_other_updates(updates: Any, indices: Sequence[Any], shape: tuple, drop: bool) -> Any:
    """For each update, the product of all others of the same element.

    Sorts the updates by element; then the product of those before (after) it within its element is a
    recurrence that starts again at 1 where an element begins (ends).
    """
    wanted = index_shape(indices)
    count = math.prod(wanted)
    rows = reshape(broadcast_to(flat_rows(indices, shape, drop), wanted), (count,))
    order = argsort(rows)
    ordered = GATHER(rows, order, labels=(0,), drop=False)
    values = reshape(updates, (count, math.prod(shape[len(indices) :])))
    values = GATHER(values, order, labels=(0,), drop=False)
    others = MULTIPLY(
        product_within_group(values, ordered, False), product_within_group(values, ordered, True)
    )
    back = GATHER(others, argsort(order), labels=(0,), drop=False)
    return reshape(back, shape_of(updates))


def product_within_group(values: Any, groups: Any, reverse: bool) -> Any:
    """For each row, the product of the rows before (after) it that have the same group number."""
    same = as_column(equal(groups, shifted(groups, 0, reverse, fill=-1)), values)
    zero, one = full((), 0, values.dtype), full((), 1, values.dtype)
    factor = select(same, shifted(values, 0, reverse, fill=1), zero)
    start = broadcast_to(select(same, zero, one), shape_of(values))
    return LINEAR_RECURRENCE(factor, start, axis=0, reverse=reverse)


def flat_rows(indices: Sequence[Any], shape: tuple, drop: bool) -> Any:
    """The number of the element that each index names; dropped updates share one number beyond all."""
    rows: Any = None
    valid: Any = True
    for index, size in zip(indices, shape, strict=False):
        if drop:
            inside = logical_and(greater_equal(index, -size), less(index, size))
            valid = inside if valid is True else logical_and(valid, inside)
        index = convert(select(less(index, 0), ADD(index, size), index), np.int64)
        rows = index if rows is None else ADD(MULTIPLY(rows, size), index)
    return select(valid, rows, math.prod(shape[: len(indices)])) if drop else rows


class ScatterExtremum(Scatter):
    """The larger (smaller) of each indexed element and its updates."""

    def jvp(self, primals: Any, tangents: Any, **params: Any) -> tuple[Any, Any]:
        (x, updates, *indices), (dx, du, *_) = primals, tangents
        out = self(*primals, **params)
        reached = GATHER(out, *indices, labels=params["labels"], drop=params["drop"])
        zero, one = full((), 0, x.dtype), full((), 1, x.dtype)
        from_x = select(self.falls_short(x, out), zero, one)
        from_updates = select(self.falls_short(updates, reached), zero, one)
        count = SCATTER_ADD(from_x, from_updates, *indices, **params)
        terms = [None if dx is None else MULTIPLY(dx, DIVIDE(from_x, count))]
        if du is not None:
            shared = GATHER(count, *indices, labels=params["labels"], drop=params["drop"])
            if params["drop"]:
                shared = select(greater(shared, 0), shared, one)
            change = MULTIPLY(du, DIVIDE(from_updates, shared))
            terms.append(SCATTER_ADD(zeros_for(out), change, *indices, **params))
        return out, sum_terms(terms)

    def falls_short(self, x: Any, out: Any) -> Any:
        """Where a candidate is not the extremum."""
        raise NotImplementedError


class ScatterMax(ScatterExtremum):
    """`x` with the indexed elements raised to the largest of their updates."""

    combine = "maximum"

    def falls_short(self, x: Any, out: Any) -> Any:
        return less(x, out)


class ScatterMin(ScatterExtremum):
    """`x` with the indexed elements lowered to the smallest of their updates."""

    combine = "minimum"

    def falls_short(self, x: Any, out: Any) -> Any:
        return greater(x, out)


SCATTER_SET, SCATTER_MULTIPLY = ScatterSet(), ScatterMultiply()
SCATTER_MAX, SCATTER_MIN = ScatterMax(), ScatterMin()
SCATTERS: dict[str, Scatter] = {
    "set": SCATTER_SET,
    "add": SCATTER_ADD,
    "multiply": SCATTER_MULTIPLY,
    "max": SCATTER_MAX,
    "min": SCATTER_MIN,
}


def scatter(
    mode: str,
    x: Any,
    indices: Sequence[Any],
    updates: Any,
    labels: tuple[int, ...] | None = None,
    drop: bool = False,
    unique: bool = False,
) -> Any:
    """`x` with `updates` combined into `x[i0, ..., ik]` by 'set', 'add', 'multiply', 'max' or 'min'.

    `updates` has the dtype of `x` and broadcasts to the shape of `x[i0, ..., ik]`.
    """
    labels = tuple(range(len(indices))) if labels is None else labels
    unique = unique or math.prod(index_shape(indices)) <= 1
    shape = (*index_shape(indices), *shape_of(x)[len(indices) :])
    updates = broadcast_to(updates, shape)
    return SCATTERS[mode](x, updates, *indices, labels=labels, drop=drop, unique=unique)
