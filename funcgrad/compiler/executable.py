"""What runs a Program: machine code or launches where there can be some, else generated Python."""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.util
import threading
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad.compiler.cuda.runtime import device as devices
from funcgrad.compiler.llvm.target import NoLLVM
from funcgrad.compiler.lowering.ragged import keeps_stacks
from funcgrad.compiler.pipeline import compiled, simplified
from funcgrad.compiler.report import Compilation, resuming
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


def on_cuda(
    program: Program,
    number: int,
    donated: Sequence[int] = (),
    compilation: Compilation | None = None,
) -> Any:
    """The launches of a Program as a callable of CuPy arrays, remembered; None where there can be none.

    Args:
        program: what to compile.
        number: of the device.
        donated: numbers of the inputs that the caller gives up.
        compilation: where the time that it takes is noted.
    """
    if config.checks_values or not config.native:
        return None
    device = devices.device_of(number)
    key = ("cuda", device, config.default_matmul_precision, *donated)
    if key not in program.memo:
        noted = contextlib.nullcontext() if compilation is None else resuming(compilation)
        with _compiling, noted:
            if key not in program.memo:  # another thread may have made it meanwhile
                program.memo[key] = _compile_cuda(program, device, donated)
    return program.memo[key]


_compiling = threading.RLock()


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
    # Imported by the first call that compiles: half of the modules that one without jit does without.
    native = importlib.import_module("funcgrad.compiler.native")
    # Wrong settings of the cache are no failure of the compiler: they are the caller's error.
    importlib.import_module("funcgrad.compiler.cache").default_cache()
    try:
        return native.compile_native(program, donated)
    except NoLLVM as error:
        warn_without_llvm(str(error))
        return None
    except Exception as error:
        return _failed(program, "machine code", error)


def _compile_cuda(program: Program, device: Any, donated: Sequence[int]) -> Any:
    """Launches, or None: with a warning if the compiler fails, without one for stacks that go in or out of a body."""
    if not keeps_stacks(simplified(program)):
        return None
    # Imported when there are arrays on a GPU: CuPy must be there.
    runtime = importlib.import_module("funcgrad.compiler.cuda.runtime.callable")
    try:
        return runtime.compile_cuda(program, device, donated)
    except Exception as error:
        return _failed(program, "kernels", error)


def _failed(program: Program, what: str, error: Exception) -> None:
    """Say that a Program runs as generated Python, or raise if that is an error."""
    if config.check_programs:
        raise error
    warnings.warn(
        f"funcgrad: no {what} could be made for {program.name} ({type(error).__name__}: {error}). "
        "It runs as generated Python. Please report this.",
        stacklevel=3,
    )
