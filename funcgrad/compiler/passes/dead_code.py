"""Dead code: equations whose results nobody uses, and dead results of loops, branches and calls."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from itertools import compress
from typing import Any

from funcgrad.ir.program import Atom, Equation, Program, Variable, has_effect


def eliminate_dead_code(program: Program) -> Program:
    """Drop equations whose results nobody uses, unless they have an effect, also in the Programs of loops."""
    used = {atom for atom in program.outputs if isinstance(atom, Variable)}
    kept = []
    for equation in reversed(program.equations):
        if used.isdisjoint(equation.outputs) and not has_effect(equation):
            continue
        trim = TRIMMED.get(equation.primitive.name)
        if trim is not None:
            equation = trim(equation, [variable in used for variable in equation.outputs])
        kept.append(equation)
        used.update(atom for atom in equation.inputs if isinstance(atom, Variable))
    if len(kept) == len(program.equations) and all(map(_same, kept[::-1], program.equations)):
        return program
    return replaced(program, equations=kept[::-1])


def _same(first: Any, second: Any) -> bool:
    return first is second


def replaced(
    program: Program,
    inputs: Sequence[Variable] | None = None,
    equations: Sequence[Equation] | None = None,
    outputs: Sequence[Atom] | None = None,
) -> Program:
    """A Program with other parts; simplified if it was."""
    made = Program(
        program.inputs if inputs is None else inputs,
        program.equations if equations is None else equations,
        program.outputs if outputs is None else outputs,
        program.name,
    )
    return as_simplified(made) if "is_simplified" in program.memo else made


def as_simplified(program: Program) -> Program:
    """A Program that needs no further simplification."""
    program.memo["is_simplified"] = True
    return program


def live_inputs(program: Program) -> list[bool]:
    """Which inputs a Program without dead code reads."""
    read: set[Atom] = {atom for equation in program.equations for atom in equation.inputs}
    read.update(program.outputs)
    return [variable in read for variable in program.inputs]


def returning(program: Program, wanted: Sequence[bool]) -> Program:
    """The Program with only the wanted outputs, without dead code."""
    if all(wanted):
        return eliminate_dead_code(program)
    return eliminate_dead_code(replaced(program, outputs=chosen(program.outputs, wanted)))


def reading(program: Program, wanted: Sequence[bool]) -> Program:
    """The Program with only the wanted inputs."""
    return program if all(wanted) else replaced(program, inputs=chosen(program.inputs, wanted))


def chosen(values: Sequence[Any], wanted: Collection[bool]) -> list[Any]:
    return list(compress(values, wanted))


def trimmed_loop(
    used: Sequence[bool], step: Callable[[list[bool]], list[bool]]
) -> tuple[bool, ...]:
    """Which carries are needed: those `used` afterwards, and those that a needed one is computed from."""
    needed = list(used)
    while True:
        grown = [a or b for a, b in zip(needed, step(needed), strict=True)]
        if grown == needed:
            return tuple(needed)
        needed = grown


def trim_scan(equation: Equation, used: Sequence[bool]) -> Equation:
    """A `scan` without dead carries and stacks, and without what the body does not read."""
    params = equation.params
    body: Program = params["body"]
    head = 1 if params["length"] is None else 0
    consts, carries = params["num_consts"], params["num_carry"]
    stacks = used[carries:]

    def step(needed: list[bool]) -> list[bool]:
        live = live_inputs(returning(body, [*needed, *stacks]))
        return live[consts : consts + carries]

    needed = trimmed_loop(used[:carries], step)
    wanted = [*needed, *stacks]
    small = returning(body, wanted)
    live = live_inputs(small)
    live[consts : consts + carries] = needed
    if small is body and all(live):
        return equation
    params = {
        **params,
        "body": reading(small, live),
        "num_consts": sum(live[:consts]),
        "num_carry": sum(needed),
    }
    inputs = [*equation.inputs[:head], *chosen(equation.inputs[head:], live)]
    return with_parts(equation, inputs, chosen(equation.outputs, wanted), params)


def trim_while(equation: Equation, used: Sequence[bool]) -> Equation:
    """A `while` without dead carries and stacks."""
    params = equation.params
    test: Program = params["cond"]
    body: Program = params["body"]
    num_cond, num_body = params["num_cond"], params["num_body"]
    carries = len(equation.inputs) - num_cond - num_body
    stacks = used[carries : len(body.outputs)]
    tested = live_inputs(eliminate_dead_code(test))

    def step(needed: list[bool]) -> list[bool]:
        live = live_inputs(returning(body, [*needed, *stacks]))
        return [a or b for a, b in zip(live[num_body:], tested[num_cond:], strict=True)]

    needed = trimmed_loop(used[:carries], step)
    wanted = [*needed, *stacks]
    small = returning(body, wanted)
    read = live_inputs(small)[:num_body]
    collect = params["collect"] and (any(stacks) or used[-1])
    tested = tested[:num_cond]
    if all((*wanted, *read, *tested, collect == params["collect"])) and small is body:
        return equation
    params = {
        "cond": reading(eliminate_dead_code(test), [*tested, *needed]),
        "body": reading(small, [*read, *needed]),
        "num_cond": sum(tested),
        "num_body": sum(read),
        "collect": collect,
    }
    inputs = chosen(equation.inputs, [*tested, *read, *needed])
    kept = [*wanted, *([collect] if len(used) > len(wanted) else [])]
    return with_parts(equation, inputs, chosen(equation.outputs, kept), params)


def trim_cond(equation: Equation, used: Sequence[bool]) -> Equation:
    """A `cond` without dead results, and without operands that no branch reads."""
    branches = equation.params["branches"]
    small = [returning(branch, used) for branch in branches]
    live = [any(flags) for flags in zip(*map(live_inputs, small), strict=True)]
    if all(live) and all(map(_same, small, branches)):
        return equation
    params = {"branches": tuple(reading(branch, live) for branch in small)}
    index, *operands = equation.inputs
    inputs = [index, *chosen(operands, live)]
    return with_parts(equation, inputs, chosen(equation.outputs, used), params)


def trim_call(equation: Equation, used: Sequence[bool]) -> Equation:
    """A call without dead results, and without arguments that are not read."""
    small = returning(equation.params["program"], used)
    live = live_inputs(small)
    if all(live) and small is equation.params["program"]:
        return equation
    params = {**equation.params, "program": reading(small, live)}
    inputs = chosen(equation.inputs, live)
    return with_parts(equation, inputs, chosen(equation.outputs, used), params)


def with_parts(
    equation: Equation,
    inputs: Sequence[Atom],
    outputs: Sequence[Variable],
    params: dict[str, Any],
    primitive: Any = None,
) -> Equation:
    """An equation with the line and quietness of another one, and its primitive if no other is given."""
    primitive = equation.primitive if primitive is None else primitive
    return Equation(primitive, inputs, outputs, params, equation.source, equation.is_quiet)


# By the names of the primitives.
TRIMMED: dict[str, Callable[[Equation, Sequence[bool]], Equation]] = {
    "scan": trim_scan,
    "while": trim_while,
    "cond": trim_cond,
    "remat": trim_call,
}
