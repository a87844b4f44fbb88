"""Loops taken apart, so that operands, results and equations can be changed one by one, and the Program around them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from funcgrad.compiler.passes.dead_code import with_parts
from funcgrad.ir.program import Atom, Equation, Program, Variable
from funcgrad.ir.types import ArrayType


def substituted(equation: Equation, known: dict[Atom, Atom]) -> Equation:
    """An equation that reads other atoms in place of some."""
    if known.keys().isdisjoint(equation.inputs):
        return equation
    return equation.replace([known.get(atom, atom) for atom in equation.inputs], equation.outputs)


class Outer:
    """The equations of the Program around loops, as they are written anew.

    Attributes:
        makers: the equation that makes each variable.
        known: what stands for variables that are made no more.
        uses: how often each variable was used in the old equations.
    """

    def __init__(self, program: Program) -> None:
        used = [atom for equation in program.equations for atom in equation.inputs]
        self.uses: Counter[Atom] = Counter([*used, *program.outputs])
        self.equations: list[Equation] = []
        self.makers: dict[Any, Equation] = {}
        self.known: dict[Atom, Atom] = {}
        self.replaced: dict[Atom, list[Variable]] = {}  # by what stands for them

    def replace(self, old: Variable, new: Atom) -> None:
        """Let what comes read `new` in place of a variable that is made no more."""
        self.uses[new] += self.uses[old]
        olds = [*self.replaced.pop(old, ()), old]
        self.known.update(dict.fromkeys(olds, new))
        self.replaced.setdefault(new, []).extend(olds)

    def append(self, equation: Equation) -> None:
        self.equations.append(equation)
        for variable in equation.outputs:
            self.makers[variable] = equation

    def apply(self, primitive: Any, *inputs: Atom, like: Equation, **params: Any) -> Variable:
        """The result of an operation that has the line of the equation `like`."""
        type: ArrayType = primitive.type_rule(*[atom.type for atom in inputs], **params)
        result = Variable(type)
        self.append(Equation(primitive, inputs, [result], params, like.source, like.is_quiet))
        return result

    def inline(
        self, program: Program, inputs: Sequence[Atom], is_quiet: bool = False
    ) -> list[Atom]:
        """The results of a Program for these inputs; its equations are copied."""
        known: dict[Atom, Atom] = dict(zip(program.inputs, inputs, strict=True))
        for equation in program.equations:
            outputs = [Variable(variable.type) for variable in equation.outputs]
            operands = [known.get(atom, atom) for atom in equation.inputs]
            self.append(equation.replace(operands, outputs, is_quiet))
            known.update(zip(equation.outputs, outputs, strict=True))
        return [known.get(atom, atom) for atom in program.outputs]


class Carry(NamedTuple):
    """One carried value: its variable in the body, where it starts, what the body makes of it, where it ends."""

    variable: Variable
    start: Atom
    result: Atom
    final: Variable


class ScanParts:
    """The parts of a `scan` equation.

    Attributes:
        consts, xs: pairs of a variable of the body and the atom outside.
        carries: see `Carry`.
        ys: pairs of an atom of the body and the variable of its stack outside.
        equations: those of the body.
        length: number of iterations, None if it is known only at run time.
    """

    def __init__(self, equation: Equation) -> None:
        params = equation.params
        body: Program = params["body"]
        self.equation = equation
        self.name = body.name
        self.length: int | None = params["length"]
        head = 1 if self.length is None else 0
        first, second = params["num_consts"], params["num_consts"] + params["num_carry"]
        operands = list(zip(body.inputs, equation.inputs[head:], strict=True))
        results = list(zip(body.outputs, equation.outputs, strict=True))
        self.count = equation.inputs[:head]
        self.consts = operands[:first]
        self.xs = operands[second:]
        self.carries = [
            Carry(*pair, *made)
            for pair, made in zip(operands[first:second], results[: second - first], strict=True)
        ]
        self.ys = results[second - first :]
        self.equations = list(body.equations)

    @property
    def body(self) -> Program:
        inputs = [v for v, _ in self.consts] + [c.variable for c in self.carries]
        outputs = [c.result for c in self.carries] + [y for y, _ in self.ys]
        return Program([*inputs, *[v for v, _ in self.xs]], self.equations, outputs, self.name)

    def set_body(self, body: Program) -> None:
        """Another body with inputs and outputs of the same number and meaning."""
        inputs, outputs = iter(body.inputs), iter(body.outputs)
        self.equations = list(body.equations)
        self.consts = [(next(inputs), atom) for _, atom in self.consts]
        self.carries = [
            c._replace(variable=next(inputs), result=next(outputs)) for c in self.carries
        ]
        self.xs = [(next(inputs), atom) for _, atom in self.xs]
        self.ys = [(next(outputs), stack) for _, stack in self.ys]

    def substitute(self, known: dict[Any, Atom]) -> None:
        """Let the body read other atoms in place of some."""
        if known:
            self.equations = [substituted(equation, known) for equation in self.equations]
            self.carries = [c._replace(result=known.get(c.result, c.result)) for c in self.carries]
            self.ys = [(known.get(y, y), stack) for y, stack in self.ys]

    def rebuilt(self) -> Equation:
        """The equation of these parts."""
        old = self.equation
        inputs = [
            *self.count,
            *[atom for _, atom in self.consts],
            *[carry.start for carry in self.carries],
            *[atom for _, atom in self.xs],
        ]
        outputs = [*[carry.final for carry in self.carries], *[stack for _, stack in self.ys]]
        params = {
            **old.params,
            "body": self.body,
            "num_consts": len(self.consts),
            "num_carry": len(self.carries),
        }
        return with_parts(old, inputs, outputs, params)


class WhileCarry(NamedTuple):
    """One value that a `while` carries: its variables in the condition and in the body, and as in `Carry`."""

    tested: Variable
    variable: Variable
    start: Atom
    result: Atom
    final: Variable


class WhileParts:
    """The parts of a `while` equation, as in `ScanParts`; `tests` are the constants of the condition."""

    def __init__(self, equation: Equation) -> None:
        params = equation.params
        test: Program = params["cond"]
        body: Program = params["body"]
        first, second = params["num_cond"], params["num_cond"] + params["num_body"]
        carries = len(equation.inputs) - second
        self.equation = equation
        self.test, self.name = test, body.name
        self.tests = list(zip(test.inputs[:first], equation.inputs[:first], strict=True))
        consts = body.inputs[: params["num_body"]]
        self.consts = list(zip(consts, equation.inputs[first:second], strict=True))
        self.carries = [
            WhileCarry(*parts)
            for parts in zip(
                test.inputs[first:],
                body.inputs[params["num_body"] :],
                equation.inputs[second:],
                body.outputs[:carries],
                equation.outputs[:carries],
                strict=True,
            )
        ]
        self.stacked = list(body.outputs[carries:])
        self.stacks = list(equation.outputs[carries:])  # the count is among them
        self.equations = list(body.equations)

    @property
    def body(self) -> Program:
        inputs = [*[v for v, _ in self.consts], *[c.variable for c in self.carries]]
        outputs = [*[c.result for c in self.carries], *self.stacked]
        return Program(inputs, self.equations, outputs, self.name)

    def set_body(self, body: Program) -> None:
        """Another body with inputs and outputs of the same number and meaning."""
        inputs, outputs = iter(body.inputs), iter(body.outputs)
        self.equations = list(body.equations)
        self.consts = [(next(inputs), atom) for _, atom in self.consts]
        self.carries = [
            c._replace(variable=next(inputs), result=next(outputs)) for c in self.carries
        ]
        self.stacked = list(outputs)

    def set_test(self, test: Program) -> None:
        """Another condition with inputs of the same number and meaning."""
        inputs = iter(test.inputs)
        self.test = test
        self.tests = [(next(inputs), atom) for _, atom in self.tests]
        self.carries = [c._replace(tested=next(inputs)) for c in self.carries]

    def rebuilt(self) -> Equation:
        """The equation of these parts."""
        tests = [*[v for v, _ in self.tests], *[c.tested for c in self.carries]]
        operands = [atom for _, atom in [*self.tests, *self.consts]]
        params = {
            "cond": Program(tests, self.test.equations, self.test.outputs, self.test.name),
            "body": self.body,
            "num_cond": len(self.tests),
            "num_body": len(self.consts),
            "collect": self.equation.params["collect"],
        }
        inputs = [*operands, *[carry.start for carry in self.carries]]
        outputs = [*[carry.final for carry in self.carries], *self.stacks]
        return with_parts(self.equation, inputs, outputs, params)
