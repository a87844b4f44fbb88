"""Stacks whose length is known only at run time: residuals of a `while_loop`, one element per iteration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from funcgrad.ir.primitive import Primitive, is_linear
from funcgrad.ir.types import INT64, ArrayType
from funcgrad.ops.families import Linear, shape_of


class RaggedStack(list):
    """Values of successive iterations whose lengths differ: residuals of a run-time loop inside a loop."""

    def __init__(self, values: Sequence[Any], type: ArrayType) -> None:
        super().__init__(values)
        self.type = type
        self.shape = (len(self), *type.shape)
        self.dtype = type.dtype


class RunTimeIota(Primitive):
    """0, 1, 2, ... up to a length that is the value of the operand."""

    def type_rule(self, count: ArrayType) -> ArrayType:
        del count
        return ArrayType((None,), INT64)

    def numpy(self, xp: Any, count: Any) -> Any:
        return xp.arange(int(count), dtype=INT64)


class AddStacks(Linear):
    """Sum of two stacks of one loop. A stack without elements stands for zeros of any length."""

    linear_args = None

    def type_rule(self, x: ArrayType, y: ArrayType) -> ArrayType:
        del y
        return x.strong()

    def numpy(self, xp: Any, x: Any, y: Any) -> Any:
        if not len(x) or not len(y):
            return x if len(x) else y
        if isinstance(x, RaggedStack):
            return RaggedStack([self.numpy(xp, a, b) for a, b in zip(x, y, strict=True)], x.type)
        return xp.add(x, y)

    def transpose(self, cotangent: Any, x: Any, y: Any) -> list[Any]:
        return [cotangent if is_linear(v) else None for v in (x, y)]

    def batch(self, size: int, args: Sequence, axes: Sequence) -> tuple[Any, Any]:
        del size
        if axes[0] != axes[1]:
            raise NotImplementedError(
                "[vmap] this derivative of a while_loop adds residuals that differ between examples to some "
                "that do not. Apply vmap before the outer derivative: grad(vmap(f)) instead of vmap(grad(f))."
            )
        return self(*args), axes[0]


RUN_TIME_IOTA, ADD_STACKS = RunTimeIota(), AddStacks()


def is_run_time(value: Any) -> bool:
    """Whether this is a stack of unknown length."""
    return isinstance(value, RaggedStack) or None in shape_of(value)
