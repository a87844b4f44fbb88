"""Memory for a partition: which arrays live in the arena, where, and for how long."""

from __future__ import annotations

import bisect
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any

from funcgrad.compiler.lowering.changes import writing_step
from funcgrad.compiler.lowering.costs import is_leaf
from funcgrad.compiler.lowering.epilogues import Divisions, Fused, PlannedUnit, fused
from funcgrad.compiler.lowering.fusion import STRIDED
from funcgrad.compiler.lowering.graph import Constant, Node, Result, Step
from funcgrad.compiler.lowering.in_place import (
    Pairs,
    in_place_pairs,
    postponed,
    writers_last,
)
from funcgrad.compiler.lowering.index import strides_of
from funcgrad.compiler.lowering.kernels import Kernel, Partition
from funcgrad.compiler.lowering.ragged import header_bytes, is_ragged
from funcgrad.compiler.lowering.reductions import accumulator_dtype
from funcgrad.compiler.lowering.schedule import Schedule
from funcgrad.compiler.lowering.views import Located, located, step_strides
from funcgrad.ir.program import Program

ALIGNMENT = 64


class Place:
    """Memory of a node: an input or output of the Program, or bytes of the arena from `offset`."""

    __slots__ = ("kind", "number")

    def __init__(self, kind: str, number: int) -> None:
        self.kind = kind
        self.number = number

    def __repr__(self) -> str:
        return f"{self.kind} {self.number}"


class Plan:
    """What runs, in order, and where every array lies.

    Attributes:
        units: kernels and steps, and steps fused with kernels if `divisions` are given.
        schedules: the loops of each kernel that is not tiny.
        places: per node in memory, and per part of a divided reduction `("part", node)`, its memory.
        copies: outputs that are equal to an input or another output: (output number, node).
        arena: bytes of scratch memory.
        in_place: outputs that may lie in the memory of inputs: (output number, input number).

    Args:
        partition: what to plan for.
        plan_of: makes the plans of the Programs inside.
        donated: numbers of the inputs whose memory may be written to.
        divisions: how products divide, for machines that run kernels on parts of them.
    """

    def __init__(
        self,
        partition: Partition,
        plan_of: Callable[[Program], Plan],
        donated: Collection[int] = (),
        divisions: Divisions | None = None,
    ) -> None:
        self.graph = graph = partition.graph
        self.partition = partition
        self.units: list[Any] = [u for u in self.partition.units if not is_empty(u)]
        in_memory = {*self.partition.stored, *graph.inputs}
        self.schedules = {
            unit: Schedule(unit, in_memory)
            for unit in self.units
            if isinstance(unit, Kernel) and not unit.is_tiny
        }
        self.in_memory = in_memory
        self.inner = {
            unit: [plan_of(program) for program in inner_programs(unit)]
            for unit in self.units
            if isinstance(unit, Step)
        }
        self.places: dict[Any, Place] = {}
        self.copies: list[tuple[int, Node]] = []
        self.arena = 0
        self.in_place: Pairs = ()
        if divisions is not None:
            self.units = fused(self, divisions)
        self.units = writers_last(self)
        if donated:
            self.units = postponed(self, donated)
        self.place_inputs_and_outputs()
        if donated:
            self.in_place = in_place_pairs(self, donated)
        else:
            self.place_rewritten()
        self.place_temporaries()
        self.needed_in_memory = self.find_needed()

    def place_inputs_and_outputs(self) -> None:
        for node in self.graph.inputs:
            self.places[node] = Place("input", node.position)
        for number, node in enumerate(self.graph.outputs):
            if node in self.places:
                self.copies.append((number, node))
            else:
                self.places[node] = Place("output", number)

    def place_rewritten(self) -> None:
        """Arrays of which some elements are changed again and again lie where the last of them does."""
        for output in self.graph.outputs:
            for node in self.rewritten(output):
                self.places[node] = self.places[output]

    def rewritten(self, node: Node) -> Iterator[Result]:
        """What becomes a node by steps that change some elements, the last first, if nobody else needs it by then."""
        while (step := writing_step(node)) is not None:
            source, time = step.operands[0], self.units.index(step)
            is_read_later = any(source in self.reads(unit) for unit in self.units[time + 1 :])
            if writing_step(source) is None or is_read_later or source in step.operands[1:]:
                return
            if source in self.graph.outputs:
                return
            assert isinstance(source, Result)
            yield source
            node = source

    def find_needed(self) -> set[Node]:
        """Small nodes that somebody reads from memory, rather than from registers."""
        needed: set[Node] = {node for _, node in self.copies}
        for unit in self.units:
            if not (isinstance(unit, Kernel) and unit.is_tiny):
                needed.update(self.reads(unit))
        return needed

    def in_place_carries(self, first: int, count: int) -> set[int]:
        """Carried arrays that the body may change where they are: it ends with writing into a copy of them."""
        found = set()
        for k in range(count):
            node, result = self.graph.inputs[first + k], self.graph.outputs[k]
            if self.graph.outputs.count(result) > 1:
                continue
            if any(copied is node for _, copied in self.copies):  # what it was is a result, too
                continue
            place = self.places[result]
            before = (n for n in self.rewritten(result) if self.places.get(n) is place)
            *_, earliest = [result, *before]
            step = writing_step(earliest)
            if step is None or step.operands[0] is not node or node in step.operands[1:]:
                continue
            place = self.units.index(step)
            if all(node not in self.reads(unit) for unit in self.units[place + 1 :]):
                found.add(k)
        return found

    # --- lifetimes ---

    def reads(self, unit: PlannedUnit) -> Iterable[Node]:
        """The nodes in memory that a unit reads, but those that only it knows."""
        if isinstance(unit, Fused):
            every = [self.reads(part) for part in (unit.step, *unit.kernels)]
            return [node for nodes in every for node in nodes if node not in unit.own]
        if isinstance(unit, Step):
            return [memory_of(unit, operand, self.in_memory).base for operand in unit.operands]
        if unit.is_tiny:
            return tiny_loads(unit, self.in_memory)
        return self.schedules[unit].loads

    def writes(self, unit: PlannedUnit) -> Iterable[tuple[Any, int]]:
        """What a unit fills, with its size in bytes."""
        if isinstance(unit, Fused):
            parts = unit.kernels if unit.is_local else [unit.step, *unit.kernels]
            return [pair for part in parts for pair in self.writes(part)]
        if isinstance(unit, Step):
            found = [(r, nbytes(r)) for r in unit.results if self.is_stored(r)]
            if self.inner[unit]:
                found.append((("scratch", unit), scratch_bytes(unit, self.inner[unit])))
            return found
        found: list[tuple[Any, int]] = [(store.owner, nbytes(store.owner)) for store in unit.stores]
        if not unit.is_tiny:
            schedule = self.schedules[unit]
            for node in schedule.divided():
                size = node.type.size * accumulator_dtype(node).itemsize
                found.append((("part", node), size * schedule.chunk_count()))
            for node in schedule.summed_in_memory():
                if accumulator_dtype(node) != node.dtype:
                    found.append(
                        (("part", node), node.type.size * accumulator_dtype(node).itemsize)
                    )
        return found

    def is_stored(self, result: Node) -> bool:
        """Whether a result of a step has a place; that of a stack of unknown length is for its header."""
        return result in self.partition.stored

    def place_temporaries(self) -> None:
        """First fit: a node's bytes are free again after the last unit that reads it."""
        last: dict[Any, int] = {}
        for time, unit in enumerate(self.units):
            for node in self.reads(unit):
                last[node] = time
        kept = {node for _, node in self.copies}
        free = FreeList()
        ending: dict[int, list[Any]] = {}
        sizes: dict[Any, int] = {}
        for time, unit in enumerate(self.units):
            for key, size in self.writes(unit):
                if key not in self.places:
                    self.places[key] = Place("arena", free.take(size))
                    sizes[key] = size
                    end = len(self.units) if key in kept else max(time, last.get(key, time))
                    ending.setdefault(end, []).append(key)
            for key in ending.get(time, ()):
                free.give(self.places[key].number, sizes[key])
        self.arena = free.top

    def __str__(self) -> str:
        lines = [f"arena of {self.arena} bytes"]
        for key, place in self.places.items():
            name = f"n{key.number}" if isinstance(key, Node) else f"{key[0]} of n{key[1].number}"
            lines.append(f"  {name}: {place}")
        lines += [f"  output {k} may lie in input {j}" for k, j in self.in_place]
        return "\n".join(lines)


def inner_programs(step: Step) -> list[Program]:
    """The Programs that a native loop or branch runs."""
    if step.how == "scan":
        return [step.params["body"]]
    if step.how == "while":
        return [step.params["cond"], step.params["body"]]
    return list(step.params["branches"]) if step.how == "cond" else []


def scratch_bytes(step: Step, plans: list[Plan]) -> int:
    """The scratch memory of a loop or branch: its arena, two buffers of each result, results that nobody reads."""
    sizes = [2 * padded(nbytes(r)) for r in step.results]
    sizes += [2 * padded(nbytes(node)) for plan in plans for node in plan.graph.outputs]
    if is_dynamic(step) or any(is_ragged(operand.shape) for operand in step.operands):
        # Elements of stacks, and zeros for those of empty ones.
        sizes += [2 * padded(nbytes(node)) for plan in plans for node in plan.graph.inputs]
    return padded(max([0, *[plan.arena for plan in plans]])) + sum(sizes) + 2 * ALIGNMENT


def is_dynamic(step: Step) -> bool:
    """Whether a step is a scan of a length that is known only at run time."""
    return step.how == "scan" and step.params["length"] is None


def padded(size: int) -> int:
    return max(ALIGNMENT, -(-size // ALIGNMENT) * ALIGNMENT)


class FreeList:
    """Byte ranges of the arena."""

    def __init__(self) -> None:
        self.starts: list[int] = []
        self.sizes: dict[int, int] = {}
        self.top = 0

    def take(self, size: int) -> int:
        """The smallest free range that is large enough, or new bytes at the end."""
        size = max(ALIGNMENT, -(-size // ALIGNMENT) * ALIGNMENT)
        fitting = [start for start in self.starts if self.sizes[start] >= size]
        if not fitting:
            start, self.top = self.top, self.top + size
            return start
        start = min(fitting, key=lambda s: self.sizes[s])
        rest = self.sizes.pop(start) - size
        self.starts.remove(start)
        if rest:
            self.insert(start + size, rest)
        return start

    def give(self, start: int, size: int) -> None:
        self.insert(start, max(ALIGNMENT, -(-size // ALIGNMENT) * ALIGNMENT))

    def insert(self, start: int, size: int) -> None:
        """Add a range, joined with its neighbours."""
        place = bisect.bisect(self.starts, start)
        if place < len(self.starts) and self.starts[place] == start + size:
            size += self.sizes.pop(self.starts.pop(place))
        if place and self.starts[place - 1] + self.sizes[self.starts[place - 1]] == start:
            self.sizes[self.starts[place - 1]] += size
            return
        self.starts.insert(place, start)
        self.sizes[start] = size


def nbytes(node: Node) -> int:
    """The bytes that a node has in the arena: its elements, or a header."""
    if is_ragged(node.shape):
        return header_bytes(node.shape)
    return node.type.size * node.dtype.itemsize


def is_empty(unit: PlannedUnit) -> bool:
    """Whether a kernel writes no elements."""
    return isinstance(unit, Kernel) and all(store.node.type.size == 0 for store in unit.stores)


def memory_of(step: Step, operand: Node, in_memory: set[Node]) -> Located:
    """Where a step finds an operand."""
    if None in operand.shape:
        return Located(operand, 0, ())
    if operand in in_memory:
        return Located(operand, 0, strides_of(operand.shape))
    found = step_strides(step, operand) if step.how in STRIDED else located(operand)
    assert found is not None and found.base in in_memory, f"{operand} is not in memory"
    return found


def tiny_loads(kernel: Kernel, in_memory: set[Node]) -> list[Node]:
    """The nodes in memory that a tiny kernel reads."""
    found: dict[Node, None] = {}
    pending = [*kernel.members, *[store.node for store in kernel.stores]]
    seen: set[Node] = set()
    while pending:
        node = pending.pop()
        if node in seen:
            continue
        seen.add(node)
        if node in in_memory and node not in kernel.axes:
            found[node] = None
        elif not is_leaf(node) or isinstance(node, Constant):
            pending += node.operands
    return list(found)
