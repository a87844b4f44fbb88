"""Products that sum over axes: one primitive for matmul, dot, tensordot and einsum."""

from __future__ import annotations

import functools
import math
from typing import Any

from funcgrad.ir.primitive import Operation, is_linear
from funcgrad.ir.types import ArrayType
from funcgrad.ops.families import Multilinear
from funcgrad.ops.operands import ndim_of, shape_of
from funcgrad.ops.precision import matrix_product
from funcgrad.ops.shape import TRANSPOSE, transpose

Axes = tuple[tuple[int, ...], tuple[int, ...]]


@functools.cache
def free_axes(rank: int, contract: tuple[int, ...], batch: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(i for i in range(rank) if i not in contract and i not in batch)


Plan = tuple[Axes, Axes, tuple[int, ...] | None]


@functools.cache
def left_plan(rank_x: int, rank_y: int, contract: Axes, batch: Axes) -> Plan:
    """The product of (cotangent, y) that is the cotangent of x, and the permutation that follows it."""
    lead = len(batch[0])
    free_x = free_axes(rank_x, contract[0], batch[0])
    free_y = free_axes(rank_y, contract[1], batch[1])
    start = lead + len(free_x)
    summed = tuple(range(start, start + len(free_y)))
    # What remains of y are its contracted axes in increasing order.
    remaining = [contract[0][contract[1].index(i)] for i in sorted(contract[1])]
    order = (*batch[0], *free_x, *remaining)
    return (summed, free_y), (tuple(range(lead)), batch[1]), inverse_order(order)


@functools.cache
def right_plan(rank_x: int, rank_y: int, contract: Axes, batch: Axes) -> Plan:
    """The product of (x, cotangent) that is the cotangent of y, and the permutation that follows it."""
    lead = len(batch[0])
    free_x = free_axes(rank_x, contract[0], batch[0])
    free_y = free_axes(rank_y, contract[1], batch[1])
    summed = tuple(range(lead, lead + len(free_x)))
    remaining = [contract[1][contract[0].index(i)] for i in sorted(contract[0])]
    order = (*batch[1], *remaining, *free_y)
    return (free_x, summed), (batch[0], tuple(range(lead))), inverse_order(order)


def inverse_order(order: tuple[int, ...]) -> tuple[int, ...] | None:
    """The permutation that sorts these axes; None if they are sorted."""
    inverse = tuple(order.index(i) for i in range(len(order)))
    return None if inverse == tuple(range(len(order))) else inverse


def shifted(axis: int | None, *groups: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Axes as they are numbered once an axis is inserted at `axis`."""
    if axis is None:
        return list(groups)
    return [tuple(i + (i >= axis) for i in group) for group in groups]


def narrowed(out: Any, dtype: Any) -> Any:
    """The product in the dtype of its operands: NumPy has no matmul for bfloat16 and answers in float32."""
    return out if out.dtype == dtype else out.astype(dtype)


class DotGeneral(Multilinear):
    """Sum of products over the `contract` axes, for each place of the `batch` axes.

    The result has the batch axes, then the free axes of `x`, then those of `y`.
    """

    def type_rule(self, x: ArrayType, y: ArrayType, *, contract: Axes, batch: Axes) -> ArrayType:
        if x.dtype != y.dtype:
            raise TypeError(f"[dot_general] needs equal dtypes, but got {x} and {y}")
        shape = (
            *(x.shape[i] for i in batch[0]),
            *(x.shape[i] for i in free_axes(x.ndim, contract[0], batch[0])),
            *(y.shape[i] for i in free_axes(y.ndim, contract[1], batch[1])),
        )
        return ArrayType(shape, x.dtype)

    def numpy(self, xp: Any, x: Any, y: Any, *, contract: Axes, batch: Axes) -> Any:
        if x.ndim == 2 and y.ndim == 2 and len(contract[0]) == 1 and not batch[0]:
            left = x if contract[0][0] else x.T
            right = y.T if contract[1][0] else y
            out = matrix_product(xp, left, right)
            return out if out.dtype is x.dtype else narrowed(out, x.dtype)
        free_x = free_axes(x.ndim, contract[0], batch[0])
        free_y = free_axes(y.ndim, contract[1], batch[1])
        lead = [x.shape[i] for i in batch[0]]
        shape_x, shape_y = [x.shape[i] for i in free_x], [y.shape[i] for i in free_y]
        inner = math.prod(x.shape[i] for i in contract[0])
        left = x.transpose((*batch[0], *free_x, *contract[0]))
        right = y.transpose((*batch[1], *contract[1], *free_y))
        left = left.reshape((*lead, math.prod(shape_x), inner))
        right = right.reshape((*lead, inner, math.prod(shape_y)))
        # An outer product per batch element is a product with broadcasting.
        out = left * right if inner == 1 else matrix_product(xp, left, right)
        return narrowed(out, x.dtype).reshape((*lead, *shape_x, *shape_y))[()]

    def transpose(
        self, cotangent: Any, x: Any, y: Any, *, contract: Axes, batch: Axes
    ) -> list[Any]:
        if is_linear(x):
            return [self.left_cotangent(cotangent, x, y, contract, batch), None]
        return [None, self.right_cotangent(cotangent, x, y, contract, batch)]

    def vjp(self, primals: Any, active: Any, *, contract: Axes, batch: Axes) -> tuple[Any, Any]:
        x, y = primals

        def pullback(cotangent: Any) -> list[Any]:
            return [
                self.left_cotangent(cotangent, x, y, contract, batch) if active[0] else None,
                self.right_cotangent(cotangent, x, y, contract, batch) if active[1] else None,
            ]

        return self(x, y, contract=contract, batch=batch), pullback

    def left_cotangent(self, cotangent: Any, x: Any, y: Any, contract: Axes, batch: Axes) -> Any:
        """The cotangent of `x`, of which only the shape counts."""
        contract, batch, order = left_plan(x.ndim, y.ndim, contract, batch)
        product = self(cotangent, y, contract=contract, batch=batch)
        return product if order is None else transpose(product, order)

    def right_cotangent(self, cotangent: Any, x: Any, y: Any, contract: Axes, batch: Axes) -> Any:
        """The cotangent of `y`, of which only the shape counts."""
        contract, batch, order = right_plan(x.ndim, y.ndim, contract, batch)
        product = self(x, cotangent, contract=contract, batch=batch)
        return product if order is None else transpose(product, order)

    def batch(self, size: int, args: Any, axes: Any, *, contract: Axes, batch: Axes) -> tuple:
        del size
        sides = [shifted(axes[i], contract[i], batch[i]) for i in (0, 1)]
        contract = (sides[0][0], sides[1][0])
        batch = (sides[0][1], sides[1][1])
        if None not in axes:
            batch = ((axes[0], *batch[0]), (axes[1], *batch[1]))
            return self(*args, contract=contract, batch=batch), 0
        out = self(*args, contract=contract, batch=batch)
        free = [free_axes(ndim_of(args[i]), contract[i], batch[i]) for i in (0, 1)]
        side = 0 if axes[1] is None else 1
        lead = len(batch[0]) + (len(free[0]) if side else 0)
        return out, lead + free[side].index(axes[side])

    def batch_sum(self, args: Any, axes: Any, /, *, contract: Axes, batch: Axes) -> Any:
        if None in axes:
            return NotImplemented
        sides = [shifted(axes[i], contract[i], batch[i]) for i in (0, 1)]
        summed = tuple((axis, *side[0]) for axis, side in zip(axes, sides, strict=True))
        return self(*args, contract=summed, batch=(sides[0][1], sides[1][1]))

    def simplify(self, known: Any, *operands: Any, contract: Axes, batch: Axes) -> Any:
        for side, operand in enumerate(operands):
            maker = known.made_by(operand, TRANSPOSE)
            if maker is None:
                continue
            order = maker.params["permutation"]
            free = [order[i] for i in free_axes(len(order), contract[side], batch[side])]
            if free == sorted(free):
                summed, kept, inputs = list(contract), list(batch), list(operands)
                summed[side] = tuple(order[i] for i in contract[side])
                kept[side] = tuple(order[i] for i in batch[side])
                inputs[side] = maker.inputs[0]
                return Operation(self, *inputs, contract=tuple(summed), batch=tuple(kept))
        return None

    def reordered(self, equation: Any, permutation: tuple[int, ...]) -> Operation | None:
        inputs = equation.inputs
        contract, batch = equation.params["contract"], equation.params["batch"]
        lead, rank = len(batch[0]), len(permutation)
        order, rest = permutation[:lead], permutation[lead:]
        middle = lead + len(free_axes(inputs[0].type.ndim, contract[0], batch[0]))
        if any(i >= lead for i in order):
            return None
        batch = (tuple(batch[0][i] for i in order), tuple(batch[1][i] for i in order))
        if rest == (*range(middle, rank), *range(lead, middle)):
            inputs, contract, batch = inputs[::-1], contract[::-1], batch[::-1]
            return Operation(self, *inputs, origin=equation, contract=contract, batch=batch)
        if rest == tuple(range(lead, rank)):
            return Operation(self, *inputs, origin=equation, contract=contract, batch=batch)
        return None

    def lower(self, emit: Any, x: Any, y: Any, *, contract: Axes, batch: Axes) -> Any:
        return emit.dot(x, y, contract, batch)


DOT_GENERAL = DotGeneral()


def dot_general(x: Any, y: Any, contract: Axes, batch: Axes = ((), ())) -> Any:
    """Sum of products over `contract` axes; see `DotGeneral`. Operands have equal dtypes."""
    shape_x, shape_y = shape_of(x), shape_of(y)
    for i, j in zip(contract[0] + batch[0], contract[1] + batch[1], strict=True):
        if shape_x[i] != shape_y[j]:
            raise ValueError(
                f"[dot_general] shapes {shape_x} and {shape_y} do not fit: axis {i} of the first has length "
                f"{shape_x[i]}, axis {j} of the second {shape_y[j]}. Axes that are summed must be equal."
            )
    return DOT_GENERAL(x, y, contract=contract, batch=batch)
