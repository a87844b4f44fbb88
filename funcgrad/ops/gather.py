"""Elements at integer indices, and its transpose: adding to the elements at integer indices."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.ir.primitive import LinearInput, Primitive, is_linear
from funcgrad.ir.types import ArrayType
from funcgrad.ops.batching import align_batch, all_batched
from funcgrad.ops.bounds import check_bounds, is_valid, row_numbers
from funcgrad.ops.cotangents import zeros_like_type
from funcgrad.ops.create import iota
from funcgrad.ops.families import Linear
from funcgrad.ops.operands import broadcast_shapes, ndim_of, shape_of
from funcgrad.ops.reduce import accumulator
from funcgrad.ops.shape import moveaxis

Labels = tuple[int, ...]


def index_shape(indices: Sequence[Any]) -> tuple:
    """The common shape of index arrays."""
    return broadcast_shapes("index", [shape_of(index) for index in indices])


def batched_indices(size: int, indices: Sequence[Any], axes: Sequence[Any]) -> list[Any]:
    """Index arrays with a leading batch axis, after one that names the example itself."""
    aligned = align_batch(indices, axes)
    rank = max(map(ndim_of, aligned))
    return [iota((size, *(1,) * (rank - 1))), *aligned]


class Gather(Linear):
    """`x[i0, ..., ik]`: integer arrays index the first axes of `x`.

    Params:
        labels: the indexed axes as the user counts them, for error messages.
        drop: an index out of range gives 0 instead of an error.
    """

    kind = "library"
    keeps_inputs = True

    def type_rule(self, x: ArrayType, *indices: ArrayType, labels: Labels, drop: bool) -> ArrayType:
        del labels, drop
        return ArrayType((*index_shape(indices), *x.shape[len(indices) :]), x.dtype)

    def numpy(self, xp: Any, x: Any, *indices: Any, labels: Labels, drop: bool) -> Any:
        if drop:
            return self.gather_valid(xp, x, indices)
        if xp is not np:
            check_bounds(indices, x.shape[: len(indices)], labels)
        try:
            # `take` is faster, but copies an operand that is not contiguous.
            if len(indices) == 1 and indices[0].ndim and x.flags.c_contiguous:
                return x.take(indices[0], axis=0)
            return x[indices]
        except IndexError:
            check_bounds(indices, x.shape[: len(indices)], labels)
            raise

    def gather_valid(self, xp: Any, x: Any, indices: Sequence[Any]) -> Any:
        shape = x.shape[: len(indices)]
        valid = is_valid(xp, indices, shape)
        if 0 in shape:
            return xp.zeros((*valid.shape, *x.shape[len(indices) :]), x.dtype)
        inside = tuple(xp.where(valid, index, 0) for index in indices)
        column = valid.reshape((*valid.shape, *(1,) * (x.ndim - len(indices))))
        return xp.where(column, x[inside], xp.zeros((), x.dtype))

    def transpose(self, cotangent: Any, x: LinearInput, *indices: Any, **params: Any) -> list[Any]:
        zeros = zeros_like_type(x.type)
        added = self.transpose_onto(zeros, cotangent, x, *indices, **params)
        return [added, *[None] * len(indices)]

    def transpose_onto(
        self, total: Any, cotangent: Any, x: LinearInput, *indices: Any, **params: Any
    ) -> Any:
        del x
        return SCATTER_ADD(total, cotangent, *indices, unique=False, **params)

    def batch(self, size: int, args: Any, axes: Any, /, **params: Any) -> tuple[Any, Any]:
        (x, *indices), (axis, *index_axes) = args, axes
        if all(a is None for a in index_axes):
            return self(moveaxis(x, axis, len(indices)), *indices, **params), len(
                index_shape(indices)
            )
        if axis is None:
            return self(x, *align_batch(indices, index_axes), **params), 0
        params["labels"] = (-1, *params["labels"])
        return self(moveaxis(x, axis, 0), *batched_indices(size, indices, index_axes), **params), 0

    def lower(self, emit: Any, x: Any, *indices: Any, **params: Any) -> Any:
        return emit.gather(x, indices, **params)


class Scatter(Primitive):
    """`x` with `updates` combined into the elements `x[i0, ..., ik]`; the base of the five ways to combine.

    `updates` has the shape of `x[i0, ..., ik]`. The params of `Gather`, and:
        drop: an update whose index is out of range is left out instead of being an error.
        unique: the caller promises that no element is named twice.
    """

    combine = ""

    def type_rule(
        self, x: ArrayType, updates: ArrayType, *indices: ArrayType, **params: Any
    ) -> ArrayType:
        del params
        wanted = (*index_shape(indices), *x.shape[len(indices) :])
        if updates.shape != wanted or updates.dtype != x.dtype:
            raise TypeError(
                f"[{self.name}] needs updates {x.dtype}{list(wanted)}, but got {updates}"
            )
        return ArrayType(x.shape, x.dtype)

    def numpy(self, xp: Any, x: Any, updates: Any, *indices: Any, **params: Any) -> Any:
        shape = x.shape[: len(indices)]
        if not params["drop"]:
            check_bounds(indices, shape, params["labels"])
        rows = xp.broadcast_to(row_numbers(xp, indices, shape), index_shape(indices)).reshape(-1)
        width = math.prod(x.shape[len(indices) :])
        updates = xp.reshape(updates, (rows.size, width))
        if params["drop"]:
            keep = xp.broadcast_to(is_valid(xp, indices, shape), index_shape(indices)).reshape(-1)
            rows, updates = rows[keep], updates[keep]
        out = xp.array(x, order="C").reshape(math.prod(shape), width)
        return self.write(xp, out, rows, updates, params["unique"]).reshape(x.shape)

    def write(self, xp: Any, out: Any, rows: Any, updates: Any, unique: bool) -> Any:
        """Combine `updates` into these rows of the matrix `out`, in place where that is exact."""
        function = getattr(xp, self.combine)
        if unique:
            out[rows] = function(out[rows], updates)
        elif xp is np:
            width = out.shape[1]
            places = rows if width == 1 else (rows[:, None] * width + np.arange(width)).reshape(-1)
            function.at(out.reshape(-1), places, updates.reshape(-1))
        else:
            rows, updates = combine_equal_rows(xp, function, rows, updates)
            out[rows] = function(out[rows], updates)
        return out

    def batch(self, size: int, args: Any, axes: Any, /, **params: Any) -> tuple[Any, Any]:
        indices, index_axes = args[2:], axes[2:]
        x, updates = all_batched(size, args[:2], axes[:2])
        # One element of each example is changed where the examples lie, as loops do it again and again.
        if any(a is not None for a in index_axes) or not index_shape(indices):
            params["labels"] = (-1, *params["labels"])
            indices = batched_indices(size, indices, index_axes)
            return self(x, updates, *indices, **params), 0
        count, rank = len(indices), len(index_shape(indices))
        return self(moveaxis(x, 0, count), moveaxis(updates, 0, rank), *indices, **params), count

    def lower(self, emit: Any, x: Any, updates: Any, *indices: Any, **params: Any) -> Any:
        return emit.scatter(self.combine, x, updates, indices, **params)


def combine_equal_rows(xp: Any, function: Any, rows: Any, updates: Any) -> tuple[Any, Any]:
    """Distinct rows and their updates combined, in a fixed order, by doubling steps over sorted rows.

    For array modules whose `ufunc.at` is missing or adds in random order.
    """
    if not rows.size:
        return rows, updates
    order = xp.argsort(rows, kind="stable")
    rows, updates = rows[order], updates[order]
    step = 1
    while step < rows.size:
        same = (rows[step:] == rows[:-step])[:, None]
        if not bool(same.any()):
            break
        combined = function(updates[step:], updates[:-step])
        updates[step:] = xp.where(same, combined, updates[step:])
        step *= 2
    last = xp.concatenate([rows[1:] != rows[:-1], xp.ones(1, bool)])
    return rows[last], updates[last]


class ScatterLinear(Scatter, Linear):
    """A scatter that is jointly linear in `x` and `updates`."""

    linear_args = (0, 1)
    keeps_inputs = True


class ScatterAdd(ScatterLinear):
    """`x` with `updates` added to the indexed elements. Half precision is summed in float32."""

    combine = "add"

    def write(self, xp: Any, out: Any, rows: Any, updates: Any, unique: bool) -> Any:
        wide = accumulator(out.dtype)
        if wide == out.dtype:
            return super().write(xp, out, rows, updates, unique)
        written = super().write(xp, out.astype(wide), rows, updates.astype(wide), unique)
        return written.astype(out.dtype)

    def transpose(
        self, cotangent: Any, x: Any, updates: Any, *indices: Any, **params: Any
    ) -> list[Any]:
        del params["unique"]
        pulled = GATHER(cotangent, *indices, **params) if is_linear(updates) else None
        return [cotangent if is_linear(x) else None, pulled, *[None] * len(indices)]


GATHER, SCATTER_ADD = Gather(), ScatterAdd()


def gather(x: Any, indices: Sequence[Any], labels: Labels | None = None, drop: bool = False) -> Any:
    """`x[i0, ..., ik]` for integer arrays over the first axes of `x`; see `Gather`."""
    labels = tuple(range(len(indices))) if labels is None else labels
    return GATHER(x, *indices, labels=labels, drop=drop)


def along_axis(x: Any, index: Any, axis: int) -> list[Any]:
    """Index arrays of all axes of `x`: `index` for one axis, each place itself for the others."""
    places = []
    for i, n in enumerate(shape_of(x)):
        column = [1] * ndim_of(x)
        column[i] = n
        places.append(index if i == axis else iota(tuple(column), i))
    return places


def gather_along(x: Any, index: Any, axis: int) -> Any:
    """`x` at the places `index` along `axis`, for arrays of equal rank that broadcast elsewhere."""
    return gather(x, along_axis(x, index, axis))


def scatter_along(x: Any, index: Any, updates: Any, axis: int) -> Any:
    """`x` with `updates` added at the places `index` along `axis`, no two of which are equal."""
    labels = tuple(range(ndim_of(x)))
    places = along_axis(x, index, axis)
    return SCATTER_ADD(x, updates, *places, labels=labels, drop=False, unique=True)
