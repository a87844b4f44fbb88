"""Arrays taken apart and joined: slices, their transposes, and concatenations. All are linear index maps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.ir.primitive import LinearInput, Operation, is_linear
from funcgrad.ir.types import ArrayType
from funcgrad.ops.batching import all_batched, move_batch_first
from funcgrad.ops.create import FULL
from funcgrad.ops.families import Linear
from funcgrad.ops.identities import is_constant
from funcgrad.ops.operands import RULES, ndim_of, shape_of
from funcgrad.ops.shape import BROADCAST_TO, expand_dims, splat
from funcgrad.ops.slices import (
    Spec,
    as_window,
    axis_spec,
    composed,
    is_whole,
    sliced_axis,
    spec_index,
    spec_shape,
)

# Of an array with MANY elements, at most one in SMALL_PART is rather changed than added in a whole array of zeros.
MANY, SMALL_PART = 64, 8


class Concatenate(Linear):
    """Arrays one after the other along `axis`."""

    linear_args = None

    def type_rule(self, *types: ArrayType, axis: int) -> ArrayType:
        shape = list(types[0].shape)
        shape[axis] = sum(type.shape[axis] for type in types)
        return ArrayType(tuple(shape), types[0].dtype)

    def numpy(self, xp: Any, *xs: Any, axis: int) -> Any:
        return xp.concatenate(xs, axis)

    def transpose(self, cotangent: Any, *xs: Any, axis: int) -> list[Any]:
        parts, start = [], 0
        for x in xs:
            stop = start + x.shape[axis]
            spec = [(0, n, 1) for n in shape_of(cotangent)]
            spec[axis] = (start, stop, 1)
            parts.append(STATIC_SLICE(cotangent, spec=tuple(spec)) if is_linear(x) else None)
            start = stop
        return parts

    def batch(self, size: int, args: Any, axes: Any, *, axis: int) -> tuple[Any, Any]:
        return self(*all_batched(size, args, axes), axis=axis + 1), 0

    def simplify(self, known: Any, *xs: Any, axis: int) -> Any:
        parts = merged_parts(known, [x for x in xs if x.type.shape[axis] != 0], axis)
        if len(parts) == 1:
            return parts[0]
        return Operation(self, *parts, axis=axis) if 0 < len(parts) < len(xs) else None

    def lower(self, emit: Any, *xs: Any, axis: int) -> Any:
        return emit.concatenate(xs, axis)


class StaticSlice(Linear):
    """Basic indexing: per axis of the operand an int, which drops the axis, or (start, stop, step)."""

    def type_rule(self, x: ArrayType, *, spec: Spec) -> ArrayType:
        return ArrayType(spec_shape(spec, x.shape), x.dtype)

    def numpy(self, xp: Any, x: Any, *, spec: Spec) -> Any:
        del xp
        return x[spec_index(spec)]

    def transpose(self, cotangent: Any, x: LinearInput, *, spec: Spec) -> list[Any]:
        return [PLACE(cotangent, spec=spec, shape=x.shape)]

    def transpose_onto_carry(
        self, total: Any, cotangent: Any, x: LinearInput, *, spec: Spec
    ) -> Any:
        """A few elements of many are changed where they are."""
        window = as_window(spec, x.shape)
        if window is None or x.type.size < MANY or math.prod(window[1]) * SMALL_PART > x.type.size:
            return None
        starts, sizes = window
        part = RULES["add"](self(total, spec=spec), cotangent)
        return RULES["dynamic_update"](
            total, RULES["reshape"](part, sizes), *[np.int64(start) for start in starts]
        )

    def batch(self, size: int, args: Any, axes: Any, *, spec: Spec) -> tuple[Any, Any]:
        (x,) = move_batch_first(args, axes)
        return self(x, spec=((0, size, 1), *spec)), 0

    def simplify(self, known: Any, x: Any, *, spec: Spec) -> Any:
        if is_whole(spec, x.type.shape):
            return x
        if maker := known.made_by(x, self):
            (y,) = maker.inputs
            return Operation(self, y, spec=composed(maker.params["spec"], spec, y.type.shape))
        maker = known.made_by(x, PLACE)
        if maker and maker.params["spec"] == spec:
            return maker.inputs[0]
        if maker := known.made_by(x, CONCATENATE):
            return slice_of_part(maker.inputs, maker.params["axis"], x.type.shape, spec)
        return splat(known, x, spec_shape(spec, x.type.shape))

    def lower(self, emit: Any, x: Any, *, spec: Spec) -> Any:
        return emit.slice(x, spec)


class Place(Linear):
    """The transpose of a slice: zeros of `shape` that hold the operand at `spec`."""

    def type_rule(self, x: ArrayType, *, spec: Spec, shape: tuple[int, ...]) -> ArrayType:
        del spec
        return ArrayType(shape, x.dtype)

    def numpy(self, xp: Any, x: Any, *, spec: Spec, shape: tuple[int, ...]) -> Any:
        out = xp.zeros(shape, x.dtype)
        out[spec_index(spec)] = x
        return out

    def transpose(self, cotangent: Any, x: Any, *, spec: Spec, shape: Any) -> list[Any]:
        del x, shape
        return [STATIC_SLICE(cotangent, spec=spec)]

    def batch(self, size: int, args: Any, axes: Any, *, spec: Spec, shape: Any) -> tuple[Any, Any]:
        (x,) = move_batch_first(args, axes)
        return self(x, spec=((0, size, 1), *spec), shape=(size, *shape)), 0

    def simplify(self, known: Any, x: Any, *, spec: Spec, shape: tuple[int, ...]) -> Any:
        if is_whole(spec, shape):
            return x
        if is_constant(known, x, 0.0, x):
            return Operation(FULL, shape=shape, value=0, dtype=x.type.dtype)
        maker = known.made_by(x, self)
        if maker is None:
            return None
        inner = composed(spec, maker.params["spec"], shape)
        return Operation(self, *maker.inputs, spec=inner, shape=shape)

    def lower(self, emit: Any, x: Any, *, spec: Spec, shape: tuple[int, ...]) -> Any:
        return emit.place(x, spec, shape)


CONCATENATE, STATIC_SLICE, PLACE = Concatenate(), StaticSlice(), Place()


# --- what the `simplify` rules above share ---


def slice_of_part(parts: Sequence[Any], axis: int, shape: tuple, spec: Spec) -> Operation | None:
    """The slice of joined arrays as a slice of the only one it reads; None if it reads several."""
    entry = spec[axis]
    chosen = (
        range(entry, entry + 1) if isinstance(entry, int) else range(shape[axis])[slice(*entry)]
    )
    if not chosen or chosen.step < 0:
        return None
    start = 0
    for part in parts:
        stop = start + part.type.shape[axis]
        if start <= chosen[0] and chosen[-1] < stop:
            first, last = chosen[0] - start, chosen.stop - start
            moved = (
                first if isinstance(entry, int) else (first, min(last, stop - start), chosen.step)
            )
            return Operation(STATIC_SLICE, part, spec=(*spec[:axis], moved, *spec[axis + 1 :]))
        start = stop
    return None


def merged_parts(known: Any, parts: Sequence[Any], axis: int) -> list[Any]:
    """Parts to join, with neighbours in one piece that are equal constants or lie side by side in one array."""
    merged: list[Any] = []
    for part in parts:
        both = merged_pair(known, merged[-1], part, axis) if merged else None
        if both is None:
            merged.append(part)
        else:
            merged[-1] = both
    return merged


def merged_pair(known: Any, first: Any, second: Any, axis: int) -> Any:
    """Two neighbours as one operation, or None."""
    values = [known.splat(x) for x in (first, second)]
    if None not in values and known.are_equal(*values):
        n = first.type.shape[axis] + second.type.shape[axis]
        shape = first.type.shape
        return known.do(
            Operation(BROADCAST_TO, values[0], shape=(*shape[:axis], n, *shape[axis + 1 :]))
        )
    slices = [known.made_by(x, STATIC_SLICE) for x in (first, second)]
    if None in slices or slices[0].inputs != slices[1].inputs:
        return None
    (source,) = slices[0].inputs
    specs = [maker.params["spec"] for maker in slices]
    if any(sliced_axis(spec, source.type.shape) != axis for spec in specs):
        return None
    (start, middle, _), (follower, stop, _) = specs[0][axis], specs[1][axis]
    if middle != follower:
        return None
    return known.do(
        Operation(STATIC_SLICE, source, spec=axis_spec(source.type.shape, axis, start, stop))
    )


def slice_axis(x: Any, axis: int, start: int, stop: int) -> Any:
    """The elements from `start` to `stop` along one axis."""
    spec = [(0, n, 1) for n in shape_of(x)]
    spec[axis] = (start, stop, 1)
    return STATIC_SLICE(x, spec=tuple(spec))


def index_axis(x: Any, axis: int, index: int) -> Any:
    """The element at a non-negative `index` along one axis, which is dropped."""
    spec: list[Any] = [(0, n, 1) for n in shape_of(x)]
    spec[axis] = index
    return STATIC_SLICE(x, spec=tuple(spec))


def concatenate(xs: Sequence[Any], axis: int = 0) -> Any:
    """Arrays of equal dtype one after the other along an axis."""
    xs = list(xs)
    if len(xs) == 1:
        return xs[0]
    return CONCATENATE(*xs, axis=axis % ndim_of(xs[0]))


def stack(xs: Sequence[Any], axis: int = 0) -> Any:
    """Arrays of equal shape and dtype along a new axis."""
    return concatenate([expand_dims(x, axis) for x in xs], axis if axis >= 0 else axis)
