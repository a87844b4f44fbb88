"""Arrays for results, whose memory is used again: `allocate_output` for Python, `fg_new_array` for native code."""

from __future__ import annotations

import ctypes
import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad.compiler.llvm.runtime import runtime


def allocate_output(shape: Sequence[int], dtype: Any) -> np.ndarray:
    """An array with undefined contents, like `np.empty`, but large ones lie in memory that earlier arrays left.

    It owns its memory, as every array that NumPy makes.

    Example:
        >>> allocate_output((2, 3), "float32").shape
        (2, 3)
    """
    dtype = np.dtype(dtype)
    sizes = _sizes(len(shape))(*shape)
    # The function takes over a reference to the dtype.
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(dtype))
    bytes_ = math.prod(shape) * dtype.itemsize
    return _new_array()(id(dtype), len(shape), ctypes.addressof(sizes), bytes_)


@functools.cache
def _sizes(rank: int) -> Any:
    return ctypes.c_int64 * max(rank, 1)


@functools.cache
def _new_array() -> Callable[[int, int, int, int], np.ndarray]:
    types = (ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p, ctypes.c_int64)
    return runtime.ensure().function("fg_new_array", ctypes.py_object, *types, locked=True)
