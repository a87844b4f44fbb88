"""Images in the memory of this process, executable and no longer writable."""

from __future__ import annotations

import ctypes
import functools
import mmap
import platform
import struct
import sys
from collections.abc import Callable
from typing import Any

from funcgrad.compiler.llvm.loading.image import Image

READ, WRITE, EXECUTE = 1, 2, 4
PRIVATE_ANONYMOUS = 0x22


def is_supported() -> bool:
    """Whether images can be used here: the instructions in them and the system calls are those of x86-64 Linux."""
    is_linux = sys.platform == "linux" and platform.machine() == "x86_64"
    return is_linux and mmap.PAGESIZE == 4096 and sys.maxsize > 1 << 32


class Mapped:
    """An image in memory, for as long as this object lives.

    Args:
        image: what to bring here. Its content is changed.
        find: the address of an outside symbol.
    """

    __slots__ = ("base", "size", "symbols")

    def __init__(self, image: Image, find: Callable[[str], int]) -> None:
        content = image.content
        addresses = {name: find(name) for name in image.outer}
        self.symbols = image.symbols
        self.base, self.size = _map(image.size), image.size
        for place, target in image.inner:
            struct.pack_into("<Q", content, place, self.base + target)
        for name, places in image.outer.items():
            for place, addend in places:
                struct.pack_into("<Q", content, place, addresses[name] + addend)
        ctypes.memmove(self.base, bytes(content), len(content))
        _check(_libc().mprotect(self.base, image.code_size, READ | EXECUTE))

    def __getitem__(self, symbol: str) -> int:
        """Where a symbol lies."""
        return self.base + self.symbols[symbol]

    def __del__(self, is_ending: Callable[[], bool] = sys.is_finalizing) -> None:
        # While the interpreter ends, threads may still run code that nobody refers to any more. By then the names
        # of this module may be gone, so the first question must not need them.
        if not is_ending() and getattr(self, "size", 0):
            _libc().munmap(self.base, self.size)


def _map(size: int) -> int:
    base = _libc().mmap(None, size, READ | WRITE, PRIVATE_ANONYMOUS, -1, 0)
    _check(-1 if base == ctypes.c_void_p(-1).value else 0)
    return base


def _check(answer: int) -> None:
    if answer:
        code = ctypes.get_errno()
        raise RuntimeError(
            f"[load] the system gives no memory for machine code (errno {code}). A security policy may forbid memory "
            "that is first writable and then executable; FUNCGRAD_NATIVE=0 runs generated Python instead."
        )


@functools.cache
def _libc() -> Any:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
    libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    return libc
