"""Simplification: inline calls, fold what is constant, merge equal equations.

Never changes a value: the algebra is that of each primitive's own `simplify`, and keeps IEEE results.
"""

from __future__ import annotations

from collections.abc import Sequence

from funcgrad.compiler.passes.algebra import Simplifier
from funcgrad.compiler.passes.loop_parts import substituted
from funcgrad.ir.program import Atom, Equation, Program, Variable


def inline_calls(program: Program) -> Program:
    """Replace each call by the equations it runs."""
    if not any(equation.primitive.is_inlined for equation in program.equations):
        return program
    equations: list[Equation] = []
    known: dict[Atom, Atom] = {}
    for equation in program.equations:
        results = _inline(substituted(equation, known), equations)
        if results is not equation.outputs:
            known.update(zip(equation.outputs, results, strict=True))
    outputs = [known.get(atom, atom) for atom in program.outputs]
    return Program(program.inputs, equations, outputs, program.name)


def _inline(equation: Equation, equations: list[Equation]) -> Sequence[Atom]:
    """Add an equation, or those of the Program it calls; its results."""
    if not equation.primitive.is_inlined:
        equations.append(equation)
        return equation.outputs
    inner: Program = equation.params["program"]
    known: dict[Atom, Atom] = dict(zip(inner.inputs, equation.inputs, strict=True))
    for called in inner.equations:
        # New variables, because a Program may be called twice.
        outputs = [Variable(variable.type) for variable in called.outputs]
        inputs = [known.get(atom, atom) for atom in called.inputs]
        results = _inline(called.replace(inputs, outputs, equation.is_quiet), equations)
        known.update(zip(called.outputs, results, strict=True))
    return [known.get(atom, atom) for atom in inner.outputs]


def merge_common(program: Program) -> Program:
    """Compute equal expressions once, apply each primitive's own algebra, and fold constant operands."""
    known: dict[Atom, Atom] = {}
    simplifier = Simplifier(program)
    for equation in program.equations:
        results = simplifier.append(substituted(equation, known))
        if results is not equation.outputs:
            known.update(zip(equation.outputs, results, strict=True))
    outputs = [known.get(atom, atom) for atom in program.outputs]
    return Program(program.inputs, simplifier.equations, outputs, program.name)
