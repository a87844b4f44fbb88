"""From LLVM text to callable addresses: compile or find in the cache, link into this process.

On x86-64 Linux machine code is laid out as an `Image`, which needs no LLVM to be brought into a process. Elsewhere ORC
links objects with JITLink, where an unresolved name or a broken object is an exception; MCJIT would end the process.
"""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any
from weakref import WeakValueDictionary

from funcgrad.compiler.cache import Sections, default_cache, digest
from funcgrad.compiler.llvm.loading import keys
from funcgrad.compiler.llvm.loading.building import Build, build, build_all, thread_count
from funcgrad.compiler.llvm.loading.image import Image
from funcgrad.compiler.llvm.loading.known_units import KnownUnits
from funcgrad.compiler.llvm.loading.machine_code import (
    LEVEL,
    Source,
    assembly,
    binding,
    linker,
    lock,
)
from funcgrad.compiler.llvm.loading.mapped import Mapped
from funcgrad.compiler.llvm.loading.units import declared_names
from funcgrad.compiler.llvm.runtime import system
from funcgrad.compiler.report import count, timed

_loaded: WeakValueDictionary[str, Loaded] = WeakValueDictionary()
_kept: dict[str, Loaded] = {}  # modules of shared functions
_made: dict[str, Sections] = {}  # and those that nobody has linked yet


def key_of(source: Source) -> str:
    """The key of its machine code in the cache."""
    return digest(source.text, *source.passes, f"level {source.level}", *keys.platform())


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
    return _shared(key_of(source), lambda: source)


def load_known(name: str, write: Callable[[], Source]) -> Loaded:
    """Like `load`, for a module that depends on nothing but its name and funcgrad itself, and is kept for ever.

    Args:
        name: says all about the module.
        write: makes its source; not called where the machine code is found.
    """
    with lock:
        if name not in _kept:
            key = keys.program_key("module", name)
            made = _made.pop(name, None)
            found = recall(key, write) if made is None else link(made, write)
            _kept[name] = found or _compile(key, write)
        return _kept[name]


def _shared(key: str, write: Callable[[], Source]) -> Loaded:
    with lock:
        loaded = _loaded.get(key)
        if loaded is None:
            loaded = _loaded[key] = recall(key, write) or _compile(key, write)
        return loaded


class Compilation:
    """Machine code for one program: `with Compilation() as compilation:` around all that writes and compiles it.

    Modules of shared functions that the program needs are compiled beside it, or already while it is being written.
    """

    def __init__(self) -> None:
        self.begun: list[tuple[list[str], Build]] = []
        self.held = contextlib.ExitStack()

    def __enter__(self) -> Compilation:
        return self

    def __exit__(self, *exception: Any) -> None:
        self.held.close()

    def begin(self, names: Iterable[str]) -> None:
        """Let other threads compile the modules that define these functions, if there are such threads.

        Args:
            names: functions that the program will call. Those that are not shared, or are there, do not matter.
        """
        missing = self.missing(names) if thread_count() > 1 else {}
        if missing:
            build = self.held.enter_context(Build(_written(missing), _units, spared=1))
            self.begun.append(([*missing], build))
            build.begin()

    def finish(self, source: Source) -> tuple[str, Loaded]:
        """Machine code with variables of its own, and its key in the cache."""
        key = key_of(source)
        found = recall(key, lambda: source)
        if found is not None:
            return key, found
        with lock:
            missing = self.missing(declared_names(source.text))
            made, *others = build_all([source, *_written(missing)], _units)
            _keep(missing, others)
            for names, build in self.begun:
                _keep(names, build.finish())
            self.begun.clear()
            store(key, made)
            return key, link(made, lambda: source)

    def missing(self, names: Iterable[str]) -> dict[str, Callable[[], Source]]:
        """The modules that define shared functions and that nobody has compiled: what writes each, by name."""
        known = {*_kept, *itertools.chain(*[begun for begun, _ in self.begun])}
        found = {}
        for name in names:
            module_of = None if name in system.symbols else _behind(name, _modules)
            if module_of is not None:
                module, write = module_of(name)
                if module not in known and not is_stored(keys.program_key("module", module)):
                    count("cache_misses")
                    found[module] = write
                known.add(module)
        return found


def _written(modules: Mapping[str, Callable[[], Source]]) -> list[Source]:
    with timed("emit"):
        return [write() for write in modules.values()]


def _keep(names: Iterable[str], made: Sequence[Sections]) -> None:
    """Modules of shared functions that were compiled."""
    for name, sections in zip(names, made, strict=True):
        store(keys.program_key("module", name), sections)
        _made[name] = sections


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


def is_stored(key: str) -> bool:
    """Whether the cache has something under a key."""
    return default_cache().get(key) is not None


def store(key: str, sections: Sections) -> None:
    """Keep what was compiled."""
    with timed("load"):
        default_cache().put(key, sections)


def link(sections: Sections, write: Callable[[], Source] | None = None) -> Loaded:
    """Bring what `build` made into this process. Other sections are ignored; `write` is for `assembly` only."""
    with lock, timed("load"):
        if "image" in sections:
            library = Mapped(Image.from_sections(sections), _needed)
            return Loaded(library, tuple(library.symbols), write)
        symbols = json.loads(sections["symbols"])
        return Loaded(_link_object(sections["object"], symbols), symbols["defined"], write)


def _link_object(code: bytes, symbols: dict[str, list[str]]) -> Any:
    builder = binding().JITLibraryBuilder().add_object_img(code).add_current_process()
    for name in symbols["needed"]:
        address = _find(name)
        if address is not None:
            builder.import_symbol(name, address)
    for name in symbols["defined"]:
        builder.export_symbol(name)
    try:
        return builder.link(linker(), f"library{next(_numbers)}")
    except RuntimeError as error:
        unknown = [name for name in symbols["needed"] if _find(name) is None]
        raise RuntimeError(
            f"[load] the code cannot be linked: {error}. Functions that no add_symbol has made known "
            f"and that may be missing: {', '.join(unknown) or 'none'}."
        ) from None


def _needed(name: str) -> int:
    """The address of an outside function."""
    # LLVM comes last: it knows what it brings along for operations that the CPU lacks.
    address = _find(name) or binding().address_of_symbol(name)
    if address is None:
        raise RuntimeError(
            f"[load] the code cannot be linked. Functions that no add_symbol has made known "
            f"and that may be missing: {name}."
        )
    return address


def _find(name: str) -> int | None:
    return system.symbols.get(name) or _provided(name) or system.address(name)


def provide(prefix: str, find: Callable[[str], int]) -> None:
    """Let `find(name)` make functions whose names begin with `prefix`, when code that needs one is linked."""
    _providers[prefix] = find


def share(prefix: str, module_of: Callable[[str], tuple[str, Callable[[], Source]]]) -> None:
    """Let programs share the modules that define functions whose names begin with `prefix`.

    Args:
        prefix: of names of functions.
        module_of: from the name of a function to that of its module, and what writes its source.
    """
    _modules[prefix] = module_of
    _providers.setdefault(prefix, lambda name: load_known(*module_of(name)).address(name))


_modules: dict[str, Callable[[str], tuple[str, Callable[[], Source]]]] = {}
_providers: dict[str, Callable[[str], int]] = {}


def _provided(name: str) -> int | None:
    find = _behind(name, _providers)
    return None if find is None else find(name)


def _behind(name: str, table: Mapping[str, Any]) -> Any:
    """What a table has under the longest prefix of a name."""
    prefixes = [prefix for prefix in table if name.startswith(prefix)]
    return table[max(prefixes, key=len)] if prefixes else None


_units = KnownUnits(lambda: default_cache())
_numbers = itertools.count()  # the names of libraries are never used again
