"""Memory for a partition on a GPU: the plan of the CPU without what only its loops and threads need."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from funcgrad.compiler.cuda.repeated_stores import store_copies
from funcgrad.compiler.lowering.graph import Step
from funcgrad.compiler.lowering.kernels import Unit
from funcgrad.compiler.lowering.plan import Plan, nbytes


class CudaPlan(Plan):
    """What runs, in order, and where arrays lie. Scratch memory is asked for where launches are written."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        store_copies(self)

    def writes(self, unit: Unit) -> Iterable[tuple[Any, int]]:
        """The nodes that a unit fills, with their sizes in bytes."""
        if isinstance(unit, Step):
            return [(result, nbytes(result)) for result in unit.results if self.is_stored(result)]
        return [(store.owner, nbytes(store.owner)) for store in unit.stores]
