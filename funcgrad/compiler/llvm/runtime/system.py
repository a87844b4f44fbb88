"""What the operating system offers to native code: C functions by name, and the constants they take."""

from __future__ import annotations

import ctypes
import functools
import platform
import sys
from collections.abc import Iterable
from typing import Any

# syscall(2) numbers of futex; Linux has no C function for it.
FUTEX = {"x86_64": 202, "aarch64": 98, "riscv64": 98, "ppc64le": 221}

# The instruction that tells the CPU that a loop is waiting: its declaration, and a call.
_X86 = ("declare void @llvm.x86.sse2.pause()", "call void @llvm.x86.sse2.pause()")
_ARM = ("declare void @llvm.aarch64.hint(i32)", "call void @llvm.aarch64.hint(i32 1)")
PAUSE = {"x86_64": _X86, "AMD64": _X86, "aarch64": _ARM, "arm64": _ARM}

# The names that the texts of workers.py, clock.py and blocks.py refer to.
CONSTANTS = {
    "linux": {"detached": 1, "setmask": 2, "sigbus": 7, "monotonic": 1, "map_anonymous": 0x22},
    "darwin": {"detached": 2, "setmask": 3, "sigbus": 10, "monotonic": 6, "map_anonymous": 0x1002},
}


@functools.cache
def libraries() -> list[ctypes.CDLL]:
    """Where C functions are looked for: this process, or on Windows the libraries that every process has."""
    if sys.platform == "win32":
        return [ctypes.CDLL("ucrtbase"), ctypes.WinDLL("kernel32"), ctypes.pythonapi]
    return [ctypes.CDLL(None), ctypes.pythonapi]


def address(name: str) -> int | None:
    """The address of a C function, None if this system does not have it."""
    for library in libraries():
        function = getattr(library, name, None)
        if function is not None:
            return function_address(function)
    return None


def function_address(function: Any) -> int:
    """Where a ctypes function lies, or the native entry of a callback."""
    return ctypes.cast(function, ctypes.c_void_p).value or 0


def add_symbol(name: str, address: int) -> None:
    """Make a function known to the loader by name."""
    symbols[name] = address


# What machine code may call besides C functions.
symbols: dict[str, int] = {}


def has(names: Iterable[str]) -> bool:
    """Whether this system has all of these C functions."""
    return all(address(name) is not None for name in names)


def constants() -> dict[str, int]:
    """The constants of this system by name; empty where its threads and memory maps are not used."""
    return CONSTANTS.get(sys.platform, {})


def futex_number() -> int | None:
    """The system call number of futex, None where there is none."""
    return FUTEX.get(platform.machine()) if sys.platform == "linux" else None


def pause() -> tuple[str, str]:
    """Declaration and call of the instruction for waiting loops."""
    return PAUSE.get(platform.machine(), ("", "fence seq_cst"))


# --- what Python modules publish for C ---


def capsule_address(capsule: Any) -> int:
    """The address in a capsule, whatever its name."""
    prototype = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)
    return prototype(("PyCapsule_GetPointer", ctypes.pythonapi))(capsule, _name_of(capsule))


def capsule_name(capsule: Any) -> str:
    """The name of a capsule; Cython writes the C signature there."""
    return (_name_of(capsule) or b"").decode()


def _name_of(capsule: Any) -> bytes | None:
    prototype = ctypes.PYFUNCTYPE(ctypes.c_char_p, ctypes.py_object)
    return prototype(("PyCapsule_GetName", ctypes.pythonapi))(capsule)
