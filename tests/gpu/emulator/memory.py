"""Memory of the emulated device: arrays of the host between pages that nobody may touch, filled with NaN at first."""

from __future__ import annotations

import ctypes
import mmap
from typing import Any

import cupy
import numpy as np
from cupy.cuda.memory import MemoryPointer, UnownedMemory

PAGE = mmap.PAGESIZE
VECTOR = 16  # bytes to which the end of an array is aligned, as the widest access needs it
POISON = 0xFF

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [
    ctypes.c_void_p,
    ctypes.c_size_t,
    *[ctypes.c_int] * 3,
    ctypes.c_long,
]
_libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
_libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
READ_WRITE = mmap.PROT_READ | mmap.PROT_WRITE
PRIVATE = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS


class Guarded:
    """Bytes that end (almost) at a guarded page, with another one in front."""

    def __init__(self, nbytes: int) -> None:
        inner = -(-max(nbytes, 1) // PAGE) * PAGE
        self.size = inner + 2 * PAGE
        self.start = _libc.mmap(None, self.size, READ_WRITE, PRIVATE, -1, 0)
        _libc.mprotect(self.start, PAGE, 0)
        _libc.mprotect(self.start + PAGE + inner, PAGE, 0)
        self.address = (self.start + PAGE + inner - nbytes) // VECTOR * VECTOR
        ctypes.memset(self.start + PAGE, POISON, inner)

    def __del__(self) -> None:
        _libc.munmap(self.start, self.size)


def allocate(nbytes: int) -> MemoryPointer:
    """What `cupy.cuda.alloc` gives."""
    memory = Guarded(nbytes)
    return MemoryPointer(UnownedMemory(memory.address, max(nbytes, 1), memory, device_id=0), 0)


def host(x: cupy.ndarray) -> np.ndarray:
    """A copy of an array of the emulated device."""
    if not x.size:
        return np.empty(x.shape, x.dtype)
    return host_view(x.data.ptr, x.shape, x.dtype, x.strides).copy()


def host_view(
    address: int, shape: tuple[int, ...], dtype: Any, strides: tuple[int, ...] | None = None
) -> np.ndarray:
    """Memory as a NumPy array, which does not keep it."""
    dtype = np.dtype(dtype)
    if strides is None:
        strides = tuple(
            dtype.itemsize * int(np.prod(shape[i + 1 :], dtype=np.int64)) for i in range(len(shape))
        )
    low = sum((n - 1) * s for n, s in zip(shape, strides, strict=True) if s < 0)
    high = sum((n - 1) * s for n, s in zip(shape, strides, strict=True) if s > 0) + dtype.itemsize
    data = (ctypes.c_char * (high - low)).from_address(address + low)
    return np.ndarray(shape, dtype, data, -low, strides)


def put(x: Any) -> cupy.ndarray:
    """A NumPy array (or number) on the emulated device, with its strides.

    What is not aligned to its elements, which CUDA does not know, is off by one element.
    """
    array = np.asarray(x)
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    if not array.size:
        return cupy.ndarray(array.shape, array.dtype, allocate(0))
    low, high = np.lib.array_utils.byte_bounds(array)
    before = 0 if array.flags.aligned else array.itemsize
    memory = allocate(high - low + before)
    ctypes.memmove(memory.ptr + before, low, high - low)
    place = memory + (before + array.ctypes.data - low)
    return cupy.ndarray(array.shape, array.dtype, place, array.strides)
