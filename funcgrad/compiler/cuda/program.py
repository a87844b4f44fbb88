"""Writes the launches of a plan: its kernels and steps in order, on slots of memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

from funcgrad.compiler.cuda.launches import (
    Bytes,
    Copy,
    Item,
    Launch,
    Launches,
    Slot,
    Source,
    Stack,
    Task,
)
from funcgrad.compiler.cuda.plan import APART
from funcgrad.compiler.lowering.graph import Node, Step
from funcgrad.compiler.lowering.kernels import Kernel, Unit
from funcgrad.compiler.lowering.plan import Plan, memory_of, nbytes
from funcgrad.compiler.lowering.views import located

ALIGNMENT = 256  # of the arena, of scratch memory and of fresh outputs, as CUDA allocates
VECTOR = 16  # bytes of the widest access

KernelWriter = Callable[[Kernel, set[Node], frozenset[Node]], list[tuple[Source, tuple[Any, ...]]]]


class Backend(NamedTuple):
    """What turns units into launches.

    Attributes:
        write_kernel: from a kernel, the nodes in memory, and those of them that are aligned to 16 bytes, to what
            is launched and what its pointers name: a node, or `("part", node, nbytes)` for scratch memory.
        write_step: writes a step with a LaunchWriter.
        products: the library of matrix products (`steps/cublaslt.py`).
        groups: the units of a plan in order, those together that are one launch.
        write_group: writes several units as one launch.
    """

    write_kernel: KernelWriter
    write_step: Callable[[LaunchWriter, Step], None]
    products: Any = None
    groups: Callable[[Plan], list[list[Any]]] = lambda plan: [[unit] for unit in plan.units]
    write_group: Callable[[LaunchWriter, list[Any]], None] | None = None


@dataclass
class Memory:
    """Bytes of the arena that are not planned: handed out as a stack."""

    used: int = 0
    top: int = 0
    peak: int = 0  # of what was used since somebody set it to `used`

    def take(self, nbytes: int) -> Slot:
        slot = Slot(("arena", 0), self.used)
        self.used += -(-max(nbytes, 1) // ALIGNMENT) * ALIGNMENT
        self.top = max(self.top, self.used)
        self.peak = max(self.peak, self.used)
        return slot

    @contextmanager
    def released(self) -> Iterator[None]:
        """What the body takes is free again after it, unless there is so little that nothing need wait for it."""
        used = self.used
        yield
        if self.used > APART:
            self.used = used


class LaunchWriter:
    """Writes the units of one plan.

    Args:
        backend: what turns units into launches.
        plan: what to write.
        inputs, outputs: where the arrays are.
        memory: from which scratch memory comes, and the arena of the plan.
        unaligned: numbers of the inputs of the whole Program that are not aligned to 16 bytes.

    Attributes:
        items: what was written.
        tasks: the same, by what belongs together.
    """

    def __init__(
        self,
        backend: Backend,
        plan: Plan,
        inputs: Sequence[Slot],
        outputs: Sequence[Slot],
        memory: Memory,
        unaligned: Collection[int] = (),
    ) -> None:
        self.backend = backend
        self.plan = plan
        self.inputs = inputs
        self.outputs = outputs
        self.memory = memory
        self.unaligned = unaligned
        self.arena = memory.take(plan.arena)
        self.items: list[Item] = []
        self.tasks: list[Task] = []
        self.stacks: dict[Node, Stack] = {}

    def write(self) -> list[Item]:
        """Write everything."""
        for units in self.backend.groups(self.plan):
            with self.memory.released(), self.task(units):
                if len(units) > 1 and self.backend.write_group is not None:
                    self.backend.write_group(self, units)
                elif isinstance(units[0], Kernel):
                    self.write_kernel(units[0])
                else:
                    self.backend.write_step(self, units[0])
        for number, node in self.plan.copies:
            first, target = len(self.items), self.outputs[number]
            self.copy(target, self.slot(node), nbytes(node))
            written = frozenset([bytes_at(target, nbytes(node))])
            self.tasks.append(Task(len(self.items) - first, self.bytes_of([node]), written))
        return self.items

    @contextmanager
    def task(self, units: Sequence[Unit]) -> Iterator[None]:
        """What is written in the body is a task of these units."""
        first, start, outer = len(self.items), self.memory.used, self.memory.peak
        self.memory.peak = start
        yield
        reads = [node for unit in units for node in self.plan.reads(unit)]
        writes = [node for unit in units for node, _ in self.plan.writes(unit)]
        written = self.bytes_of(writes) | {(("arena", 0), start, self.memory.peak)}
        self.tasks.append(Task(len(self.items) - first, self.bytes_of(reads), written))
        self.memory.peak = max(outer, self.memory.peak)

    def bytes_of(self, nodes: Iterable[Node]) -> frozenset[Bytes]:
        """The bytes of nodes; stacks of unknown length have none here."""
        known = [node for node in nodes if None not in node.shape]
        return frozenset([bytes_at(self.slot(node), nbytes(node)) for node in known])

    # --- what is written ---

    def add(self, item: Item) -> None:
        self.items.append(item)

    def launch(self, source: Source, *slots: Slot) -> None:
        """Add a kernel on the memory that its pointers name."""
        self.add(Launch(source, slots))

    def copy(self, target: Slot, source: Slot, size: int) -> None:
        """Add a copy of contiguous bytes, if there are any."""
        if size and target != source:
            self.add(Copy(target, source, size))

    def write_kernel(self, kernel: Kernel) -> None:
        """Add the launches of a loop nest."""
        for source, slots in self.kernel_launches(kernel):
            self.launch(source, *slots)

    def kernel_launches(self, kernel: Kernel) -> list[tuple[Source, tuple[Slot, ...]]]:
        """What a loop nest launches, and on which memory."""
        in_memory = self.plan.in_memory
        aligned = frozenset([node for node in in_memory if self.is_aligned(node)])
        parts: dict[Any, Slot] = {}
        found = []
        for source, keys in self.backend.write_kernel(kernel, in_memory, aligned):
            for key in keys:
                if not isinstance(key, Node) and key not in parts:
                    parts[key] = self.scratch(key[-1])
            found.append((source, tuple([parts[k] if k in parts else self.slot(k) for k in keys])))
        return found

    # --- memory ---

    def slot(self, node: Node) -> Slot:
        """The memory of a node."""
        if not node.type.size:
            return self.arena
        place = self.plan.places[node]
        if place.kind == "input":
            return self.inputs[place.number]
        if place.kind == "output":
            return self.outputs[place.number]
        return self.arena.at(place.number)

    def operand(self, node: Node) -> Slot:
        """The memory of an operand of a step, which is contiguous; views are resolved."""
        if node in self.plan.in_memory:
            return self.slot(node)
        found = located(node)
        assert found is not None, f"{node} is not contiguous in memory"
        return self.slot(found.base).at(found.offset * node.dtype.itemsize)

    def strided(self, step: Step, operand: Node) -> tuple[Slot, tuple[int, ...]]:
        """The memory of an operand of a step that takes any strides, and those, in elements."""
        found = memory_of(step, operand, self.plan.in_memory)
        slot = self.slot(found.base).at(found.offset * operand.dtype.itemsize)
        return slot, found.strides

    def result(self, step: Step, number: int) -> Slot | None:
        """The memory of a result of a step; None if nobody reads it."""
        node = step.results[number]
        return self.slot(node) if node in self.plan.places else None

    def stack(self, node: Node, nbytes: int) -> Stack:
        """The stack of unknown length that a node stands for, with elements of so many bytes."""
        return self.stacks.setdefault(node, Stack(nbytes))

    def scratch(self, nbytes: int) -> Slot:
        """Memory until the end of the unit that is being written."""
        return self.memory.take(nbytes)

    def is_aligned(self, node: Node) -> bool:
        """Whether the memory of a node allows the widest accesses."""
        if node not in self.plan.places:
            return False
        return self.alignment(self.slot(node)) % VECTOR == 0

    def alignment(self, slot: Slot) -> int:
        """A number of bytes of which the address of a place is a multiple, in every iteration."""
        kind = slot.base[0]
        if kind in ("now", "next"):
            _, loop, number = slot.base
            base = math.gcd(*[self.alignment(carry) for carry in loop.carries[number]])
        else:
            base = 1 if kind == "input" and slot.base[1] in self.unaligned else ALIGNMENT
        return math.gcd(base, slot.offset, *[step for _, step in slot.steps])

    # --- Programs inside ---

    def plans(self, step: Step) -> list[Plan]:
        """The plans of the Programs inside a loop or branch."""
        return self.plan.inner[step]

    def body(self, plan: Plan, inputs: Sequence[Slot], outputs: Sequence[Slot]) -> list[Item]:
        """What a Program inside does with these arrays; its arena is scratch memory of this step."""
        writer = LaunchWriter(self.backend, plan, inputs, outputs, self.memory, self.unaligned)
        return writer.write()


def write_program(backend: Backend, plan: Plan, unaligned: Collection[int] = ()) -> Launches:
    """The launches of a whole Program."""
    memory = Memory()
    inputs = [Slot(("input", i)) for i in range(len(plan.graph.inputs))]
    outputs = [Slot(("output", i)) for i in range(len(plan.graph.outputs))]
    writer = LaunchWriter(backend, plan, inputs, outputs, memory, unaligned)
    items = writer.write()
    counts = len(inputs), len(outputs)
    return Launches(items, writer.tasks, *counts, memory.top, plan.in_place, plan)


def bytes_at(slot: Slot, size: int) -> Bytes:
    return slot.base, slot.offset, slot.offset + size
