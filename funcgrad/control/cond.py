"""`cond` and `switch`: one of several branches runs.

With a predicate that differs between examples, each branch runs for all examples, but an example that does not
take it computes on the values of one that does: no branch ever sees a value it would not see alone, so nothing
divides by zero and no loop in a branch fails to end. A branch that no example takes does not run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad.compiler.pipeline import compiled
from funcgrad.control.common import (
    array_flat,
    check_same_structure,
    converted_outputs,
    record,
)
from funcgrad.ir.builder import close_program
from funcgrad.ir.primitive import is_linear
from funcgrad.ir.program import Program, Variable, evaluate
from funcgrad.ir.tracer import type_of
from funcgrad.ir.types import ArrayType, kind
from funcgrad.ops.cast import convert
from funcgrad.ops.compare import equal
from funcgrad.ops.extrema import clip
from funcgrad.ops.extremal_reduce import argmax
from funcgrad.ops.families import (
    Linear,
    all_batched,
    as_operand,
    ndim_of,
    shape_of,
    zeros_like_type,
)
from funcgrad.ops.gather import gather
from funcgrad.ops.reduce import reduce_or
from funcgrad.ops.select import select
from funcgrad.ops.shape import moveaxis, reshape
from funcgrad.transforms.arguments import check_callable, fresh_outputs, name_of
from funcgrad.transforms.batch import batch_program
from funcgrad.transforms.call import HigherOrder, present, spread
from funcgrad.transforms.jvp import jvp_program
from funcgrad.transforms.linearize import linearize_program
from funcgrad.transforms.transpose import transpose_program


class Cond(HigherOrder):
    """Runs branch number `index` (the first input, in range) on the other inputs."""

    def type_rule(self, *types: ArrayType, branches: tuple[Program, ...]) -> list[ArrayType]:
        del types
        return [type.strong() for type in branches[0].output_types]

    def numpy(self, xp: Any, index: Any, *args: Any, branches: tuple[Program, ...]) -> list[Any]:
        return compiled(branches[int(index)], xp)(*args)

    def jvp(self, primals: Sequence, tangents: Sequence, *, branches: tuple) -> tuple[Any, Any]:
        active = tuple(t is not None for t in tangents[1:])
        found = [jvp_program(branch, active)[1] for branch in branches]
        union = _union(found)
        forward = tuple(jvp_program(branch, active, _places(union))[0] for branch in branches)
        outs = self(*primals, *present(tangents), branches=forward)
        count = len(union)
        return outs[:count], spread(union, outs[count:])

    def linearize(self, primals: Sequence, tangents: Sequence, *, branches: tuple) -> tuple:
        active = tuple(t is not None for t in tangents[1:])
        found = [linearize_program(branch, active).active for branch in branches]
        union = _union(found)
        halves = [linearize_program(branch, active, _places(union)) for branch in branches]
        slots = ResidualSlots(halves, len(union))
        outs = self(*primals, branches=slots.primal_branches())
        count = len(union)
        moved = self(
            primals[0],
            *primals[1:],
            *outs[count:],
            *present(tangents),
            branches=slots.linear_branches([type_of(x) for x in primals[1:]]),
        )
        return outs[:count], spread(union, moved)

    def transpose(self, cotangent: Sequence, *inputs: Any, branches: tuple) -> list[Any]:
        index, operands = inputs[0], inputs[1:]
        linear = tuple(is_linear(x) for x in operands)
        active = tuple(ct is not None for ct in cotangent)
        pulled = tuple(_instantiated_transpose(branch, linear, active) for branch in branches)
        known = [x for x in operands if not is_linear(x)]
        outs = self(index, *known, *present(cotangent), branches=pulled)
        return [None, *spread(linear, outs)]

    def batch(self, size: int, args: Sequence, axes: Sequence, *, branches: tuple) -> tuple:
        if axes[0] is not None:
            return batch_choice(self, size, args, axes, branches)
        in_axes = tuple(axes[1:])
        found = [batch_program(branch, size, in_axes)[1] for branch in branches]
        union = _union([[axis is not None for axis in out] for out in found])
        batched = tuple(batch_program(branch, size, in_axes, union)[0] for branch in branches)
        outs = self(*args, branches=batched)
        return outs, [0 if flag else None for flag in union]

    def lower(self, emit: Any, *values: Any, branches: tuple) -> Any:
        return emit.cond(values[0], values[1:], branches)


COND = Cond()


def _union(flags: Sequence[Sequence[bool]]) -> tuple[bool, ...]:
    return tuple(any(column) for column in zip(*flags, strict=True))


def _places(flags: Sequence[bool]) -> tuple[int, ...]:
    return tuple(i for i, flag in enumerate(flags) if flag)


def _instantiated_transpose(
    branch: Program, linear: tuple[bool, ...], active: tuple[bool, ...]
) -> Program:
    """The transposed branch, with zeros for cotangents that this branch does not make."""
    built, found = transpose_program(branch, linear, active)
    wanted = [t.strong() for t, is_lin in zip(branch.input_types, linear, strict=True) if is_lin]
    return _with_zero_outputs(built, found, wanted)


def _with_zero_outputs(
    program: Program, found: Sequence[bool], types: Sequence[ArrayType]
) -> Program:
    if all(found):
        return program
    key = ("with_zeros", tuple(found))
    if key not in program.memo:

        def run(*args: Any) -> list[Any]:
            outs = iter(evaluate(program, *args))
            return [
                next(outs) if flag else zeros_like_type(type)
                for flag, type in zip(found, types, strict=True)
            ]

        program.memo[key] = close_program(run, program.input_types, program.name)
    return program.memo[key]


class ResidualSlots:
    """Residuals of all branches side by side: branches share a slot for residuals of equal type.

    A residual that is an operand is read from the operands again and needs no slot.
    """

    def __init__(self, halves: Sequence[Any], num_outs: int) -> None:
        self.halves = halves
        self.num_outs = num_outs
        self.types: list[ArrayType] = []
        self.placed = [self._place(half) for half in halves]

    def _place(self, half: Any) -> dict[int, int]:
        """Slot per residual of one branch."""
        taken: set[int] = set()
        placed = {}
        for index, (type, operand) in enumerate(
            zip(half.residual_types, half.forwarded, strict=True)
        ):
            if operand is not None:
                continue
            type = type.strong()
            free = [
                i
                for i, t in enumerate(self.types)
                if t == type and i not in taken and None not in t.shape
            ]
            if free:
                slot = free[0]
            else:
                slot = len(self.types)
                self.types.append(type)
            taken.add(slot)
            placed[index] = slot
        return placed

    def primal_branches(self) -> tuple[Program, ...]:
        """Per branch, a Program that also returns all slots."""
        return tuple(
            self._primal(half, placed)
            for half, placed in zip(self.halves, self.placed, strict=True)
        )

    def _primal(self, half: Any, placed: dict[int, int]) -> Program:
        def run(*args: Any) -> list[Any]:
            outs = evaluate(half.primal, *args)
            slots: list[Any] = [None] * len(self.types)
            for residual, slot in placed.items():
                slots[slot] = outs[self.num_outs + residual]
            filled = [
                zeros_like_type(t) if x is None else x
                for t, x in zip(self.types, slots, strict=True)
            ]
            return [*outs[: self.num_outs], *filled]

        return close_program(run, half.primal.input_types, half.primal.name)

    def linear_branches(self, operand_types: Sequence[ArrayType]) -> tuple[Program, ...]:
        """Per branch, a linear Program of (operands, slots, tangents)."""
        return tuple(
            self._linear(half, placed, operand_types)
            for half, placed in zip(self.halves, self.placed, strict=True)
        )

    def _linear(self, half: Any, placed: dict[int, int], operand_types: Sequence) -> Program:
        count, slots = len(operand_types), len(self.types)
        tangent_types = half.linear.input_types[len(half.residual_types) :]

        def run(*args: Any) -> list[Any]:
            residuals = [
                args[count + placed[i]] if operand is None else args[operand]
                for i, operand in enumerate(half.forwarded)
            ]
            return evaluate(half.linear, *residuals, *args[count + slots :])

        types = [*operand_types, *self.types, *tangent_types]
        return close_program(run, types, half.linear.name)


def batch_choice(
    cond: Cond, size: int, args: Sequence, axes: Sequence, branches: Sequence[Program]
) -> tuple[list[Any], list[int]]:
    """Every example takes its own branch."""
    index = moveaxis(args[0], axes[0], 0)
    operands = [
        x if axis is None else moveaxis(x, axis, 0)
        for x, axis in zip(args[1:], axes[1:], strict=True)
    ]
    in_axes = tuple(None if axis is None else 0 for axis in axes[1:])
    force = (True,) * len(branches[0].outputs)
    results: list[Any] = []
    for number, branch in enumerate(branches):
        takes = equal(index, number)
        lane = argmax(convert(takes, np.int64), axis=0)
        safe = [
            x if axis is None else select(_like(takes, x), x, gather(x, [lane]))
            for x, axis in zip(operands, in_axes, strict=True)
        ]
        batched, _ = batch_program(branch, size, in_axes, force)
        runs = reduce_or(takes)
        outs = cond(convert(runs, np.int64), *safe, branches=(_zero_branch(batched), batched))
        results = outs if not results else _merge(takes, runs, outs, results, branch)
    return results, [0] * len(results)


def _merge(takes: Any, runs: Any, outs: Sequence, old: Sequence, branch: Program) -> list[Any]:
    """The results of one branch for the examples that take it, the old results for the others."""
    return [
        PICK_STACK(runs, y, before) if None in type.shape else select(_like(takes, y), y, before)
        for y, before, type in zip(outs, old, branch.output_types, strict=True)
    ]


class PickStack(Linear):
    """The first stack if the flag holds, else the second.

    For residuals of a loop inside a branch: only one branch has made them, the other stack is empty.
    """

    linear_args = (1, 2)

    def type_rule(self, flag: ArrayType, x: ArrayType, y: ArrayType) -> ArrayType:
        del flag, y
        return x.strong()

    def numpy(self, xp: Any, flag: Any, x: Any, y: Any) -> Any:
        del xp
        return x if flag else y

    def transpose(self, cotangent: Any, flag: Any, x: Any, y: Any) -> list[Any]:
        empty = zeros_like_type(type_of(cotangent).strong())
        return [
            None,
            self(flag, cotangent, empty) if is_linear(x) else None,
            self(flag, empty, cotangent) if is_linear(y) else None,
        ]

    def batch(self, size: int, args: Sequence, axes: Sequence) -> tuple[Any, Any]:
        if axes[0] is not None:
            raise NotImplementedError(
                "[vmap] reverse mode through a while_loop inside a cond cannot be batched over two axes at "
                "once. Use one vmap over both axes."
            )
        return self(args[0], *all_batched(size, args[1:], axes[1:])), 0


PICK_STACK = PickStack()


def _like(flags: Any, x: Any) -> Any:
    """Flags per example in a shape that broadcasts against `x`."""
    return reshape(flags, (*shape_of(flags), *(1,) * (ndim_of(x) - 1)))


def _zero_branch(program: Program) -> Program:
    """A Program of the same types that returns zeros."""
    if "zero_branch" not in program.memo:

        def run(*args: Any) -> list[Any]:
            del args
            return [zeros_like_type(type.strong()) for type in program.output_types]

        program.memo["zero_branch"] = close_program(run, program.input_types, "no_example")
    return program.memo["zero_branch"]


def choose(
    name: str, index: Any, branches: Sequence[Callable[..., Any]], operands: Sequence[Any]
) -> Any:
    """Record all branches on the same operands, make their types agree, and bind the primitive."""
    flats = [array_flat(x, f"[{name}] operand {i}") for i, x in enumerate(operands)]
    arrays = [x for flat in flats for x in flat.arrays]
    types = [type_of(x) for x in arrays]
    bodies = [record(branch, flats, types, f"{name} branch") for branch in branches]
    first = bodies[0]
    for number, body in enumerate(bodies[1:], 1):
        check_same_structure(
            f"[{name}] the results of branch 0 ({name_of(branches[0])}) and branch {number} "
            f"({name_of(branches[number])})",
            first.outputs,
            body.outputs,
            "All branches must return the same tree.",
        )
    agreed = _agreed_types(name, branches, bodies)
    programs = _with_common_captures(bodies, agreed)
    captured = [x for body in bodies for x in body.captured]
    results = COND(index, *captured, *arrays, branches=programs)
    return first.outputs.rebuild(fresh_outputs(results, [*captured, *arrays]))


def _agreed_types(name: str, branches: Sequence, bodies: Sequence) -> dict[int, ArrayType]:
    """The common type of each output; Python numbers adopt the dtype of the other branches."""
    agreed = {}
    for place, types in enumerate(
        zip(*[body.program.output_types for body in bodies], strict=True)
    ):
        strong = [type for type in types if not type.weak] or list(types)
        target = strong[0].strong()
        for number, type in enumerate(types):
            dtype = target.dtype if type.weak else type.dtype
            if type.shape != target.shape or dtype != target.dtype:
                path = bodies[0].outputs.path(place)
                raise TypeError(
                    f"[{name}] branches must return equal types, but {path or 'the result'} is {target} "
                    f"in {name_of(branches[0])} and {type} in {name_of(branches[number])}. Convert one: "
                    f"x.astype(np.{target.dtype.name}), np.broadcast_to(x, {target.shape})."
                )
        agreed[place] = target
    return agreed


def _with_common_captures(bodies: Sequence, agreed: dict[int, ArrayType]) -> tuple[Program, ...]:
    """Programs that take the captured values of all branches, then the operands."""
    programs = []
    counts = [len(body.captured) for body in bodies]
    for number, body in enumerate(bodies):
        program = converted_outputs(body.program, agreed)
        start = sum(counts[:number])
        own = range(start, start + counts[number])
        captured_types = [type_of(x) for other in bodies for x in other.captured]
        operand_types = program.input_types[counts[number] :]
        padded = [Variable(type) for type in (*captured_types, *operand_types)]
        for i, position in enumerate(own):
            padded[position] = program.inputs[i]
        padded[len(captured_types) :] = program.inputs[counts[number] :]
        programs.append(Program(padded, program.equations, program.outputs, program.name))
    return tuple(programs)


def cond(
    pred: Any, true_fun: Callable[..., Any], false_fun: Callable[..., Any], *operands: Any
) -> Any:
    """Run one of two functions.

    Args:
        pred: scalar bool (or number; nonzero is true).
        true_fun, false_fun: functions of `operands`; both are traced and must return equal types.
        *operands: trees of arrays.

    Returns:
        The result of the function that ran.

    Example:
        >>> import numpy as np
        >>> import funcgrad as fg
        >>> safe_log = lambda x: fg.lax.cond(x > 0.0, np.log, lambda x: 0.0 * x, x)
        >>> float(fg.grad(safe_log)(0.0)), float(fg.grad(safe_log)(2.0))
        (0.0, 0.5)
    """
    check_callable(true_fun, "lax.cond")
    check_callable(false_fun, "lax.cond")
    pred = as_operand(pred)
    found = type_of(pred)
    if found.shape != ():
        raise TypeError(
            f"[cond] the predicate must be a scalar, but got {found}. Use np.all(pred), np.any(pred), "
            "or np.where(pred, a, b) for a choice per element."
        )
    if found.dtype != np.bool_:
        pred = pred != 0
    return choose("cond", convert(pred, np.int64), [false_fun, true_fun], operands)


def switch(index: Any, branches: Sequence[Callable[..., Any]], *operands: Any) -> Any:
    """Run one of several functions.

    Args:
        index: integer scalar; clamped to the range of branches.
        branches: functions of `operands`; all are traced and must return equal types.
        *operands: trees of arrays.

    Returns:
        The result of the function that ran.

    Example:
        >>> import funcgrad as fg
        >>> float(fg.lax.switch(1, [lambda x: x, lambda x: 10.0 * x], 2.0))
        20.0
    """
    branches = list(branches)
    for branch in branches:
        check_callable(branch, "lax.switch")
    if not branches:
        raise ValueError("[switch] needs at least one branch.")
    index = as_operand(index)
    found = type_of(index)
    if found.shape != () or kind(found.dtype) not in "iu":
        raise TypeError(f"[switch] the index must be an integer scalar, but got {found}.")
    index = clip(convert(index, np.int64), 0, len(branches) - 1)
    return choose("switch", index, branches, operands)
