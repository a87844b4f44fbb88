"""Simplified Programs, by a list of stages that can be read; and generated Python for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from funcgrad.compiler.codegen import generate
from funcgrad.compiler.passes.dead_code import as_simplified, eliminate_dead_code
from funcgrad.compiler.passes.joining import join_places
from funcgrad.compiler.passes.loops import rewrite_loops
from funcgrad.compiler.passes.simplify import inline_calls, merge_common
from funcgrad.config import config
from funcgrad.ir.check import check_program
from funcgrad.ir.program import Equation, Program


def simplify_loops(program: Program) -> Program:
    """Simplify what is inside loops and branches, and then what came out of them."""
    found = rewrite_loops(program, simplified)
    return found if found is program else merge_common(found)


STAGES: list[Callable[[Program], Program]] = [
    inline_calls,
    eliminate_dead_code,
    merge_common,
    join_places,
    eliminate_dead_code,
    simplify_loops,
    eliminate_dead_code,
]


def run_stages(program: Program) -> Program:
    """The simplified Program."""
    is_fast = program.is_fast
    for stage in STAGES:
        program = stage(program)
        if config.check_programs:
            check_program(program)
    program.is_fast = is_fast
    return program


def simplified(program: Program) -> Program:
    """The result of `run_stages`, remembered."""
    if "is_simplified" in program.memo:
        return program
    if "simplified" not in program.memo:
        program.memo["simplified"] = as_simplified(run_stages(program))
    return program.memo["simplified"]


def compiled(program: Program, xp: Any) -> Callable[..., list[Any]]:
    """A generated Python function `(*arrays) -> list of arrays` for arrays of the module `xp`, remembered."""
    key = ("compiled", xp.__name__)
    if key not in program.memo:
        program.memo[key] = generate(simplified(program), xp)
    return program.memo[key]


def implementation(equation: Equation) -> Callable[..., Any]:
    """What computes an equation that has no native code."""
    return equation.primitive.implementation(np, **equation.params)
