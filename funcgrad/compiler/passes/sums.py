"""Carried values of a loop body that only ever have something added to them."""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple

from funcgrad.compiler.passes.loop_parts import Carry
from funcgrad.ir.primitive import Primitive
from funcgrad.ir.program import Atom, Equation
from funcgrad.ops.arithmetic import ADD, NEGATIVE, SUBTRACT


class Term(NamedTuple):
    """What an iteration adds: `value`, rearranged by `maps`, negated if `is_negative`.

    `base` is the equation that makes the value, if its primitive has a `batch_sum` rule.
    """

    is_negative: bool
    value: Atom
    base: Equation | None
    maps: tuple[Equation, ...]

    @property
    def operands(self) -> tuple[Atom, ...]:
        """Whose stacks give the sum over the iterations."""
        return (self.value,) if self.base is None else self.base.inputs


class Sum(NamedTuple):
    """A carried value, and what each iteration adds to it."""

    carry: Carry
    terms: list[Term]


class SumFinder:
    """Finds the carried values that are sums over the iterations.

    Args:
        equations: those of the body.
        uses: how often each value of the body is used.
    """

    def __init__(self, equations: list[Equation], uses: Counter[Atom]) -> None:
        self.uses = uses
        self.makers: dict[Any, Equation] = {v: e for e in equations for v in e.outputs}
        self.users: dict[Any, Equation] = {a: e for e in equations for a in e.inputs}

    def find(self, carry: Carry) -> Sum | None:
        """The sum that a carried value is, or None."""
        terms: list[Term] = []
        atom: Atom = carry.variable
        while atom is not carry.result:
            user = self.users.get(atom)
            if user is None or self.uses[atom] != 1 or user.primitive not in (ADD, SUBTRACT):
                return None
            first, second = user.inputs
            if second is atom and user.primitive is SUBTRACT:
                return None
            other = first if second is atom else second
            found = self.terms(other, user.primitive is SUBTRACT, (), carry.variable.type.shape)
            if found is None:
                return None
            terms += found
            (atom,) = user.outputs
        return Sum(carry, terms) if terms and self.uses[atom] == 1 else None

    def terms(
        self, atom: Atom, is_negative: bool, maps: tuple[Equation, ...], shape: tuple
    ) -> list[Term] | None:
        """An addend as a list of terms; None if it is stretched."""
        maker = self.makers.get(atom)
        if atom.type.shape != shape:
            return None
        if maker is None or self.uses[atom] != 1:
            return [Term(is_negative, atom, None, maps)]
        primitive, inputs = maker.primitive, maker.inputs
        if primitive is NEGATIVE:
            return self.terms(inputs[0], not is_negative, maps, shape)
        if primitive in (ADD, SUBTRACT):
            first = self.terms(inputs[0], is_negative, maps, shape)
            second = self.terms(inputs[1], is_negative ^ (primitive is SUBTRACT), maps, shape)
            return None if first is None or second is None else first + second
        if primitive.kind == "index_map" and len(inputs) == 1:
            # The sum of rearranged arrays is the rearranged sum.
            return self.terms(inputs[0], is_negative, (maker, *maps), inputs[0].type.shape)
        has_rule = type(primitive).batch_sum is not Primitive.batch_sum
        return [Term(is_negative, atom, maker if has_rule else None, maps)]
