"""Donated arrays: how they are marked for native code, and where the last ones were given up."""

from __future__ import annotations

import ctypes
from types import CodeType
from typing import Any

import numpy as np

from funcgrad.compiler.llvm.calls import cpython
from funcgrad.ir.source import SourceLocation

# A ring that native code fills: how many there were, then for each of the last ones its address, the name of the
# function and the code that called it (both with a reference), and the instruction there.
KEPT = 1 << 10
WORDS = 4
record = np.zeros(1 + KEPT * WORDS, np.uint64)


def mark(array: np.ndarray) -> None:
    """Let native code see that an array was given up. Views that are made of it later are marked as well."""
    if cpython.is_supported():
        flags = ctypes.c_uint32.from_address(id(array) + cpython.ARRAY_FLAGS)
        flags.value |= cpython.DONATED


def is_marked(array: np.ndarray) -> bool:
    """Whether an array, or one that it is a view of, was given up."""
    base = array.base
    flags = array.flags.num | (base.flags.num if isinstance(base, np.ndarray) else 0)
    return bool(flags & cpython.DONATED)


def where_given(array: np.ndarray) -> tuple[str, SourceLocation] | None:
    """The name of the function and the call that native code gave an array to; None if that is long ago."""
    count = int(record[0])
    for number in range(count - 1, max(count - KEPT, 0) - 1, -1):
        first = 1 + number % KEPT * WORDS
        address, name, code, instruction = map(int, record[first : first + WORDS])
        if address == id(array):
            code_object: CodeType = _object_at(code)
            return _object_at(name), SourceLocation(code_object, instruction)
    return None


def _object_at(address: int) -> Any:
    return ctypes.cast(address, ctypes.py_object).value
