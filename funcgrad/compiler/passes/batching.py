"""All iterations of some equations of a loop body at once, by the batch rules of their primitives."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

from funcgrad.ir.attribution import attributed
from funcgrad.ir.builder import trace_flat
from funcgrad.ir.program import Atom, Equation, Literal, Program, Variable
from funcgrad.ir.quiet import quiet
from funcgrad.ops.operands import shape_of
from funcgrad.ops.shape import broadcast_to, moveaxis

# A value, and the axis along which it holds all iterations; None if it is the same in each.
Batched = tuple[Any, int | None]


class Batch:
    """Values of a loop body for all iterations, while a Program is recorded.

    Args:
        size: number of iterations.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.values: dict[Atom, Batched] = {}

    def read(self, atom: Atom) -> Batched:
        return (atom.value, None) if isinstance(atom, Literal) else self.values[atom]

    def run(self, equation: Equation) -> None:
        """Compute an equation for all iterations."""
        pairs = [self.read(atom) for atom in equation.inputs]
        args, axes = [value for value, _ in pairs], [axis for _, axis in pairs]
        if all(axis is None for axis in axes):
            outs: Sequence[Any] = equation.run(*args)
            out_axes: Sequence[Any] = [None] * len(outs)
        else:
            with as_in(equation):
                outs, out_axes = equation.primitive.batch(self.size, args, axes, **equation.params)
            if not equation.primitive.multiple:
                outs, out_axes = [outs], [out_axes]
        found = zip(outs, out_axes, strict=True)
        self.values.update(zip(equation.outputs, found, strict=True))

    def sum(self, equation: Equation) -> Any:
        """The sum of the one result of an equation over all iterations."""
        pairs = [self.read(atom) for atom in equation.inputs]
        args, axes = [value for value, _ in pairs], [axis for _, axis in pairs]
        with as_in(equation):
            out = equation.primitive.batch_sum(args, axes, **equation.params)
        if out is NotImplemented:
            raise NotImplementedError(f"{equation.primitive} is not summed over iterations")
        return out

    def stack(self, atom: Atom) -> Any:
        """All iterations of a value along a new leading axis."""
        value, axis = self.read(atom)
        if axis is None:
            return broadcast_to(value, (self.size, *shape_of(value)))
        return moveaxis(value, axis, 0)


@contextlib.contextmanager
def as_in(equation: Equation) -> Any:
    """What is recorded here has the line and the quietness of an equation."""
    with attributed(equation.source), quiet() if equation.is_quiet else contextlib.nullcontext():
        yield


def batched_program(
    size: int,
    consts: Sequence[Variable],
    stacks: Sequence[Variable],
    compute: Callable[[Batch], list[Any]],
) -> Program:
    """Record what `compute` makes of all iterations of a loop.

    Args:
        size: number of iterations.
        consts: variables of the body that are the same in each iteration.
        stacks: variables that differ; their stacks have the iterations first.
        compute: gets the `Batch` with the values of these variables.

    Returns:
        A Program of the constants, then the stacks.

    Raises:
        NotImplementedError: a primitive has no batch rule.
    """

    def run(*args: Any) -> list[Any]:
        batch = Batch(size)
        for variable, arg in zip((*consts, *stacks), args, strict=True):
            batch.values[variable] = (arg, None if variable in fixed else 0)
        return compute(batch)

    fixed = set(consts)
    types = [variable.type for variable in consts]
    types += [v.type.update(shape=(size, *v.type.shape)) for v in stacks]
    program, captured = trace_flat(run, types, "batched")
    if captured:
        raise AssertionError(f"a loop body captured {captured!r}")
    return program
