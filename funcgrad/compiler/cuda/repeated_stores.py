"""Results that are equal to another result or to an argument: written by a kernel beside its own, rather than copied.

A loop that carries what it also stacks would have a copy for that in each iteration.
"""

from __future__ import annotations

from collections.abc import Sequence

from funcgrad.compiler.lowering.epilogues import PlannedUnit
from funcgrad.compiler.lowering.graph import Node, View
from funcgrad.compiler.lowering.kernels import Kernel, Store
from funcgrad.compiler.lowering.plan import Place, Plan
from funcgrad.compiler.lowering.schedule import Schedule


def store_copies(plan: Plan) -> None:
    """Let kernels of a plan write what would be copied at its end, where one goes through the same elements."""
    kept, in_place = [], {number for number, _ in plan.in_place}
    for number, node in plan.copies:
        kernel = None if number in in_place else writer_of(plan, node)
        if kernel is None:
            kept.append((number, node))
        else:
            add_store(plan, kernel, node, number)
    plan.copies = kept


def writer_of(plan: Plan, node: Node) -> Kernel | None:
    """The kernel that can write a node once more: the one that computes it, or for others any after that."""
    units: Sequence[PlannedUnit] = plan.units
    written = [
        i for i, unit in enumerate(units) if any(key is node for key, _ in plan.writes(unit))
    ]
    if len(written) > 1:
        return None
    for unit in units[written[0] if written else 0 :]:
        is_map = isinstance(unit, Kernel) and not unit.is_tiny and not unit.reduced
        if is_map and template(unit, node) is not None:
            return unit
    return None


def template(kernel: Kernel, node: Node) -> Store | None:
    """A store of a kernel that goes through the elements of a node in the same order."""
    for store in kernel.stores:
        is_whole = store.spec is None and store.owner.shape == store.node.shape == node.shape
        if is_whole and (node not in kernel.axes or kernel.axes[node] == store.axes):
            return store
    return None


def add_store(plan: Plan, kernel: Kernel, node: Node, number: int) -> None:
    """Replace a kernel by one that also writes a node to a result."""
    found = template(kernel, node)
    assert found is not None
    alias = View(node.type, node, "reshape", node.shape)
    alias.number = node.number
    changed = Kernel()
    for name in ("domain", "axes", "members", "reduced", "row", "readers", "first", "last"):
        setattr(changed, name, getattr(kernel, name))
    changed.stores = [*kernel.stores, Store(node, found.axes, alias)]
    plan.places[alias] = Place("output", number)
    plan.in_memory.add(alias)
    del plan.schedules[kernel]
    plan.schedules[changed] = Schedule(changed, plan.in_memory)
    plan.units = [changed if unit is kernel else unit for unit in plan.units]
