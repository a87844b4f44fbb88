"""Vectorization of operations: every batched value knows which of its axes runs over the examples."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

from funcgrad.ir.builder import close_program
from funcgrad.ir.program import Program, evaluate
from funcgrad.ir.tracer import Trace, Tracer, arguments_behind, refuse_foreign_write, state, type_of
from funcgrad.ir.types import ArrayType, Shape
from funcgrad.ops.operands import shape_of
from funcgrad.ops.run_time import REPEAT_STACK, is_run_time
from funcgrad.ops.shape import broadcast_to, moveaxis

Axis = int | None


class BatchingState(threading.local):
    """The name of the axis whose batch rule is running; Programs inside that rule are batched under it."""

    axis_name: Any = None


BATCHING = BatchingState()


class BatchTracer(Tracer):
    """A value that holds all examples along `axis`."""

    __slots__ = ("axis", "value")
    payload = ("value", "axis")
    owner: BatchTrace

    def __init__(self, trace: BatchTrace, value: Any, axis: int) -> None:
        self.owner = trace
        self.inplace = None
        self.value = value
        self.axis = axis

    @property
    def type(self) -> ArrayType:
        return ArrayType(self.shape, self.dtype)

    @property
    def shape(self) -> Shape:
        shape = self.value.shape
        return shape[: self.axis] + shape[self.axis + 1 :]

    @property
    def dtype(self) -> Any:
        return self.value.dtype

    @property
    def weak(self) -> bool:
        return False

    def as_weak(self) -> BatchTracer:
        return self


class BatchTrace(Trace):
    """Applies the batch rule of each primitive as it is called.

    Args:
        size: number of examples.
        axis_name: the name by which collectives find this trace; None if it has none.
    """

    def __init__(self, size: int, axis_name: Any = None) -> None:
        self.size = size
        self.axis_name = axis_name

    def process(self, primitive: Any, args: tuple, params: dict) -> Any:
        values, axes = self.split(args)
        if self.axis_name is not None and primitive.reduces_axis(params, self.axis_name):
            outs, out_axes = primitive.reduce_batch(self.size, values, axes, **params)
        elif all(axis is None for axis in axes) and not primitive.uses_axis(params, self.axis_name):
            return primitive(*values, **params)
        else:
            saved, BATCHING.axis_name = BATCHING.axis_name, self.axis_name
            try:
                outs, out_axes = primitive.batch(self.size, values, axes, **params)
            except ValueError:
                # The same error again, now in the shapes of one example, which are those of the user's code.
                primitive.type_rule(*map(type_of, args), **params)
                raise
            finally:
                BATCHING.axis_name = saved
        if not primitive.multiple:
            return self.wrap(outs, out_axes)
        return [self.wrap(out, axis) for out, axis in zip(outs, out_axes, strict=True)]

    def split(self, args: Sequence[Any]) -> tuple[list[Any], list[Axis]]:
        values, axes = [], []
        for arg in args:
            if isinstance(arg, BatchTracer) and arg.owner is self:
                values.append(arg.value)
                axes.append(arg.axis)
            else:
                values.append(arg)
                axes.append(None)
        return values, axes

    def wrap(self, value: Any, axis: Axis) -> Any:
        return value if axis is None else BatchTracer(self, value, axis)

    def adopt(self, value: Any, target: Tracer | None) -> BatchTracer:
        if isinstance(value, Tracer) and value.owner.level > self.level:
            refuse_foreign_write(target, value)
        return BatchTracer(self, broadcast_to(value, (self.size, *shape_of(value))), 0)

    def arguments_behind(self, tracer: Tracer) -> list[str]:
        assert isinstance(tracer, BatchTracer)
        return arguments_behind(tracer.value)

    def describe(self) -> str:
        name = "" if self.axis_name is None else f", axis {self.axis_name!r}"
        return f"vmap ({self.size} examples{name})"


def axis_trace(axis_name: Any) -> BatchTrace:
    """The running `vmap` with this axis name."""
    for trace in reversed(state.stack):
        if isinstance(trace, BatchTrace) and trace.axis_name == axis_name:
            return trace
    known = [
        t.axis_name for t in state.stack if isinstance(t, BatchTrace) and t.axis_name is not None
    ]
    raise NameError(
        f"unbound axis name {axis_name!r}; the axes here are {known}. "
        f"Call it inside funcgrad.vmap(fun, axis_name={axis_name!r})."
    )


def named_axes() -> tuple:
    """Names and sizes of the running vmaps that have a name."""
    return tuple(
        [
            (trace.axis_name, trace.size)
            for trace in state.stack
            if isinstance(trace, BatchTrace) and trace.axis_name is not None
        ]
    )


def batch_flat(
    fun: Callable[..., Sequence[Any]],
    size: int,
    args: Sequence[Any],
    axes: Sequence[Axis],
    axis_name: Any = None,
) -> tuple[list[Any], list[Axis]]:
    """Run `fun(*args) -> list` for all examples at once; returns values and their batch axes."""
    with BatchTrace(size, axis_name) as trace:
        inputs = [trace.wrap(arg, axis) for arg, axis in zip(args, axes, strict=True)]
        return trace.split(fun(*inputs))


def batched_type(type: ArrayType, size: int, axis: Axis) -> ArrayType:
    if axis is None:
        return type
    return ArrayType((*type.shape[:axis], size, *type.shape[axis:]), type.dtype)


def place_axis(value: Any, axis: Axis, size: int, wanted: Axis) -> Any:
    """Move the batch axis to `wanted`; a value without one is repeated."""
    if wanted is None:
        return value
    if axis is None:
        if is_run_time(value):
            return REPEAT_STACK(value, axis=wanted, size=size)
        value, axis = broadcast_to(value, (size, *shape_of(value))), 0
    return moveaxis(value, axis, wanted)


def batch_program(
    program: Program,
    size: int,
    axes: tuple[Axis, ...],
    force: tuple[bool, ...] | None = None,
) -> tuple[Program, tuple[Axis, ...]]:
    """A Program for all examples at once.

    Args:
        program: the Program for one example.
        size: number of examples.
        axes: batch axis per input, None where it is the same for every example.
        force: outputs that must be batched (at axis 0); None for no demand.

    Returns:
        The Program, and per output its batch axis: 0 or None.
    """
    axis_name = BATCHING.axis_name
    key = ("batch", size, axes, force, axis_name)
    if key not in program.memo:
        types = [batched_type(t, size, a) for t, a in zip(program.input_types, axes, strict=True)]
        found: list[tuple[Axis, ...]] = []

        def batched(*args: Any) -> list[Any]:
            outs, out_axes = batch_flat(
                lambda *xs: evaluate(program, *xs), size, args, axes, axis_name
            )
            demanded = force or (False,) * len(outs)
            wanted = [
                0 if a is not None or f else None for a, f in zip(out_axes, demanded, strict=True)
            ]
            found.append(tuple(wanted))
            return [
                place_axis(out, axis, size, want)
                for out, axis, want in zip(outs, out_axes, wanted, strict=True)
            ]

        built = close_program(batched, types, program.name + "_batch")
        program.memo[key] = (built, found[0])
    return program.memo[key]
