"""Stacks whose length is known only at run time: residuals of a `while_loop`, one element per iteration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.ir.primitive import Primitive, is_linear
from funcgrad.ir.types import INT64, ArrayType
from funcgrad.ops.compare import logical_not
from funcgrad.ops.extremal_reduce import reduce_max
from funcgrad.ops.families import Linear
from funcgrad.ops.operands import RULES, shape_of
from funcgrad.ops.ragged import RaggedStack
from funcgrad.ops.reduce import accumulator
from funcgrad.ops.shape import moveaxis


class RunTimeIota(Primitive):
    """0, 1, 2, ... up to a length that is the value of the operand."""

    def type_rule(self, count: ArrayType) -> ArrayType:
        del count
        return ArrayType((None,), INT64)

    def numpy(self, xp: Any, count: Any) -> Any:
        return xp.arange(int(count), dtype=INT64)

    def batch(self, size: int, args: Sequence, axes: Sequence) -> tuple[Any, None]:
        """Numbers for the longest of the loops: the others use the first of them."""
        del axes
        return self(reduce_max(args[0]) if size else INT64.type(0)), None

    def lower(self, emit: Any, count: Any) -> Any:
        return emit.run_time_iota(count)


class EmptyStack(Primitive):
    """A stack without elements: it stands for zeros of any length."""

    def type_rule(self, *, shape: tuple, dtype: np.dtype) -> ArrayType:
        return ArrayType(shape, dtype)

    def numpy(self, xp: Any, *, shape: tuple, dtype: np.dtype) -> Any:
        return xp.zeros(tuple(n or 0 for n in shape), dtype)


def is_empty(stack: Any) -> bool:
    return not (len(stack) if isinstance(stack, RaggedStack) else stack.size)


class AddStacks(Linear):
    """Sum of two stacks of one loop, of which either may be empty."""

    linear_args = None

    def type_rule(self, x: ArrayType, y: ArrayType) -> ArrayType:
        del y
        return x.strong()

    def numpy(self, xp: Any, x: Any, y: Any) -> Any:
        if is_empty(x) or is_empty(y):
            return y if is_empty(x) else x
        if isinstance(x, RaggedStack):
            return x.combine(y, lambda a, b: self.numpy(xp, a, b))
        return xp.add(x, y)

    def transpose(self, cotangent: Any, x: Any, y: Any) -> list[Any]:
        return [cotangent if is_linear(v) else None for v in (x, y)]

    def batch(self, size: int, args: Sequence, axes: Sequence) -> tuple[Any, Any]:
        axis = next(axis for axis in axes if axis is not None)
        aligned = [
            REPEAT_STACK(x, axis=axis, size=size) if found is None else moveaxis(x, found, axis)
            for x, found in zip(args, axes, strict=True)
        ]
        return self(*aligned), axis


class RepeatStack(Linear):
    """A stack with the same values repeated along a new axis."""

    def type_rule(self, x: ArrayType, *, axis: int, size: int) -> ArrayType:
        return ArrayType((*x.shape[:axis], size, *x.shape[axis:]), x.dtype)

    def numpy(self, xp: Any, x: Any, *, axis: int, size: int) -> Any:
        if isinstance(x, RaggedStack):
            return x.repeated(axis, size, lambda value: self.numpy(xp, value, axis=0, size=size))
        return xp.repeat(xp.expand_dims(x, axis), size, axis)

    def transpose(self, cotangent: Any, x: Any, *, axis: int, size: int) -> list[Any]:
        del x
        return [SUM_STACK(cotangent, axis=axis, size=size)]

    def batch(
        self, examples: int, args: Sequence, axes: Sequence, *, axis: int, size: int
    ) -> tuple[Any, Any]:
        del examples
        (x,), (batch,) = args, axes
        if batch < axis:
            return self(x, axis=axis + 1, size=size), batch
        return self(x, axis=axis, size=size), batch + 1


class SumStack(Linear):
    """A stack summed along one axis, which has length `size`."""

    def type_rule(self, x: ArrayType, *, axis: int, size: int) -> ArrayType:
        del size
        return ArrayType((*x.shape[:axis], *x.shape[axis + 1 :]), x.dtype)

    def numpy(self, xp: Any, x: Any, *, axis: int, size: int) -> Any:
        if isinstance(x, RaggedStack):
            return x.summed(axis, lambda value, a: self.numpy(xp, value, axis=a, size=size))
        return xp.sum(x, axis, dtype=accumulator(x.dtype)).astype(x.dtype)

    def transpose(self, cotangent: Any, x: Any, *, axis: int, size: int) -> list[Any]:
        del x
        return [REPEAT_STACK(cotangent, axis=axis, size=size)]

    def batch(
        self, examples: int, args: Sequence, axes: Sequence, *, axis: int, size: int
    ) -> tuple[Any, Any]:
        del examples
        (x,), (batch,) = args, axes
        if batch <= axis:
            return self(x, axis=axis + 1, size=size), batch
        return self(x, axis=axis, size=size), batch - 1


class MaskStack(Linear):
    """A stack with zeros where a condition does not hold; its axes run along the axes `axes` of the stack."""

    linear_args = (1,)
    keeps_inputs = True

    def type_rule(self, condition: ArrayType, x: ArrayType, *, axes: tuple[int, ...]) -> ArrayType:
        del condition, axes
        return x.strong()

    def numpy(self, xp: Any, condition: Any, x: Any, *, axes: tuple[int, ...]) -> Any:
        if is_empty(x):
            return x
        if isinstance(x, RaggedStack):
            return x.masked(condition, axes, lambda c, value, a: self.numpy(xp, c, value, axes=a))
        order = np.argsort(axes)
        condition = xp.transpose(condition, [int(i) for i in order])
        missing = tuple(axis for axis in range(x.ndim) if axis not in axes)
        return xp.where(xp.expand_dims(condition, missing), x, x.dtype.type(0))

    def transpose(
        self, cotangent: Any, condition: Any, x: Any, *, axes: tuple[int, ...]
    ) -> list[Any]:
        del x
        return [None, self(condition, cotangent, axes=axes)]

    def batch(
        self, size: int, args: Sequence, batches: Sequence, *, axes: tuple[int, ...]
    ) -> tuple[Any, Any]:
        (condition, x), (of_condition, batch) = args, batches
        if batch is None:
            x, batch = REPEAT_STACK(x, axis=0, size=size), 0
        moved = tuple(axis + (axis >= batch) for axis in axes)
        if of_condition is None:
            return self(condition, x, axes=moved), batch
        return self(moveaxis(condition, of_condition, 0), x, axes=(batch, *moved)), batch


RUN_TIME_IOTA, ADD_STACKS = RunTimeIota(), AddStacks()
REPEAT_STACK, SUM_STACK, MASK_STACK = RepeatStack(), SumStack(), MaskStack()
EMPTY_STACK = EmptyStack()


def empty_stack(type: ArrayType) -> Any:
    """The zeros of a type whose length is known only at run time."""
    return EMPTY_STACK(shape=type.shape, dtype=type.dtype)


def select_stacks(condition: Any, x: Any, y: Any) -> Any:
    """One of two stacks of one loop, as a condition without axes says."""
    chosen = MASK_STACK(condition, x, axes=())
    return ADD_STACKS(chosen, MASK_STACK(logical_not(condition), y, axes=()))


RULES["empty_stack"] = empty_stack


def is_run_time(value: Any) -> bool:
    """Whether this is a stack of unknown length."""
    return isinstance(value, RaggedStack) or None in shape_of(value)
