"""From LLVM text to callable addresses: compile or find in the cache, link into this process.

Code is compiled for the small code model, position independent: constants lie beside the code, and functions further
than 2 GB away are reached through stubs. On x86-64 Linux it is laid out as an `Image`, which needs no LLVM to be
brought into a process. Elsewhere ORC links objects with JITLink, where an unresolved name or a broken object is an
exception; MCJIT would end the process.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakValueDictionary

import numpy as np

from funcgrad.compiler.cache import Sections, default_cache, digest, package_stamp
from funcgrad.compiler.llvm import system
from funcgrad.compiler.llvm.image import Image, Unsupported, lay_out
from funcgrad.compiler.llvm.mapped import Mapped, is_supported
from funcgrad.compiler.llvm.target import host, machine
from funcgrad.compiler.report import count, timed
from funcgrad.config import config

# Measured on kernels of explicit vectors: levels 1 to 3 differ by less than 5 % in speed and in time to compile;
# 0 compiles three times faster and runs at half the speed. Passes over the IR improve nothing there.
LEVEL = 2

# Taken before LLVM's own lock, and both before a fork (`_lock_for_fork`). Nothing waits for it longer than for LLVM,
# which compiles for one thread at a time.
_lock = threading.RLock()
_loaded: WeakValueDictionary[str, Loaded] = WeakValueDictionary()


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

    def key(self) -> str:
        return digest(self.text, *self.passes, f"level {self.level}", *_platform())


class Loaded:
    """Machine code in this process. It is freed with this object: keep it for as long as the code may run."""

    __slots__ = ("__weakref__", "_library", "_write", "symbols")

    def __init__(
        self, library: Any, symbols: Sequence[str], write: Callable[[], Source] | None
    ) -> None:
        self._library = library
        self.symbols = tuple(symbols)
        self._write = write

    def address(self, symbol: str) -> int:
        """Where a function or global of the module lies."""
        if symbol not in self.symbols:
            known = ", ".join(self.symbols) or "none"
            raise KeyError(f"[load] the module defines no symbol {symbol!r}. It defines: {known}.")
        return self._library[symbol]

    def assembly(self) -> str:
        """The machine code as text, compiled once more for the purpose."""
        if self._write is None:
            raise ValueError("[load] code linked from a stored object has no source to show.")
        return assembly(self._write())


def load(text: str, passes: Sequence[str] = (), level: int = LEVEL) -> Loaded:
    """Machine code for a module, out of the cache where possible; the same object while one is alive.

    Args:
        text: LLVM assembly, whose external functions were registered with `system.add_symbol` or belong to libc.
        passes, level: see `Source`.

    Errors:
        RuntimeError: the text is not valid, or a function that it declares is defined nowhere.
    """
    source = Source(text, tuple(passes), level)
    return _shared(source.key(), lambda: source)


def load_known(name: str, write: Callable[[], Source]) -> Loaded:
    """Like `load`, for a module that depends on nothing but its name and funcgrad itself.

    Args:
        name: says all about the module.
        write: makes its source; not called where the machine code is found.
    """
    return _shared(program_key("module", name), write)


def _shared(key: str, write: Callable[[], Source]) -> Loaded:
    with _lock:
        loaded = _loaded.get(key)
        if loaded is None:
            loaded = _loaded[key] = recall(key, write) or _compile(key, write)
        return loaded


def compile_source(source: Source) -> tuple[str, Loaded]:
    """Machine code with variables of its own, and its key in the cache."""
    key = source.key()
    return key, recall(key, lambda: source) or _compile(key, lambda: source)


def recall(key: str, write: Callable[[], Source]) -> Loaded | None:
    """Machine code from the cache, with variables of its own; `write` is for `assembly` only."""
    sections = stored(key)
    return None if sections is None else link(sections, write)


def _compile(key: str, write: Callable[[], Source]) -> Loaded:
    with timed("emit"):
        source = write()
    sections = build(source)
    store(key, sections)
    return link(sections, write)


def stored(key: str) -> Sections | None:
    """What the cache has under a key."""
    with timed("load"):
        sections = default_cache().get(key)
    count("cache_misses" if sections is None else "cache_hits")
    return sections


def store(key: str, sections: Sections) -> None:
    """Keep what was compiled."""
    with timed("load"):
        default_cache().put(key, sections)


def build(source: Source) -> Sections:
    """Compile: an image, or an object file with the names of what it defines and needs."""
    with _lock, timed("llvm"), _module(source) as module:
        code = _machine(source.level).emit_object(module)
        symbols = _symbols(module)
    count("text_bytes", len(source.text))
    count("object_bytes", len(code))
    if is_supported():
        with contextlib.suppress(Unsupported), timed("load"):
            return lay_out(code).sections()
    return {"object": code, "symbols": json.dumps(symbols).encode()}


def link(sections: Sections, write: Callable[[], Source] | None = None) -> Loaded:
    """Bring what `build` made into this process. Other sections are ignored; `write` is for `assembly` only."""
    with _lock, timed("load"):
        if "image" in sections:
            library = Mapped(Image.from_sections(sections), _needed)
            return Loaded(library, tuple(library.symbols), write)
        symbols = json.loads(sections["symbols"])
        return Loaded(_link_object(sections["object"], symbols), symbols["defined"], write)


def _link_object(code: bytes, symbols: dict[str, list[str]]) -> Any:
    builder = _llvm().JITLibraryBuilder().add_object_img(code).add_current_process()
    for name in symbols["needed"]:
        address = _find(name)
        if address is not None:
            builder.import_symbol(name, address)
    for name in symbols["defined"]:
        builder.export_symbol(name)
    try:
        return builder.link(_linker(), f"library{next(_numbers)}")
    except RuntimeError as error:
        unknown = [name for name in symbols["needed"] if _find(name) is None]
        raise RuntimeError(
            f"[load] the code cannot be linked: {error}. Functions that no add_symbol has made known "
            f"and that may be missing: {', '.join(unknown) or 'none'}."
        ) from None


def _needed(name: str) -> int:
    """The address of an outside function."""
    # LLVM comes last: it knows what it brings along for operations that the CPU lacks.
    address = _find(name) or _llvm().address_of_symbol(name)
    if address is None:
        raise RuntimeError(
            f"[load] the code cannot be linked. Functions that no add_symbol has made known "
            f"and that may be missing: {name}."
        )
    return address


def _find(name: str) -> int | None:
    return system.symbols.get(name) or _provided(name) or system.address(name)


def assembly(source: Source) -> str:
    """What a source is compiled to, as text."""
    with _lock, _module(source) as module:
        return _machine(source.level).emit_assembly(module)


def provide(prefix: str, find: Callable[[str], int]) -> None:
    """Let `find(name)` make functions whose names begin with `prefix`, when code that needs one is linked."""
    _providers[prefix] = find


_providers: dict[str, Callable[[str], int]] = {}


def _provided(name: str) -> int | None:
    return next(
        (find(name) for prefix, find in _providers.items() if name.startswith(prefix)), None
    )


def program_key(*parts: str | bytes) -> str:
    """The key of what our Python code computes for this machine, such as a whole compiled Program.

    Besides `parts` it depends on the target, on all versions, and on funcgrad's own source files.
    """
    return digest(*parts, *_platform(), _origin())


@functools.cache
def _origin() -> str:
    return digest(package_stamp(), np.__version__, sys.version)


# --- LLVM, initialised when first needed, which takes 30 ms ---


@functools.cache
def _llvm() -> Any:
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
_locks: list[Any] = [_lock]


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
def _platform() -> tuple[str, ...]:
    """Everything besides the source that machine code depends on."""
    # Only the package, not the library in it, which takes 25 ms to load. Its version says which LLVM it holds.
    return (*machine(), f"llvmlite {__import__('llvmlite').__version__}")


@functools.cache
def _machine(level: int) -> Any:
    target = host()
    # The linker reads no COFF objects of the small code model, but ELF on every system.
    triple = target.triple + "-elf" if os.name == "nt" else target.triple
    return (
        _llvm()
        .Target.from_triple(triple)
        .create_target_machine(
            cpu=target.cpu, features=target.features, opt=level, reloc="pic", codemodel="small"
        )
    )


@functools.cache
def _linker() -> Any:
    # `suppress_errors`: what goes wrong is raised, not printed.
    return _llvm().create_lljit_compiler(_machine(LEVEL), use_jit_link=True, suppress_errors=True)


_numbers = itertools.count()  # the names of libraries are never used again


@contextlib.contextmanager
def _module(source: Source) -> Iterator[Any]:
    """The parsed module after the passes. In a context of its own, for LLVM never forgets constants of a context."""
    llvm, machine = _llvm(), _machine(source.level)
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
    external = _llvm().Linkage.external
    defined, needed = [], []
    for value in [*module.functions, *module.global_variables]:
        if value.linkage == external and not value.name.startswith("llvm."):
            (needed if value.is_declaration else defined).append(value.name)
    return {"defined": defined, "needed": needed}
