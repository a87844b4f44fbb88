"""The rules a Program must keep, as code: SSA form, known operands, and types that match the primitives' rules."""

from __future__ import annotations

from funcgrad.errors import ProgramError
from funcgrad.ir.program import Equation, Program, Variable, subprograms


def check_program(program: Program) -> None:
    """Raise ProgramError at the first equation that breaks a rule."""
    known: set[Variable] = set()
    for variable in program.inputs:
        if variable in known:
            raise ProgramError(f"{program.name}: an input occurs twice")
        known.add(variable)
    for index, equation in enumerate(program.equations):
        where = f"{program.name}: equation {index} ({equation.primitive.name}, {equation.source})"
        for atom in equation.inputs:
            if isinstance(atom, Variable) and atom not in known:
                raise ProgramError(f"{where} reads a variable that nothing defines")
        for variable in equation.outputs:
            if variable in known:
                raise ProgramError(f"{where} assigns a variable twice")
            known.add(variable)
        _check_types(where, equation)
        for inner in subprograms(equation):
            check_program(inner)
    for atom in program.outputs:
        if isinstance(atom, Variable) and atom not in known:
            raise ProgramError(f"{program.name}: returns a variable that nothing defines")


def _check_types(where: str, equation: Equation) -> None:
    types = equation.primitive.type_rule(*[a.type for a in equation.inputs], **equation.params)
    if not equation.primitive.multiple:
        types = [types]
    found = [variable.type.strong() for variable in equation.outputs]
    expected = [type.strong() for type in types]
    if found != expected:
        raise ProgramError(f"{where} has outputs {found}, but its type rule says {expected}")
