"""Donated inputs: which outputs of a Program may lie in the memory of which of them."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any

from funcgrad.compiler.lowering.changes import WRITES_INTO
from funcgrad.compiler.lowering.epilogues import Fused, PlannedUnit
from funcgrad.compiler.lowering.graph import (
    Constant,
    Full,
    Input,
    Iota,
    Map,
    Node,
    Reduce,
    Step,
    View,
)
from funcgrad.compiler.lowering.index import Affine, Index, combine, flat_offset
from funcgrad.compiler.lowering.kernels import Kernel, Store, loops_index, reduced_index
from funcgrad.compiler.lowering.reads import operand_reads
from funcgrad.compiler.lowering.schedule import Schedule
from funcgrad.compiler.lowering.views import contiguous_base, view_index
from funcgrad.ir.program import has_effect

if TYPE_CHECKING:
    from funcgrad.compiler.lowering.plan import Plan

MAX_MOVES = 32  # of units to a later time; each looks at all the others

Pairs = tuple[tuple[int, int], ...]  # of the numbers of an output and of an input


def in_place_pairs(plan: Plan, donated: Collection[int]) -> Pairs:
    """Which outputs may be written to the memory of inputs that the caller gives up, at most one to each.

    An output may if nobody reads the input afterwards, and the unit that writes it reads of the input only the very
    element that it is about to write. First come outputs that replace what their own unit reads: it is in cache.

    Args:
        plan: with the final order of its units, and places for outputs.
        donated: numbers of inputs.
    """
    uses = _Uses(plan, donated)
    for take in (uses.returned_as_it_is, uses.replaced, uses.read_before):
        for number, output in enumerate(plan.graph.outputs):
            x = None if number in uses.found else take(number, output)
            if x is not None:
                uses.free.remove(x)
                uses.found[number] = x.position
    return tuple(sorted(uses.found.items()))


def _kind(node: Node) -> tuple:
    return node.shape, node.dtype


class _Uses:
    """When inputs are read and outputs are written.

    Attributes:
        found: by the number of an output, that of the input whose memory it may take.
        free: donated inputs whose memory no output takes yet.
        reads, writes: at which places in the order of units.
        returned: inputs that are outputs as they are: the number of the first.
    """

    def __init__(self, plan: Plan, donated: Collection[int]) -> None:
        self.plan = plan
        self.found: dict[int, int] = {}
        inputs = [plan.graph.inputs[number] for number in donated]
        self.free = {x for x in inputs if x.shape and x.type.size}
        self.reads: dict[Node, list[int]] = {x: [] for x in self.free}
        self.writes: dict[Node, list[int]] = {}
        self.returned: dict[Node, int] = {}
        for number, node in plan.copies:
            self.returned.setdefault(node, number)
        for time, unit in enumerate(plan.units):
            for node in plan.reads(unit):
                if node in self.reads:
                    self.reads[node].append(time)
            for node, _ in plan.writes(unit):
                self.writes.setdefault(node, []).append(time)
        self.waiting: dict[tuple, list[Input]] = {}  # those read last come first
        for x in sorted(self.free, key=lambda x: (-self.last_read(x), -x.position)):
            self.waiting.setdefault(_kind(x), []).append(x)

    def last_read(self, node: Node) -> int:
        if node in self.returned:
            return len(self.plan.units)
        return max(self.reads[node], default=-1)

    def returned_as_it_is(self, number: int, output: Node) -> Input | None:
        if isinstance(output, Input) and output in self.free and self.returned[output] == number:
            return output
        return None

    def replaced(self, number: int, output: Node) -> Input | None:
        """An input that the unit which writes an output reads as the last one, and may overwrite."""
        times = self.written(number, output)
        if len(times) != 1:
            return None
        unit = self.plan.units[times[0]]
        read = set(self.plan.reads(unit))
        fitting = [x for x in self.free if x in read and _kind(x) == _kind(output)]
        for x in sorted(fitting, key=lambda x: x.position):
            if self.last_read(x) == times[0] and may_overwrite(self.plan, unit, output, x):
                return x
        return None

    def read_before(self, number: int, output: Node) -> Input | None:
        """An input that nobody reads any more when an output is written."""
        times, inputs = self.written(number, output), self.waiting.get(_kind(output), [])
        while inputs and inputs[-1] not in self.free:
            inputs.pop()
        is_late = times and inputs and self.last_read(inputs[-1]) < min(times)
        return inputs[-1] if is_late else None

    def written(self, number: int, output: Node) -> list[int]:
        place = self.plan.places.get(output)
        is_own = place is not None and (place.kind, place.number) == ("output", number)
        return self.writes.get(output, []) if is_own else []


# --- whether one unit may write over what it reads ---


def may_overwrite(plan: Plan, unit: PlannedUnit, output: Node, x: Input) -> bool:
    """Whether a unit reads no element of an input after it has written an output to that place."""
    if isinstance(unit, Fused):
        parts = [unit.step, *unit.kernels]
        readers = [part for part in parts if x in plan.reads(part)]
        return len(readers) == 1 and may_overwrite(plan, readers[0], output, x)
    if isinstance(unit, Step):
        return _changes_operand(plan, unit, output, x)
    if unit.is_tiny:  # computes everything before it stores anything
        return True
    stores = [store for store in unit.stores if store.owner is output]
    return len(stores) == 1 and _Aligned(plan.schedules[unit], stores[0], x).holds()


def _changes_operand(plan: Plan, step: Step, output: Node, x: Input) -> bool:
    """Whether a step begins with a copy of an operand, of which it then changes elements."""
    if step.operands.count(x) != 1 or list(plan.reads(step)).count(x) != 1:
        return False
    place, params = step.operands.index(x), step.params
    if step.how in WRITES_INTO:
        return place == 0
    if step.how == "dot":  # the library reads what it adds before it writes
        return place == params.get("added")
    if step.how == "scan":
        before, consts, count = 0, params["num_consts"], params["num_carry"]
    elif step.how == "while":
        before, consts = params["num_cond"], params["num_body"]
        count = len(step.operands) - before - consts
    else:
        return False
    number = place - before - consts
    if not 0 <= number < count or step.results[number] is not output:
        return False
    return number in plan.inner[step][-1].in_place_carries(consts, count)


class _Aligned:
    """The question whether a kernel reads an input only where it writes one of its stores, and before."""

    def __init__(self, schedule: Schedule, store: Store, x: Input) -> None:
        self.schedule = schedule
        self.kernel: Kernel = schedule.kernel
        self.store = store
        self.x = x

    def holds(self) -> bool:
        store, kernel = self.store, self.kernel
        if store.spec is not None or store.node in kernel.reduced:
            return False
        if not self.is_written_last():
            return False
        place = flat_offset(loops_index(store.axes), store.shape).key
        return all(
            is_early and offset is not None and offset.key == place
            for root, index, is_early in self.roots()
            for offset in self.loads(root, index)
        )

    def is_written_last(self) -> bool:
        """Whether each element is written once, in the last pass over its row or after it."""
        kernel, row = self.kernel, self.kernel.row or frozenset()
        loops = {axis for axis in self.store.axes if axis is not None}
        if not set(range(len(kernel.domain))) - loops <= row:
            return False
        phase = self.schedule.phase
        nodes = [*kernel.members, *[store.node for store in kernel.stores]]
        return not loops & row or phase(self.store.node) == max(map(phase, nodes))

    def roots(self) -> Iterator[tuple[Node, Index, bool]]:
        """What the kernel computes at a point, at which index, and whether before it stores anything there."""
        for store in self.kernel.stores:
            if store.node not in self.kernel.reduced:
                is_early = store is self.store or store.node in self.kernel.axes
                yield store.node, loops_index(store.axes), is_early
        inside = {v for level in self.schedule.levels if level.is_row for v in level.variables}
        phase = self.schedule.phase
        for node, loops in self.kernel.reduced.items():
            operand = node.operands[0]
            is_early = operand in self.kernel.axes or not inside.isdisjoint(loops)
            is_early = is_early or phase(node) < phase(self.store.node)
            yield operand, reduced_index(self.kernel, node), is_early

    def loads(self, root: Node, index: Index) -> Iterator[Affine | None]:
        """The offsets at which the input is read; None for those that depend on values, or on where the point is."""
        pending: list[tuple[Node, Index | None]] = [(root, index)]
        seen = set()
        while pending:
            node, at = pending.pop()
            key = (node, None if at is None else tuple([part.key for part in at]))
            if key in seen or isinstance(node, Constant | Full | Iota):
                continue
            seen.add(key)
            if node in self.kernel.axes and isinstance(node, Reduce):
                continue
            if node in self.schedule.in_memory and node not in self.kernel.axes:
                if node is self.x:
                    yield None if at is None else flat_offset(at, node.shape)
            elif isinstance(node, View) and at is not None and view_index(node, at) is None:
                yield from self.load_behind(node, at)
            elif isinstance(node, View):
                pending.append((node.operands[0], None if at is None else view_index(node, at)))
            else:
                pending += operand_reads(node, at if isinstance(node, Map) else None)

    def load_behind(self, node: View, index: Index) -> Iterator[Affine | None]:
        """The load of a view that is no affine map of the index, from the memory that holds it in order."""
        base = contiguous_base(node)
        owner, start = base if base is not None else (node.operands[0], 0)
        if owner is self.x:
            yield combine([(flat_offset(index, node.shape), 1)], start)


# --- an order in which more outputs can lie where inputs were ---


def postponed(plan: Plan, donated: Collection[int]) -> list[PlannedUnit]:
    """The units, with those that would overwrite an input moved behind the others that read it, where they can be."""
    order = list(plan.units)
    outputs = set(plan.graph.outputs)
    readers: dict[Input, list[PlannedUnit]] = {}
    for unit in order:
        for node in plan.reads(unit):
            if isinstance(node, Input) and node.position in donated and node.shape:
                readers.setdefault(node, []).append(unit)
    moves = 0
    for x, users in readers.items():
        writers = [u for u in users if _replacement(plan, u, x, outputs) is not None]
        if len(users) > 1 and writers and writers[0] is not users[-1] and moves < MAX_MOVES:
            moves += 1
            order = _moved(plan, order, writers[0], users)
    return order


def writers_last(plan: Plan) -> list[PlannedUnit]:
    """The units, with steps that change some elements of an array behind those that read it, where possible."""
    order = list(plan.units)
    writers = [unit for unit in order if isinstance(unit, Step) and unit.how in WRITES_INTO]
    for writer in writers[:MAX_MOVES]:
        later = order[order.index(writer) + 1 :]
        readers = [unit for unit in later if writer.operands[0] in plan.reads(unit)]
        if readers:
            order = _moved(plan, order, writer, readers)
    return order


def _replacement(plan: Plan, unit: PlannedUnit, x: Input, outputs: set[Node]) -> Node | None:
    """An output by which a unit could overwrite an input."""
    for node, _ in plan.writes(unit):
        is_output = isinstance(node, Node) and node in outputs and _kind(node) == _kind(x)
        if is_output and may_overwrite(plan, unit, node, x):
            return node
    return None


def _moved(
    plan: Plan, order: list[PlannedUnit], writer: PlannedUnit, readers: list[PlannedUnit]
) -> list[PlannedUnit]:
    """The same order with a unit, and what needs it, behind these readers; unchanged if one of them needs it."""
    start = order.index(writer)
    stop = 1 + max(order.index(unit) for unit in readers)
    later: list[PlannedUnit] = []
    written: set[Any] = set()
    for unit in order[start:stop]:
        fills = {key for key, _ in plan.writes(unit)}
        if unit is writer or not written.isdisjoint(plan.reads(unit)) or written & fills:
            later.append(unit)
            written |= fills
    has_effects = any(
        isinstance(unit, Step) and unit.equation is not None and has_effect(unit.equation)
        for unit in later
    )
    if has_effects or any(unit in readers for unit in later if unit is not writer):
        return order
    waiting = set(later)
    rest = [unit for unit in order[start:stop] if unit not in waiting]
    return [*order[:start], *rest, *later, *order[stop:]]
