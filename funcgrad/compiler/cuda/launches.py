"""What a compiled Program does on a GPU: launches over slots, which are places in memory known only at run time.

Kernels, steps and the planner make these; only the device layer (`runtime/`) knows how they are run.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from funcgrad.ir.program import Equation
from funcgrad.ir.types import ArrayType


@dataclass(frozen=True)
class Slot:
    """A place in memory.

    Attributes:
        base: what it lies in: ("input", i), ("output", i), ("arena", 0), ("now" or "next", loop, number) for
            memory that a loop carries, or ("stack", stack).
        offset: bytes from there.
        steps: (loop, bytes) pairs: by how much each iteration of an enclosing loop moves it; in a reversed loop by
            how much each iteration that is still to come does.
    """

    base: tuple
    offset: int = 0
    steps: tuple[tuple[Loop, int], ...] = ()

    def at(self, nbytes: int) -> Slot:
        """The place so many bytes further."""
        return Slot(self.base, self.offset + nbytes, self.steps)

    def moving(self, loop: Loop, nbytes: int) -> Slot:
        """The place that each iteration of a loop moves by so many bytes."""
        return Slot(self.base, self.offset, (*self.steps, (loop, nbytes)))


class Stack:
    """Stands for memory whose length is known only at run time.

    Args:
        nbytes: of one element.
    """

    def __init__(self, nbytes: int) -> None:
        self.nbytes = nbytes


class Loop:
    """Stands for one loop in slots: which iteration it is at, and what it carries, is known only at run time.

    Args:
        is_reversed: whether slots move from the last iteration's place to the first one's.

    Attributes:
        carries: pairs of places that change roles after each iteration: the first is "now" in the first one.
    """

    def __init__(self, is_reversed: bool = False) -> None:
        self.is_reversed = is_reversed
        self.carries: list[tuple[Slot, Slot]] = []

    def carry(self, first: Slot, second: Slot) -> tuple[Slot, Slot]:
        """Two places of one carried array: what an iteration reads, and what it writes.

        Before the loop `first` must hold what the first iteration reads. After it, the first result of this
        function names what the last iteration has written.
        """
        self.carries.append((first, second))
        number = len(self.carries) - 1
        return Slot(("now", self, number)), Slot(("next", self, number))


@dataclass(frozen=True)
class Source:
    """One CUDA kernel as text: `extern "C" __global__ void NAME(Pointers<N> p)` that reads `p.at[i]`.

    Attributes:
        name: the name of the function; made from a hash of what it does, so that equal kernels are one.
        text: the function, and device functions of its own.
        prelude: names of the sections of `kernels/prelude.py` that it uses.
        grid, block: numbers of blocks and of threads of a block.
        shared: bytes of dynamic shared memory.
        cooperative: whether blocks wait for each other.
    """

    name: str
    text: str
    prelude: frozenset[str] = frozenset()
    grid: tuple[int, int, int] = (1, 1, 1)
    block: tuple[int, int, int] = (1, 1, 1)
    shared: int = 0
    cooperative: bool = False


@dataclass(frozen=True)
class Launch:
    """A kernel on the memory that its pointers name, in their order."""

    source: Source
    slots: tuple[Slot, ...]


@dataclass(frozen=True)
class Product:
    """A matrix product by the library, with what is fused into it.

    Attributes:
        plan: shapes, layouts, dtypes, precision, epilogue (`steps/products.py`).
        slots: memory by role: "a", "b", "c", "d", "bias", "auxiliary", "workspace".
    """

    plan: Any
    slots: dict[str, Slot]


@dataclass(frozen=True)
class Copy:
    """Contiguous bytes from one place to another."""

    target: Slot
    source: Slot
    nbytes: int


@dataclass(frozen=True)
class Fill:
    """Contiguous bytes of equal value."""

    target: Slot
    nbytes: int
    value: int = 0


@dataclass(frozen=True)
class LibraryCall:
    """A primitive that has no code here, by its `xp` implementation (CuPy). Cannot be part of a graph.

    Attributes:
        equation: what to compute; errors name its line.
        operands, results: memory (contiguous) and types.
    """

    equation: Equation
    operands: tuple[tuple[Slot, ArrayType], ...]
    results: tuple[tuple[Slot, ArrayType], ...]


@dataclass
class Repeat:
    """A loop of the host: the body is launched once for each iteration.

    Attributes:
        loop: stands for this loop in slots.
        items: the body.
        count: how often; a place if an int64 in memory says so; None for a loop that runs while `condition` (one
            byte, read before each iteration) holds.
        condition_items: what computes the condition.
        counter: where the number of iterations is written afterwards (int64), if somebody wants it.
        stacks: memory that must have room for an element of each iteration.
    """

    loop: Loop
    items: Sequence[Item]
    count: int | Slot | None
    condition: Slot | None = None
    condition_items: Sequence[Item] = ()
    counter: Slot | None = None
    stacks: Sequence[Stack] = ()


@dataclass
class Choose:
    """One of several lists, by a number in memory that the host reads and clamps.

    Attributes:
        index: where the number is.
        dtype: its dtype; bool chooses the second list where it is true.
        branches: the lists.
    """

    index: Slot
    dtype: np.dtype
    branches: Sequence[Sequence[Item]]


Item = Launch | Product | Copy | Fill | LibraryCall | Repeat | Choose


Bytes = tuple[tuple, int, int]  # a base, and the first byte there and the one behind the last


@dataclass(frozen=True)
class Task:
    """Neighbouring items that belong together, and the memory that they use.

    Attributes:
        items: how many there are.
        reads, writes: what they find in memory, and what they change.
    """

    items: int
    reads: frozenset[Bytes]
    writes: frozenset[Bytes]


@dataclass
class Launches:
    """All that a Program does.

    Attributes:
        items: in order.
        tasks: the same items, by what belongs together.
        inputs, outputs: how many there are.
        arena: bytes of scratch memory that they need.
        in_place: outputs that may lie in the memory of donated inputs: (output number, input number).
        plan: what they were made from (`lowering/plan.py`).
    """

    items: list[Item]
    tasks: list[Task]
    inputs: int
    outputs: int
    arena: int
    in_place: tuple[tuple[int, int], ...]
    plan: Any


def all_items(items: Iterable[Item]) -> Iterator[Item]:
    """These items, and those in their loops and branches."""
    for item in items:
        yield item
        if isinstance(item, Repeat):
            yield from all_items((*item.condition_items, *item.items))
        elif isinstance(item, Choose):
            yield from all_items([inner for branch in item.branches for inner in branch])
