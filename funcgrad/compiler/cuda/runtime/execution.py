"""Launches bound to a device: runs of items whose addresses are computed together, loops and branches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.compiler.cuda.launches import (
    Choose,
    Copy,
    Fill,
    Item,
    Launch,
    LibraryCall,
    Loop,
    Product,
    Repeat,
    Slot,
)
from funcgrad.compiler.cuda.runtime.branches import Mark, Order, Wait
from funcgrad.compiler.cuda.runtime.device import Device, Recording
from funcgrad.compiler.cuda.runtime.frame import Addresses, Frame, Numbers
from funcgrad.compiler.cuda.runtime.operations import Bind, operation

FIRST_ROOM = 16  # elements of a stack that is pushed to for the first time


class Straight:
    """Items without control flow.

    Attributes:
        launches: how many operations there are.
        moved: bases that loops move.
        tasks: which operations belong together: the first one, and the one behind the last.
        order: of the tasks on several streams, for graphs; none: one after the other.
    """

    is_capturable = True

    def __init__(self, items: Sequence[Item], numbers: Numbers, device: Device) -> None:
        self.tasks: list[tuple[int, int]] = []
        self.order: Order = []
        slots = [slot for item in items for slot in slots_of(item)]
        self.addresses = Addresses(slots, numbers)
        self.moved = self.addresses.moved
        sources = [item.source for item in items if isinstance(item, Launch)]
        functions = iter(device.functions(sources))
        self.bindings: list[Bind] = []
        first = 0
        for item in items:
            function = next(functions) if isinstance(item, Launch) else None
            self.bindings.append(operation(item, first, device, function))
            first += len(slots_of(item))
        self.launches = len(items)
        self.operations = [bind(self.addresses.memory) for bind in self.bindings]

    def run(self, frame: Frame) -> None:
        self.addresses.compute(frame)
        for work in self.operations:
            work.run(frame.stream)

    def record(self, frame: Frame, recording: Recording) -> None:
        """Begin everything on the streams of a graph that is being made."""
        if not self.order:
            frame.stream = recording.streams[0]
            self.run(frame)
            return
        self.addresses.compute(frame)
        marks: dict[int, Any] = {}
        for step in self.order:
            if isinstance(step, Mark):
                marks[step.task] = recording.mark(step.stream)
            elif isinstance(step, Wait):
                recording.wait(step.stream, marks[step.task])
            else:
                first, behind = self.tasks[step.task]
                for work in self.operations[first:behind]:
                    work.run(recording.streams[step.stream])


class Frozen:
    """A run of items with the addresses of one frame."""

    def __init__(self, straight: Straight, frame: Frame) -> None:
        self.addresses = straight.addresses.compute(frame).copy()
        self.operations = [bind(self.addresses) for bind in straight.bindings]

    def run(self, frame: Frame) -> None:
        for work in self.operations:
            work.run(frame.stream)


class Library:
    """A call of CuPy. It may run other compiled programs, so it keeps nothing that they change."""

    is_capturable = False
    launches = 1

    def __init__(self, call: LibraryCall, numbers: Numbers) -> None:
        self.call = call
        self.addresses = Addresses(slots_of(call), numbers)
        self.moved = self.addresses.moved

    def run(self, frame: Frame) -> None:
        found = self.addresses.compute(frame).tolist()
        count = len(self.call.operands)
        try:
            frame.device.library(self.call, found[:count], found[count:])
        except Exception as error:
            if self.call.equation.source is not None:
                self.call.equation.source.explain(error)
            raise


class Loops:
    """A loop of the host."""

    def __init__(self, repeat: Repeat, numbers: Numbers, device: Device) -> None:
        self.repeat = repeat
        self.loop = numbers.loop(repeat.loop)
        self.body = Parts(repeat.items, numbers, device)
        self.condition = Parts(repeat.condition_items, numbers, device)
        self.carries = Addresses([s for pair in repeat.loop.carries for s in pair], numbers)
        read = [s for s in (repeat.condition, repeat.counter, repeat.count) if isinstance(s, Slot)]
        self.places = {slot: Addresses([slot], numbers) for slot in read}
        names = [
            (kind, repeat.loop, i)
            for i in range(len(repeat.loop.carries))
            for kind in ("now", "next")
        ]
        self.carried = np.array([numbers.base(name) for name in names], np.intp)
        self.swapped = self.carried.reshape(-1, 2)[:, ::-1].ravel()
        for stack in repeat.stacks:
            numbers.base(("stack", stack))
        is_known = isinstance(repeat.count, int)
        self.is_capturable = is_known and self.body.is_capturable and not repeat.stacks
        # What is known has a count.
        self.launches = self.body.launches * (repeat.count if is_known else 1)  # type: ignore[operator]
        inner = (self.body, self.condition, self.carries, *self.places.values())
        self.moved = {*names, *[base for part in inner for base in part.moved]}
        self.moved.update(("stack", stack) for stack in repeat.stacks)

    def run(self, frame: Frame) -> None:
        repeat = self.repeat
        count = self.count(frame)
        frame.bases[self.carried] = self.carries.compute(frame)
        for stack in repeat.stacks:
            frame.reserve(stack, FIRST_ROOM if count is None else count, 0)
        done = 0
        while self.holds(frame) if count is None else done < count:
            if count is None:
                self.make_room(frame, done)
            frame.places[self.loop] = place_of(repeat.loop, done, count)
            self.body.run(frame)
            frame.bases[self.carried] = frame.bases[self.swapped]
            done += 1
        if repeat.counter is not None:
            target = self.address(repeat.counter, frame)
            frame.device.write(target, done.to_bytes(8, "little"), frame.stream)

    def count(self, frame: Frame) -> int | None:
        count = self.repeat.count
        if not isinstance(count, Slot):
            return count
        return number_at(frame, self.address(count, frame), np.dtype(np.int64))

    def holds(self, frame: Frame) -> bool:
        """Whether a loop of unknown length goes on."""
        assert self.repeat.condition is not None
        self.condition.run(frame)
        return bool(number_at(frame, self.address(self.repeat.condition, frame), np.dtype(bool)))

    def make_room(self, frame: Frame, done: int) -> None:
        """Stacks are full when as many elements are pushed as there is room for."""
        for stack in self.repeat.stacks:
            if done >= frame.rooms[stack]:
                frame.reserve(stack, 2 * done, done)

    def address(self, slot: Slot, frame: Frame) -> int:
        return int(self.places[slot].compute(frame)[0])


def place_of(loop: Loop, done: int, count: int | None) -> int:
    """By how many steps slots have moved when so many iterations are done."""
    return done if count is None or not loop.is_reversed else count - 1 - done


class Branches:
    """One of several lists."""

    is_capturable = False

    def __init__(self, choose: Choose, numbers: Numbers, device: Device) -> None:
        self.choose = choose
        self.index = Addresses([choose.index], numbers)
        self.branches = [Parts(items, numbers, device) for items in choose.branches]
        self.launches = max((branch.launches for branch in self.branches), default=0)
        self.moved = {base for part in (self.index, *self.branches) for base in part.moved}

    def run(self, frame: Frame) -> None:
        number = number_at(frame, int(self.index.compute(frame)[0]), self.choose.dtype)
        self.branches[min(max(number, 0), len(self.branches) - 1)].run(frame)


class Parts:
    """A list of items, as parts that run one after the other.

    Attributes:
        is_capturable: whether none of it waits for the device or runs Python code of others.
        launches: how many operations it takes, at least.
        moved: bases that loops move.
    """

    def __init__(self, items: Sequence[Item], numbers: Numbers, device: Device) -> None:
        self.parts = [bound(group, numbers, device) for group in grouped(items)]
        self.moved = {base for part in self.parts for base in part.moved}
        self.is_capturable = all(part.is_capturable for part in self.parts)
        self.launches = sum(part.launches for part in self.parts)

    def run(self, frame: Frame) -> None:
        for part in self.parts:
            part.run(frame)


def bound(group: Sequence[Item], numbers: Numbers, device: Device) -> Any:
    """What executes a group of items."""
    if isinstance(group[0], Repeat):
        return Loops(group[0], numbers, device)
    if isinstance(group[0], Choose):
        return Branches(group[0], numbers, device)
    if isinstance(group[0], LibraryCall):
        return Library(group[0], numbers)
    return Straight(group, numbers, device)


def grouped(items: Sequence[Item]) -> list[list[Item]]:
    """Neighbouring items without control flow together, all others alone."""
    groups: list[list[Item]] = []
    is_open = False
    for item in items:
        is_alone = isinstance(item, Repeat | Choose | LibraryCall)
        if is_open and not is_alone:
            groups[-1].append(item)
        else:
            groups.append([item])
        is_open = not is_alone
    return groups


def slots_of(item: Item) -> Sequence[Slot]:
    """The memory that an item works on, in order."""
    if isinstance(item, Launch):
        return item.slots
    if isinstance(item, Copy):
        return (item.target, item.source)
    if isinstance(item, Fill):
        return (item.target,)
    if isinstance(item, Product):
        return list(item.slots.values())
    assert isinstance(item, LibraryCall), item
    return [slot for slot, _ in (*item.operands, *item.results)]


def number_at(frame: Frame, address: int, dtype: np.dtype) -> int:
    """A number in the memory of the device, when it is there."""
    data = frame.device.read(address, dtype.itemsize, frame.stream)
    return int(np.frombuffer(data, dtype)[0])
