"""Small work that stays in one block of threads: whole loops without the host, and runs of small units.

A launch costs microseconds; between the units of a block lies only a barrier, and what they pass on is in shared
memory. That pays where every unit is too small to keep more than one multiprocessor busy.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from funcgrad.compiler.cuda.kernels.scalars import is_native
from funcgrad.compiler.cuda.launches import Slot
from funcgrad.compiler.cuda.program import LaunchWriter
from funcgrad.compiler.cuda.steps import scatters
from funcgrad.compiler.cuda.steps.block_kernel import SHARED_BYTES, BlockKernel
from funcgrad.compiler.cuda.steps.block_writer import WRITERS, BlockWriter, points_of
from funcgrad.compiler.cuda.steps.scatter_kernels import FEW
from funcgrad.compiler.lowering.epilogues import PlannedUnit
from funcgrad.compiler.lowering.graph import Node, Step
from funcgrad.compiler.lowering.kernels import Kernel
from funcgrad.compiler.lowering.plan import Plan, nbytes
from funcgrad.compiler.lowering.ragged import is_ragged

MOST_POINTS = 4096  # elements that one unit computes
MOST_PRODUCTS = 1 << 18  # multiplications of a product


# --- what is small enough ---


def fits(unit: PlannedUnit, plan: Plan) -> bool:
    """Whether one block shall compute a unit of a plan that is repeated."""
    if isinstance(unit, Kernel):
        return points_of(unit) <= MOST_POINTS
    if not isinstance(unit, Step):
        return False
    if any(is_ragged(type.shape) for type in unit.types) or unit.how not in WRITERS:
        return False
    if unit.how == "dot":
        return fits_product(unit)
    if unit.how.startswith(("dynamic_update", "scatter")):
        return fits_change(unit)
    return all(map(is_small, plan.inner[unit]))


def fits_product(step: Step) -> bool:
    x, y = step.operands[:2]
    if len(step.operands) > 2 or x.dtype != y.dtype or not is_native(x.dtype):
        return False
    return products_of(step) <= MOST_PRODUCTS


def fits_change(step: Step) -> bool:
    """Whether a step that changes some elements of an array is small."""
    if step.types[0].size > MOST_POINTS:
        return False
    if not step.how.startswith("scatter"):
        return True
    indices = step.operands[1:] if "fill" in step.params else step.operands[2:]
    return scatters.rows_of(step, indices).count <= FEW


def products_of(step: Step) -> int:
    """How many numbers a product multiplies."""
    x = step.operands[0]
    axes = range(len(x.shape) - step.params["contract"], len(x.shape))
    return step.types[0].size * math.prod(x.shape[axis] for axis in axes)


def is_small(plan: Plan) -> bool:
    """Whether one block shall compute a whole plan."""
    return all(fits(unit, plan) for unit in plan.units) and all(
        node.type.size <= MOST_POINTS for _, node in plan.copies
    )


# --- what is launched ---


def write_together(writer: LaunchWriter, units: Sequence[PlannedUnit]) -> None:
    """Add one launch for units that follow each other."""
    kernel = BlockKernel(writer)
    inside = SlotWriter(kernel, writer, units)
    for unit in units:
        inside.write_unit(unit)
    kernel.launch()


class SlotWriter(BlockWriter):
    """Writes units of a plan whose arrays lie outside of the kernel, but for those that only these units know."""

    def __init__(
        self, kernel: BlockKernel, writer: LaunchWriter, units: Sequence[PlannedUnit]
    ) -> None:
        self.kernel = kernel
        self.writer = writer
        self.plan = writer.plan
        self.block = kernel.body
        self.arena = kernel.room(0)
        self.local: dict[Node, str] = {}
        for node in local_nodes(self.plan, units):
            if kernel.used + nbytes(node) <= SHARED_BYTES // 2:
                self.local[node] = kernel.room(nbytes(node))

    def pointer(self, node: Node) -> str:
        if node in self.local or not node.type.size:
            return self.local.get(node, self.arena)
        return self.kernel.external(self.writer.slot(node))

    def stack(self, node: Node, size: int) -> str:
        return self.kernel.external(Slot(("stack", self.writer.stack(node, size))))


def local_nodes(plan: Plan, units: Sequence[PlannedUnit]) -> list[Node]:
    """What only some units of a plan write and read. Parts of a joined array can have writers far apart."""
    if len(units) == 1:
        return []
    inside, others = set(units), {node for _, node in plan.copies}
    for unit in plan.units:
        if unit not in inside:
            others.update(plan.reads(unit), (node for node, _ in plan.writes(unit)))
    written = [node for unit in units for node, _ in plan.writes(unit)]
    found = [node for node in written if node not in others]
    return [node for node in dict.fromkeys(found) if plan.places[node].kind == "arena"]
