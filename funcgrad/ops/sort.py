"""Stable sorting, alone or together with other arrays; NaN comes last."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from funcgrad.ir.primitive import Primitive
from funcgrad.ir.types import ArrayType
from funcgrad.ops.batching import all_batched
from funcgrad.ops.create import full, iota
from funcgrad.ops.gather import gather_along, scatter_along
from funcgrad.ops.operands import broadcast_shapes, ndim_of, shape_of
from funcgrad.ops.pieces import STATIC_SLICE
from funcgrad.ops.reduce import comparable, normalize_axes
from funcgrad.ops.sequences import as_array
from funcgrad.ops.shape import broadcast_to, reshape


class Sort(Primitive):
    """Sorts all operands along `axis` by the first `keys` of them, the first one counting most. Stable."""

    multiple = True

    def type_rule(self, *types: ArrayType, axis: int, keys: int) -> list[ArrayType]:
        del axis, keys
        return [type.strong() for type in types]

    def numpy(self, xp: Any, *xs: Any, axis: int, keys: int) -> list[Any]:
        if len(xs) == 1:
            return [
                xp.sort(comparable(xs[0]), axis=axis, kind="stable").astype(xs[0].dtype, copy=False)
            ]
        order = None
        for key in map(comparable, xs[keys - 1 :: -1]):
            key = key if order is None else xp.take_along_axis(key, order, axis)
            step = xp.argsort(key, axis=axis, kind="stable")
            order = step if order is None else xp.take_along_axis(order, step, axis)
        return [xp.take_along_axis(x, order, axis) for x in xs]

    def jvp(self, primals: Any, tangents: Any, *, axis: int, keys: int) -> tuple[Any, Any]:
        places = broadcast_to(iota(column(primals[0], axis), axis), shape_of(primals[0]))
        *outs, order = self(*primals, places, axis=axis, keys=keys)
        return outs, [None if t is None else gather_along(t, order, axis) for t in tangents]

    def vjp(self, primals: Any, active: Any, *, axis: int, keys: int) -> tuple[Any, Any]:
        places = broadcast_to(iota(column(primals[0], axis), axis), shape_of(primals[0]))
        *outs, order = self(*primals, places, axis=axis, keys=keys)

        def pullback(cotangents: list[Any]) -> list[Any]:
            pulled: list[Any] = [None] * len(primals)
            for i, cotangent in enumerate(cotangents):
                if active[i] and cotangent is not None:
                    zeros = full(shape_of(cotangent), 0, cotangent.dtype)
                    pulled[i] = scatter_along(zeros, order, cotangent, axis)
            return pulled

        return outs, pullback

    def batch(self, size: int, args: Any, axes: Any, *, axis: int, keys: int) -> tuple[Any, Any]:
        outs = self(*all_batched(size, args, axes), axis=axis + 1, keys=keys)
        return outs, [0] * len(outs)


def column(x: Any, axis: int) -> tuple:
    """The shape of `x` with length 1 everywhere but at `axis`."""
    return tuple(n if i == axis else 1 for i, n in enumerate(shape_of(x)))


SORT = Sort()


def flip(x: Any, axis: int) -> Any:
    """`x` with the order along one axis reversed."""
    spec: list[Any] = [(0, n, 1) for n in shape_of(x)]
    spec[axis] = (None, None, -1)
    return STATIC_SLICE(x, spec=tuple(spec))


def sort_operand(name: str, x: Any, axis: int | None) -> tuple[Any, int]:
    """An array and a non-negative axis; None flattens."""
    x = as_array(x)
    if axis is None:
        return reshape(x, (-1,)), 0
    return x, normalize_axes(name, axis, ndim_of(x))[0]


def sort(x: Any, axis: int | None = -1, descending: bool = False) -> Any:
    """The elements along an axis in increasing order; stable, NaN last.

    Args:
        x: array.
        axis: the axis to sort along; None sorts the flattened array.
        descending: decreasing order; NaN comes first, and equal elements keep their order.

    Example:
        >>> sort([3.0, 1.0, 2.0])
        array([1., 2., 3.])
    """
    x, axis = sort_operand("sort", x, axis)
    if descending:
        return flip(SORT(flip(x, axis), axis=axis, keys=1)[0], axis)
    return SORT(x, axis=axis, keys=1)[0]


def argsort(x: Any, axis: int | None = -1, descending: bool = False) -> Any:
    """The positions that sort an array along an axis: stable, NaN last.

    Args:
        x: array.
        axis: the axis to sort along; None sorts the flattened array.
        descending: positions of the elements in decreasing order.

    Returns:
        int64 array of the shape of `x`.

    Example:
        >>> argsort([1, 1, 0, 1])
        array([2, 0, 1, 3])
    """
    x, axis = sort_operand("argsort", x, axis)
    places = broadcast_to(iota(column(x, axis), axis), shape_of(x))
    if descending:
        order = SORT(flip(x, axis), flip(places, axis), axis=axis, keys=1)[1]
        return flip(order, axis)
    return SORT(x, places, axis=axis, keys=1)[1]


def sort_together(operands: Sequence[Any], axis: int = -1, num_keys: int = 1) -> list[Any]:
    """Sort several arrays of one shape by the first `num_keys` of them, lexicographically and stably.

    Example:
        >>> import numpy as np
        >>> sort_together([np.array([2, 1, 2]), np.array([0.5, 0.6, 0.1])], num_keys=2)
        [array([1, 2, 2]), array([0.6, 0.1, 0.5])]
    """
    xs = [as_array(x) for x in operands]
    shapes = [shape_of(x) for x in xs]
    if len(set(shapes)) > 1:
        raise ValueError(f"[sort] operands must have equal shapes, but got {shapes}")
    if not 1 <= num_keys <= len(xs):
        raise ValueError(f"[sort] num_keys = {num_keys}, but there are {len(xs)} operands")
    (axis,) = normalize_axes("sort", axis, len(shapes[0]))
    return SORT(*xs, axis=axis, keys=num_keys)


def lexsort(keys: Any, axis: int = -1) -> Any:
    """The positions that sort by several keys, the last one counting most, as `numpy.lexsort`.

    Example:
        >>> import numpy as np
        >>> lexsort((np.array([0.5, 0.6, 0.1]), np.array([2, 1, 2])))
        array([1, 2, 0])
    """
    xs = [as_array(key) for key in keys]
    if not xs:
        raise TypeError("[lexsort] needs at least one key")
    shape = broadcast_shapes("lexsort", [shape_of(x) for x in xs])
    xs = [broadcast_to(x, shape) for x in xs]
    (axis,) = normalize_axes("lexsort", axis, len(shape))
    places = broadcast_to(iota(column(xs[0], axis), axis), shape)
    return SORT(*xs[::-1], places, axis=axis, keys=len(xs))[-1]
