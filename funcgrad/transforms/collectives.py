"""Collectives over a named batch axis: `psum`, `pmean`, `pmax`, `pmin`, `all_gather`, `ppermute`, `axis_index`.

A value that is batched over the axis *varies*; one that is not is the same for every example. The transpose of
`psum` is `psum` for a varying cotangent and the identity for one that is the same everywhere, and the
gradient of an unvarying argument of an unvarying result is summed: together they give the derivative of the
total, never a multiple of it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from funcgrad import tree
from funcgrad.ir.primitive import Primitive
from funcgrad.ir.tracer import Trace, state, type_of
from funcgrad.ir.types import INT64, PYTHON_SCALARS, ArrayType
from funcgrad.ops.arithmetic import divide, multiply
from funcgrad.ops.cast import convert
from funcgrad.ops.compare import equal
from funcgrad.ops.create import full, iota
from funcgrad.ops.extremal_reduce import reduce_max, reduce_min
from funcgrad.ops.families import Linear
from funcgrad.ops.gather import gather
from funcgrad.ops.operands import ndim_of, shape_of
from funcgrad.ops.pieces import concatenate, slice_axis
from funcgrad.ops.reduce import normalize_axes, reduce_sum
from funcgrad.ops.shape import broadcast_to, moveaxis, reshape
from funcgrad.transforms.batch import axis_trace, named_axes, place_axis


class Collective(Primitive):
    """Seen by the vmap of its axis even if its operand does not vary."""

    names_axes = True
    kind = "library"

    def outer_trace(self, params: dict) -> Trace | None:
        named = axis_trace(params["axis_name"])
        ambient = state.ambient
        return named if ambient is None or named.level > ambient.level else ambient

    def reduces_axis(self, params: dict, axis_name: Any) -> bool:
        return params["axis_name"] == axis_name

    def reduce_batch(self, size: int, args: Sequence, axes: Sequence, **params: Any) -> tuple:
        """The collective itself, where its axis is at hand."""
        raise NotImplementedError

    def type_rule(self, x: ArrayType, **params: Any) -> ArrayType:
        del params
        return x.strong()

    def batch(self, size: int, args: Sequence, axes: Sequence, **params: Any) -> tuple:
        del size
        return self(*args, **params), axes[0]


class PSum(Linear, Collective):
    """Sum over the examples of a named axis."""

    def reduce_batch(self, size: int, args: Sequence, axes: Sequence, **params: Any) -> tuple:
        (x,), (axis,) = args, axes
        if axis is None:
            return multiply(x, convert_size(size, x)), None
        return reduce_sum(x, axes=axis), None

    def transpose(self, cotangent: Any, x: Any, *, axis_name: Any) -> list[Any]:
        del x
        return [PSUM_VARYING(cotangent, axis_name=axis_name)]


class PSumVarying(Linear, Collective):
    """Sum over the examples of a value that varies; one that does not stays as it is."""

    def reduce_batch(self, size: int, args: Sequence, axes: Sequence, **params: Any) -> tuple:
        del size, params
        (x,), (axis,) = args, axes
        return (x if axis is None else reduce_sum(x, axes=axis)), None

    def transpose(self, cotangent: Any, x: Any, *, axis_name: Any) -> list[Any]:
        del x
        return [PSUM_VARYING(cotangent, axis_name=axis_name)]


class SumIfVarying(Linear, Collective):
    """`x` summed over the examples if it varies though `argument` and `result` do not; else `x`."""

    def type_rule(self, x: ArrayType, *others: ArrayType, axis_name: Any) -> ArrayType:
        del others, axis_name
        return x.strong()

    def reduce_batch(self, size: int, args: Sequence, axes: Sequence, **params: Any) -> tuple:
        del size, params
        x, axis = args[0], axes[0]
        if axis is None or axes[1] is not None or axes[2] is not None:
            return x, axis
        return reduce_sum(x, axes=axis), None

    def batch(self, size: int, args: Sequence, axes: Sequence, **params: Any) -> tuple:
        del size
        return self(*args, **params), axes[0]

    def transpose(self, cotangent: Any, *inputs: Any, axis_name: Any) -> list[Any]:
        return [self(cotangent, *inputs[1:], axis_name=axis_name), None, None]


def convert_size(size: int, x: Any) -> Any:
    return type_of(x).dtype.type(size)


class PExtremum(Collective):
    """Largest or smallest over the examples of a named axis."""

    def __init__(self, name: str) -> None:
        self.name = name

    def reduce_batch(self, size: int, args: Sequence, axes: Sequence, **params: Any) -> tuple:
        del size, params
        (x,), (axis,) = args, axes
        reduce = reduce_max if self.name == "pmax" else reduce_min
        return (x if axis is None else reduce(x, axes=axis)), None

    def jvp(self, primals: Sequence, tangents: Sequence, *, axis_name: Any) -> tuple:
        (x,), (dx,) = primals, tangents
        out = self(x, axis_name=axis_name)
        dtype = type_of(x).dtype
        attained = convert(equal(x, out), dtype)
        share = divide(attained, PSUM(attained, axis_name=axis_name))
        return out, PSUM(multiply(dx, share), axis_name=axis_name)


class AllGather(Linear, Collective):
    """The values of all examples of a named axis, stacked at the front."""

    def type_rule(self, x: ArrayType, *, axis_name: Any, axis_size: int) -> ArrayType:
        return ArrayType((axis_size, *x.shape), x.dtype)

    def reduce_batch(self, size: int, args: Sequence, axes: Sequence, **params: Any) -> tuple:
        (x,), (axis,) = args, axes
        if axis is None:
            return broadcast_to(x, (size, *shape_of(x))), None
        return moveaxis(x, axis, 0), None

    def batch(self, size: int, args: Sequence, axes: Sequence, **params: Any) -> tuple:
        del size
        return self(*args, **params), axes[0] + 1

    def transpose(self, cotangent: Any, x: Any, *, axis_name: Any, axis_size: int) -> list[Any]:
        del x, axis_size
        total = PSUM_VARYING(cotangent, axis_name=axis_name)
        return [gather(total, [AXIS_INDEX(axis_name=axis_name)])]


class PPermute(Linear, Collective):
    """Send the value of example `source` to example `target` for each pair; others receive zero."""

    def reduce_batch(self, size: int, args: Sequence, axes: Sequence, **params: Any) -> tuple:
        (x,), (axis,) = args, axes
        x = place_axis(x, axis, size, 0)
        sources = {target: source for source, target in params["permutation"]}
        zero = full((1, *shape_of(x)[1:]), 0, x.dtype)
        rows = [
            slice_axis(x, 0, sources[i], sources[i] + 1) if i in sources else zero
            for i in range(size)
        ]
        return concatenate(rows), 0

    def transpose(self, cotangent: Any, x: Any, *, axis_name: Any, permutation: tuple) -> list[Any]:
        del x
        inverse = tuple((target, source) for source, target in permutation)
        return [self(cotangent, axis_name=axis_name, permutation=inverse)]


class AxisIndex(Collective):
    """The number of the example along a named axis."""

    def type_rule(self, *, axis_name: Any) -> ArrayType:
        del axis_name
        return ArrayType((), INT64)

    def reduce_batch(self, size: int, args: Sequence, axes: Sequence, **params: Any) -> tuple:
        del args, axes, params
        return iota((size,)), 0


PSUM, PSUM_VARYING, SUM_IF_VARYING = PSum(), PSumVarying(), SumIfVarying()
ALL_GATHER = AllGather()
PMAX, PMIN = PExtremum("pmax"), PExtremum("pmin")
PPERMUTE, AXIS_INDEX = PPermute(), AxisIndex()


def psum(x: Any, axis_name: Any) -> Any:
    """Sum of a tree of arrays over a named `vmap` axis; the result is the same for every example.

    Args:
        x: tree of arrays. A Python number gives a Python number: `psum(1, "i")` is the size of the axis.
        axis_name: the name given to `vmap(..., axis_name=...)`, or a tuple of names.

    Example:
        >>> import numpy as np
        >>> import funcgrad as fg
        >>> fg.vmap(lambda x: x / fg.lax.psum(x, "i"), axis_name="i")(np.array([1.0, 3.0]))
        array([0.25, 0.75])
    """
    size = axes_size(axis_name)

    def total(leaf: Any) -> Any:
        return leaf * size if type(leaf) in PYTHON_SCALARS else over_axes(PSUM, leaf, axis_name)

    return tree.map(total, x)


def pmean(x: Any, axis_name: Any) -> Any:
    """Mean of a tree of arrays over a named `vmap` axis."""
    size = axes_size(axis_name)
    return tree.map(lambda leaf: divide(over_axes(PSUM, leaf, axis_name), size), x)


def pmax(x: Any, axis_name: Any) -> Any:
    """Largest element over a named `vmap` axis; ties share the derivative evenly."""
    return tree.map(lambda leaf: over_axes(PMAX, leaf, axis_name), x)


def pmin(x: Any, axis_name: Any) -> Any:
    """Smallest element over a named `vmap` axis; ties share the derivative evenly."""
    return tree.map(lambda leaf: over_axes(PMIN, leaf, axis_name), x)


def axis_names(axis_name: Any) -> tuple:
    """The names in a tuple of names, or the one."""
    return axis_name if isinstance(axis_name, tuple) else (axis_name,)


def axes_size(axis_name: Any) -> int:
    """The number of examples along one or several named axes."""
    return math.prod(axis_trace(name).size for name in axis_names(axis_name))


def over_axes(collective: Collective, x: Any, axis_name: Any) -> Any:
    """A collective along one named axis after the other."""
    for name in axis_names(axis_name):
        x = collective(x, axis_name=name)
    return x


def all_gather(x: Any, axis_name: Any, *, axis: int = 0, tiled: bool = False) -> Any:
    """The values of all examples of a named `vmap` axis, stacked along a new `axis`.

    With `tiled` they are concatenated along an `axis` that is there already.
    """
    size = axis_trace(axis_name).size

    def gathered(leaf: Any) -> Any:
        out = ALL_GATHER(leaf, axis_name=axis_name, axis_size=size)
        (place,) = normalize_axes("all_gather", axis, ndim_of(out) - tiled)
        out, shape = moveaxis(out, 0, place), shape_of(leaf)
        if not tiled:
            return out
        return reshape(out, (*shape[:place], size * shape[place], *shape[place + 1 :]))

    return tree.map(gathered, x)


def ppermute(x: Any, axis_name: Any, perm: Sequence[tuple[int, int]]) -> Any:
    """Send values between examples of a named `vmap` axis.

    Args:
        x: tree of arrays.
        axis_name: the name given to `vmap(..., axis_name=...)`.
        perm: pairs (source, target); an example that no pair targets receives zeros.
    """
    size = axis_trace(axis_name).size
    pairs = tuple((int(source), int(target)) for source, target in perm)
    for side in zip(*pairs, strict=True):
        if len(set(side)) != len(side) or not all(0 <= i < size for i in side):
            raise ValueError(
                f"[ppermute] perm={pairs} must name each source and target at most once, "
                f"from 0 to {size - 1}."
            )
    return tree.map(lambda leaf: PPERMUTE(leaf, axis_name=axis_name, permutation=pairs), x)


def axis_index(axis_name: Any) -> Any:
    """The number of the example along a named `vmap` axis, an int64 scalar."""
    return AXIS_INDEX(axis_name=axis_name)


def sum_if_varying(gradient: Any, argument: Any, result: Any) -> Any:
    """Sum a gradient over the named axes along which neither argument nor result varies.

    Argument and result are then the same for all examples, and so must the derivative be.
    """
    for axis_name, _ in named_axes():
        gradient = SUM_IF_VARYING(gradient, argument, result, axis_name=axis_name)
    return gradient
