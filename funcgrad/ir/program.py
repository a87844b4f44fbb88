"""Programs: typed, in SSA form, immutable; and their plain evaluation, which is their meaning."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from funcgrad.ir.attribution import attributed
from funcgrad.ir.quiet import quiet
from funcgrad.ir.source import SourceLocation
from funcgrad.ir.types import ArrayType, scalar_type


class Variable:
    """A value of a Program, assigned once."""

    __slots__ = ("type",)

    def __init__(self, type: ArrayType) -> None:
        self.type = type


class Literal:
    """A scalar constant. A Python scalar is weak: it adopts the dtype of the other operands."""

    __slots__ = ("type", "value")

    def __init__(self, value: Any) -> None:
        self.value = value
        dtype = getattr(value, "dtype", None)
        self.type = scalar_type(value) if dtype is None else ArrayType((), dtype)

    def key(self) -> tuple:
        """Equal for equal constants; tells 0.0 from -0.0 and 1 from True."""
        return (type(self.value), repr(self.value))


Atom = Variable | Literal


class Equation:
    """`outputs = primitive(inputs, **params)`, with the user's line.

    One of a derivative `is_quiet`: NumPy's warnings about it concern nothing that the user wrote.
    """

    __slots__ = ("inputs", "is_quiet", "outputs", "params", "primitive", "source")

    def __init__(
        self,
        primitive: Any,
        inputs: Sequence[Atom],
        outputs: Sequence[Variable],
        params: dict[str, Any],
        source: SourceLocation | None = None,
        is_quiet: bool = False,
    ) -> None:
        self.primitive = primitive
        self.is_quiet = is_quiet
        self.inputs = tuple(inputs)
        self.outputs = tuple(outputs)
        self.params = params
        self.source = source

    def replace(
        self, inputs: Sequence[Atom], outputs: Sequence[Variable], is_quiet: bool = False
    ) -> Equation:
        """The same operation on other operands, quiet if it was or if wanted."""
        is_quiet = is_quiet or self.is_quiet
        return Equation(self.primitive, inputs, outputs, self.params, self.source, is_quiet)

    def run(self, *args: Any) -> Sequence[Any]:
        """The list of results for arrays or tracers."""
        with attributed(self.source):
            if self.is_quiet:
                with quiet():
                    outs = self.primitive(*args, **self.params)
            else:
                outs = self.primitive(*args, **self.params)
        return outs if self.primitive.multiple else (outs,)


class Program:
    """Inputs, equations, outputs. Constants captured by a closure are the first inputs.

    Attributes:
        is_fast: whether machine code may round differently from NumPy (see `fast_math` of `jit`).
        memo: what transforms and the compiler remember about this Program.
    """

    __slots__ = ("__weakref__", "equations", "inputs", "is_fast", "memo", "name", "outputs")

    def __init__(
        self,
        inputs: Sequence[Variable],
        equations: Sequence[Equation],
        outputs: Sequence[Atom],
        name: str = "fun",
    ) -> None:
        self.inputs = tuple(inputs)
        self.equations = tuple(equations)
        self.outputs = tuple(outputs)
        self.name = name
        self.is_fast = False
        self.memo: dict[Any, Any] = {}

    @property
    def input_types(self) -> list[ArrayType]:
        return [variable.type for variable in self.inputs]

    @property
    def output_types(self) -> list[ArrayType]:
        return [atom.type for atom in self.outputs]

    @property
    def has_effect(self) -> bool:
        return any(has_effect(equation) for equation in self.equations)


def has_effect(equation: Equation) -> bool:
    return equation.primitive.has_effect or any(p.has_effect for p in subprograms(equation))


def subprograms(equation: Equation) -> list[Program]:
    """The Programs inside the params of a higher-order equation."""
    found = []
    for value in equation.params.values():
        if isinstance(value, Program):
            found.append(value)
        elif isinstance(value, tuple):
            found.extend(item for item in value if isinstance(item, Program))
    return found


def evaluate(program: Program, *args: Any) -> list[Any]:
    """Run a Program equation by equation; `args` may be arrays or tracers."""
    environment: dict[Variable, Any] = dict(zip(program.inputs, args, strict=True))

    def read(atom: Atom) -> Any:
        return atom.value if isinstance(atom, Literal) else environment[atom]

    for equation in program.equations:
        outs = equation.run(*map(read, equation.inputs))
        environment.update(zip(equation.outputs, outs, strict=True))
    return [read(atom) for atom in program.outputs]
