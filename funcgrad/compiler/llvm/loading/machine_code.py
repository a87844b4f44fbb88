"""LLVM text compiled to machine code by LLVM, one module at a time.

Code is made for the small code model, position independent: constants lie beside the code, and functions further than
2 GB away are reached through stubs.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from funcgrad.compiler.llvm.target import NoLLVM, host
from funcgrad.compiler.report import timed
from funcgrad.config import config

# Measured on kernels of explicit vectors: levels 1 to 3 differ by less than 5 % in speed and in time to compile;
# 0 compiles three times faster and runs at half the speed. Passes over the IR improve nothing there.
LEVEL = 2
# Passes that find nothing to improve in loops written as ours are, and take a quarter of the time.
LEFT_OUT = ("disable-lsr", "disable-post-ra")

# Taken before LLVM's own lock, and both before a fork (`_lock_for_fork`).
lock = threading.RLock()


@dataclass(frozen=True)
class Source:
    """What machine code is made from.

    Attributes:
        text: LLVM assembly. Without addresses of this process: outside functions are called by name.
        passes: what runs over the IR first, in llvmlite's names: "sroa", "simplify_cfg", "always_inliner", ...
        level: effort of the code generator, 0 to 3.
    """

    text: str
    passes: tuple[str, ...] = ()
    level: int = LEVEL


@contextlib.contextmanager
def fewer_passes() -> Iterator[None]:
    """Meanwhile LLVM leaves out some passes: in the whole process, since its options are global."""
    for name in LEFT_OUT:
        binding().set_option("", f"--{name}")
    try:
        yield
    finally:
        for name in LEFT_OUT:
            binding().set_option("", f"--{name}=false")


def object_code(machine: Any, module: Any) -> bytes:
    """What `machine.emit_object(module)` returns, without the lock by which llvmlite lets one thread compile.

    LLVM itself lets threads compile side by side if each has a context and a machine of its own.
    """
    library = binding().ffi.lib
    function = getattr(library.LLVMPY_TargetMachineEmitToMemory, "_cfn", None)
    if function is None:
        return machine.emit_object(module)
    with binding().ffi.OutputString() as problem:
        buffer = function(machine, module, 1, problem)
        if not buffer:
            raise RuntimeError(str(problem))
    try:
        start, size = library.LLVMPY_GetBufferStart(buffer), library.LLVMPY_GetBufferSize(buffer)
        return ctypes.string_at(start, size)
    finally:
        library.LLVMPY_DisposeMemoryBuffer(buffer)


def assembly(source: Source) -> str:
    """What a source is compiled to, as text."""
    with lock, module_of(source) as module, machine(source.level) as target:
        return target.emit_assembly(module)


# --- LLVM, initialised when first needed, which takes 30 ms ---


@functools.cache
def binding() -> Any:
    try:
        with timed("import"):
            import llvmlite.binding as llvm
    except (ImportError, OSError) as error:
        raise NoLLVM(str(error)) from error
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    _locks.append(llvm.ffi.lib._lock)
    return llvm


# Taken in this order before a fork: a child that was forked while another thread held one would wait for ever.
_locks: list[Any] = [lock]


def _lock_for_fork() -> None:
    for lock in _locks:
        lock.__enter__()


def _unlock_after_fork() -> None:
    for lock in reversed(_locks):
        lock.__exit__(None, None, None)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_lock_for_fork,
        after_in_parent=_unlock_after_fork,
        after_in_child=_unlock_after_fork,
    )


@contextlib.contextmanager
def machine(level: int) -> Iterator[Any]:
    """A target machine for one thread: making one takes longer than compiling a short function."""
    idle = _idle.setdefault(level, [])
    try:
        made = idle.pop()
    except IndexError:
        made = make_machine(level)
    try:
        yield made
    finally:
        idle.append(made)


_idle: dict[int, list[Any]] = {}


def make_machine(level: int) -> Any:
    target = host()
    # The linker reads no COFF objects of the small code model, but ELF on every system.
    triple = target.triple + "-elf" if os.name == "nt" else target.triple
    return (
        binding()
        .Target.from_triple(triple)
        .create_target_machine(
            cpu=target.cpu, features=target.features, opt=level, reloc="pic", codemodel="small"
        )
    )


@functools.cache
def linker() -> Any:
    """LLVM's own, for objects."""
    # `suppress_errors`: what goes wrong is raised, not printed.
    return binding().create_lljit_compiler(
        make_machine(LEVEL), use_jit_link=True, suppress_errors=True
    )


@contextlib.contextmanager
def module_of(source: Source) -> Iterator[Any]:
    """The parsed module after the passes. In a context of its own, for LLVM never forgets constants of a context."""
    llvm = binding()
    # Closed in this order also where an exception keeps the objects alive.
    with (
        llvm.create_context() as context,
        llvm.parse_assembly(source.text, context) as module,
    ):
        with machine(source.level) as target:
            module.triple = target.triple
            module.data_layout = str(target.target_data)
            if source.passes:
                options = llvm.create_pipeline_tuning_options(speed_level=source.level)
                manager = llvm.create_new_module_pass_manager()
                for name in source.passes:
                    getattr(manager, f"add_{name}_pass")()
                manager.run(module, llvm.create_pass_builder(target, options))
        if config.check_programs:
            module.verify()
        yield module


def symbols_of(module: Any) -> dict[str, list[str]]:
    """Names of the functions and globals that a module shows to others, and of those it expects from them."""
    external = binding().Linkage.external
    defined, needed = [], []
    for value in [*module.functions, *module.global_variables]:
        if value.linkage == external and not value.name.startswith("llvm."):
            (needed if value.is_declaration else defined).append(value.name)
    return {"defined": defined, "needed": needed}
