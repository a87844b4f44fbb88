"""Units that follow each other in a plan and are one launch: small ones in one block, and maps side by side."""

from __future__ import annotations

from funcgrad.compiler.cuda.program import LaunchWriter
from funcgrad.compiler.cuda.steps.blocks import fits, points_of, products_of, write_together
from funcgrad.compiler.cuda.steps.side_by_side import are_independent, is_map, write_side_by_side
from funcgrad.compiler.lowering.epilogues import PlannedUnit
from funcgrad.compiler.lowering.graph import Node, Step
from funcgrad.compiler.lowering.kernels import Kernel
from funcgrad.compiler.lowering.plan import Plan

MOST_POINTS = 2048  # elements of a unit: what one block computes in the time of a launch
MOST_PRODUCTS = 1 << 15
MOST_UNITS = 64  # of one kernel: bounds the time of its compilation
MOST_ARRAYS = 480  # of one kernel: before CUDA 12.1 its parameters had 4096 bytes


def groups(plan: Plan) -> list[list[PlannedUnit]]:
    """The units of a plan in order, those together that are one launch."""
    found: list[list[PlannedUnit]] = []
    arrays: set[Node] = set()  # of the last group
    for unit in plan.units:
        used = {*plan.reads(unit), *[node for node, _ in plan.writes(unit)]}
        is_small = found and len(found[-1]) < MOST_UNITS and len(arrays | used) <= MOST_ARRAYS
        if is_small and goes_with(plan, found[-1], unit):
            found[-1].append(unit)
            arrays |= used
        else:
            found.append([unit])
            arrays = used
    return found


def goes_with(plan: Plan, group: list[PlannedUnit], unit: PlannedUnit) -> bool:
    """Whether a unit can be part of the launch of those before it."""
    together = [*group, unit]
    is_block = all(is_light(other, plan) for other in group)
    if is_block and is_light(unit, plan):
        return True
    # Light units may need each other, in one block; others were found to be independent when they came together.
    unchecked = range(0 if is_block else len(group), len(together))
    return all(map(is_map, together)) and all(
        are_independent(plan, together[:i], together[i]) for i in unchecked
    )


def is_light(unit: PlannedUnit, plan: Plan) -> bool:
    """Whether a unit costs less than its launch."""
    if not fits(unit, plan):
        return False
    if isinstance(unit, Kernel):
        return points_of(unit) <= MOST_POINTS
    assert isinstance(unit, Step)
    return unit.how != "dot" or products_of(unit) <= MOST_PRODUCTS


def write_group(writer: LaunchWriter, units: list[PlannedUnit]) -> None:
    """Add the launch of several units."""
    if all(is_light(unit, writer.plan) for unit in units):
        write_together(writer, units)
    else:
        write_side_by_side(writer, units)
