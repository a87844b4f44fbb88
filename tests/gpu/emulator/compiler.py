"""Compiles kernels for the emulator: g++, a few kernels at a time, remembered on disk by what they say."""

from __future__ import annotations

import ctypes
import functools
import getpass
import os
import subprocess
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

from funcgrad.compiler.cuda.launches import Source
from funcgrad.compiler.cuda.runtime.modules import module_text

HERE = Path(__file__).parent
HEADERS = (HERE / "runtime.h", HERE / "device_functions.h")
FLAGS = [
    *("-std=c++17", "-O1", "-w", "-shared", "-fPIC", "-fvisibility=hidden"),
    *("-fno-exceptions", "-ffp-contract=off", "-fno-strict-aliasing"),
    *("-fsanitize=alignment,shift,bounds", "-fsanitize-undefined-trap-on-error"),
]
BATCH = 40  # kernels of one library


class Kernel(NamedTuple):
    """An emulated kernel.

    Attributes:
        run: `(grid, block, shared, pointer to the parameters, cooperative, order) -> error or None`.
        parameter_bytes: the size of its one parameter.
    """

    run: Any
    parameter_bytes: int


_kernels: dict[str, Kernel] = {}  # by the key of what it says
_libraries: dict[Path, ctypes.CDLL] = {}


def directory() -> Path:
    """Where compiled kernels are kept."""
    found = Path(tempfile.gettempdir()) / f"funcgrad-emulator-{getpass.getuser()}"
    found.mkdir(mode=0o700, exist_ok=True)
    return found


@functools.cache
def headers_stamp() -> bytes:
    return b"".join(path.read_bytes() for path in HEADERS) + " ".join(FLAGS).encode()


def key_of(source: Source) -> str:
    """What the compiled kernel depends on, as a name."""
    text = module_text([source]).encode()
    return blake2b(text + headers_stamp(), digest_size=16).hexdigest()


def kernels(sources: Sequence[Source]) -> list[Kernel]:
    """The emulated kernels, compiled where they are not known yet."""
    keys = [key_of(source) for source in sources]
    missing = {k: s for k, s in zip(keys, sources, strict=True) if not _recall(k, s)}
    names = list(missing)
    batches = [names[i : i + BATCH] for i in range(0, len(names), BATCH)]
    with ThreadPoolExecutor(max(1, os.cpu_count() or 1)) as pool:
        list(pool.map(lambda batch: _compile({key: missing[key] for key in batch}), batches))
    for key, source in missing.items():
        assert _recall(key, source)
    return [_kernels[key] for key in keys]


class Batch:
    """Kernels that are compiled together when the first of them is needed."""

    def __init__(self) -> None:
        self.waiting: dict[str, Source] = {}

    def compile(self) -> None:
        kernels(list(self.waiting.values()))
        self.waiting.clear()


class LazyKernel:
    """A kernel that is compiled, with all that wait, when it is launched for the first time."""

    def __init__(self, source: Source, batch: Batch) -> None:
        self.name = source.name
        self.source = source
        self.batch = batch
        batch.waiting[source.name] = source

    @functools.cached_property
    def kernel(self) -> Kernel:
        self.batch.compile()
        return kernels([self.source])[0]


def _recall(key: str, source: Source) -> bool:
    if key in _kernels:
        return True
    note = directory() / key
    if not note.exists():
        return False
    library = directory() / note.read_text()
    if library not in _libraries:
        if not library.exists():
            return False
        _libraries[library] = ctypes.CDLL(str(library))
    run = getattr(_libraries[library], "emulate_" + source.name)
    run.restype = ctypes.c_char_p
    sizes = ctypes.c_size_t, ctypes.c_void_p, ctypes.c_int, ctypes.c_int
    run.argtypes = [ctypes.c_void_p, ctypes.c_void_p, *sizes]
    parameter_bytes = getattr(_libraries[library], "parameter_bytes_" + source.name)
    parameter_bytes.restype = ctypes.c_size_t
    _kernels[key] = Kernel(run, parameter_bytes())
    return True


def _compile(sources: dict[str, Source]) -> None:
    """One library for these kernels. Another process may be making the same one."""
    text = "\n".join(
        [
            *[f'#include "{path}"' for path in HEADERS],
            module_text(list(sources.values())),
            *[f"using of_{s.name}::{s.name};\nFG_EXPORT({s.name})" for s in sources.values()],
        ]
    )
    name = blake2b("".join(sources).encode(), digest_size=16).hexdigest() + ".so"
    with tempfile.TemporaryDirectory(dir=directory()) as scratch:
        made = Path(scratch) / name
        command = ["g++", *FLAGS, "-x", "c++", "-", "-o", str(made)]
        done = subprocess.run(command, input=text.encode(), capture_output=True, check=False)
        if done.returncode:
            raise RuntimeError(f"g++ refused the kernels:\n{done.stderr.decode()[:4000]}\n{text}")
        os.replace(made, directory() / name)
        for key in sources:
            note = Path(scratch) / key
            note.write_text(name)
            os.replace(note, directory() / key)
