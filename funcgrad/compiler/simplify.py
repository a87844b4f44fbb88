"""Simplification: inline calls, fold what is constant, merge equal equations, drop dead ones.

Never changes a value: the algebra is that of each primitive's own `simplify`, and keeps IEEE results.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.ir.program import Atom, Equation, Literal, Program, Variable, has_effect


def eliminate_dead_code(program: Program) -> Program:
    """Drop equations whose results nobody uses, unless they have an effect."""
    used = {atom for atom in program.outputs if isinstance(atom, Variable)}
    kept = []
    for equation in reversed(program.equations):
        if has_effect(equation) or any(variable in used for variable in equation.outputs):
            kept.append(equation)
            used.update(atom for atom in equation.inputs if isinstance(atom, Variable))
    return Program(program.inputs, kept[::-1], program.outputs, program.name)


def inline_calls(program: Program) -> Program:
    """Replace each call by the equations it runs."""
    equations: list[Equation] = []
    known: dict[Variable, Atom] = {}
    _inline(program, known, equations)
    return Program(
        program.inputs, equations, [_resolve(known, a) for a in program.outputs], program.name
    )


def _resolve(known: dict[Variable, Atom], atom: Atom) -> Atom:
    return known.get(atom, atom) if isinstance(atom, Variable) else atom


def _inline(
    program: Program,
    known: dict[Variable, Atom],
    equations: list[Equation],
    is_quiet: bool = False,
) -> None:
    for equation in program.equations:
        inputs = [_resolve(known, atom) for atom in equation.inputs]
        if not equation.primitive.is_inlined:
            outputs = [Variable(variable.type) for variable in equation.outputs]
            known.update(zip(equation.outputs, outputs, strict=True))
            equations.append(equation.replace(inputs, outputs, is_quiet))
            continue
        inner: Program = equation.params["program"]
        inner_known: dict[Variable, Atom] = dict(zip(inner.inputs, inputs, strict=True))
        _inline(inner, inner_known, equations, is_quiet or equation.is_quiet)
        results = [_resolve(inner_known, atom) for atom in inner.outputs]
        known.update(zip(equation.outputs, results, strict=True))


def merge_common(program: Program) -> Program:
    """Compute equal expressions once, apply each primitive's own algebra, and fold constant operands."""
    known: dict[Variable, Atom] = {}
    seen: dict[Any, Equation] = {}
    equations = []
    for equation in program.equations:
        inputs = [_resolve(known, atom) for atom in equation.inputs]
        replacement = _replacement(equation, inputs)
        if replacement is not None:
            known[equation.outputs[0]] = replacement
            continue
        equation = equation.replace(inputs, equation.outputs)
        key = None if has_effect(equation) else _equation_key(equation)
        first = seen.get(key)
        # What the user wrote may warn, so it does not merge with what a derivative computes quietly.
        if first is not None and (equation.is_quiet or not first.is_quiet):
            known.update(zip(equation.outputs, first.outputs, strict=True))
            continue
        if key is not None:
            seen[key] = equation
        equations.append(equation)
    outputs = [_resolve(known, atom) for atom in program.outputs]
    return Program(program.inputs, equations, outputs, program.name)


def _replacement(equation: Equation, inputs: list[Atom]) -> Atom | None:
    """What the only result of an equation is equal to, if it is already at hand."""
    if equation.primitive.multiple or equation.primitive.has_effect:
        return None
    simpler = equation.primitive.simplify(inputs, **equation.params)
    if simpler is not None:
        return simpler
    scalar = equation.outputs[0].type.shape == () and bool(inputs)
    if not scalar or equation.primitive.kind != "elementwise":
        return None
    if not all(isinstance(atom, Literal) for atom in inputs):
        return None
    return _fold(equation, [atom.value for atom in inputs])  # type: ignore[union-attr]


def _fold(equation: Equation, values: list[Any]) -> Literal | None:
    """The constant result; None if NumPy would warn, so that the warning comes at run time as well."""
    try:
        with np.errstate(all="raise"):
            value = equation.primitive.numpy(np, *values, **equation.params)
    except (FloatingPointError, OverflowError, ZeroDivisionError):
        return None
    return Literal(equation.outputs[0].type.dtype.type(value))


def _equation_key(equation: Equation) -> Any:
    operands = tuple(
        atom.key() if isinstance(atom, Literal) else id(atom) for atom in equation.inputs
    )
    try:
        key = (equation.primitive, operands, tuple(sorted(equation.params.items())))
        hash(key)
    except TypeError:
        return None
    types = tuple(variable.type for variable in equation.outputs)
    return (*key, types, repr(equation.params))
