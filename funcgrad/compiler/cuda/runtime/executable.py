"""The launches of a Program, bound to a device: runs with the addresses of one call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.compiler.cuda.launches import Launches, Product, all_items
from funcgrad.compiler.cuda.runtime.branches import dependencies, schedule
from funcgrad.compiler.cuda.runtime.device import Device
from funcgrad.compiler.cuda.runtime.execution import Parts, Straight, grouped
from funcgrad.compiler.cuda.runtime.frame import Frame, Numbers

FEW = 3  # launches that need no graph
MANY_TASKS = 1000  # of which it takes too long to say which need which


class Executable:
    """What one Program does on one device.

    Attributes:
        parts: in order.
        recordable: those of which a graph can be made.
        in_place: by the number of an output, that of the donated input whose memory it may take.
        launches: how many operations a call takes, at least.
        has_products: whether it needs the workspace of the device.
    """

    def __init__(self, launches: Launches, device: Device) -> None:
        self.source = launches
        self.device = device
        self.numbers = Numbers()
        self.parts = Parts(launches.items, self.numbers, device).parts
        self.recordable = recordable(self.parts)
        find_branches(self.parts, launches)
        self.in_place = dict(launches.in_place)
        self.arena = launches.arena
        self.launches = sum(part.launches for part in self.parts)
        self.has_products = any(isinstance(item, Product) for item in all_items(launches.items))
        self.inputs = self._known("input", launches.inputs)
        self.outputs = self._known("output", launches.outputs)

    def _known(self, kind: str, count: int) -> tuple[np.ndarray, np.ndarray]:
        """The numbers of the inputs or outputs that launches name, and those of their bases."""
        bases = self.numbers.bases
        found = [(i, bases[kind, i]) for i in range(count) if (kind, i) in bases]
        # A generator of two: the checker does not count its elements.
        return tuple(np.array([pair[side] for pair in found], np.intp) for side in (0, 1))  # type: ignore[return-value]

    def frame(
        self, inputs: Sequence[int], outputs: Sequence[int], arena: int, stream: int
    ) -> Frame:
        """One execution with these addresses."""
        frame = Frame(self.numbers, self.device, stream)
        for addresses, (places, bases) in ((inputs, self.inputs), (outputs, self.outputs)):
            frame.bases[bases] = np.array(addresses, np.uint64)[places]
        frame.set_base(("arena", 0), arena)
        return frame

    def run(self, frame: Frame) -> Any:
        for part in self.parts:
            part.run(frame)


def recordable(parts: Sequence[Any]) -> set[Any]:
    """The parts that wait for nothing, and whose addresses do not depend on how others went."""
    found, unknown = set(), set[tuple]()
    for part in parts:
        if part.is_capturable and unknown.isdisjoint(part.moved):
            found.add(part)
        else:
            unknown |= part.moved
    return found


def find_branches(parts: Sequence[Any], launches: Launches) -> None:
    """Tell runs of items which of their tasks may go on side by side."""
    same = {("output", k): ("input", i) for k, i in launches.in_place}
    owners = [number for number, task in enumerate(launches.tasks) for _ in range(task.items)]
    first = 0
    for part, group in zip(parts, grouped(launches.items), strict=True):
        numbers = owners[first : first + len(group)]
        first += len(group)
        if isinstance(part, Straight) and not part.moved and FEW < part.launches <= MANY_TASKS:
            places = [k for k in range(len(numbers)) if not k or numbers[k] != numbers[k - 1]]
            part.tasks = list(zip(places, [*places[1:], len(numbers)], strict=True))
            tasks = [launches.tasks[numbers[k]] for k in places]
            part.order = schedule(dependencies(tasks, same))
