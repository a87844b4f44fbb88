"""Cheap elementwise work on a stack that only one loop reads, done by the iterations of the loop."""

from __future__ import annotations

from funcgrad.compiler.passes.cost import is_cheap, size_of
from funcgrad.compiler.passes.loop_parts import Outer, ScanParts
from funcgrad.ir.program import Atom, Equation, Literal, Variable

# So many equations are absorbed per stack.
MOST = 4
# Elements smaller than this are faster computed for all iterations at once.
SMALLEST = 64


def absorb_producers(outer: Outer, parts: ScanParts) -> None:
    """Let the body compute the elements of stacks from elements of the stacks that these are made of.

    The stack is then never in memory. The loop must not read more than before: at most one other stack.
    """
    xs: list[tuple[Variable, Atom]] = []
    stacks = {stack: variable for variable, stack in parts.xs}
    made: list[Equation] = []
    for variable, stack in parts.xs:
        chain = Chain(outer, stack) if size_of(variable.type) >= SMALLEST else None
        new = [] if chain is None else [leaf for leaf in chain.leaves if leaf not in stacks]
        if chain is None or not chain.equations or len(new) > 1:
            xs.append((variable, stack))
            continue
        for leaf in new:
            stacks[leaf] = Variable(leaf.type.update(shape=leaf.type.shape[1:]))
            xs.append((stacks[leaf], leaf))
        made += chain.inside(parts, stacks, variable)
    parts.xs = xs
    parts.equations = [*made, *parts.equations]


class Chain:
    """The cheap elementwise equations that make a stack and are used for nothing else.

    Attributes:
        equations: in order; empty if there are none, or too many.
        leaves: the stacks of the same shape that they read.
        constants: other arrays that they read, which are the same for each element of the stack.
    """

    def __init__(self, outer: Outer, stack: Atom) -> None:
        self.outer = outer
        self.shape = stack.type.shape
        self.equations: list[Equation] = []
        self.leaves: dict[Atom, None] = {}
        self.constants: dict[Atom, None] = {}
        if self._can_absorb(stack):
            self._visit(stack)
        if len(self.equations) > MOST:
            self.equations = []

    def _can_absorb(self, atom: Atom) -> bool:
        maker = self.outer.makers.get(atom)
        if maker is None or not is_cheap(maker.primitive) or self.outer.uses[atom] != 1:
            return False
        return atom.type.shape == self.shape and all(map(self._fits, maker.inputs))

    def _fits(self, atom: Atom) -> bool:
        """Whether an operand is a stack, or the same for each element."""
        shape = atom.type.shape
        return isinstance(atom, Literal) or shape == self.shape or len(shape) < len(self.shape)

    def _visit(self, atom: Atom) -> None:
        maker = self.outer.makers[atom]
        for operand in maker.inputs:
            if isinstance(operand, Literal) or operand in self.leaves or operand in self.constants:
                continue
            if len(self.equations) <= MOST and self._can_absorb(operand):
                self._visit(operand)
            elif operand.type.shape == self.shape:
                self.leaves[operand] = None
            else:
                self.constants[operand] = None
        self.equations.append(maker)

    def inside(
        self, parts: ScanParts, stacks: dict[Atom, Variable], result: Variable
    ) -> list[Equation]:
        """The equations for one element, which becomes `result`; constants join those of the loop."""
        known: dict[Atom, Atom] = {leaf: stacks[leaf] for leaf in self.leaves}
        for atom in self.constants:
            known[atom] = inner = Variable(atom.type)
            parts.consts.append((inner, atom))
        made = []
        for equation in self.equations:
            (out,) = equation.outputs
            is_last = equation is self.equations[-1]
            element = result if is_last else Variable(out.type.update(shape=out.type.shape[1:]))
            known[out] = element
            inputs = [known.get(atom, atom) for atom in equation.inputs]
            made.append(equation.replace(inputs, [element]))
        return made
