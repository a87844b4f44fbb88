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
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from funcgrad.compiler.cache import Sections
from funcgrad.compiler.llvm.loading.elf import Object, read_object
from funcgrad.compiler.llvm.loading.image import Image, Unsupported, lay_out
from funcgrad.compiler.llvm.loading.known_units import KnownUnits
from funcgrad.compiler.llvm.loading.mapped import is_supported
from funcgrad.compiler.llvm.loading.units import Pool, Unit, Units, balanced, divide
from funcgrad.compiler.llvm.runtime import limits
from funcgrad.compiler.llvm.target import NoLLVM, host
from funcgrad.compiler.report import count, timed
from funcgrad.config import config

# Measured on kernels of explicit vectors: levels 1 to 3 differ by less than 5 % in speed and in time to compile;
# 0 compiles three times faster and runs at half the speed. Passes over the IR improve nothing there.
LEVEL = 2
PART = 12 << 10  # bytes of text that are worth a thread
QUICKER = 4  # how many times faster level 0 is than the others
# Passes that find nothing to improve in loops written as ours are, and take a quarter of the time.
LEFT_OUT = ("disable-lsr", "disable-post-ra")
MAX_THREADS = 8

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


# --- compiling ---


def build(source: Source) -> Sections:
    """Compile: an image, or an object file with the names of what it defines and needs."""
    return build_all([source])[0]


def build_all(sources: Sequence[Source], known: KnownUnits | None = None) -> list[Sections]:
    """Compile several modules by as many threads as compiled code may use.

    Args:
        sources: the modules.
        known: machine code that is used again, and to which the new one is added.
    """
    known = known or KnownUnits()
    with lock, timed("llvm"):
        threads = min(config.num_threads or limits.available_cpus(), MAX_THREADS)
        pool = Pool()
        divided = [_divided(source, pool) for source in sources]
        known.look_for(pool.units.values())
        groups = _groups(pool.missing(known.has), threads)
        jobs = [
            _Job(Source(pool.text(units), (), max([u.level for u in units]))) for units in groups
        ]
        whole = [
            None if units is not None else _Job(source)
            for source, units in zip(sources, divided, strict=True)
        ]
        # Taken now: new files may drive them out.
        library = {name: known.get(name) for name in pool.units}
        with _fewer_passes():
            _run([*jobs, *filter(None, whole)], threads)
    with timed("load"):
        files = [known.add(job.code, units) for job, units in zip(jobs, groups, strict=True)]
    count("text_bytes", sum(len(source.text) for source in sources))
    made = []
    for source, units, job in zip(sources, divided, whole, strict=True):
        image = _image(units, job, files, library)
        made.append(_object_sections(source, job) if image is None else image.sections())
    count("object_bytes", sum(len(next(iter(sections.values()))) for sections in made))
    return made


def _divided(source: Source, pool: Pool) -> Units | None:
    """The units of a module, which the pool has taken; None if it must be compiled as it is."""
    if source.passes or not is_supported():
        return None
    units = divide(source.text, source.level)
    return units if units is not None and pool.take(units) else None


def _groups(units: Sequence[Unit], threads: int) -> list[list[Unit]]:
    """Units to be compiled together: those of level 0, which take little time, and the others, divided."""
    quick = [unit for unit in units if not unit.level]
    rest = [unit for unit in units if unit.level]
    if not any(unit.is_function for unit in quick):
        quick, rest = [], [*rest, *quick]
    count = max(1, min(threads, sum(len(unit.text) for unit in rest) // PART))
    first = sum(len(unit.text) for unit in quick) // QUICKER
    return [*([quick] if quick else []), *balanced(rest, count, first)]


@contextlib.contextmanager
def _fewer_passes() -> Iterator[None]:
    """Meanwhile LLVM leaves out some passes: in the whole process, since its options are global."""
    for name in LEFT_OUT:
        binding().set_option("", f"--{name}")
    try:
        yield
    finally:
        for name in LEFT_OUT:
            binding().set_option("", f"--{name}=false")


class _Job:
    """A module to compile, and what became of it."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.code = b""
        self.error: BaseException | None = None

    def run(self, worker: int) -> None:
        try:
            with _module(self.source) as module:
                self.code = _emit_object(_machine(self.source.level, worker), module)
        except BaseException as error:
            self.error = error


def _run(jobs: Sequence[_Job], threads: int) -> None:
    """Do all jobs, the long ones first."""
    binding()
    # Where there are enough jobs, the first thread does those of level 0: its machine for them exists mostly.
    quick = [job for job in jobs if not job.source.level] if len(jobs) > threads else []
    rest = [job for job in jobs if job not in quick]
    waiting = deque(sorted(rest, key=lambda job: -len(job.source.text)))

    def work(worker: int) -> None:
        while waiting:
            with contextlib.suppress(IndexError):  # another thread was faster
                waiting.popleft().run(worker)

    helpers = [threading.Thread(target=work, args=(i,)) for i in range(1, min(threads, len(jobs)))]
    for helper in helpers:
        helper.start()
    try:
        for job in quick:
            job.run(0)
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


def _image(
    units: Units | None,
    job: _Job | None,
    files: Sequence[Object],
    library: Mapping[str, Object | None],
) -> Image | None:
    """What was compiled of a module, in units or as a whole, laid out; None where LLVM's linker must do it."""
    with contextlib.suppress(Unsupported), timed("load"):
        if units is not None:
            own = {name: library[name] for name in units.units}
            return lay_out(files, units.exported, own)
        if job is not None and is_supported():
            return lay_out([read_object(job.code)])
    return None


def _object_sections(source: Source, job: _Job | None) -> Sections:
    """A module as an object file with the names of what it defines and needs."""
    with lock, timed("llvm"), _module(source) as module:
        code = _emit_object(_machine(source.level), module) if job is None else job.code
        return {"object": code, "symbols": json.dumps(_symbols(module)).encode()}


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
