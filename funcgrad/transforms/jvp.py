"""Forward mode: every value travels with its tangent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from funcgrad.ir.builder import close_program
from funcgrad.ir.program import Program, evaluate
from funcgrad.ir.tracer import Trace, Tracer, arguments_behind, refuse_foreign_write, type_of
from funcgrad.ir.types import ArrayType, is_inexact
from funcgrad.ops.families import zeros_like_type


class JvpTracer(Tracer):
    """A value of an outer trace (or an array) and its tangent, None for zero."""

    __slots__ = ("primal", "tangent")
    payload = ("primal", "tangent")
    owner: JvpTrace

    def __init__(self, trace: JvpTrace, primal: Any, tangent: Any) -> None:
        self.owner = trace
        self.inplace = None
        self.primal = primal
        self.tangent = tangent

    @property
    def type(self) -> ArrayType:
        return type_of(self.primal)

    def as_weak(self) -> JvpTracer:
        return JvpTracer(self.owner, weaken(self.primal), self.tangent)  # type: ignore[arg-type]

    def concrete(self) -> Any:
        return concrete_value(self.primal)

    def __bool__(self) -> bool:
        return bool(self.primal)


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
        if all(tangent is None for tangent in tangents):
            return primitive(*primals, **params)
        outs, out_tangents = self.rule(primitive)(primals, tangents, **params)
        if not primitive.multiple:
            return self.wrap(outs, out_tangents)
        if out_tangents is None:
            return outs
        return [self.wrap(out, t) for out, t in zip(outs, out_tangents, strict=True)]

    def arguments_behind(self, tracer: Tracer) -> list[str]:
        return arguments_behind(tracer.primal)  # type: ignore[attr-defined]

    def rule(self, primitive: Any) -> Any:
        return primitive.jvp

    def lower(self, value: Any) -> Any:
        """The primal behind a tracer of this trace; other values as they are."""
        return value.primal if isinstance(value, JvpTracer) and value.owner is self else value

    def split(self, args: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        """Primals and tangents of values of this trace, or of outer ones."""
        primals, tangents = [], []
        for arg in args:
            if isinstance(arg, JvpTracer) and arg.owner is self:
                primals.append(arg.primal)
                tangents.append(arg.tangent)
            else:
                primals.append(arg)
                tangents.append(None)
        return primals, tangents

    def wrap(self, primal: Any, tangent: Any) -> Any:
        return primal if tangent is None else JvpTracer(self, primal, tangent)

    def adopt(self, value: Any, target: Tracer) -> JvpTracer:
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
