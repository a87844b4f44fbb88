"""Equations as they are simplified one by one: what is known about operands, and each expression only once."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from funcgrad.ir.primitive import Operation, Primitive
from funcgrad.ir.program import Atom, Equation, Literal, Program, Variable, has_effect
from funcgrad.ops.create import FULL
from funcgrad.ops.families import Elementwise
from funcgrad.ops.operands import broadcast_shapes
from funcgrad.ops.shape import BROADCAST_TO


class Simplifier:
    """The equations so far. The `simplify` rules of primitives receive it as `known` and ask it about operands.

    Args:
        program: where the equations come from; it is asked how often a value is used.
    """

    def __init__(self, program: Program) -> None:
        self.equations: list[Equation] = []
        self.makers: dict[Any, Equation] = {}
        self.seen: dict[Any, int] = {}
        atoms = [atom for equation in program.equations for atom in equation.inputs]
        self.uses: Counter[Any] = Counter([*atoms, *program.outputs])
        self.dead: set[Any] = set()
        self.stretched: set[Any] = set()  # what is made by `full` or `broadcast_to`
        self.current: Any = None  # the equation that a rule is looking at

    # --- what rules ask ---

    def made_by(self, atom: Atom, primitive: Any) -> Equation | None:
        """The equation that makes an operand, if it is one of this primitive."""
        maker = self.makers.get(atom)
        return maker if maker is not None and maker.primitive is primitive else None

    def only_user_of(self, atom: Atom) -> Equation | None:
        """The equation that makes an operand, if nothing else uses the operand."""
        return self.makers.get(atom) if self.uses[atom] == 1 else None

    def splat(self, atom: Atom) -> Atom | None:
        """The scalar that all elements of an operand are; None if they may differ."""
        if type(atom) is Literal:
            return strong_literal(atom)
        return splat_value(self.makers[atom]) if atom in self.stretched else None

    def constant(self, atom: Atom) -> Any:
        """The number that all elements of an operand are; None if that is not known."""
        found = self.splat(atom) if atom in self.stretched else atom
        return found.value if type(found) is Literal else None

    def scalar(self, dtype: np.dtype, value: Any) -> Literal | None:
        """A constant of this dtype; None if NumPy would warn about the conversion or refuse it."""
        return scalar(dtype, value)

    def are_equal(self, first: Atom, second: Atom) -> bool:
        """Whether two atoms are certainly the same value."""
        if isinstance(first, Literal) and isinstance(second, Literal):
            return first.key() == second.key()
        return first is second

    def do(self, operation: Operation) -> Atom:
        """The result of an operation that a rule needs for another one."""
        return self._record(operation, self.current)

    def results(self, primitive: Primitive, *inputs: Any) -> tuple[Atom, ...]:
        """All results of an operation that a rule needs for another one."""
        return self._record_all(Operation(primitive, *inputs), self.current)

    # --- recording ---

    def append(self, equation: Equation) -> tuple[Atom, ...]:
        """Add an equation, unless its results are at hand; these results, or its own."""
        simpler = self._simpler(equation)
        if simpler is not None:
            self._drop(equation)
            return simpler
        key = None if _has_effect(equation) else equation_key(equation)
        place = self.seen.get(key)
        if place is not None:
            return self._merge(place, equation)
        if key is not None:
            self.seen[key] = len(self.equations)
        self.equations.append(equation)
        for variable in equation.outputs:
            self.makers[variable] = equation
        if equation.primitive is FULL or equation.primitive is BROADCAST_TO:
            self.stretched.update(equation.outputs)
        return equation.outputs

    def _merge(self, place: int, equation: Equation) -> tuple[Atom, ...]:
        first = self.equations[place]
        if first.is_quiet and not equation.is_quiet:
            # What the user wrote may warn, also where a derivative computed the same silently.
            first = self.equations[place] = loud(first, equation)
        for old, new in zip(equation.outputs, first.outputs, strict=True):
            self._use(new, self.uses[old])
        self._drop(equation)
        return first.outputs

    def _use(self, atom: Atom, times: int = 1) -> None:
        """Count further uses; what was dead uses its own operands again."""
        self.uses[atom] += times
        waiting = [atom]
        while waiting:
            revived = waiting.pop()
            if revived in self.dead:
                self.dead.remove(revived)
                for operand in self.makers[revived].inputs:
                    self.uses[operand] += 1
                    waiting.append(operand)

    def _drop(self, equation: Equation) -> None:
        """Count an equation's uses of its operands no more, nor those of operands that are dead then."""
        waiting = [equation]
        while waiting:
            for operand in waiting.pop().inputs:
                self.uses[operand] -= 1
                maker = self.makers.get(operand)
                if maker is not None and len(maker.outputs) == 1 and self.uses[operand] == 0:
                    self.dead.add(operand)
                    waiting.append(maker)

    def _simpler(self, equation: Equation) -> tuple[Atom, ...] | None:
        primitive = equation.primitive
        outer, self.current = self.current, equation
        is_elementwise = primitive.kind == "elementwise"
        # Before the rules: what they make of two constants may be of another type than is wanted.
        found = self._fold(equation) if is_elementwise else None
        if found is None:
            found = primitive.simplify(self, *equation.inputs, **equation.params)
        if found is None and is_elementwise:
            found = self._unstretched(equation)
        atoms = () if found is None else self._all_fitted(found, equation)
        self.current = outer
        return atoms or None

    def _all_fitted(self, found: Any, equation: Equation) -> tuple[Atom, ...]:
        """The results that a rule found, in the types that are wanted; () if one cannot be had."""
        parts = found if equation.primitive.multiple else (found,)
        atoms = [
            self._fitted(self._record(part, equation), out, equation)
            for part, out in zip(parts, equation.outputs, strict=True)
        ]
        return () if None in atoms else tuple(atoms)  # type: ignore[arg-type]

    def _record(self, found: Any, origin: Equation) -> Atom:
        """The atom for what a rule asks for in place of the equation `origin`."""
        if not isinstance(found, Operation):
            return found if isinstance(found, Variable | Literal) else Literal(found)
        return self._record_all(found, origin)[0]

    def _record_all(self, found: Operation, origin: Equation) -> tuple[Atom, ...]:
        """The results of an operation, which takes the place of the equation `origin`."""
        inputs = [self._record(item, origin) for item in found.inputs]
        for atom in inputs:
            self._use(atom)
        types = found.primitive.type_rule(*[atom.type for atom in inputs], **found.params)
        like = found.origin or origin
        is_quiet = found.is_quiet or like.is_quiet
        outputs = [Variable(type) for type in (types if found.primitive.multiple else [types])]
        made = Equation(found.primitive, inputs, outputs, found.params, like.source, is_quiet)
        return self.append(made)

    def _fitted(self, atom: Atom, out: Variable, equation: Equation) -> Atom | None:
        """A found result in the type that is wanted; None if a Python number would change dtypes elsewhere."""
        wanted = out.type
        if atom.type.weak and not wanted.weak:
            if type(atom) is not Literal:
                return None
            atom = scalar(wanted.dtype, atom.value) or atom
        if atom.type.dtype != wanted.dtype or atom.type.weak != wanted.weak:
            return None
        if atom.type.shape != wanted.shape:
            atom = self._record(Operation(BROADCAST_TO, atom, shape=wanted.shape), equation)
        self._use(atom, self.uses[out])
        return atom

    def _fold(self, equation: Equation) -> Literal | None:
        """The constant result of constant scalars, unless NumPy warns: then the warning must come at run time."""
        out, inputs = equation.outputs[0].type, equation.inputs
        values = [atom.value for atom in inputs if isinstance(atom, Literal)]
        if out.shape != () or not inputs or len(values) < len(inputs):
            return None
        try:
            with np.errstate(all="raise"):
                value = equation.primitive.numpy(np, *values, **equation.params)
        except (FloatingPointError, OverflowError, ZeroDivisionError):
            return None
        return Literal(out.dtype.type(value))

    def _unstretched(self, equation: Equation) -> Operation | None:
        """The operation on operands before they were stretched: it broadcasts by itself."""
        primitive, params = equation.primitive, equation.params
        if self.stretched.isdisjoint(equation.inputs):
            return None
        operands = [self._before_stretching(atom) for atom in equation.inputs]
        if operands == list(equation.inputs):
            return None
        if not (isinstance(primitive, Elementwise) or len(operands) == 1):
            return None
        small = Operation(primitive, *operands, **params)
        shape = broadcast_shapes(primitive.name, [atom.type.shape for atom in operands])
        wanted = equation.outputs[0].type.shape
        return small if shape == wanted else Operation(BROADCAST_TO, small, shape=wanted)

    def _before_stretching(self, atom: Atom) -> Atom:
        if atom not in self.stretched:
            return atom
        maker = self.makers[atom]
        if maker.primitive is FULL:
            return splat_value(maker) or atom
        return strong_literal(maker.inputs[0]) or atom


def scalar(dtype: np.dtype, value: Any) -> Literal | None:
    """A constant of this dtype; None if NumPy would warn about the conversion or refuse it."""
    try:
        with np.errstate(all="raise"):
            return Literal(dtype.type(value))
    except (FloatingPointError, OverflowError, TypeError):
        return None


def splat_value(maker: Equation | None) -> Atom | None:
    """The scalar that all elements of a result are, if it is one that was filled or stretched."""
    if maker is not None and maker.primitive is FULL:
        return scalar(maker.params["dtype"], maker.params["value"])
    if maker is None or maker.primitive is not BROADCAST_TO or maker.inputs[0].type.shape:
        return None
    return strong_literal(maker.inputs[0])


def strong_literal(atom: Atom) -> Atom | None:
    """An atom whose dtype holds in any company; None for a weak variable."""
    if not atom.type.weak:
        return atom
    return scalar(atom.type.dtype, atom.value) if type(atom) is Literal else None


def loud(quiet: Equation, user: Equation) -> Equation:
    """An equation with the line of an equal one that the user wrote."""
    return Equation(quiet.primitive, quiet.inputs, quiet.outputs, quiet.params, user.source)


def _has_effect(equation: Equation) -> bool:
    primitive = equation.primitive
    return primitive.has_effect or (primitive.kind == "higher_order" and has_effect(equation))


def equation_key(equation: Equation) -> Any:
    """Equal for equations with equal results; None if the params cannot be compared."""
    operands = [atom.key() if type(atom) is Literal else atom for atom in equation.inputs]
    params = equation.params
    try:
        key = (
            equation.primitive,
            frozenset(operands) if equation.primitive.commutes else tuple(operands),
            tuple([(name, param_key(params[name])) for name in sorted(params)]) if params else (),
        )
        hash(key)
    except TypeError:
        return None
    return key


def param_key(value: Any) -> Any:
    """A param such that 1, 1.0 and True differ, and so do 0.0 and -0.0."""
    kind = type(value)
    if kind is tuple:
        return tuple(map(param_key, value))
    if kind in (bool, float, complex):
        return (kind, repr(value))
    return value
