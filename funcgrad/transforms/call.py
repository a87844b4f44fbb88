"""The call of a recorded Program: what a jitted function is to every other transformation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from funcgrad.compiler.executable import executable
from funcgrad.compiler.passes.cost import program_cost
from funcgrad.compiler.pipeline import compiled
from funcgrad.ir.primitive import Primitive, is_linear
from funcgrad.ir.program import Program, subprograms
from funcgrad.ir.tracer import Trace, state
from funcgrad.ir.types import ArrayType
from funcgrad.transforms.batch import axis_trace, batch_program
from funcgrad.transforms.jvp import jvp_program
from funcgrad.transforms.linearize import linearize_program
from funcgrad.transforms.transpose import transpose_program

# Operations and bytes that take longer than the way into machine code from here, some 20 microseconds.
MUCH_WORK = 300_000


def spread(flags: Sequence[bool], values: Sequence[Any]) -> list[Any]:
    """Values at the places where the flag holds, None elsewhere."""
    given = iter(values)
    return [next(given) if flag else None for flag in flags]


def present(values: Sequence[Any]) -> list[Any]:
    """The values that are not None."""
    return [value for value in values if value is not None]


def is_worth_compiling(program: Program) -> bool:
    """Whether a Program, such as the gradient of a jitted function, does much work."""
    if "is_worth_compiling" not in program.memo:
        program.memo["is_worth_compiling"] = sum(program_cost(program)) > MUCH_WORK
    return program.memo["is_worth_compiling"]


def axis_names(program: Program) -> frozenset:
    """The named axes that collectives inside a Program reduce over."""
    if "axis_names" not in program.memo:
        names = {e.params["axis_name"] for e in program.equations if "axis_name" in e.params}
        for equation in program.equations:
            for inner in subprograms(equation):
                names |= axis_names(inner)
        program.memo["axis_names"] = frozenset(names)
    return program.memo["axis_names"]


class HigherOrder(Primitive):
    """Runs Programs that are among its params. If these hold collectives, the vmap of their axis sees it."""

    names_axes = True
    kind = "higher_order"
    multiple = True

    def axis_names(self, params: dict) -> frozenset:
        names: frozenset = frozenset()
        for value in params.values():
            for program in value if isinstance(value, tuple) else (value,):
                if isinstance(program, Program):
                    names |= axis_names(program)
        return names

    def outer_trace(self, params: dict) -> Trace | None:
        traces: list[Trace] = [axis_trace(name) for name in self.axis_names(params)]
        if state.ambient is not None:
            traces.append(state.ambient)
        return max(traces, key=lambda trace: trace.level, default=None)

    def uses_axis(self, params: dict, axis_name: Any) -> bool:
        return axis_name in self.axis_names(params)


class Call(HigherOrder):
    """Runs `program`."""

    is_inlined = True

    def type_rule(self, *types: ArrayType, program: Program) -> list[ArrayType]:
        del types
        return [type.strong() for type in program.output_types]

    def numpy(self, xp: Any, *args: Any, program: Program) -> list[Any]:
        return (executable if is_worth_compiling(program) else compiled)(program, xp)(*args)

    def jvp(self, primals: Sequence, tangents: Sequence, *, program: Program) -> tuple:
        active = tuple(t is not None for t in tangents)
        forward, out_active = jvp_program(program, active)
        outs = self(*primals, *present(tangents), program=forward)
        count = len(program.outputs)
        return outs[:count], spread(out_active, outs[count:])

    def linearize(self, primals: Sequence, tangents: Sequence, *, program: Program) -> tuple:
        active = tuple(t is not None for t in tangents)
        halves = linearize_program(program, active)
        outs = self(*primals, program=halves.primal)
        count = len(program.outputs)
        moved = self(*outs[count:], *present(tangents), program=halves.linear)
        return outs[:count], spread(halves.active, moved)

    def transpose(self, cotangent: Sequence, *inputs: Any, program: Program) -> list[Any]:
        linear = tuple(is_linear(x) for x in inputs)
        active = tuple(ct is not None for ct in cotangent)
        backward, found = transpose_program(program, linear, active)
        known = [x for x in inputs if not is_linear(x)]
        pulled = self(*known, *present(cotangent), program=backward)
        return spread(linear, spread(found, pulled))

    def batch(self, size: int, args: Sequence, axes: Sequence, *, program: Program) -> tuple:
        batched, out_axes = batch_program(program, size, tuple(axes))
        return self(*args, program=batched), list(out_axes)

    def lower(self, emit: Any, *values: Any, program: Program) -> Any:
        return emit.call(program, values)


CALL = Call()


def call_program(program: Program, args: Sequence[Any]) -> list[Any]:
    """Run a Program as one equation of the surrounding trace."""
    return CALL(*args, program=program)
