"""The stages from a Program to a callable, as a list that can be read and dumped."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from funcgrad.compiler.codegen import generate
from funcgrad.compiler.dead_code import eliminate_dead_code
from funcgrad.compiler.simplify import inline_calls, merge_common
from funcgrad.config import config
from funcgrad.ir.check import check_program
from funcgrad.ir.program import Program

STAGES: list[Callable[[Program], Program]] = [
    inline_calls,
    eliminate_dead_code,
    merge_common,
    eliminate_dead_code,
]


def run_stages(program: Program) -> Program:
    """The simplified Program."""
    for stage in STAGES:
        program = stage(program)
        if config.check_programs:
            check_program(program)
    return program


def simplified(program: Program) -> Program:
    """The result of `run_stages`, remembered."""
    if "simplified" not in program.memo:
        program.memo["simplified"] = run_stages(program)
    return program.memo["simplified"]


def compiled(program: Program, xp: Any) -> Callable[..., list[Any]]:
    """A callable `(*arrays) -> list of arrays` for arrays of the module `xp`, remembered."""
    key = ("compiled", xp.__name__)
    if key not in program.memo:
        program.memo[key] = generate(simplified(program), xp)
    return program.memo[key]
