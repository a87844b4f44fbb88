"""Kernels that run on the parts of a product as soon as these are finished, while they are in cache.

A product falls into parts: some rows (or columns) of its result. A kernel that reads from the result only elements of
the rows at hand can run on each part at once, in the same task of the same thread. This is a pass over the units of a
plan, for machines that say how their products divide; others keep kernels and products apart.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from funcgrad.compiler.lowering.graph import Node, Reduce, Step
from funcgrad.compiler.lowering.kernels import Kernel, Unit
from funcgrad.compiler.lowering.parts import Division, divided

if TYPE_CHECKING:
    from funcgrad.compiler.lowering.plan import Plan

Divisions = Callable[[Step, set[Node]], Sequence[Division]]


class Fused:
    """A product, and the kernels that run on each of its parts.

    Attributes:
        step: the product.
        before: what writes the rows of its first operand; None if they are there.
        after: what reads its result; None if only later units do.
        division: how it falls into parts.
        size: rows (or columns) of a part.
        is_local: whether nobody else reads the result, so that a part of it needs memory only for a while.
        own: arrays that this unit writes, and no other.
    """

    def __init__(self, step: Step, division: Division, size: int) -> None:
        self.step = step
        self.before: Kernel | None = None
        self.after: Kernel | None = None
        self.division = division
        self.size = size
        self.is_local = False
        self.own: set[Any] = {self.result}

    @property
    def kernels(self) -> list[Kernel]:
        return [kernel for kernel in (self.before, self.after) if kernel is not None]

    @property
    def result(self) -> Node:
        return self.step.results[0]

    @property
    def parts(self) -> int:
        return -(-self.division.count // self.size)

    @property
    def row_bytes(self) -> int:
        """Of a row of the result."""
        return self.result.type.size // self.division.count * self.result.dtype.itemsize

    def __repr__(self) -> str:
        side = "columns" if self.division.by_columns else "rows"
        local = ", kept nowhere else" if self.is_local else ""
        before = f"behind {self.before!r}" if self.before else ""
        after = f"with {self.after!r}" if self.after else ""
        each = " and ".join(part for part in (before, after) if part)
        return (
            f"product {self.step!r} in {self.parts} parts of {self.size} {side}{local}, each {each}"
        )


PlannedUnit = Unit | Fused


class Fusion:
    """The state of the pass.

    Attributes:
        units: in order, with None where one has moved away.
        places: where each unit is among them.
        touched: per unit, what it reads and writes in memory.
        readers, writers: per node in memory, the units that read it, or write to it.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.units: list[PlannedUnit | None] = list(plan.units)
        self.places: dict[PlannedUnit, int] = {unit: i for i, unit in enumerate(plan.units)}
        self.touched = {unit: Touched.by(plan, unit) for unit in plan.units}
        self.readers: dict[Any, list[Unit]] = {}
        self.writers: dict[Any, list[Unit]] = {}
        for unit, touched in self.touched.items():
            for node in touched.reads:
                self.readers.setdefault(node, []).append(unit)
            for node in touched.writes:
                self.writers.setdefault(node, []).append(unit)

    def run(self, divisions: dict[Step, Sequence[Division]]) -> list[PlannedUnit]:
        """The units, with kernels joined to products where that can be: each to the last product that it reads, or
        else to one that reads what it writes."""
        made = {step: self.with_reader(step, found) for step, found in reversed(divisions.items())}
        for step, found in divisions.items():
            self.with_writer(made[step], found)
        return [unit for unit in self.units if unit is not None]

    def with_reader(self, step: Step, divisions: Sequence[Division]) -> Step | Fused:
        """A product with the first kernel that can run on its parts."""
        result = step.results[0]
        readers = self.readers.get(result, ())
        for kernel, division in itertools.product(self.kernels(readers), divisions):
            place = self.common_place(step, kernel)
            found = divided(self.plan.schedules[kernel], result, division) if place else None
            if found is not None:
                self.plan.schedules[kernel], size = found
                unit = Fused(step, division, size)
                unit.after = kernel
                is_needed = result in self.plan.graph.outputs or len(readers) > 1
                unit.is_local = not is_needed and not division.by_columns
                self.replace(unit, step, kernel, place is step)
                return unit
        return step

    def with_writer(self, unit: Step | Fused, divisions: Sequence[Division]) -> None:
        """Let the kernel that writes the rows of an operand make them part by part, unless it is divided already."""
        if isinstance(unit, Fused):
            divisions = [unit.division._replace(wanted=unit.parts, most=unit.parts)]
        for division in divisions:
            needed = division.needs
            kernel = None if needed is None else self.sole_writer(unit, needed)
            place = self.common_place(kernel, unit) if kernel is not None else None
            if needed is None or kernel is None or place is None:
                continue
            found = divided(self.plan.schedules[kernel], needed, division)
            if found is None or (isinstance(unit, Fused) and found[1] != unit.size):
                continue
            self.plan.schedules[kernel], size = found
            made = unit if isinstance(unit, Fused) else Fused(unit, division, size)
            made.before = kernel
            made.own |= {
                node for node in self.touched[kernel].writes if len(self.writers[node]) == 1
            }
            self.replace(made, kernel, unit, place is kernel)
            return

    def sole_writer(self, unit: Step | Fused, node: Node) -> Kernel | None:
        """A small kernel that writes an array alone, and nothing else for this unit."""
        kernels = self.kernels(self.writers.get(node, ()))
        if len(self.writers.get(node, ())) != 1 or not kernels:
            return None
        writes, used = self.touched[kernels[0]].writes, self.touched[unit]
        is_divided = self.plan.schedules[kernels[0]].chunks > 1
        # Sums may be there only when those of all parts have been added up.
        is_late = any(
            store.owner is node and isinstance(store.node, Reduce) for store in kernels[0].stores
        )
        is_alone = writes & used.reads == {node} and not writes & used.writes
        if isinstance(unit, Fused) and unit.after is not None:  # which may read other rows
            is_alone = is_alone and not writes & self.touched[unit.after].reads
        return kernels[0] if is_alone and not is_late and not is_divided else None

    def kernels(self, units: Iterable[Unit]) -> list[Kernel]:
        """Those of the units that are kernels with loops, and on their own."""
        found = [u for u in units if isinstance(u, Kernel) and u in self.plan.schedules]
        return list(dict.fromkeys([kernel for kernel in found if kernel in self.places]))

    def replace(self, made: Fused, one: PlannedUnit, other: PlannedUnit, at_one: bool) -> None:
        """Put a unit in the place of one of the two of which it is made."""
        self.touched[made] = self.touched[one].with_that_of(self.touched[other])
        kept, gone = (one, other) if at_one else (other, one)
        place = self.places.pop(kept)
        self.units[self.places.pop(gone)] = None
        self.units[place] = made
        self.places[made] = place

    def common_place(self, one: PlannedUnit, other: PlannedUnit) -> PlannedUnit | None:
        """The one of two units at whose place both can run: none between them waits for the other, or is waited for."""
        start, stop = self.places[one], self.places[other]
        between = [self.touched[u] for u in self.units[start + 1 : stop] if u is not None]
        for unit, place in ((one, other), (other, one)):
            if not any(self.touched[unit].conflicts(found) for found in between):
                return place
        return None


class Touched(NamedTuple):
    """What a unit reads and writes in memory."""

    reads: frozenset[Any]
    writes: frozenset[Any]

    @staticmethod
    def by(plan: Plan, unit: PlannedUnit) -> Touched:
        return Touched(frozenset(plan.reads(unit)), frozenset(key for key, _ in plan.writes(unit)))

    def with_that_of(self, other: Touched) -> Touched:
        return Touched(self.reads | other.reads, self.writes | other.writes)

    def conflicts(self, other: Touched) -> bool:
        """Whether the order of two units matters."""
        return bool(
            self.writes & other.reads or self.reads & other.writes or self.writes & other.writes
        )


def fused(plan: Plan, divisions: Divisions) -> list[PlannedUnit]:
    """The units of a plan, with kernels joined to products. Schedules of these kernels are replaced."""
    steps = [u for u in plan.units if isinstance(u, Step) and len(u.results) == 1]
    found = {step: divisions(step, plan.in_memory) for step in steps}
    found = {step: ways for step, ways in found.items() if ways}
    return Fusion(plan).run(found) if found else plan.units
