"""The text of a Program: one equation a line, with the user's line beside it; stable enough for golden tests."""

from __future__ import annotations

import itertools
import string
from collections.abc import Iterator
from typing import Any

from funcgrad.ir.program import Atom, Equation, Literal, Program, Variable


def program_text(program: Program, source: bool = True) -> str:
    """Print a Program.

    Args:
        program: what to print.
        source: whether to show the user's file and line per equation.
    """
    return "\n".join(_program_lines(program, source))


def _program_lines(program: Program, source: bool) -> list[str]:
    names = _Names()
    inputs = ", ".join(names.typed(variable) for variable in program.inputs)
    lines = [f"{program.name}({inputs}) {{"]
    for equation in program.equations:
        lines.extend("  " + line for line in _equation_lines(equation, names, source))
    outputs = ", ".join(names.of(atom) for atom in program.outputs)
    return [*lines, f"  return {outputs}" if outputs else "  return", "}"]


def _equation_lines(equation: Equation, names: _Names, source: bool) -> list[str]:
    operands = " ".join(names.of(atom) for atom in equation.inputs)
    outputs = ", ".join(names.typed(variable) for variable in equation.outputs)
    plain = {k: v for k, v in equation.params.items() if not _is_program(v)}
    shown = ", ".join(f"{name}={_param_text(value)}" for name, value in sorted(plain.items()))
    params = f"[{shown}]" if shown else ""
    text = f"{outputs} = {equation.primitive.name}{params} {operands}".rstrip()
    if source and equation.source is not None:
        text = f"{text.ljust(56)}  # {equation.source}"
    lines = [text]
    for name, value in sorted(equation.params.items()):
        if _is_program(value):
            for inner in value if isinstance(value, tuple) else (value,):
                inner_lines = _program_lines(inner, source)
                lines.append(f"    {name} = {inner_lines[0]}")
                lines.extend("    " + line for line in inner_lines[1:])
    return lines


def _is_program(value: Any) -> bool:
    if isinstance(value, tuple):
        return bool(value) and all(isinstance(item, Program) for item in value)
    return isinstance(value, Program)


def _param_text(value: Any) -> str:
    if callable(value) and hasattr(value, "__name__"):
        return value.__name__
    return str(value)


def _letters() -> Iterator[str]:
    for length in itertools.count(1):
        for letters in itertools.product(string.ascii_lowercase, repeat=length):
            yield "".join(letters)


class _Names:
    """Letters for variables, in the order they are met."""

    def __init__(self) -> None:
        self.letters = _letters()
        self.known: dict[Variable, str] = {}

    def of(self, atom: Atom) -> str:
        if isinstance(atom, Literal):
            return repr(atom.value) if atom.type.weak else f"{atom.value}:{atom.type}"
        if atom not in self.known:
            self.known[atom] = next(self.letters)
        return self.known[atom]

    def typed(self, variable: Variable) -> str:
        return f"{self.of(variable)}:{variable.type}"


def _program_repr(self: Program) -> str:
    return program_text(self)


Program.__repr__ = _program_repr  # type: ignore[method-assign]  # programs know nothing of texts
