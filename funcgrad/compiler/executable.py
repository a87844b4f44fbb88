"""What runs a Program: machine code where there can be some, else generated Python."""

from __future__ import annotations

import functools
import importlib.util
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad.compiler.llvm.loading.machine_code import NoLLVM
from funcgrad.compiler.native import compile_native
from funcgrad.compiler.pipeline import compiled
from funcgrad.config import config
from funcgrad.ir.program import Program


def native(program: Program, donated: Sequence[int] = ()) -> Any:
    """The machine code of a Program as a callable of NumPy arrays, remembered; None where there can be none.

    Args:
        program: what to compile.
        donated: numbers of the inputs that the caller gives up.
    """
    if not config.native:
        return None
    key = ("native", *donated)
    if key not in program.memo:
        program.memo[key] = _compile_native(program, donated) if has_llvm() else None
    return program.memo[key]


def executable(program: Program, xp: Any, donated: Sequence[int] = ()) -> Callable[..., list[Any]]:
    """The fastest callable `(*arrays) -> list of arrays` for arrays of the module `xp`; see `native`."""
    if xp is np and not config.checks_values:
        found = native(program, donated)
        if found is not None:
            return found
    return compiled(program, xp)


@functools.cache
def has_llvm() -> bool:
    """Whether llvmlite is installed; says once if not."""
    try:
        found = importlib.util.find_spec("llvmlite.binding")
    except ImportError:
        found = None
    if found is None:
        warn_without_llvm("it is not installed")
    return found is not None


@functools.cache
def warn_without_llvm(problem: str) -> None:
    warnings.warn(
        f"funcgrad: llvmlite cannot be imported ({problem}), so jit runs generated Python instead of machine "
        "code. Install it: pip install llvmlite.",
        stacklevel=2,
    )


def _compile_native(program: Program, donated: Sequence[int]) -> Any:
    """Machine code, or None with a warning if the compiler fails: then generated Python does the work."""
    try:
        return compile_native(program, donated)
    except NoLLVM as error:
        warn_without_llvm(str(error))
        return None
    except Exception as error:
        if config.check_programs:
            raise
        warnings.warn(
            f"funcgrad: no machine code could be made for {program.name} ({type(error).__name__}: {error}). "
            "It runs as generated Python. Please report this.",
            stacklevel=2,
        )
        return None
