"""The stages from a Program to a callable, as a list that can be read and dumped."""

from __future__ import annotations

import functools
import importlib
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from funcgrad.compiler.codegen import generate
from funcgrad.compiler.dead_code import as_simplified, eliminate_dead_code
from funcgrad.compiler.joining import join_places
from funcgrad.compiler.loops import rewrite_loops
from funcgrad.compiler.simplify import inline_calls, merge_common
from funcgrad.config import config
from funcgrad.ir.check import check_program
from funcgrad.ir.program import Equation, Program, is_ragged


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
    for stage in STAGES:
        program = stage(program)
        if config.check_programs:
            check_program(program)
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


def native(program: Program) -> Any:
    """The machine code of a Program as a callable of NumPy arrays, remembered; None where there can be none."""
    if "native" not in program.memo:
        program.memo["native"] = _compile_native(program) if has_llvm() else None
    return program.memo["native"]


def executable(program: Program, xp: Any) -> Callable[..., list[Any]]:
    """The fastest callable `(*arrays) -> list of arrays` for arrays of the module `xp`."""
    if xp is np and not config.checks_values:
        found = native(program)
        if found is not None:
            return found
    return compiled(program, xp)


@functools.cache
def has_llvm() -> bool:
    """Whether llvmlite can be used; says once if not."""
    try:
        importlib.import_module("llvmlite.binding")
    except (ImportError, OSError) as error:
        warnings.warn(
            f"funcgrad: llvmlite cannot be imported ({error}), so jit runs generated Python instead of machine "
            "code. Install it: pip install llvmlite.",
            stacklevel=2,
        )
        return False
    return True


def _compile_native(program: Program) -> Any:
    """Machine code, or None with a warning if the compiler fails: then generated Python does the work."""
    program = simplified(program)
    if is_ragged(program):
        return None
    try:
        # Imported by the first compilation: programs that never compile do not wait for it.
        compiler = importlib.import_module("funcgrad.compiler.native")
        return compiler.compile_native(program, implementation)
    except Exception as error:
        if config.check_programs:
            raise
        warnings.warn(
            f"funcgrad: no machine code could be made for {program.name} ({type(error).__name__}: {error}). "
            "It runs as generated Python. Please report this.",
            stacklevel=2,
        )
        return None


def implementation(equation: Equation) -> Callable[..., Any]:
    """What computes an equation that has no native code."""
    return equation.primitive.implementation(np, **equation.params)
