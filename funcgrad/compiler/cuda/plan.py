"""Memory for a partition on a GPU: the plan of the CPU without what only its loops and threads need."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from funcgrad.compiler.cuda.repeated_stores import store_copies
from funcgrad.compiler.lowering.graph import Node, Step
from funcgrad.compiler.lowering.kernels import Unit
from funcgrad.compiler.lowering.plan import Place, Plan, nbytes, padded
from funcgrad.compiler.lowering.ragged import is_ragged

APART = (
    16 << 20
)  # bytes of an arena in which no memory is used twice: they stay in the cache of a large GPU


class CudaPlan(Plan):
    """What runs, in order, and where arrays lie. Scratch memory is asked for where launches are written."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        store_copies(self)

    def place_rewritten(self) -> None:
        """Not here: each launch that changes elements of an array writes a new one."""

    def is_stored(self, result: Node) -> bool:
        """Whether a result of a step has a place; stacks of unknown length find their own."""
        return super().is_stored(result) and not is_ragged(result.shape)

    def place_temporaries(self) -> None:
        """No memory twice where that takes little: what waits for memory cannot run beside what uses it."""
        sizes = {
            node: padded(size)
            for unit in self.units
            for node, size in self.writes(unit)
            if node not in self.places
        }
        if sum(sizes.values()) > APART:
            super().place_temporaries()
            return
        for node, size in sizes.items():
            self.places[node] = Place("arena", self.arena)
            self.arena += size

    def writes(self, unit: Unit) -> Iterable[tuple[Any, int]]:
        """The nodes that a unit fills, with their sizes in bytes."""
        if isinstance(unit, Step):
            return [(result, nbytes(result)) for result in unit.results if self.is_stored(result)]
        return [(store.owner, nbytes(store.owner)) for store in unit.stores]
