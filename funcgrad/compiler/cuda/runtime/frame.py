"""The addresses of one execution: bases that calls and loops set, and slots computed from them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cupy
import numpy as np

from funcgrad.compiler.cuda.launches import Loop, Slot, Stack
from funcgrad.compiler.cuda.runtime.device import Device
from funcgrad.compiler.cuda.runtime.operations import ADDRESS


class Numbers:
    """Bases, loops and stacks by number."""

    def __init__(self) -> None:
        self.bases: dict[tuple, int] = {}
        self.loops: dict[Loop, int] = {}

    def base(self, base: tuple) -> int:
        return self.bases.setdefault(base, len(self.bases))

    def loop(self, loop: Loop) -> int:
        return self.loops.setdefault(loop, len(self.loops))


class Frame:
    """One execution.

    Attributes:
        bases: the address of each base.
        places: by how many steps each loop has moved its slots.
        stream: the address of the stream.
        kept: memory that must live as long as what is executed.
    """

    def __init__(self, numbers: Numbers, device: Device, stream: int) -> None:
        self.numbers = numbers
        self.device = device
        self.stream = stream
        self.bases = np.zeros(len(numbers.bases), ADDRESS)
        self.places = np.zeros(len(numbers.loops), ADDRESS)
        self.rooms: dict[Stack, int] = {}
        self.kept: list[Any] = []

    def set_base(self, base: tuple, address: int) -> None:
        """Say where a base is, if anything lies in it."""
        number = self.numbers.bases.get(base)
        if number is not None:
            self.bases[number] = address

    def reserve(self, stack: Stack, room: int, used: int) -> None:
        """Give a stack room for so many elements; those that are used stay."""
        if room <= self.rooms.get(stack, 0):
            return
        number = self.numbers.base(("stack", stack))
        memory, old = cupy.cuda.alloc(max(1, room * stack.nbytes)), int(self.bases[number])
        if used and stack.nbytes:
            self.device.copy(memory.ptr, old, used * stack.nbytes, self.stream)
        self.kept.append(memory)
        self.rooms[stack] = room
        self.bases[number] = memory.ptr


class Addresses:
    """The addresses of slots, computed together.

    Attributes:
        moved: bases that loops move from place to place.
    """

    def __init__(self, slots: Sequence[Slot], numbers: Numbers) -> None:
        self.moved = {slot.base for slot in slots if slot.base[0] in ("now", "next", "stack")}
        self.bases = np.array([numbers.base(slot.base) for slot in slots], np.intp)
        self.offsets = np.array([slot.offset for slot in slots], ADDRESS)
        self.memory = np.zeros(len(slots), ADDRESS)
        moving: dict[int, np.ndarray] = {}
        for place, slot in enumerate(slots):
            for loop, nbytes in slot.steps:
                number = numbers.loop(loop)
                moving.setdefault(number, np.zeros(len(slots), ADDRESS))[place] += ADDRESS.type(
                    nbytes
                )
        self.moving = list(moving.items())

    def compute(self, frame: Frame) -> np.ndarray:
        """Valid until the next call."""
        np.take(frame.bases, self.bases, out=self.memory)
        self.memory += self.offsets
        for loop, steps in self.moving:
            self.memory += steps * frame.places[loop]
        return self.memory
