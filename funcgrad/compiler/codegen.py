"""Generated Python: one function of array-module calls per Program, with dead intermediates freed."""

from __future__ import annotations

import linecache
import math
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np

from funcgrad.config import config
from funcgrad.ir.program import Atom, Equation, Program, Variable, evaluate
from funcgrad.ir.quiet import quiet


class SourceWriter:
    """Lines of a function, and the constants they name."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.constants: dict[str, Any] = {}
        self.names: dict[Variable, str] = {}

    def variable(self, variable: Variable) -> str:
        if variable not in self.names:
            self.names[variable] = f"v{len(self.names)}"
        return self.names[variable]

    def constant(self, value: Any, prefix: str = "c") -> str:
        name = f"{prefix}{len(self.constants)}"
        self.constants[name] = value
        return name

    def atom(self, atom: Atom) -> str:
        if isinstance(atom, Variable):
            return self.variable(atom)
        value = atom.value
        if type(value) in (int, bool) or (type(value) is float and math.isfinite(value)):
            return repr(value)
        return self.constant(value)

    def expression(self, equation: Equation, xp: Any) -> str:
        """The call that computes an equation; an operator for numbers, where a ufunc costs ten times as much."""
        operands = [self.atom(atom) for atom in equation.inputs]
        operator = equation.primitive.operator
        if operator and xp is np and is_number(equation):
            return (
                f"{operator}{operands[0]}" if len(operands) == 1 else f" {operator} ".join(operands)
            )
        function = self.function(equation.primitive, xp, equation.params)
        return f"{function}({', '.join(operands)})"

    def function(self, primitive: Any, xp: Any, params: dict) -> str:
        name = "".join(c if c.isalnum() else "_" for c in primitive.name)
        return self.constant(primitive.implementation(xp, **params), name + "_")


def is_number(equation: Equation) -> bool:
    """Whether the result is one floating number, made from at least one NumPy (not Python) number."""
    type = equation.outputs[0].type
    strong = any(isinstance(a, Variable) and not a.type.weak for a in equation.inputs)
    return strong and type.shape == () and type.dtype.kind in "fc"


def last_uses(program: Program) -> list[list[Variable]]:
    """Per equation, the intermediates that nothing reads after it."""
    alive = {atom for atom in program.outputs if isinstance(atom, Variable)} | set(program.inputs)
    ends: list[list[Variable]] = []
    for equation in reversed(program.equations):
        ending = []
        for variable in [*equation.outputs, *equation.inputs]:
            if isinstance(variable, Variable) and variable not in alive:
                alive.add(variable)
                ending.append(variable)
        ends.append(ending)
    return ends[::-1]


def python_source(program: Program, xp: Any) -> tuple[str, dict[str, Any], dict[int, Any]]:
    """The text of a function of the Program's inputs, the constants it refers to, and the user's line behind
    each line of it."""
    writer = SourceWriter()
    arguments = ", ".join(writer.variable(variable) for variable in program.inputs)
    writer.lines.append(f"def {_identifier(program.name)}({arguments}):")
    writer.constants["quiet"] = quiet
    sources: dict[int, Any] = {}
    indent = "    "
    for equation, ending in zip(program.equations, last_uses(program), strict=True):
        if equation.is_quiet and len(indent) == 4:
            writer.lines.append("    with quiet():")
        indent = "        " if equation.is_quiet else "    "
        targets = ", ".join(writer.variable(variable) for variable in equation.outputs)
        if equation.primitive.multiple and len(equation.outputs) == 1:
            targets += ","
        assign = f"{targets} = " if targets else ""
        comment = "" if equation.source is None else f"  # {equation.source}"
        writer.lines.append(f"{indent}{assign}{writer.expression(equation, xp)}{comment}")
        sources[len(writer.lines)] = equation.source
        if ending:
            writer.lines.append(f"{indent}del " + ", ".join(map(writer.variable, ending)))
    outputs = ", ".join(writer.atom(atom) for atom in program.outputs)
    writer.lines.append(f"    return [{outputs}]")
    return "\n".join(writer.lines) + "\n", writer.constants, sources


def _identifier(name: str) -> str:
    return "run_" + "".join(c if c.isalnum() else "_" for c in name)


_counter = iter(range(1 << 62))


# Texts of generated functions that tracebacks can show. The oldest go first. They are not
# dropped when their function dies: that may be while `linecache` walks over its entries.
KEPT_TEXTS = 1024
_kept: deque[str] = deque()


def keep_text(filename: str, text: str) -> None:
    """Let tracebacks show the lines of generated code."""
    linecache.cache[filename] = (len(text), None, text.splitlines(keepends=True), filename)
    _kept.append(filename)
    while len(_kept) > KEPT_TEXTS:
        linecache.cache.pop(_kept.popleft(), None)


def generate(program: Program, xp: Any) -> Callable[..., list[Any]]:
    """Compile a Program to a Python function; its text is kept for tracebacks."""
    text, constants, sources = python_source(program, xp)
    filename = f"<funcgrad {program.name} {next(_counter)}>"
    namespace = dict(constants)
    exec(compile(text, filename, "exec"), namespace)
    keep_text(filename, text)
    function = namespace[_identifier(program.name)]

    def run(*args: Any) -> list[Any]:
        if config.checks_values:
            return evaluate(program, *args)
        try:
            return function(*args)
        except Exception as error:
            note_source(error, filename, sources)
            raise

    return run


def note_source(error: Exception, filename: str, sources: dict[int, Any]) -> None:
    """Add the user's line to an error that was raised while the line made from it ran."""
    traceback = error.__traceback__
    while traceback is not None:
        if traceback.tb_frame.f_code.co_filename == filename:
            source = sources.get(traceback.tb_lineno)
            if source is not None:
                source.explain(error)
        traceback = traceback.tb_next
