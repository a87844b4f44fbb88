"""Which nodes are computed together: the partition of a graph into kernels and steps.

Works backward from the results. Each reader of a node leaves a record: its kernel, and which element it reads as an
index in that kernel's loop variables. A node joins the kernel of its readers if all read the element that belongs to
the same point of the loop nest; else it is computed again by each reader (if that costs little), or gets a kernel and
memory of its own.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from funcgrad.compiler.lowering.graph import (
    POSITIONS,
    Concatenate,
    Constant,
    Full,
    Gather,
    Graph,
    Input,
    Iota,
    Map,
    Node,
    Place,
    Reduce,
    Result,
    Step,
    View,
    Window,
)
from funcgrad.compiler.lowering.index import ZERO, Affine, Index, broadcast_index, variable
from funcgrad.compiler.lowering.reachability import Reachability
from funcgrad.compiler.lowering.views import contiguous_base, located, step_strides, view_index
from funcgrad.ir.program import has_effect

MAX_MEMBERS = 256  # nodes of one kernel: bounds registers and compile time
MAX_ROW = 1 << 15  # elements of a row that is read more than once: it should stay in cache
MAX_WHOLE_ROW = 1 << 12  # the same for a single row, whose work threads cannot share
STRIDED = frozenset({"dot"})  # steps that take operands with any strides
TINY = 4  # elements of arrays that are computed one by one, in registers
CHEAP = 4  # simple operations that are rather repeated than stored

DEAR = {"power": 12, "quiet_power": 12, "threefry": 40, "divide": 4, "quiet_divide": 4, "sqrt": 4}
SIMPLE_NAMES = """
add subtract multiply negative select equal not_equal less less_equal greater greater_equal maximum minimum
fmax fmin logical_and logical_or logical_not logical_xor bitwise_and bitwise_or bitwise_xor invert left_shift
right_shift convert bitcast absolute square relu clip sign signbit copysign isnan isinf isfinite floor ceil
rint trunc quiet_multiply quiet_subtract masked_multiply real conjugate
"""
SIMPLE = frozenset(SIMPLE_NAMES.split())


def cost_of(node: Node) -> int:
    """Simple operations per element of a node itself."""
    if isinstance(node, Map):
        name = node.primitive.name
        return 1 if name in SIMPLE else DEAR.get(name, 12)
    return 1 if isinstance(node, Place | Concatenate | Gather | Window | Reduce) else 0


def tree_costs(graph: Graph) -> dict[Node, int]:
    """Simple operations per element of each node, with everything that would have to be computed again."""
    costs: dict[Node, int] = {}
    for node in graph.nodes:
        own = 1 << 20 if isinstance(node, Reduce | Step) else cost_of(node)
        behind = sum(costs[operand] for operand in node.operands if not is_leaf(operand))
        costs[node] = min(1 << 20, own + behind)
    return costs


def is_leaf(node: Node) -> bool:
    return isinstance(node, Input | Constant | Full | Iota | Result)


Axes = tuple[int | None, ...]


class Store:
    """A node whose elements a kernel writes: to its own memory, or to a slice of another node's.

    Attributes:
        axes: the loop of each axis of the node, None where the length is 1.
        owner: the node in whose memory the elements go.
        spec: the slice of the owner, None for all of it.
    """

    __slots__ = ("axes", "node", "owner", "spec")

    def __init__(self, node: Node, axes: Axes, owner: Node | None = None, spec: Any = None) -> None:
        self.node = node
        self.axes = axes
        self.owner = node if owner is None else owner
        self.spec = spec


class Kernel:
    """A loop nest.

    Attributes:
        domain: lengths of the loops, in no particular order.
        axes: per member, the loop that belongs to each of its axes (None where the length is 1).
        members: nodes computed for every point of (their part of) the domain.
        reduced: per member that is a reduction, the loops that it runs over.
        row: the loops of the reductions that are finished within a row, because this very kernel uses their
            results; None if there are none.
        stores: what is written to memory.
        is_tiny: computed element by element without loops; members have no axes then.
        readers: the kernels and steps that read what this one stores.
        merged: the kernel into which this one was merged, and the names of its loops there.
    """

    def __init__(self, is_tiny: bool = False) -> None:
        self.domain: list[int] = []
        self.axes: dict[Node, Axes] = {}
        self.members: list[Node] = []
        self.reduced: dict[Reduce, list[int]] = {}
        self.row: frozenset[int] | None = None
        self.stores: list[Store] = []
        self.is_tiny = is_tiny
        self.readers: set[Unit] = set()
        self.merged: tuple[Kernel, dict[int, int]] | None = None
        self.first = self.last = -1

    def add(self, node: Node, axes: Axes) -> None:
        self.axes[node] = axes
        self.members.append(node)
        self.span(node.number)

    def span(self, number: int) -> None:
        """Note that something with this number belongs here: bounds the search for cycles."""
        self.first = number if self.first < 0 else min(self.first, number)
        self.last = max(self.last, number)

    def index(self, node: Node) -> Index:
        """The index of a member in terms of the loop variables."""
        return loops_index(self.axes[node])

    def __repr__(self) -> str:
        stores = ", ".join(f"n{s.owner.number}" for s in self.stores)
        members = " ".join(f"n{node.number}" for node in self.members)
        row = "" if self.row is None else f" row={sorted(self.row)}"
        name = "tiny kernel" if self.is_tiny else f"kernel {tuple(self.domain)}"
        return f"{name}{row} [{members}] -> {stores}"


Unit = Kernel | Step
Record = tuple[Kernel, Index | None]


class Partition:
    """The result: kernels and steps in execution order, the nodes that live in memory, and those computed again."""

    def __init__(
        self, graph: Graph, units: list[Unit], stored: set[Node], inlined: set[Node]
    ) -> None:
        self.graph = graph
        self.units = units
        self.stored = stored
        self.inlined = inlined

    def __str__(self) -> str:
        return "\n".join(
            repr(unit) if isinstance(unit, Kernel) else f"step {unit!r}" for unit in self.units
        )


class Fuser:
    """The state of one partition."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.records: dict[Node, list[Record]] = {}
        self.required: set[Node] = set()
        self.step_readers: dict[Node, list[Step]] = {}
        self.readers_of_step: dict[Step, set[Unit]] = {}
        self.stored: set[Node] = set()
        self.inlined: set[Node] = set()
        self.tree_cost = tree_costs(graph)
        self.order = Reachability()
        self.units: list[Unit] = []

    def run(self) -> Partition:
        for node in self.graph.outputs:
            self.require(node)
        for node in reversed(self.graph.nodes):
            self.place(node)
        alive = [u for u in self.units if isinstance(u, Step) or u.merged is None]
        order = execution_order(alive, {u: self.readers_of(u) for u in alive})
        return Partition(self.graph, order, self.stored, self.inlined)

    # --- demands ---

    def require(self, node: Node) -> None:
        """A node must be in memory."""
        self.required.add(node)

    def require_operand(self, step: Step, operand: Node) -> None:
        """An operand of a step must be in memory, as it is or as a view of something in memory."""
        if None in operand.shape:
            self.require(operand)
            self.step_readers.setdefault(operand, []).append(step)
            return
        found = located(operand) if step.how not in STRIDED else step_strides(step, operand)
        node = operand if found is None else found.base
        if isinstance(node, View | Constant | Full | Iota):
            node = operand
        self.require(node)
        self.step_readers.setdefault(node, []).append(step)

    def read(self, kernel: Kernel, operand: Node, index: Index | None) -> None:
        """A kernel reads this element of a node (None: an element only known at run time)."""
        self.records.setdefault(operand, []).append((kernel, index))

    def readers(self, node: Node) -> list[Record]:
        """The records of a node, in terms of kernels that still exist."""
        found: list[Record] = []
        for kernel, index in self.records.get(node, ()):
            while kernel.merged is not None:
                kernel, names = kernel.merged
                index = None if index is None else tuple([renamed(part, names) for part in index])
            found.append((kernel, index))
        return found

    # --- decisions ---

    def place(self, node: Node) -> None:
        if isinstance(node, Step):
            self.place_step(node)
            return
        if isinstance(node, Result):
            if node in self.required or node in self.records:
                self.stored.add(node)
                step = node.operands[0]
                assert isinstance(step, Step)
                self.add_readers(step, self.all_readers(node))
            return
        readers = self.readers(node)
        required = node in self.required
        if not readers and not required:
            return
        if isinstance(node, Input):
            self.stored.add(node)
        elif isinstance(node, Concatenate | Place) and self.is_stored_in_pieces(node, required):
            self.store_pieces(node)
        elif is_leaf(node) or isinstance(node, View):
            if required:
                self.new_kernel(node)
            if isinstance(node, View):
                self.pass_through(node, readers)
        else:
            self.place_computed(node, readers, required)

    def place_step(self, step: Step) -> None:
        used = any(result in self.stored for result in step.results)
        if not used and not (step.equation is not None and has_effect(step.equation)):
            return
        self.units.append(step)
        self.readers_of_step.setdefault(step, set())
        for operand in step.operands:
            self.require_operand(step, operand)

    def pass_through(self, node: View, readers: list[Record]) -> None:
        """Readers of a view read its operand."""
        for kernel, index in readers:
            if kernel.is_tiny:
                self.read(kernel, node.operands[0], None)
                continue
            found = None if index is None else view_index(node, index)
            self.read_view(kernel, node, found)

    def read_view(self, kernel: Kernel, node: View, index: Index | None) -> None:
        """Read the operand of a view; a reshape that is no affine index map needs it in memory, in C order."""
        operand = node.operands[0]
        if index is None:
            base = contiguous_base(node)
            if base is not None and not isinstance(base[0], Constant | Full | Iota):
                operand = base[0]
            self.require(operand)
        self.read(kernel, operand, index)

    def place_computed(self, node: Node, readers: list[Record], required: bool) -> None:
        if self.joins_tiny(node, readers, required):
            return
        kernels = self.merge_readers(node, readers)
        readers = self.readers(node)
        aligned = {k: self.alignment(node, k, readers) for k in kernels}
        if len(kernels) == 1 and not required and aligned[kernels[0]] is None:
            if self.is_inlinable(node, readers):
                self.inline(node, readers)
                return
        elif not required and len(kernels) > 1 and self.is_cheap(node):
            self.inline(node, readers)
            return
        for kernel in kernels:
            axes = aligned[kernel]
            if axes is not None and self.may_join(node, kernel, axes):
                self.join(node, kernel, axes, required or len(kernels) > 1)
                return
        self.new_kernel(node)

    def alignment(self, node: Node, kernel: Kernel, readers: list[Record]) -> Axes | None:
        """The loops of the axes of a node, if all reads in this kernel are of the element at hand."""
        if kernel.is_tiny:
            return None
        found = None
        for owner, index in readers:
            if owner is not kernel:
                continue
            axes = loop_axes(node.shape, index)
            if axes is None or (found is not None and axes != found):
                return None
            if any(
                a is not None and kernel.domain[a] != n
                for a, n in zip(axes, node.shape, strict=True)
            ):
                return None
            found = axes
        return found

    def is_cheap(self, node: Node) -> bool:
        """Whether few operations per element, with those of everything behind, compute a node again."""
        return self.tree_cost[node] <= CHEAP

    def is_inlinable(self, node: Node, readers: list[Record]) -> bool:
        """Whether the one kernel that reads a node shall compute its elements where it needs them."""
        if isinstance(node, Reduce):
            return False
        if self.is_cheap(node):
            return True
        if len(readers) != 1:
            return False
        kernel, index = readers[0]
        if kernel.is_tiny or index is None:
            return node.type.size <= TINY and not kernel.is_tiny
        used = {name for part in index for name, _ in part.terms}
        reads = math.prod(kernel.domain[name] for name in used)
        expands = reads > node.type.size or used != set(range(len(kernel.domain)))
        return not expands

    def inline(self, node: Node, readers: list[Record]) -> None:
        self.inlined.add(node)
        for kernel, index in readers:
            kernel.span(node.number)
            self.read_operands(kernel, node, index)

    def read_operands(self, kernel: Kernel, node: Node, index: Index | None) -> None:
        for operand, found in operand_reads(node, index):
            self.read(kernel, operand, found)

    def may_join(self, node: Node, kernel: Kernel, axes: Axes) -> bool:
        if len(kernel.members) >= MAX_MEMBERS:
            return False
        others = [unit for unit in self.all_readers(node) if unit is not kernel]
        if any(self.reaches(other, kernel) for other in others):
            return False
        return not isinstance(node, Reduce) or may_reduce_in(node, kernel, axes)

    # --- changes ---

    def all_readers(self, node: Node) -> list[Unit]:
        return [*[kernel for kernel, _ in self.readers(node)], *self.step_readers.get(node, ())]

    def join(self, node: Node, kernel: Kernel, axes: Axes, is_stored: bool) -> None:
        self.add_readers(kernel, [unit for unit in self.all_readers(node) if unit is not kernel])
        if isinstance(node, Reduce):
            found = reduced_loops(node, kernel, axes)
            assert found is not None
            loops, missing = found
            kernel.domain += missing
            loops += range(len(kernel.domain) - len(missing), len(kernel.domain))
            kernel.reduced[node] = loops
            kernel.row = frozenset(loops)
        kernel.add(node, axes)
        if is_stored:
            self.store(kernel, Store(node, axes))
        self.read_members(kernel, node)

    def read_members(self, kernel: Kernel, node: Node) -> None:
        """A member reads its operands at the point of the domain where it is computed."""
        if isinstance(node, Reduce):
            self.read(kernel, node.operands[0], reduced_index(kernel, node))
        elif isinstance(node, View):
            self.read_view(kernel, node, view_index(node, kernel.index(node)))
        else:
            self.read_operands(kernel, node, kernel.index(node))

    def new_kernel(self, node: Node) -> None:
        """A kernel of its own for a node that lives in memory."""
        kernel = Kernel(is_tiny=self.is_tiny_root(node))
        self.units.append(kernel)
        self.add_readers(kernel, self.all_readers(node))
        if kernel.is_tiny:
            kernel.add(node, ())
            self.store(kernel, Store(node, ()))
            self.read_tiny(kernel, node)
            return
        if isinstance(node, Reduce):
            axes = open_reduction(kernel, node)
        else:
            axes = open_loops(kernel, node.shape)
        kernel.add(node, axes)
        self.store(kernel, Store(node, axes))
        self.read_members(kernel, node)

    def store(self, kernel: Kernel, store: Store) -> None:
        kernel.stores.append(store)
        self.stored.add(store.owner)

    # --- concatenations and updates in memory ---

    def is_stored_in_pieces(self, node: Node, required: bool) -> bool:
        """Whether parts are written each to its place, rather than chosen from by every reader."""
        if node.type.size <= TINY:
            return False
        return required or any(not is_leaf(behind_views(operand)) for operand in node.operands)

    def store_pieces(self, node: Concatenate | Place) -> None:
        """One kernel for each part, writing to its slice."""
        previous: Kernel | None = None
        kernels = []
        for operand, spec in pieces_of(node):
            if 0 in operand.shape:
                continue
            kernel = Kernel()
            axes = open_loops(kernel, operand.shape)
            kernel.span(node.number)
            self.add_readers(kernel, self.all_readers(node))
            self.store(kernel, Store(operand, axes, node, spec))
            self.read(kernel, operand, loops_index(axes))
            if previous is not None and isinstance(node, Place):
                self.add_readers(previous, [kernel])
            previous = kernel
            kernels.append(kernel)
        self.stored.add(node)
        self.units.extend(reversed(kernels))

    # --- tiny kernels ---

    def is_tiny_root(self, node: Node) -> bool:
        if node.type.size > TINY or isinstance(node, Gather | Window):
            return False
        if isinstance(node, Reduce) and node.combine in POSITIONS:
            return False
        return all(operand.type.size <= TINY for operand in node.operands)

    def joins_tiny(self, node: Node, readers: list[Record], required: bool) -> bool:
        """Put a small node into the tiny kernel that reads it, or repeat it in large kernels if it costs little."""
        if not self.is_tiny_root(node):
            return False
        tiny = unique([kernel for kernel, _ in readers if kernel.is_tiny])
        if not tiny:
            if readers and not required and self.is_cheap(node):
                self.inline(node, readers)
                return True
            return False
        target = self.merge_tiny(tiny)
        outside = [unit for unit in self.all_readers(node) if unit is not target]
        if len(target.members) >= MAX_MEMBERS or any(self.reaches(o, target) for o in outside):
            return False
        target.add(node, ())
        self.add_readers(target, outside)
        if required or outside:
            self.store(target, Store(node, ()))
        self.read_tiny(target, node)
        return True

    def merge_tiny(self, kernels: list[Kernel]) -> Kernel:
        """Merge tiny kernels into the first where that makes no cycle."""
        target = kernels[0]
        for other in kernels[1:]:
            small = len(target.members) + len(other.members) < MAX_MEMBERS
            if small and self.independent(target, other):
                self.merge(target, other, {})
        return target

    def read_tiny(self, kernel: Kernel, node: Node) -> None:
        """All elements of all operands are read."""
        for operand in node.operands:
            self.read(kernel, operand, None)

    # --- merging ---

    def merge_readers(self, node: Node, readers: list[Record]) -> list[Kernel]:
        """The kernels that read a node, after merging those that run over the same domain."""
        kernels = unique([kernel for kernel, _ in readers])
        if len(kernels) < 2 or len(kernels) > 8:
            return kernels
        if isinstance(node, Reduce):
            return kernels
        aligned = {k: self.alignment(node, k, readers) for k in kernels}
        rest = [k for k in kernels if aligned[k] is None]
        merged: list[Kernel] = []
        for kernel in kernels:
            if aligned[kernel] is None:
                continue
            for target in merged:
                names = self.matching_loops(target, aligned[target], kernel, aligned[kernel])
                if names is not None and self.independent(target, kernel):
                    self.merge(target, kernel, names)
                    break
            else:
                merged.append(kernel)
        return merged + rest

    def matching_loops(
        self, a: Kernel, axes_a: Axes | None, b: Kernel, axes_b: Axes | None
    ) -> dict[int, int] | None:
        """Loops of `b` under the names of `a`, if one node spans both domains and their rows agree."""
        if axes_a is None or axes_b is None or len(a.members) + len(b.members) > MAX_MEMBERS:
            return None
        names = {
            j: i for i, j in zip(axes_a, axes_b, strict=True) if i is not None and j is not None
        }
        if len(names) != len(a.domain) or len(names) != len(b.domain):
            return None
        rows = [k for k in (a.row, b.row and frozenset(names[j] for j in b.row)) if k is not None]
        if len(set(rows)) > 1:
            return None
        if rows:
            reductions = [*a.reduced.values(), *[[names[j] for j in r] for r in b.reduced.values()]]
            if not all(rows[0] <= set(r) or not rows[0] & set(r) for r in reductions):
                return None
        return names

    def merge(self, target: Kernel, kernel: Kernel, names: dict[int, int]) -> None:
        """Move everything of `kernel` into `target`."""
        for node in kernel.members:
            target.axes[node] = renamed_axes(kernel.axes[node], names)
        target.members += kernel.members
        for store in kernel.stores:
            store.axes = renamed_axes(store.axes, names)
        target.stores += kernel.stores
        for node, loops in kernel.reduced.items():
            target.reduced[node] = [names[a] for a in loops]
        if kernel.row is not None:
            target.row = frozenset(names[a] for a in kernel.row)
        target.readers |= kernel.readers
        target.span(kernel.first)
        target.span(kernel.last)
        kernel.merged = (target, names)
        self.order.merge(target, kernel)

    # --- order ---

    def independent(self, a: Kernel, b: Kernel) -> bool:
        return not self.reaches(a, b) and not self.reaches(b, a)

    def readers_of(self, unit: Unit) -> set[Unit]:
        readers = unit.readers if isinstance(unit, Kernel) else self.readers_of_step[unit]
        return {resolved(reader) for reader in readers}

    def reaches(self, start: Unit, goal: Kernel) -> bool:
        """Whether `goal` needs, directly or not, a result of `start`."""
        return self.order.reaches(resolved(start), goal)

    def add_readers(self, unit: Unit, readers: Iterable[Unit]) -> None:
        """Note which kernels and steps read results of a unit."""
        found = [resolved(reader) for reader in readers]
        known = (
            unit.readers
            if isinstance(unit, Kernel)
            else self.readers_of_step.setdefault(unit, set())
        )
        known.update(found)
        self.order.add(unit, found)


def unique(kernels: Sequence[Kernel]) -> list[Kernel]:
    return list(dict.fromkeys(kernels))


def renamed(part: Affine, names: dict[int, int]) -> Affine:
    if not part.terms:
        return part
    terms = tuple(sorted([(names[n], f) for n, f in part.terms]))
    return Affine(terms, part.constant, part.dynamic)


def loops_index(axes: Axes) -> Index:
    return tuple([ZERO if a is None else variable(a) for a in axes])


def renamed_axes(axes: Axes, names: dict[int, int]) -> Axes:
    return tuple([None if a is None else names[a] for a in axes])


def open_loops(kernel: Kernel, shape: tuple[int, ...]) -> Axes:
    """New loops for the axes of a shape."""
    axes: list[int | None] = []
    for length in shape:
        if length == 1:
            axes.append(None)
        else:
            kernel.domain.append(length)
            axes.append(len(kernel.domain) - 1)
    return tuple(axes)


def open_reduction(kernel: Kernel, node: Reduce) -> Axes:
    """Loops over the operand of a reduction; those of the axes that it keeps."""
    loops = open_loops(kernel, node.operands[0].shape)
    kernel.reduced[node] = [a for i, a in enumerate(loops) if i in node.axes and a is not None]
    if node.combine in POSITIONS:  # values and positions are carried in registers: a row at a time
        kernel.row = frozenset(kernel.reduced[node])
    return tuple([a for i, a in enumerate(loops) if i not in node.axes])


def loop_axes(shape: tuple[int, ...], index: Index | None) -> Axes | None:
    """The loop variable of each axis, if the index names distinct ones and nothing else."""
    if index is None:
        return None
    axes: list[int | None] = []
    for part, length in zip(index, shape, strict=True):
        if length == 1:
            axes.append(None)
        elif part.constant or part.dynamic or len(part.terms) != 1 or part.terms[0][1] != 1:
            return None
        else:
            axes.append(part.terms[0][0])
    named = [a for a in axes if a is not None]
    return tuple(axes) if len(set(named)) == len(named) else None


def reduced_loops(node: Reduce, kernel: Kernel, axes: Axes) -> tuple[list[int], list[int]] | None:
    """The loops of a kernel over which a reduction runs, and the lengths of those that it lacks."""
    free = [i for i in range(len(kernel.domain)) if i not in axes]
    lengths = [n for n in (node.operands[0].shape[a] for a in node.axes) if n != 1]
    if not free:
        return [], lengths
    return (free, []) if [kernel.domain[i] for i in free] == lengths else None


def reduced_index(kernel: Kernel, node: Reduce) -> Index:
    """The index of the operand of a reduction: its own axes, and the loops it runs over."""
    kept, loops = iter(kernel.axes[node]), iter(kernel.reduced[node])
    index: list[int | None] = []
    for axis, length in enumerate(node.operands[0].shape):
        index.append(next(kept) if axis not in node.axes else None if length == 1 else next(loops))
    return loops_index(tuple(index))


def may_reduce_in(node: Reduce, kernel: Kernel, axes: Axes) -> bool:
    """Whether a reduction can be finished within each row of a kernel that uses its result."""
    found = reduced_loops(node, kernel, axes)
    if found is None:
        return False
    loops, missing = found
    if kernel.row is not None and (missing or kernel.row != frozenset(loops)):
        return False
    if missing and kernel.reduced:
        return False
    if not all(set(loops) <= set(r) or not set(loops) & set(r) for r in kernel.reduced.values()):
        return False
    if node.combine in POSITIONS and len(loops) + len(missing) != 1:
        return False
    length = math.prod(node.operands[0].shape[a] for a in node.axes)
    return 0 < length <= (MAX_ROW if node.type.size > 1 else MAX_WHOLE_ROW)


def behind_views(node: Node) -> Node:
    while isinstance(node, View):
        node = node.operands[0]
    return node


def pieces_of(node: Concatenate | Place) -> list[tuple[Node, tuple]]:
    """The parts of an array that is put together in memory, in the order in which they are written."""
    whole = tuple([(0, n, 1) for n in node.shape])
    if isinstance(node, Place):
        inner, *rest = node.operands
        base = rest[0] if rest else Full(node.type, 0)
        return [(base, whole), (inner, node.spec)]
    pieces, start = [], 0
    for operand in node.operands:
        stop = start + operand.shape[node.axis]
        spec = (*whole[: node.axis], (start, stop, 1), *whole[node.axis + 1 :])
        pieces.append((operand, spec))
        start = stop
    return pieces


def operand_reads(node: Node, index: Index | None) -> Iterator[tuple[Node, Index | None]]:
    """The elements of its operands from which an element of a lazy node is computed."""
    if index is None or not isinstance(node, Map | Gather | Window):
        for operand in node.operands:
            yield operand, None
    elif isinstance(node, Map):
        for operand in node.operands:
            yield operand, broadcast_index(index, operand.shape, node.shape)
    elif isinstance(node, Gather):
        yield node.operands[0], None
        rank = max((len(i.shape) for i in node.operands[1:]), default=0)
        for operand in node.operands[1:]:
            yield operand, broadcast_index(index[:rank], operand.shape, node.shape[:rank])
    else:
        yield node.operands[0], None
        for operand in node.operands[1:]:
            yield operand, index[: node.lead]


def resolved(unit: Unit) -> Unit:
    while isinstance(unit, Kernel) and unit.merged is not None:
        unit = unit.merged[0]
    return unit


def execution_order(units: list[Unit], readers: dict[Unit, set[Unit]]) -> list[Unit]:
    """Units after those whose results they read; as recorded where there is a choice."""
    waiting = {unit: 0 for unit in units}
    for unit in units:
        for reader in readers[unit]:
            waiting[reader] += 1
    places = {unit: i for i, unit in enumerate(reversed(units))}
    ready = [
        (unit_number(unit), places[unit], unit) for unit, count in waiting.items() if not count
    ]
    heapq.heapify(ready)
    order = []
    while ready:
        unit = heapq.heappop(ready)[2]
        order.append(unit)
        for reader in readers[unit]:
            waiting[reader] -= 1
            if not waiting[reader]:
                heapq.heappush(ready, (unit_number(reader), places[reader], reader))
    assert len(order) == len(units), "kernels wait for each other"
    return order


def unit_number(unit: Unit) -> int:
    return unit.last if isinstance(unit, Kernel) else unit.number


def partition(graph: Graph) -> Partition:
    """Kernels and steps for a graph."""
    return Fuser(graph).run()
