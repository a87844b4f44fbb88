"""Vectors of elements that lie a fixed distance apart in memory: loads and stores that touch nothing beyond them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from funcgrad.compiler.llvm.builder import Function
from funcgrad.compiler.llvm.kernels.masked import first_lanes, masked_load, masked_store
from funcgrad.compiler.llvm.kernels.registers import register_type
from funcgrad.compiler.llvm.strided import index
from funcgrad.compiler.llvm.target import Target
from funcgrad.compiler.llvm.types import Value, lanes_of, vector

# Elements further apart are loaded one by one.
MOST_APART = 4


class Lanes:
    """Access to `length` elements, each `step` after the one before, by vectors of `count` lanes.

    Args:
        dtype: of the elements.
        length: how many there are.
        step: the distance of neighbours.
        target: the CPU.
    """

    def __init__(self, dtype: np.dtype, length: int, step: int, target: Target) -> None:
        self.element = register_type(dtype)
        self.size = dtype.itemsize
        self.length = length
        self.step = step
        widest = target.vector_bytes // dtype.itemsize
        fitting = 1 << max(length - 1, 0).bit_length()
        self.count = min(widest, fitting) if step <= MOST_APART else 1

    def each(self, f: Function, write: Callable[[Value, int], None]) -> None:
        """Call `write(number of the first element, how many)` for each vector."""
        whole = self.length - self.length % self.count
        if whole:
            with f.loop(index(0), index(whole), self.count) as loop:
                write(loop.index, self.count)
        if whole < self.length:
            write(index(whole), self.length - whole)

    # --- side by side ---

    def load(self, f: Function, address: Value, active: int, element: str = "") -> Value:
        return self._load(f, address, self.count, active, element or self.element)

    def store(self, f: Function, value: Value, address: Value, active: int) -> None:
        self._store(f, value, address, active)

    # --- apart ---

    def load_apart(self, f: Function, address: Value, active: int) -> Value:
        """Elements `step` apart, from `address` on."""
        if self.step == 1 or self.count == 1:
            return self.load(f, address, active)
        reach = (active - 1) * self.step + 1
        wide = self._load(f, address, self.count * self.step, reach, self.element)
        return f.shuffle(wide, wide, [lane * self.step for lane in range(self.count)])

    def store_apart(self, f: Function, parts: Sequence[Value], address: Value, active: int) -> None:
        """The lanes of `step` vectors in turns."""
        if self.step == 1:
            self.store(f, parts[0], address, active)
            return
        joined = parts[0]
        for i, part in enumerate(parts[1:], 1):
            have = self.count * i
            # Both sides of a shuffle are of one type.
            longer = f.shuffle(part, part, [*range(self.count), *[-1] * (have - self.count)])
            joined = f.shuffle(joined, longer, range(have + self.count))
        order = [k * self.count + lane for lane in range(self.count) for k in range(self.step)]
        self._store(f, f.shuffle(joined, joined, order), address, active * self.step)

    # --- memory ---

    def _load(self, f: Function, address: Value, lanes: int, active: int, element: str) -> Value:
        if lanes == 1:
            return self._single(f, f.load(element, address))
        type = vector(lanes, element)
        if active == lanes:
            return f.load(type, address)
        return masked_load(f, type, address, 1, first_lanes(lanes, active))

    def _single(self, f: Function, value: Value) -> Value:
        type = vector(1, value.type)
        return f.emit(type, f"insertelement {type} poison, {value}, i64 0")

    def _store(self, f: Function, value: Value, address: Value, active: int) -> None:
        lanes = lanes_of(value.type)
        if active == lanes:
            f.store(value, address)
        else:
            masked_store(f, value, address, 1, first_lanes(lanes, active))
