"""The native functions that compiled code calls: threads, Ctrl-C, memory, arrays and the BLAS section, in one module.

`ensure()` makes them known to the loader by name. The module is never unloaded: its threads sleep in it, and arrays
are freed by it when the interpreter is already going.
"""

from __future__ import annotations

import ctypes
import functools
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from funcgrad.compiler.llvm.loading.load import load_known, provide, share
from funcgrad.compiler.llvm.loading.machine_code import Source, lock
from funcgrad.compiler.llvm.runtime import (
    blas,
    block_memory,
    blocks,
    clock,
    handler,
    interrupts,
    lapack,
    limits,
    pool,
    system,
    workers,
)
from funcgrad.config import config, when_changed

# What compiled code may call.
FUNCTIONS = (
    *("fg_parallel", "fg_parallel_interruptible", "fg_threads"),
    *("fg_poll", "fg_tick", "fg_interrupted"),
    *("fg_allocate", "fg_free", "fg_new_array"),
    *("fg_blas_enter", "fg_blas_leave"),
)

# Freed memory that is kept for the next call: this much, but no more than this part of the memory there is.
KEPT_BYTES = 512 << 20
KEPT_PART = 8

INTRINSICS = """
declare i64 @llvm.umin.i64(i64, i64)
declare i64 @llvm.umax.i64(i64, i64)
declare i64 @llvm.usub.sat.i64(i64, i64)
declare {i64, i1} @llvm.umul.with.overflow.i64(i64, i64)
declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)
declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)
"""

RESET = """
define void @fg_reset_after_fork() {
  call void @pool_reset()
  call void @blocks_reset()
  call void @blas_reset()
  ret void
}
"""


@dataclass(frozen=True)
class Abilities:
    """What the runtime may use of the operating system.

    threads: POSIX threads; without them regions run inline.
    mapping: mmap for large blocks; without it they come from malloc.
    futex: the number of that system call; without it threads wait on a condition variable.
    """

    threads: bool
    mapping: bool
    futex: int | None


def abilities() -> Abilities:
    """Those of this system."""
    known = bool(system.constants())
    return Abilities(
        threads=known and system.has(workers.EXTERNALS),
        mapping=known and system.has(block_memory.MAPPING),
        futex=system.futex_number(),
    )


def source(given: Abilities) -> str:
    """The text of the runtime."""
    parts = [
        clock.clock(),
        pool.pool(given.threads),
        interrupts.interrupts(),
        blocks.blocks(given.mapping),
        handler.handler(),
    ]
    if given.threads:
        parts.append(clock.waiting(given.futex))
    lines = [INTRINSICS, system.pause()[0]]
    needed = {name: kind for declared, _ in parts for name, kind in declared.items()}
    for name, kind in needed.items():
        result, parameters = kind.split(" ", 1)
        lines.append(f"declare {result} @{name}{parameters}")
    lines += [text for _, text in parts]
    return "\n".join([*lines, blas.section(), RESET])


def module_of(given: Abilities) -> tuple[str, Callable[[], Source]]:
    """The name of the module, and what writes its source."""
    # Many short functions, none with a loop over data: compiled in a fifth of the time, they are as fast.
    return f"runtime {given}", lambda: Source(source(given), level=0)


class Runtime:
    """The runtime in this process. Its symbols are known to the loader; this is for calling them from Python."""

    def __init__(self, given: Abilities) -> None:
        for name, address in (_numpy_functions() | _python_functions()).items():
            system.add_symbol(name, address)
        self.loaded = load_known(*module_of(given))
        self.function("pool_start")()
        self.function("fg_set_main_thread", None, ctypes.c_int64)(threading.main_thread().ident)
        self.function("fg_keep_at_most", None, ctypes.c_int64)(kept_limit())
        self.function("handler_start", None, ctypes.c_void_p, locked=True)(id(np.ndarray))

    def function(
        self, name: str, result: Any = None, *parameters: Any, locked: bool = False
    ) -> Any:
        """A function of the runtime as a ctypes function. `locked`: it needs the interpreter lock."""
        prototype = ctypes.PYFUNCTYPE if locked else ctypes.CFUNCTYPE
        return prototype(result, *parameters)(self.loaded.address(name))

    def reset_after_fork(self) -> None:
        """In a forked child: there are no workers, locks are open, and this is the main thread."""
        self.function("fg_reset_after_fork")()
        self.function("fg_set_main_thread", None, ctypes.c_int64)(threading.get_ident())


def kept_limit() -> int:
    """How many bytes of freed blocks are kept."""
    return min(KEPT_BYTES, limits.available_bytes() // KEPT_PART)


# --- the one of this process ---

_runtime: Runtime | None = None


def ensure() -> Runtime:
    """Load the runtime once in this process and make its functions known to the loader.

    Example:
        >>> from funcgrad.compiler.llvm.runtime import runtime
        >>> runtime.ensure() is runtime.ensure()
        True
    """
    global _runtime
    if _runtime is None:
        with lock:  # that of the loader, which comes here when it links code that needs the runtime
            if _runtime is None:
                _runtime = _start()
    return _runtime


def _start() -> Runtime:
    runtime = Runtime(abilities())
    for name in FUNCTIONS:
        system.add_symbol(name, runtime.loaded.address(name))
    when_changed("num_threads", runtime.function("fg_forget_threads"))
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=runtime.reset_after_fork)
    return runtime


@ctypes.CFUNCTYPE(ctypes.c_int)
def _ask_threads() -> int:
    return config.num_threads or limits.available_cpus()


def _python_functions() -> dict[str, int]:
    return {"fg_ask_threads": system.function_address(_ask_threads)}


def _numpy_functions() -> dict[str, int]:
    multiarray: Any = np._core._multiarray_umath  # pyright: ignore
    table = system.capsule_address(multiarray._ARRAY_API)
    return {
        name: ctypes.c_void_p.from_address(table + 8 * place).value or 0
        for name, place in handler.NUMPY_TABLE.items()
    }


@functools.cache
def ensure_blas() -> bool:
    """Make SciPy's BLAS known to the loader as `fg_blas_sgemm` and so on; returns whether there is one."""
    runtime = ensure()
    found = blas.functions()
    for name, address in found.items():
        system.add_symbol(f"fg_blas_{name}", address)
    controls = blas.controls()
    if controls is not None:
        runtime.function("fg_blas_controls", None, *[ctypes.c_void_p] * 2)(*controls)
    return "sgemm" in found


def _blas_function(name: str) -> int:
    ensure_blas()
    return system.symbols[name]


def _lapack_function(name: str) -> int:
    ensure_blas()
    for known, address in lapack.functions().items():
        system.symbols.setdefault(f"fg_lapack_{known}", address)
    return system.symbols[name]


def _function(name: str) -> int:
    ensure()
    return system.symbols.get(name, 0)


provide("fg_", _function)
provide("fg_blas_", _blas_function)
provide("fg_lapack_", _lapack_function)
share("fg_", lambda name: module_of(abilities()))
