"""Linearization: compute the outputs now, and record the derivative as a linear Program.

Runs the jvp rules with primals of the surrounding trace and tangents of a linear builder: an operation goes
to the linear Program only if it touches a tangent. What the linear Program captures are its residuals.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad.ir.builder import Builder, refuse_captured
from funcgrad.ir.program import Program, Variable, evaluate
from funcgrad.ir.tracer import type_of
from funcgrad.ir.types import ArrayType
from funcgrad.ops.create import FULL
from funcgrad.ops.run_time import EMPTY_STACK
from funcgrad.transforms.jvp import JvpTracer, LinearizeTrace


class Linearized:
    """A linear Program with its residuals.

    Attributes:
        program: from (residuals, active tangents) to the tangents that are not zero.
        residuals: the values of the first inputs of `program`.
        active: per output, whether it has a tangent.
    """

    __slots__ = ("active", "program", "residuals")

    def __init__(self, program: Program, residuals: list[Any], active: tuple[bool, ...]) -> None:
        self.program = program
        self.residuals = residuals
        self.active = active

    @property
    def linear(self) -> tuple[bool, ...]:
        count = len(self.residuals)
        return (False,) * count + (True,) * (len(self.program.inputs) - count)


def linearize_flat(
    fun: Callable[..., Sequence[Any]],
    primals: Sequence[Any],
    active: Sequence[bool],
    instantiate: Sequence[int] = (),
) -> tuple[list[Any], Linearized]:
    """Linearize `fun(*primals) -> list` with respect to the active arguments."""
    with Builder("linear", ambient=False) as builder:
        with LinearizeTrace() as trace:
            inputs = [
                JvpTracer(trace, x, builder.input(type_of(x).strong())) if wanted else x
                for x, wanted in zip(primals, active, strict=True)
            ]
            outs, tangents = trace.split(fun(*inputs))
        return outs, close_linear(builder, outs, tangents, instantiate)


def linearize_equation(
    primitive: Any, primals: Sequence[Any], active: Sequence[bool], params: dict
) -> tuple[list[Any], Linearized]:
    """Linearize one primitive by its own rule."""
    with Builder("linear", ambient=False) as builder:
        tangents = [
            builder.input(type_of(x).strong()) if wanted else None
            for x, wanted in zip(primals, active, strict=True)
        ]
        outs, out_tangents = primitive.linearize(primals, tangents, **params)
        if not primitive.multiple:
            outs, out_tangents = [outs], [out_tangents]
        if out_tangents is None:
            out_tangents = [None] * len(outs)
        return outs, close_linear(builder, outs, out_tangents)


def close_linear(
    builder: Builder, outs: Sequence[Any], tangents: Sequence[Any], instantiate: Sequence[int] = ()
) -> Linearized:
    tangents = list(tangents)
    for index in instantiate:
        if tangents[index] is None:
            tangents[index] = zeros_in(builder, type_of(outs[index]))
    found = tuple(tangent is not None for tangent in tangents)
    program, residuals = builder.build([t for t in tangents if t is not None])
    return Linearized(program, residuals, found)


def zeros_in(builder: Builder, type: ArrayType) -> Any:
    """Zeros made inside the linear Program, so that they are no residual."""
    params = {"shape": type.shape, "dtype": np.dtype(type.dtype)}
    if None in type.shape:
        return builder.process(EMPTY_STACK, (), params)
    return builder.process(FULL, (), {**params, "value": 0})


class LinearizedProgram:
    """The two halves of a linearized Program.

    Attributes:
        primal: from inputs to (outputs, residuals).
        linear: from (residuals, active tangents) to the tangents that are not zero.
        active: per output, whether it has a tangent.
        forwarded: per residual, the index of the input that it simply is, or None.
    """

    __slots__ = ("active", "forwarded", "linear", "primal", "residual_types")

    def __init__(
        self, primal: Program, linear: Program, active: tuple[bool, ...], count: int
    ) -> None:
        self.primal = primal
        self.linear = linear
        self.active = active
        residuals = primal.outputs[len(primal.outputs) - count :]
        self.residual_types = [atom.type for atom in residuals]
        position = {variable: i for i, variable in enumerate(primal.inputs)}
        self.forwarded = [
            position.get(atom) if isinstance(atom, Variable) else None for atom in residuals
        ]


def linearize_program(
    program: Program, active: tuple[bool, ...], instantiate: tuple[int, ...] = ()
) -> LinearizedProgram:
    """Split a Program into its primal half with residuals, and its linear half."""
    key = ("linearize", active, instantiate)
    if key not in program.memo:
        with Builder(program.name + "_primal") as builder:
            primals = [builder.input(type) for type in program.input_types]
            outs, linearized = linearize_flat(
                lambda *xs: evaluate(program, *xs), primals, active, instantiate
            )
            primal, captured = builder.build([*outs, *linearized.residuals])
        refuse_captured(captured, program.name)
        program.memo[key] = LinearizedProgram(
            primal, linearized.program, linearized.active, len(linearized.residuals)
        )
    return program.memo[key]
