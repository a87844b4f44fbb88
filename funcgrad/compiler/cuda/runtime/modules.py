"""Kernels as machine code: the missing ones of a Program in a few modules, kept in memory and on disk."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from funcgrad.compiler.cache import default_cache, digest, package_stamp
from funcgrad.compiler.cuda.kernels import prelude
from funcgrad.compiler.cuda.launches import Source
from funcgrad.compiler.cuda.runtime import nvrtc
from funcgrad.compiler.report import count, timed

MODULE_KERNELS = 12  # that are compiled together: a module costs about 25 ms, and so does a kernel
WORKERS = min(8, os.cpu_count() or 1)


def module_text(sources: Sequence[Source]) -> str:
    """The text of a module: what its kernels share, and each kernel once, with its functions in a room of its own."""
    sections = frozenset[str]().union(*[source.prelude for source in sources])
    texts = {source.name: source.text for source in sources}
    rooms = [f"namespace of_{name} {{\n{text}\n}}" for name, text in texts.items()]
    return "\n".join([prelude.text(sections), *rooms])


class Modules:
    """The kernels of one device.

    Args:
        architecture: "sm_90".
        load: from machine code to what gives a function for a name.
    """

    def __init__(self, architecture: str, load: Callable[[bytes], Callable[[str], Any]]) -> None:
        self.architecture = architecture
        self.load = load
        self.known: dict[str, Any] = {}  # functions by name
        self.homes: dict[str, str] = {}  # names of modules by names of kernels
        self.loaded: set[str] = set()
        self.lock = threading.RLock()

    def functions(self, sources: Sequence[Source]) -> list[Any]:
        """What is launched for each kernel."""
        unique = {source.name: source for source in sources}
        with self.lock:
            if not all(name in self.known for name in unique):
                self.add(unique)
            return [self.known[source.name] for source in sources]

    def add(self, sources: dict[str, Source]) -> None:
        """Load all of these: from the cache if each is there, else those that are missing are compiled."""
        key = self.key("kernels", *sorted(sources))
        with timed("find"):
            if self.recall(key) and all(name in self.known for name in sources):
                count("cache_hits")
                return
        count("cache_misses")
        missing = [source for name, source in sources.items() if name not in self.known]
        self.compile(missing)
        homes = sorted({self.homes[name] for name in sources})
        default_cache().put(key, {"modules": json.dumps(homes).encode()})

    def recall(self, key: str) -> bool:
        """Load the modules of an entry of the cache; whether all are there."""
        found = default_cache().get(key)
        return found is not None and all(map(self.recall_module, json.loads(found["modules"])))

    def recall_module(self, name: str) -> bool:
        if name in self.loaded:
            return True
        found = default_cache().get(name)
        if found is None:
            return False
        self.add_module(name, found["code"], json.loads(found["kernels"]))
        return True

    def compile(self, sources: Sequence[Source]) -> None:
        """Compile kernels in several threads, and keep the modules."""
        size = min(MODULE_KERNELS, -(-len(sources) // WORKERS))
        groups = [sources[i : i + size] for i in range(0, len(sources), size)]
        texts = [module_text(group) for group in groups]
        with timed("nvrtc"), ThreadPoolExecutor(WORKERS) as pool:
            codes = list(pool.map(lambda text: nvrtc.compiled(text, self.architecture), texts))
        count("modules", len(groups))
        for group, text, code in zip(groups, texts, codes, strict=True):
            name, kernels = self.key("module", text), [source.name for source in group]
            default_cache().put(name, {"code": code, "kernels": json.dumps(kernels).encode()})
            self.add_module(name, code, kernels)

    def add_module(self, name: str, code: bytes, kernels: Sequence[str]) -> None:
        with timed("load"):
            function = self.load(code)
            for kernel in kernels:
                self.known.setdefault(kernel, function(kernel))
                self.homes.setdefault(kernel, name)
        self.loaded.add(name)

    def key(self, *parts: str) -> str:
        options = (self.architecture, nvrtc.version(), *nvrtc.OPTIONS)
        return digest("cuda", package_stamp(), *options, *parts)
