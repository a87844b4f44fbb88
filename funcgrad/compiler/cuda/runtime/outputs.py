"""Results that a replayed graph writes to the same memory again: each set is handed out on a lease.

The owner of the memory that an array handed out refers to is a token. While any array, view or pointer of a set is
alive, so is its token, and the set is not written to.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Any

from cupy import ndarray
from cupy.cuda.memory import MemoryPointer, UnownedMemory

from funcgrad.compiler.cuda.program import ALIGNMENT
from funcgrad.compiler.cuda.runtime.memory import allocate, type_bytes
from funcgrad.ir.types import ArrayType


class Token:
    """Lives as long as somebody can reach the arrays of a set; keeps their memory."""

    __slots__ = ("__weakref__", "memory")

    def __init__(self, memory: Any) -> None:
        self.memory = memory


class OutputSet:
    """Memory for the results of one call.

    Args:
        types: of the results; None for those that lie elsewhere.
        device: the number of the device.

    Attributes:
        offsets: in the memory, for each result.
    """

    def __init__(self, types: Sequence[ArrayType | None], device: int) -> None:
        self.device = device
        self.offsets: list[int | None] = []
        self.size = 0
        for type in types:
            self.offsets.append(None if type is None else self.size)
            if type is not None:
                self.size += -(-type_bytes(type) // ALIGNMENT) * ALIGNMENT
        self.size = max(self.size, 1)
        self.memory = allocate(self.size)
        self.token: weakref.ref[Token] | None = None
        self.arrays = [
            (number, type.shape, type.dtype, offset)
            for number, (type, offset) in enumerate(zip(types, self.offsets, strict=True))
            if type is not None
        ]

    def address(self, number: int) -> int:
        """Where a result is."""
        offset = self.offsets[number]
        assert offset is not None
        return self.memory.ptr + offset

    def is_free(self) -> bool:
        """Whether nobody holds an array of the last lease."""
        return self.token is None or self.token() is None

    def lease(self) -> list[Any]:
        """Arrays for the results, None for those that lie elsewhere; the set is not free while somebody has one."""
        token = Token(self.memory)
        self.token = weakref.ref(token)
        memory = UnownedMemory(self.memory.ptr, self.size, token, self.device)
        found: list[Any] = [None] * len(self.offsets)
        for number, shape, dtype, offset in self.arrays:
            found[number] = ndarray(shape, dtype, MemoryPointer(memory, offset))
        return found


def free_set(sets: Sequence[OutputSet]) -> OutputSet | None:
    """The first one that may be written to."""
    return next((found for found in sets if found.is_free()), None)
