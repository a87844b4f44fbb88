"""Units that follow each other in a plan and are one launch: small ones in one block, and maps side by side."""

from __future__ import annotations

from funcgrad.compiler.cuda.program import LaunchWriter
from funcgrad.compiler.cuda.steps.blocks import fits, points_of, products_of, write_together
from funcgrad.compiler.cuda.steps.side_by_side import are_independent, is_map, write_side_by_side
from funcgrad.compiler.lowering.epilogues import PlannedUnit
from funcgrad.compiler.lowering.graph import Step
from funcgrad.compiler.lowering.kernels import Kernel
from funcgrad.compiler.lowering.plan import Plan

MOST_POINTS = 2048  # elements of a unit: what one block computes in the time of a launch
MOST_PRODUCTS = 1 << 15
MOST_UNITS = 64  # of one kernel: bounds the time of its compilation


def groups(plan: Plan) -> list[list[PlannedUnit]]:
    """The units of a plan in order, those together that are one launch."""
    found: list[list[PlannedUnit]] = []
    for unit in plan.units:
        if found and len(found[-1]) < MOST_UNITS and goes_with(plan, found[-1], unit):
            found[-1].append(unit)
        else:
            found.append([unit])
    return found


def goes_with(plan: Plan, group: list[PlannedUnit], unit: PlannedUnit) -> bool:
    """Whether a unit can be part of the launch of those before it."""
    if all(is_light(other, plan) for other in (*group, unit)):
        return True
    return all(is_map(other) for other in (*group, unit)) and are_independent(plan, group, unit)


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
