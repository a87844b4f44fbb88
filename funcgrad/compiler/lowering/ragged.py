"""Lengths that are known only at run time: which Programs with such stacks machine code can run."""

from __future__ import annotations

from funcgrad.ir.program import Equation, Program, subprograms

# What makes and reads stacks natively: loops, and the numbers of iterations.
STACKING = ("while", "scan", "run_time_iota")


def is_ragged(shape: tuple) -> bool:
    return None in shape


def has_stacks(equation: Equation) -> bool:
    """Whether an equation reads or makes a stack of unknown length."""
    return any(is_ragged(atom.type.shape) for atom in (*equation.inputs, *equation.outputs))


def is_native_body(program: Program) -> bool:
    """Whether machine code can run a Program: stacks of unknown length only go from loop to loop."""
    if "is_native" not in program.memo:
        program.memo["is_native"] = _is_native(program)
    return program.memo["is_native"]


def _is_native(program: Program) -> bool:
    if any(is_ragged(atom.type.shape) for atom in (*program.inputs, *program.outputs)):
        return False
    for equation in program.equations:
        if not has_stacks(equation):
            continue
        if equation.primitive.name not in STACKING or not all(
            map(stacks_one, equation_types(equation))
        ):
            return False
        if not all(map(is_native_body, subprograms(equation))):
            return False
    return True


def equation_types(equation: Equation) -> list[tuple]:
    return [atom.type.shape for atom in (*equation.inputs, *equation.outputs)]


def stacks_one(shape: tuple) -> bool:
    """Whether only the first length is unknown."""
    return None not in shape[1:]
