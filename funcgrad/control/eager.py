"""Loops on arrays, outside `jit`: long ones run as machine code, short ones are not worth a compilation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.compiler.executable import executable, native
from funcgrad.ir.program import Equation, Program, Variable
from funcgrad.ir.tracer import type_of
from funcgrad.ir.types import ArrayType
from funcgrad.ops.ragged import RaggedStack

LONG = 256  # iterations from which on machine code pays


def run_natively(primitive: Any, args: Sequence[Any], params: dict[str, Any]) -> list[Any] | None:
    """What a loop gives for NumPy arrays, by machine code; None if there is none for it."""
    if any(isinstance(arg, RaggedStack) for arg in args):
        return None
    types = [type_of(arg).strong() for arg in args]
    program = loop_program(primitive, types, params)
    if program is None or native(program) is None:
        return None
    return executable(program, np)(*args)


def loop_program(primitive: Any, types: list[ArrayType], params: dict[str, Any]) -> Program | None:
    """A Program that is just this loop, remembered with its body."""
    body: Program = params["body"]
    key = (
        "eager",
        primitive,
        tuple(types),
        params.get("length"),
        params.get("reverse"),
        id(params.get("cond")),
    )
    if key not in body.memo:
        outputs = [Variable(type) for type in primitive.type_rule(*types, **params)]
        inputs = [Variable(type) for type in types]
        fits = not any(None in variable.type.shape for variable in outputs)
        equation = Equation(primitive, inputs, outputs, params)
        body.memo[key] = Program(inputs, [equation], outputs, body.name) if fits else None
    return body.memo[key]
