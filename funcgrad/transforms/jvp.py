"""Forward mode: every value travels with its tangent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.ir.builder import close_program
from funcgrad.ir.program import Program, evaluate
from funcgrad.ir.tracer import Trace, Tracer, arguments_behind, refuse_foreign_write, type_of
from funcgrad.ir.types import SCALAR_DTYPES, ArrayType, is_inexact
from funcgrad.ops.cotangents import zeros_like_type

# Values that decide promotion by their dtype.
STRONG = frozenset({np.ndarray, np.float64, np.float32})


class ValueTracer(Tracer):
    """A tracer that has its value: an array, or a value of an outer trace."""

    __slots__ = ("value",)

    @property
    def type(self) -> ArrayType:
        return type_of(self.value)

    @property
    def shape(self) -> tuple:
        try:
            return self.value.shape
        except AttributeError:  # a Python scalar
            return ()

    @property
    def dtype(self) -> np.dtype:
        try:
            return self.value.dtype
        except AttributeError:
            return SCALAR_DTYPES[type(self.value)]

    @property
    def weak(self) -> bool:
        value = self.value
        if type(value) in STRONG:
            return False
        return value.weak if isinstance(value, Tracer) else type(value) in (float, complex, int)

    @property
    def promotion(self) -> Any:
        value = self.value
        return value.dtype if type(value) in STRONG else super().promotion

    def concrete(self) -> Any:
        return concrete_value(self.value)

    def __bool__(self) -> bool:
        return bool(self.value)


class JvpTracer(ValueTracer):
    """A value and its tangent, None for zero."""

    __slots__ = ("tangent",)
    payload = ("value", "tangent")
    owner: JvpTrace

    def __init__(self, trace: JvpTrace, value: Any, tangent: Any) -> None:
        self.owner = trace
        self.inplace = None
        self.value = value
        self.tangent = tangent

    def as_weak(self) -> JvpTracer:
        return JvpTracer(self.owner, weaken(self.value), self.tangent)


def weaken(value: Any) -> Any:
    """A Python scalar for a concrete 0-d array, a weak tracer for a tracer."""
    return value.as_weak() if isinstance(value, Tracer) else value.item()


def concrete_value(value: Any) -> Any:
    return value.concrete() if isinstance(value, Tracer) else value


class JvpTrace(Trace):
    """Applies the jvp rule of each primitive as it is called."""

    name = "jvp"
    differentiates = True

    def process(self, primitive: Any, args: tuple, params: dict) -> Any:
        primals, tangents = self.split(args)
        if all([tangent is None for tangent in tangents]):
            return primitive(*primals, **params)
        outs, out_tangents = self.rule(primitive)(primals, tangents, **params)
        if not primitive.multiple:
            return self.wrap(outs, out_tangents)
        if out_tangents is None:
            return outs
        return [self.wrap(out, t) for out, t in zip(outs, out_tangents, strict=True)]

    def arguments_behind(self, tracer: Tracer) -> list[str]:
        assert isinstance(tracer, ValueTracer)
        return arguments_behind(tracer.value)

    def rule(self, primitive: Any) -> Any:
        return primitive.jvp

    def lower(self, value: Any) -> Any:
        """The value behind a tracer of this trace; other values as they are."""
        return value.value if isinstance(value, JvpTracer) and value.owner is self else value

    def split(self, args: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        """Primals and tangents of values of this trace, or of outer ones."""
        primals, tangents = [], []
        for arg in args:
            if isinstance(arg, JvpTracer) and arg.owner is self:
                primals.append(arg.value)
                tangents.append(arg.tangent)
            else:
                primals.append(arg)
                tangents.append(None)
        return primals, tangents

    def wrap(self, primal: Any, tangent: Any) -> Any:
        return primal if tangent is None else JvpTracer(self, primal, tangent)

    def adopt(self, value: Any, target: Tracer | None) -> JvpTracer:
        if isinstance(value, Tracer) and value.owner.level > self.level:
            refuse_foreign_write(target, value)
        return JvpTracer(self, value, None)


class LinearizeTrace(JvpTrace):
    """Like forward mode, but tangents are recorded in a linear Program; primals are computed at once."""

    name = "linearize"

    def rule(self, primitive: Any) -> Any:
        return primitive.linearize


def tangent_type(type: ArrayType) -> ArrayType | None:
    """The type of tangents; None where there are none (integers and booleans)."""
    return type.strong() if is_inexact(type.dtype) else None


def instantiate_tangent(primal: Any, tangent: Any) -> Any:
    return zeros_like_type(type_of(primal).strong()) if tangent is None else tangent


def jvp_program(
    program: Program, active: tuple[bool, ...], instantiate: tuple[int, ...] = ()
) -> tuple[Program, tuple[bool, ...]]:
    """The forward derivative of a Program as a Program.

    Args:
        program: what to differentiate.
        active: per input, whether it has a tangent.
        instantiate: outputs that must have a tangent even if it is zero.

    Returns:
        A Program from (inputs, active tangents) to (outputs, active tangents), and per output whether it
        has a tangent.
    """
    key = ("jvp", active, instantiate)
    if key not in program.memo:
        types = program.input_types
        moving = [t.strong() for t, wanted in zip(types, active, strict=True) if wanted]
        found: list[tuple[bool, ...]] = []

        def forward(*args: Any) -> list[Any]:
            given = iter(args[len(types) :])
            with JvpTrace() as trace:
                inputs = [
                    JvpTracer(trace, x, next(given)) if wanted else x
                    for x, wanted in zip(args, active, strict=False)
                ]
                outs, tangents = trace.split(evaluate(program, *inputs))
            for index in instantiate:
                tangents[index] = instantiate_tangent(outs[index], tangents[index])
            found.append(tuple(tangent is not None for tangent in tangents))
            return [*outs, *(tangent for tangent in tangents if tangent is not None)]

        built = close_program(forward, [*types, *moving], program.name + "_jvp")
        program.memo[key] = (built, found[0])
    return program.memo[key]
