"""The same elements in another shape or order of axes, or stretched. All are linear index maps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from funcgrad.ir.primitive import LinearInput, Operation
from funcgrad.ir.types import ArrayType, dtype_of
from funcgrad.ops.batching import move_batch_first
from funcgrad.ops.cotangents import unbroadcast
from funcgrad.ops.create import FULL
from funcgrad.ops.families import Linear
from funcgrad.ops.operands import RULES, ndim_of, shape_of

SMALL = 1024  # to copy so many elements is faster than to make a view


def splat(known: Any, x: Any, shape: tuple) -> Operation | None:
    """An array of this shape with the one value that all elements of `x` have; None if they may differ."""
    value = known.splat(x)
    return None if value is None else Operation(BROADCAST_TO, value, shape=shape)


class BroadcastTo(Linear):
    """Stretch to a shape, by NumPy's broadcasting rules."""

    def type_rule(self, x: ArrayType, *, shape: tuple[int, ...]) -> ArrayType:
        return ArrayType(shape, x.dtype)

    def numpy(self, xp: Any, x: Any, *, shape: tuple[int, ...]) -> Any:
        if math.prod(shape) > SMALL:
            return xp.broadcast_to(x, shape)
        out = xp.empty(shape, dtype_of(x))
        out[...] = x
        return out

    def transpose(self, cotangent: Any, x: LinearInput, *, shape: tuple[int, ...]) -> list[Any]:
        del shape
        return [unbroadcast(cotangent, x.shape)]

    def batch(self, size: int, args: Any, axes: Any, *, shape: tuple[int, ...]) -> tuple[Any, Any]:
        (x,) = move_batch_first(args, axes)
        inner = shape_of(x)[1:]
        x = reshape(x, (size, *(1,) * (len(shape) - len(inner)), *inner))
        return self(x, shape=(size, *shape)), 0

    def simplify(self, known: Any, x: Any, *, shape: tuple[int, ...]) -> Any:
        if x.type.shape == shape and not x.type.weak:
            return x
        if maker := known.made_by(x, self):
            return Operation(self, *maker.inputs, shape=shape)
        if maker := known.made_by(x, FULL):
            return Operation(FULL, **{**maker.params, "shape": shape})
        if maker := known.made_by(x, RESHAPE):
            (y,) = maker.inputs
            lead = x.type.ndim - y.type.ndim
            return Operation(self, y, shape=shape) if is_prefixed(x.type.shape, y, lead) else None
        return None

    def lower(self, emit: Any, x: Any, *, shape: tuple[int, ...]) -> Any:
        return emit.broadcast(x, shape)


class Reshape(Linear):
    """The same elements, in C order, in another shape."""

    def type_rule(self, x: ArrayType, *, shape: tuple[int, ...]) -> ArrayType:
        return ArrayType(shape, x.dtype)

    def numpy(self, xp: Any, x: Any, *, shape: tuple[int, ...]) -> Any:
        return xp.reshape(x, shape)

    def transpose(self, cotangent: Any, x: LinearInput, *, shape: tuple[int, ...]) -> list[Any]:
        del shape
        return [reshape(cotangent, x.shape)]

    def batch(self, size: int, args: Any, axes: Any, *, shape: tuple[int, ...]) -> tuple[Any, Any]:
        (x,) = move_batch_first(args, axes)
        return self(x, shape=(size, *shape)), 0

    def simplify(self, known: Any, x: Any, *, shape: tuple[int, ...]) -> Any:
        if None in shape or None in x.type.shape:
            return None
        if x.type.shape == shape and not x.type.weak:
            return x
        if maker := known.made_by(x, self):
            return Operation(self, *maker.inputs, shape=shape)
        return splat(known, x, shape) or reshaped_back(known, x, shape, depth=4)

    def lower(self, emit: Any, x: Any, *, shape: tuple[int, ...]) -> Any:
        return emit.reshape(x, shape)


class Transpose(Linear):
    """Axes in another order: axis `i` of the result is axis `permutation[i]` of the operand."""

    def type_rule(self, x: ArrayType, *, permutation: tuple[int, ...]) -> ArrayType:
        return ArrayType(tuple(x.shape[i] for i in permutation), x.dtype)

    def numpy(self, xp: Any, x: Any, *, permutation: tuple[int, ...]) -> Any:
        return xp.transpose(x, permutation)

    def transpose(self, cotangent: Any, x: Any, *, permutation: tuple[int, ...]) -> list[Any]:
        del x
        inverse = tuple(permutation.index(i) for i in range(len(permutation)))
        return [transpose(cotangent, inverse)]

    def batch(self, size: int, args: Any, axes: Any, *, permutation: Any) -> tuple[Any, Any]:
        del size
        (x,), (axis,) = args, axes
        moved = tuple(i + (i >= axis) for i in permutation)
        return self(x, permutation=(axis, *moved)), 0

    def simplify(self, known: Any, x: Any, *, permutation: tuple[int, ...]) -> Any:
        if permutation == tuple(range(len(permutation))):
            return x
        if maker := known.made_by(x, self):
            order = tuple(maker.params["permutation"][i] for i in permutation)
            return Operation(self, *maker.inputs, permutation=order)
        shape = tuple(x.type.shape[i] for i in permutation)
        if found := splat(known, x, shape):
            return found
        moved = [i for i in permutation if x.type.shape[i] != 1]
        if moved == sorted(moved) and None not in shape:
            return Operation(RESHAPE, x, shape=shape)
        maker = known.only_user_of(x)
        return maker.primitive.reordered(maker, permutation) if maker else None

    def lower(self, emit: Any, x: Any, *, permutation: tuple[int, ...]) -> Any:
        return emit.transpose(x, permutation)


BROADCAST_TO, RESHAPE, TRANSPOSE = BroadcastTo(), Reshape(), Transpose()


# --- what the `simplify` rules above share ---


def is_prefixed(shape: tuple, x: Any, count: int) -> bool:
    """Whether a shape is that of `x` behind `count` axes of length 1."""
    return count >= 0 and shape == ((1,) * count + x.type.shape)


def reshaped_back(known: Any, x: Any, shape: tuple, depth: int) -> Any:
    """`x` in a shape in which it was before it was reshaped for a few elementwise operations; else None."""
    if x.type.shape == ():
        return x
    if maker := known.made_by(x, RESHAPE):
        return maker.inputs[0] if maker.inputs[0].type.shape == shape else None
    maker = known.only_user_of(x)
    if maker is None or maker.primitive.kind != "elementwise" or not depth:
        return None
    operands = [reshaped_back(known, y, shape, depth - 1) for y in maker.inputs]
    if None in operands or all(y.type.shape == () for y in maker.inputs):
        return None
    return Operation(maker.primitive, *operands, origin=maker, **maker.params)


def broadcast_to(x: Any, shape: Sequence[int]) -> Any:
    """Stretch `x` to a shape by NumPy's broadcasting rules; `x` itself if it has that shape."""
    shape = tuple(shape)
    found = shape_of(x)
    if found == shape and hasattr(x, "dtype"):
        return x
    fits = not found or (
        len(found) <= len(shape)
        and all(n in (1, m) for n, m in zip(found[::-1], shape[::-1], strict=False))
    )
    if not fits:
        raise ValueError(
            f"[broadcast_to] an array of shape {found} does not broadcast to {shape}. Each axis, counted "
            "from the right, must have length 1 or the wanted length."
        )
    return BROADCAST_TO(x, shape=shape)


def reshape(x: Any, shape: Sequence[int]) -> Any:
    """`x` in another shape with as many elements; one length may be -1."""
    shape = tuple(shape)
    found = shape_of(x)
    if -1 in shape:
        known = -math.prod(shape)
        total = math.prod(found)
        if known == 0 or total % known or shape.count(-1) > 1:
            raise ValueError(f"[reshape] cannot reshape shape {found} into {shape}")
        shape = tuple(total // known if n == -1 else n for n in shape)
    if found == shape:
        return x
    if None not in found and math.prod(found) != math.prod(shape):
        raise ValueError(
            f"[reshape] cannot reshape an array of shape {found} ({math.prod(found)} elements) "
            f"into {shape} ({math.prod(shape)} elements). Use -1 for one length to have it worked out."
        )
    return RESHAPE(x, shape=shape)


def transpose(x: Any, permutation: Sequence[int] | None = None) -> Any:
    """`x` with its axes in another order (reversed by default)."""
    rank = ndim_of(x)
    order = range(rank)[::-1] if permutation is None else [p % rank for p in permutation]
    if sorted(order) != list(range(rank)):
        raise ValueError(f"[transpose] axes {permutation} are no permutation of the {rank} axes")
    if tuple(order) == tuple(range(rank)):
        return x
    return TRANSPOSE(x, permutation=tuple(order))


def moveaxis(x: Any, source: int, destination: int) -> Any:
    """Move one axis to another place."""
    rank = ndim_of(x)
    source, destination = source % rank, destination % rank
    if source == destination:
        return x
    order = [i for i in range(rank) if i != source]
    order.insert(destination, source)
    return TRANSPOSE(x, permutation=tuple(order))


def expand_dims(x: Any, axis: int) -> Any:
    """Insert an axis of length 1."""
    shape = shape_of(x)
    axis = axis % (len(shape) + 1)
    return RESHAPE(x, shape=(*shape[:axis], 1, *shape[axis:]))


RULES.update(broadcast_to=broadcast_to, reshape=reshape, moveaxis=moveaxis)
