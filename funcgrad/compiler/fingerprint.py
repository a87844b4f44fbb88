"""The name of a Program in the disk cache: text that says what it computes, equal in every process."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from enum import Enum
from typing import Any

import numpy as np

from funcgrad.ir.primitive import Primitive
from funcgrad.ir.program import Atom, Equation, Literal, Program
from funcgrad.ir.types import ArrayType, dtype_name


class Unprintable(TypeError):
    """A parameter, such as a function, that no text stands for."""


def fingerprint(program: Program) -> str | None:
    """Text that is equal for Programs of equal code, whatever their variables and lines of source; None if it has none.

    Example:
        >>> from funcgrad.ir.builder import trace_flat
        >>> from funcgrad.ir.types import ArrayType, dtype_name
        >>> program, _ = trace_flat(lambda x: [2 * x], [ArrayType((3,), "float32")])
        >>> print(fingerprint(program))
        float32[3]
        multiply int:2 0 1=float32[3]
        1
    """
    try:
        return "\n".join(_lines(program))
    except Unprintable:
        return None


def walk(program: Program) -> list[Equation]:
    """The equations of a Program and of those inside it, in the order of their text."""
    found = []
    for equation in program.equations:
        found.append(equation)
        for _, value in sorted(equation.params.items()):
            for inner in value if isinstance(value, tuple) else (value,):
                if isinstance(inner, Program):
                    found += walk(inner)
    return found


def _lines(program: Program) -> list[str]:
    numbers = {variable: str(i) for i, variable in enumerate(program.inputs)}

    def text(atom: Atom) -> str:
        return _literal_text(atom) if isinstance(atom, Literal) else numbers[atom]

    lines = [" ".join([type_text(variable.type) for variable in program.inputs])]
    if program.is_fast:
        lines.append("fast")
    for equation in program.equations:
        parts = [operation_text(equation), *map(text, equation.inputs)]
        for variable in equation.outputs:
            numbers[variable] = str(len(numbers))
            parts.append(f"{numbers[variable]}={type_text(variable.type)}")
        lines.append(" ".join(parts))
    return [*lines, " ".join(map(text, program.outputs))]


def operation_text(equation: Equation) -> str:
    """The primitive and its parameters.

    Errors:
        Unprintable: a parameter has no text.
    """
    name, params = equation.primitive.name, equation.params
    if equation.primitive.is_inlined:  # the rest of its parameters are for derivatives
        params = {"program": params["program"]}
    parts = [f"{key}={value_text(value)}" for key, value in sorted(params.items())]
    return (
        f"{name}{'?' * equation.is_quiet}[{','.join(parts)}]"
        if parts
        else name + "?" * equation.is_quiet
    )


def value_text(value: Any) -> str:
    """The text of a parameter.

    Errors:
        Unprintable: it has none.
    """
    kind = type(value)
    if value is None or kind in (bool, int, float, complex, str):
        return repr(value)
    if kind in (tuple, list):
        return f"({','.join([value_text(item) for item in value])})"
    known = _TEXTS.get(kind)
    if known is not None:
        return known(value)
    return _other_text(value)


def _other_text(value: Any) -> str:
    name = type(value).__qualname__
    if isinstance(value, np.dtype):
        return dtype_name(value)
    if isinstance(value, Primitive):
        return f"{name} {value.name}"
    if isinstance(value, Enum):
        return f"{name}.{value.name}"
    if isinstance(value, np.generic):
        return repr(value)
    if isinstance(value, tuple):
        return f"{name}({','.join([value_text(item) for item in value])})"
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = [value_text(getattr(value, field.name)) for field in dataclasses.fields(value)]
        return f"{name}({','.join(fields)})"
    raise Unprintable(f"no text stands for {name}")


def type_text(type: ArrayType) -> str:
    shape = ",".join(map(str, type.shape))
    return f"{'weak ' if type.weak else ''}{dtype_name(type.dtype)}[{shape}]"


def _literal_text(literal: Literal) -> str:
    value = literal.value
    return f"{type(value).__name__}:{value!r}"


def _dict_text(value: dict) -> str:
    pairs = sorted([f"{value_text(key)}:{value_text(item)}" for key, item in value.items()])
    return f"{{{','.join(pairs)}}}"


_TEXTS: dict[type, Callable[[Any], str]] = {
    ArrayType: type_text,
    Program: lambda program: "{" + "\n".join(_lines(program)) + "}",
    dict: _dict_text,
    frozenset: lambda value: f"{{{','.join(sorted(map(value_text, value)))}}}",
    slice: lambda value: f"slice{value_text((value.start, value.stop, value.step))}",
}
