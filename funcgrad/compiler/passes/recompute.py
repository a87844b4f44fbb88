"""Residuals of a loop that its backward loop computes again, from others that it reads anyway, in place of stacks."""

from __future__ import annotations

from typing import Any

from funcgrad.compiler.passes.cost import is_cheap
from funcgrad.compiler.passes.loop_parts import Outer, ScanParts
from funcgrad.ir.program import Atom, Equation, Literal, Program, Variable

# So many cheap equations are computed again in place of one element of a stack.
MOST = 3


def recompute_residuals(outer: Outer, parts: ScanParts) -> None:
    """Replace stacks that only this loop reads, and that a few cheap operations on its other stacks give."""
    made: dict[int, tuple[Equation, list[Variable]]] = {}
    for _, stack in parts.xs:
        maker = outer.makers.get(stack)
        if not isinstance(stack, Variable) or maker is None:
            continue
        if maker.primitive is parts.equation.primitive:
            made.setdefault(id(maker), (maker, []))[1].append(stack)
    for maker, stacks in made.values():
        if maker.params["length"] == parts.length:
            _recompute(outer, parts, Producer(maker), stacks)


class Producer:
    """The loop that makes stacks, and how an element of one follows from elements of others."""

    def __init__(self, equation: Equation) -> None:
        params = equation.params
        body: Program = params["body"]
        carries = params["num_carry"]
        first = params["num_consts"] + carries
        self.makers: dict[Any, Equation] = {v: e for e in body.equations for v in e.outputs}
        self.elements: dict[Atom, Atom] = dict(
            zip(equation.outputs[carries:], body.outputs[carries:], strict=True)
        )
        xs = zip(equation.inputs[first:], body.inputs[first:], strict=True)
        self.elements.update(xs)

    def steps(self, atom: Atom, leaves: dict[Atom, Variable]) -> list[Equation] | None:
        """The equations that compute `atom` from the leaves, in order; None if they are too many or too dear."""
        found: dict[int, Equation] = {}

        def visit(atom: Atom) -> bool:
            if isinstance(atom, Literal) or atom in leaves:
                return True
            maker = self.makers.get(atom)
            if maker is None or not is_cheap(maker.primitive) or len(found) > MOST:
                return False
            if not all(map(visit, maker.inputs)):
                return False
            found[id(maker)] = maker
            return True

        return list(found.values()) if visit(atom) and 0 < len(found) <= MOST else None


def _recompute(outer: Outer, parts: ScanParts, producer: Producer, stacks: list[Variable]) -> None:
    variables = {stack: variable for variable, stack in parts.xs}
    leaves: dict[Atom, Variable] = {
        producer.elements[stack]: variable
        for stack, variable in variables.items()
        if stack in producer.elements
    }
    kept: set[Atom] = set()
    gone: set[Variable] = set()
    made: list[Equation] = []
    for stack in stacks:
        element = producer.elements.get(stack)
        if outer.uses[stack] != 1 or element in kept or not isinstance(element, Variable):
            continue
        others = {atom: v for atom, v in leaves.items() if atom is not element}
        steps = producer.steps(element, others)
        if steps is None:
            continue
        leaves = others
        gone.add(variables[stack])
        kept.update(atom for equation in steps for atom in equation.inputs if atom in others)
        made += copied(steps, others, variables[stack])
    parts.xs = [(variable, stack) for variable, stack in parts.xs if variable not in gone]
    parts.equations = [*made, *parts.equations]


def copied(steps: list[Equation], leaves: dict[Atom, Variable], result: Variable) -> list[Equation]:
    """The equations on variables of another body; the last one makes `result`."""
    known: dict[Atom, Atom] = dict(leaves)
    equations = []
    for equation in steps:
        outputs = [result if equation is steps[-1] else Variable(equation.outputs[0].type)]
        inputs = [known.get(atom, atom) for atom in equation.inputs]
        equations.append(equation.replace(inputs, outputs, is_quiet=True))
        known[equation.outputs[0]] = outputs[0]
    return equations
