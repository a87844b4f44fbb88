"""LLVM text compiled to machine code, by several threads.

Code is made for the small code model, position independent: constants lie beside the code, and functions further than
2 GB away are reached through stubs.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import json
import os
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from funcgrad.compiler.cache import Sections
from funcgrad.compiler.llvm.loading.image import Unsupported, lay_out
from funcgrad.compiler.llvm.loading.mapped import is_supported
from funcgrad.compiler.llvm.loading.split import exported_names, split_module
from funcgrad.compiler.llvm.runtime import limits
from funcgrad.compiler.llvm.target import host
from funcgrad.compiler.report import count, timed
from funcgrad.config import config

# Measured on kernels of explicit vectors: levels 1 to 3 differ by less than 5 % in speed and in time to compile;
# 0 compiles three times faster and runs at half the speed. Passes over the IR improve nothing there.
LEVEL = 2
PART = 1 << 14  # bytes of text that are worth a thread
MAX_THREADS = 8

# Taken before LLVM's own lock, and both before a fork (`_lock_for_fork`).
lock = threading.RLock()


class NoLLVM(RuntimeError):
    """Llvmlite cannot be imported."""


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


# --- compiling ---


def build(source: Source) -> Sections:
    """Compile: an image, or an object file with the names of what it defines and needs."""
    return build_all([source])[0]


def build_all(sources: Sequence[Source]) -> list[Sections]:
    """Compile several modules, those that are long in parts, by as many threads as compiled code may use."""
    with lock, timed("llvm"):
        threads = min(config.num_threads or limits.available_cpus(), MAX_THREADS)
        parts = [_parts(source, threads) for source in sources]
        jobs = [_Job(part) for texts in parts for part in texts]
        _run(jobs, threads)
    made = iter(jobs)
    return [
        _sections(source, [next(made) for _ in texts])
        for source, texts in zip(sources, parts, strict=True)
    ]


def _parts(source: Source, threads: int) -> list[Source]:
    if source.passes or not source.level or not is_supported():
        return [source]
    texts = split_module(source.text, min(threads, len(source.text) // PART))
    return [Source(text, (), source.level) for text in texts]


class _Job:
    """A module to compile, and what became of it."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.code = b""
        self.symbols: dict[str, list[str]] = {}
        self.error: BaseException | None = None

    def run(self, worker: int) -> None:
        try:
            with _module(self.source) as module:
                self.code = _emit_object(_machine(self.source.level, worker), module)
                if not is_supported():
                    self.symbols = _symbols(module)
        except BaseException as error:
            self.error = error


def _run(jobs: Sequence[_Job], threads: int) -> None:
    """Do all jobs, the long ones first."""
    binding()
    waiting = deque(sorted(jobs, key=lambda job: -len(job.source.text)))

    def work(worker: int) -> None:
        while waiting:
            with contextlib.suppress(IndexError):  # another thread was faster
                waiting.popleft().run(worker)

    helpers = [threading.Thread(target=work, args=(i,)) for i in range(1, min(threads, len(jobs)))]
    for helper in helpers:
        helper.start()
    try:
        work(0)
    finally:
        waiting.clear()
        for helper in helpers:
            helper.join()
    for job in jobs:
        if job.error is not None:
            raise job.error


def _emit_object(machine: Any, module: Any) -> bytes:
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


def _sections(source: Source, jobs: Sequence[_Job]) -> Sections:
    count("text_bytes", len(source.text))
    count("object_bytes", sum(len(job.code) for job in jobs))
    if is_supported():
        exported = exported_names(source.text) if len(jobs) > 1 else None
        with contextlib.suppress(Unsupported), timed("load"):
            return lay_out([job.code for job in jobs], exported).sections()
        if len(jobs) > 1:
            with lock, timed("llvm"), _module(source) as module:
                return _object_sections(
                    _emit_object(_machine(source.level), module), _symbols(module)
                )
    return _object_sections(jobs[0].code, jobs[0].symbols)


def _object_sections(code: bytes, symbols: dict[str, list[str]]) -> Sections:
    return {"object": code, "symbols": json.dumps(symbols).encode()}


def assembly(source: Source) -> str:
    """What a source is compiled to, as text."""
    with lock, _module(source) as module:
        return _machine(source.level).emit_assembly(module)


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


@functools.cache
def _machine(level: int, worker: int = 0) -> Any:
    """Each thread that compiles has one of its own."""
    del worker
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
    return binding().create_lljit_compiler(_machine(LEVEL), use_jit_link=True, suppress_errors=True)


@contextlib.contextmanager
def _module(source: Source) -> Iterator[Any]:
    """The parsed module after the passes. In a context of its own, for LLVM never forgets constants of a context."""
    llvm, machine = binding(), _machine(source.level)
    # Closed in this order also where an exception keeps the objects alive.
    with llvm.create_context() as context, llvm.parse_assembly(source.text, context) as module:
        module.triple = machine.triple
        module.data_layout = str(machine.target_data)
        if config.check_programs:
            module.verify()
        if source.passes:
            options = llvm.create_pipeline_tuning_options(speed_level=source.level)
            manager = llvm.create_new_module_pass_manager()
            for name in source.passes:
                getattr(manager, f"add_{name}_pass")()
            manager.run(module, llvm.create_pass_builder(machine, options))
        yield module


def _symbols(module: Any) -> dict[str, list[str]]:
    """Names of the functions and globals that a module shows to others, and of those it expects from them."""
    external = binding().Linkage.external
    defined, needed = [], []
    for value in [*module.functions, *module.global_variables]:
        if value.linkage == external and not value.name.startswith("llvm."):
            (needed if value.is_declaration else defined).append(value.name)
    return {"defined": defined, "needed": needed}
