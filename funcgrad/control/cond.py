"""The primitive of `cond` and `switch`: one of several branches runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from funcgrad.compiler.pipeline import compiled
from funcgrad.control.branch_residuals import ResidualSlots
from funcgrad.control.choice import batch_choice
from funcgrad.ir.builder import close_program
from funcgrad.ir.primitive import is_linear
from funcgrad.ir.program import Program, evaluate
from funcgrad.ir.tracer import type_of
from funcgrad.ir.types import ArrayType
from funcgrad.ops.cotangents import zeros_like_type
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
