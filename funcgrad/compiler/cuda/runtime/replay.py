"""Replaying calls as CUDA graphs.

The first call launches everything one by one, the second one records a graph (or, for a few launches, their
parameters), later ones with the same addresses replay it. Arguments that lie elsewhere at every call are copied to
places that do not change, if they are small; for others there are several graphs, of which the least used one goes.
Results are written to memory that is leased to the caller (`outputs.py`). Whatever does not fit is launched one by one.
"""

from __future__ import annotations

import warnings
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

from funcgrad.compiler.cuda.runtime.call import Call
from funcgrad.compiler.cuda.runtime.device import Device, Recording
from funcgrad.compiler.cuda.runtime.executable import FEW, Executable
from funcgrad.compiler.cuda.runtime.execution import Frozen, Straight
from funcgrad.compiler.cuda.runtime.frame import Frame
from funcgrad.compiler.cuda.runtime.memory import allocate, type_bytes
from funcgrad.compiler.cuda.runtime.outputs import OutputSet, free_set
from funcgrad.compiler.cuda.runtime.shortcut import Shortcut
from funcgrad.compiler.cuda.runtime.staging import Move, Stager
from funcgrad.ir.types import ArrayType

MANY = 20_000  # launches that are too many for one
GRAPHS = 8  # of one Program
SETS = 3  # of results
SMALL = 1 << 20  # bytes of an argument that is copied rather than made a reason for another graph
LARGE = 64 << 20  # the same when there are enough graphs
TINY = 64 << 10  # bytes of an argument that is copied where there is no graph to save
CHANGES = 2  # of its address after which an argument is copied
TRIES = 4 * GRAPHS  # graphs that are made before each must have been worth it

Key = tuple[Any, ...]


class Recorded:
    """What is known of a call with certain addresses: graphs, launches with their parameters, and what is left to do.

    Args:
        executable: what to record.
        frame: all addresses.
    """

    def __init__(self, executable: Executable, frame: Frame) -> None:
        self.frame = frame
        self.steps: list[tuple[Any, Any]] = []
        for part in executable.parts:
            if is_worth_a_graph(part, executable):
                self.steps.append((part, executable.device.capture(self.recording(part))))
            elif part in executable.recordable and isinstance(part, Straight):
                self.steps.append((Frozen(part, frame), None))
            else:
                self.steps.append((part, None))

    def recording(self, part: Any) -> Callable[[Recording], None]:
        def record(recording: Recording) -> None:
            if isinstance(part, Straight):
                part.record(self.frame, recording)
                return
            self.frame.stream = recording.streams[0]
            part.run(self.frame)

        return record

    def run(self, device: Device, stream: int) -> None:
        self.frame.stream = stream
        for part, graph in self.steps:
            if graph is None:
                part.run(self.frame)
            else:
                device.replay(graph, stream)


def is_worth_a_graph(part: Any, executable: Executable) -> bool:
    return part in executable.recordable and FEW < part.launches <= MANY


class Replay:
    """The graphs of one executable. Not for two threads at the same time.

    Attributes:
        copied: numbers of the inputs that are copied to places that do not change.
        graphs: by the addresses that they contain, the last used one at the end.
    """

    def __init__(
        self,
        executable: Executable,
        input_types: Sequence[ArrayType],
        output_types: Sequence[ArrayType],
        stager: Stager,
    ) -> None:
        self.executable = executable
        self.device = executable.device
        self.stager = stager
        self.types = input_types
        self.sizes = [type_bytes(type) for type in input_types]
        self.output_types = output_types
        self.is_on = bool(executable.recordable)
        has_graphs = any(is_worth_a_graph(part, executable) for part in executable.parts)
        self.small, self.large = (SMALL, LARGE) if has_graphs else (TINY, 0)
        self.seen: list[int] = []  # addresses of the call before
        self.changes = [0] * len(input_types)
        self.copied: dict[int, Any] = {}
        self.numbers: dict[tuple[int, ...], Any] = {}  # memory of numbers, by which there are
        self.written: dict[int, bytes] = {}  # what is there, by address
        self.arena: Any = None
        self.sets: dict[tuple, list[OutputSet]] = {}
        self.graphs: OrderedDict[Key, Recorded] = OrderedDict()
        self.made = self.hits = 0
        self.stream: Any = None  # of the call before
        self.shortcut: Shortcut | None = None

    def run(self, call: Call) -> list[Any] | None:
        """The results of a call; None if it has to run without a graph."""
        if not self.is_on:
            return None
        if not self.seen:
            self.seen = call.addresses
            return None
        self.note_changes(call)
        fresh = self.fresh_set(call)
        if fresh is None:
            return None
        key = self.key(call, fresh)
        found = self.graphs.get(key)
        self.shortcut = None
        if found is None:
            if self.made >= TRIES and self.hits < 2 * self.made:
                return None
            if self.copy_large(call):
                key = self.key(call, fresh)
            found = self.record(call, fresh)
            if found is None:
                return None
            self.graphs[key] = found
            while len(self.graphs) > GRAPHS:
                self.graphs.popitem(last=False)
        else:
            self.hits += 1
            self.graphs.move_to_end(key)
        outs = self.replay(found, call, fresh)
        self.shortcut = Shortcut(self, call)
        return outs

    def drop(self) -> None:
        """Give back all memory, when nothing uses it any more: the pool does not know of other streams."""
        if self.stream is not None:
            self.device.finish(self.stream)
        self.shortcut = None
        self.graphs.clear()
        self.sets.clear()
        self.copied.clear()
        self.numbers.clear()
        self.written.clear()
        self.arena = None

    # --- addresses ---

    def note_changes(self, call: Call) -> None:
        """Count how often each argument lies elsewhere, and copy small ones that move from now on."""
        for i, (now, before) in enumerate(zip(call.addresses, self.seen, strict=True)):
            if now == before or i in self.copied or i in call.taken or i in call.numbers:
                continue
            self.changes[i] += 1
            if self.changes[i] >= CHANGES and self.sizes[i] <= self.small:
                self.copy(i)
        self.seen = call.addresses

    def copy_large(self, call: Call) -> bool:
        """With enough graphs, copy all that moves; whether anything new is copied."""
        if len(self.graphs) < GRAPHS:
            return False
        moving = [
            i
            for i, count in enumerate(self.changes)
            if count >= CHANGES
            and i not in self.copied
            and i not in call.taken
            and self.sizes[i] <= self.large
        ]
        for i in moving:
            self.copy(i)
        return bool(moving)

    def copy(self, number: int) -> None:
        """Copy this input before each call. Graphs that know its old address are of no use any more."""
        self.copied[number] = allocate(self.sizes[number])
        self.graphs.clear()

    def key(self, call: Call, fresh: OutputSet) -> Key:
        addresses = [
            0 if i in self.copied or i in call.numbers else address
            for i, address in enumerate(call.addresses)
        ]
        return (*addresses, *call.numbers, id(fresh))

    def fresh_set(self, call: Call) -> OutputSet | None:
        """Memory for the results that take none over, which nobody uses; None if there is too much in use."""
        replaced = call.outputs_in_place
        sets = self.sets.setdefault(tuple(replaced), [])
        found = free_set(sets)
        if found is None and len(sets) < SETS:
            types = [None if k in replaced else t for k, t in enumerate(self.output_types)]
            found = OutputSet(types, self.device.number)
            sets.append(found)
        return found

    # --- graphs ---

    def record(self, call: Call, fresh: OutputSet) -> Recorded | None:
        """The graphs for these addresses; None, with a warning, if there can be none."""
        if self.arena is None:
            self.arena = allocate(self.executable.arena)
        inputs = list(call.addresses)
        for i, memory in self.copied.items():
            inputs[i] = memory.ptr
        first = self.memory_of_numbers(call)
        for i, place in call.layout()[0].items():
            inputs[i] = first + place
        outputs = [
            call.addresses[call.outputs_in_place[k]]
            if k in call.outputs_in_place
            else fresh.address(k)
            for k in range(len(self.output_types))
        ]
        frame = self.executable.frame(inputs, outputs, self.arena.ptr, 0)
        frame.kept += [self.arena, *self.copied.values(), *self.numbers.values()]
        self.made += 1
        try:
            return Recorded(self.executable, frame)
        except Exception as error:
            self.is_on = False
            self.drop()
            warnings.warn(
                f"[jit] a CUDA graph could not be made ({type(error).__name__}: {error}). Calls are launched one "
                "by one, which is slower. Please report this.",
                stacklevel=2,
            )
            return None

    def memory_of_numbers(self, call: Call) -> int:
        """Where the numbers of such a call are written."""
        key = tuple(call.numbers)
        if key not in self.numbers:
            self.numbers[key] = allocate(call.layout()[1])
        return self.numbers[key].ptr

    def replay(self, found: Recorded, call: Call, fresh: OutputSet) -> list[Any]:
        """Begin everything on the stream of the caller; the results."""
        if self.stream is not None and self.stream.ptr != call.stream.ptr:
            self.device.order(self.stream, call.stream)  # the memory of graphs is in use until then
        self.stream = call.stream
        moves: list[Move] = [
            (memory.ptr, call.addresses[i], self.sizes[i])
            for i, memory in self.copied.items()
            if i not in call.numbers
        ]
        numbers = b"".join(call.numbers.values())
        target = self.memory_of_numbers(call) if numbers else 0
        self.stage(moves, numbers, target, call.stream.ptr)
        call.is_begun = True
        found.run(self.device, call.stream.ptr)
        return results(fresh, call.outputs_in_place, call.inputs)

    def stage(self, moves: Sequence[Move], numbers: bytes, target: int, stream: int) -> None:
        """Copy arrays, and write numbers unless they are there already: a learning rate often stays."""
        if self.written.get(target) == numbers:
            numbers = b""
        elif numbers:
            self.written[target] = numbers
        if moves or numbers:
            self.stager.run(moves, numbers, target, stream)


def results(fresh: OutputSet, in_place: dict[int, int], inputs: Sequence[Any]) -> list[Any]:
    """The results of a replay: leased, or donated arrays in which they lie."""
    found = fresh.lease()
    for output, number in in_place.items():
        found[output] = inputs[number]
    return found
