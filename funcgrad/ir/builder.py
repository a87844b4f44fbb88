"""The recording trace: operations become the equations of a Program."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad.config import config
from funcgrad.errors import compose
from funcgrad.ir.attribution import current_location
from funcgrad.ir.check import check_program
from funcgrad.ir.freeze import FrozenArrays
from funcgrad.ir.leaks import leak_checked
from funcgrad.ir.mixing import constant_near
from funcgrad.ir.program import Atom, Equation, Literal, Program, Variable
from funcgrad.ir.tracer import Trace, Tracer, raise_leaked, refuse_foreign_write, state, type_of
from funcgrad.ir.types import PYTHON_SCALARS, WEAK_TYPES, ArrayType


class BuilderTracer(Tracer):
    """A value of the Program being recorded."""

    __slots__ = ("variable",)
    payload = ("variable",)

    def __init__(self, trace: Builder, variable: Variable) -> None:
        self.owner = trace
        self.inplace = None
        self.variable = variable

    @property
    def type(self) -> ArrayType:
        return self.variable.type

    @property
    def shape(self) -> tuple:
        return self.variable.type.shape

    @property
    def dtype(self) -> np.dtype:
        return self.variable.type.dtype

    @property
    def weak(self) -> bool:
        return self.variable.type.weak

    @property
    def promotion(self) -> Any:
        type = self.variable.type
        return (WEAK_TYPES[type.dtype.kind], type.dtype) if type.weak else type.dtype

    def as_weak(self) -> BuilderTracer:
        self.variable.type = ArrayType(self.shape, self.dtype, weak=True)
        return self


class Builder(Trace):
    """Records a Program. An ambient builder (jit, loop bodies) also records operations without traced operands;
    any other records the linear half of a derivative, and values that do not move are none of its business.

    Arrays and tracers of outer traces that appear as operands become captured inputs, held by reference.
    """

    def __init__(self, name: str = "fun", ambient: bool = True) -> None:
        self.name = name
        self.ambient = ambient
        self.differentiates = not ambient
        self.labels: Callable[[], Sequence[str]] | None = None
        self.inputs: list[Variable] = []
        self.equations: list[Equation] = []
        self.captured: dict[tuple, tuple[Any, Variable]] = {}
        self.named: list[Any] = []  # kept alive, because their `id`s are keys of `captured`
        self.frozen = FrozenArrays()

    def __enter__(self) -> Any:
        self.saved = state.quiet, state.location
        if self.ambient:  # what is recorded may be run again elsewhere
            state.quiet, state.location = False, None
        return super().__enter__()

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> None:
        try:
            super().__exit__(kind, error, traceback)
        finally:
            state.quiet, state.location = self.saved
            self.frozen.release()

    def explain(self, error: BaseException) -> BaseException:
        return self.frozen.explain(super().explain(error))

    def input(self, type: ArrayType) -> BuilderTracer:
        variable = Variable(type)
        self.inputs.append(variable)
        return BuilderTracer(self, variable)

    def process(self, primitive: Any, args: tuple, params: dict) -> Any:
        args, params = primitive.stage(args, params)
        inputs = [
            arg.variable
            if type(arg) is BuilderTracer and arg.owner is self
            else self.read(arg, primitive)
            for arg in args
        ]
        types = primitive.type_rule(*[atom.type for atom in inputs], **params)
        outputs = [Variable(type) for type in (types if primitive.multiple else (types,))]
        location = current_location()
        self.equations.append(Equation(primitive, inputs, outputs, params, location, state.quiet))
        if not primitive.multiple:
            return BuilderTracer(self, outputs[0])
        return [BuilderTracer(self, variable) for variable in outputs]

    def read(self, value: Any, user: Any = "the traced function") -> Atom:
        """The atom for an operand; foreign arrays and tracers are captured."""
        if isinstance(value, BuilderTracer) and value.owner is self:
            return value.variable
        if type(value) in PYTHON_SCALARS or isinstance(value, np.generic):
            return Literal(value)
        if isinstance(value, Tracer):
            stack = state.stack
            if value.owner.level >= len(stack) or stack[value.owner.level] is not value.owner:
                raise_leaked(value, user)
            # The payload, not the tracer, says which value it is: an in-place write changes it.
            key = tuple([id(getattr(value, name)) for name in value.payload])
        else:
            key = (id(value),)
        if key not in self.captured:
            held = value.snapshot() if isinstance(value, Tracer) else constant_near(value, user)
            if held is not value:
                self.named.append(value)
            self.captured[key] = (held, Variable(type_of(value)))
            self.frozen.freeze(value, str(user))
        return self.captured[key][1]

    def adopt(self, value: Any, target: Tracer | None) -> BuilderTracer:
        """A tracer of this trace for `value`, for an in-place write into `target`."""
        if isinstance(value, Tracer) and value.owner.level > self.level:
            refuse_foreign_write(target, value)
        atom = self.read(value)
        if isinstance(atom, Literal):
            raise TypeError("an in-place write cannot turn an array into a Python scalar")
        return BuilderTracer(self, atom)

    def build(self, outputs: Sequence[Any]) -> tuple[Program, list[Any]]:
        """The Program that returns `outputs`, and the captured values that are its first inputs."""
        atoms = [self.read(value) for value in outputs]
        captured = list(self.captured.values())
        program = Program(
            [variable for _, variable in captured] + self.inputs, self.equations, atoms, self.name
        )
        if config.check_programs:
            check_program(program)
        return program, [value for value, _ in captured]

    def origin(self, tracer: Tracer) -> str:
        assert isinstance(tracer, BuilderTracer)
        variable = tracer.variable
        for equation in self.equations:
            if variable in equation.outputs and equation.source is not None:
                return f"made by {equation.primitive} at {equation.source.describe()}"
        return f"an argument of {self.name}" if variable in self.inputs else ""

    def arguments_behind(self, tracer: Tracer) -> list[str]:
        assert isinstance(tracer, BuilderTracer)
        needed = {tracer.variable}
        for equation in reversed(self.equations):
            if not needed.isdisjoint(equation.outputs):
                needed.update(atom for atom in equation.inputs if isinstance(atom, Variable))
        labels = [] if self.labels is None else self.labels()
        names = [label for v, label in zip(self.inputs, labels, strict=False) if v in needed]
        for held, variable in self.captured.values():
            if variable in needed and isinstance(held, Tracer):
                names += held.owner.arguments_behind(held)
        return list(dict.fromkeys(names))

    def describe(self) -> str:
        return f"jit({self.name})" if self.ambient else "linearize"


@leak_checked
def trace_flat(
    fun: Callable[..., Sequence[Any]],
    types: Sequence[ArrayType],
    name: str = "fun",
    labels: Callable[[], Sequence[str]] | None = None,
) -> tuple[Program, list[Any]]:
    """Record `fun(*tracers) -> list` as a Program.

    Args:
        fun: the function.
        types: of its arguments.
        name: name of the Program.
        labels: what the user calls each argument; asked for only by error messages.

    Returns:
        The Program, whose first inputs are the captured values, and the list of these values.
    """
    with Builder(name) as builder:
        builder.labels = labels
        outputs = fun(*[builder.input(type) for type in types])
        return builder.build(outputs)


def close_program(
    fun: Callable[..., Sequence[Any]], types: Sequence[ArrayType], name: str
) -> Program:
    """Record a function that captures nothing, such as a transformed Program."""
    program, captured = trace_flat(fun, types, name)
    refuse_captured(captured, name)
    return program


def refuse_captured(captured: Sequence[Any], name: str) -> None:
    """A transformed Program has the inputs of the Program, and no place for others."""
    if not captured:
        return
    types = ", ".join(str(type_of(value)) for value in captured)
    raise NotImplementedError(
        compose(
            f"[{name}] a derivative rule (custom_jvp, custom_vjp, primitive) uses arrays from outside of it ({types}) "
            "inside of a function that was recorded before it was differentiated.",
            fix="jit(grad(f))            # instead of grad(jit(f))\n"
            "f(x, array)             # hand the array to the function with the rule, also in loops",
        )
    )
