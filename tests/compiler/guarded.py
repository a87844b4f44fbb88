"""Arrays that end where the next byte of memory cannot be touched."""

from __future__ import annotations

import ctypes
import mmap

import numpy as np

PAGE = mmap.PAGESIZE
LIBC = ctypes.CDLL(None, use_errno=True)


def guarded(x: np.ndarray) -> np.ndarray:
    """A C-contiguous copy whose last byte is the last of a page, with a forbidden page behind it."""
    room = -(-max(x.nbytes, 1) // PAGE) * PAGE
    pages = mmap.mmap(-1, room + PAGE)
    memory = np.frombuffer(pages, np.uint8)
    address = memory.ctypes.data + room
    if LIBC.mprotect(ctypes.c_void_p(address), ctypes.c_size_t(PAGE), 0):
        raise OSError(ctypes.get_errno(), "mprotect")
    found = memory[room - x.nbytes : room].view(x.dtype).reshape(x.shape)
    found[...] = x
    return found
