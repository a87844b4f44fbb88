"""Replacing a slice of an array: the functional form of `x[1:3] = v`."""

from __future__ import annotations

from typing import Any

from funcgrad.ir.primitive import is_linear
from funcgrad.ir.tracer import Tracer
from funcgrad.ir.types import ArrayType
from funcgrad.ops.batching import all_batched
from funcgrad.ops.create import full
from funcgrad.ops.families import Linear
from funcgrad.ops.operands import broadcast_shapes, shape_of
from funcgrad.ops.pieces import STATIC_SLICE
from funcgrad.ops.shape import broadcast_to
from funcgrad.ops.slices import Spec, is_whole, spec_index, spec_shape


class Update(Linear):
    """`x` with the elements at the slice `spec` replaced by `updates`, which has their shape."""

    linear_args = (0, 1)

    def type_rule(self, x: ArrayType, updates: ArrayType, *, spec: Spec) -> ArrayType:
        wanted = x.update(shape=spec_shape(spec, x.shape))
        if updates.strong() != wanted:
            raise TypeError(f"[update] needs updates {wanted}, but got {updates}")
        return x.strong()

    def numpy(self, xp: Any, x: Any, updates: Any, *, spec: Spec) -> Any:
        out = xp.array(x)
        out[spec_index(spec)] = updates
        return out

    def transpose(self, cotangent: Any, x: Any, updates: Any, *, spec: Spec) -> list[Any]:
        return [
            self(cotangent, full(shape_of(updates), 0, cotangent.dtype), spec=spec)
            if is_linear(x)
            else None,
            STATIC_SLICE(cotangent, spec=spec) if is_linear(updates) else None,
        ]

    def batch(self, size: int, args: Any, axes: Any, *, spec: Spec) -> tuple[Any, Any]:
        return self(*all_batched(size, args, axes), spec=((0, size, 1), *spec)), 0

    def lower(self, emit: Any, x: Any, updates: Any, *, spec: Spec) -> Any:
        return emit.update(x, updates, spec)


UPDATE = Update()


def static_slice(x: Any, spec: Spec) -> Any:
    """`x[spec]`; `x` itself if that is all of it."""
    return x if is_whole(spec, shape_of(x)) else STATIC_SLICE(x, spec=spec)


def update_slice(x: Any, updates: Any, spec: Spec) -> Any:
    """`x` with `x[spec]` replaced by `updates` of that shape; never an array that the caller holds."""
    if is_whole(spec, shape_of(x)) and isinstance(updates, Tracer):
        return updates
    return UPDATE(x, updates, spec=spec)


def fit_updates(updates: Any, shape: tuple) -> Any:
    """`updates` broadcast to the selected shape; extra leading axes of length 1 are dropped, as in NumPy."""
    found = shape_of(updates)
    extra = len(found) - len(shape)
    if extra > 0 and all(n == 1 for n in found[:extra]):
        spec = (*(0,) * extra, *((0, n, 1) for n in found[extra:]))
        updates, found = STATIC_SLICE(updates, spec=spec), found[extra:]
    try:
        fits = broadcast_shapes("set", [found, shape]) == shape
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(
            f"could not broadcast input array from shape {found} into shape {shape}: the value must fit what "
            "the index selects. Each axis, counted from the right, needs the same length or 1."
        )
    return broadcast_to(updates, shape)
