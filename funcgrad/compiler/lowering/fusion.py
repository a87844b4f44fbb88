"""Which nodes are computed together: the partition of a graph into kernels and steps.

Works backward from the results. Each reader of a node leaves a record: its kernel, and which element it reads as an
index in that kernel's loop variables. A node joins the kernel of its readers if all read the element that belongs to
the same point of the loop nest; else it is computed again by each reader (if that costs little), or gets a kernel and
memory of its own.
"""

from __future__ import annotations

import math
from typing import Any

from funcgrad.compiler.lowering.changes import Changes
from funcgrad.compiler.lowering.choices import entries_at, is_in_slice, whole_ranges
from funcgrad.compiler.lowering.costs import is_leaf, tree_costs, uses_behind_views
from funcgrad.compiler.lowering.graph import (
    Concatenate,
    Constant,
    Full,
    Gather,
    Graph,
    Input,
    Iota,
    Node,
    Place,
    Reduce,
    Result,
    Step,
    View,
    Window,
)
from funcgrad.compiler.lowering.index import Index
from funcgrad.compiler.lowering.kernels import (
    Axes,
    Kernel,
    Partition,
    Store,
    Unit,
    loops_index,
    may_reduce_in,
    open_loops,
    open_reduction,
    reduced_index,
    reduced_loops,
)
from funcgrad.compiler.lowering.merging import MAX_MEMBERS, Merging, Record, unique
from funcgrad.compiler.lowering.order import execution_order
from funcgrad.compiler.lowering.reads import behind_views, operand_reads, pieces_of
from funcgrad.compiler.lowering.reductions import POSITIONS
from funcgrad.compiler.lowering.views import (
    contiguous_base,
    is_affine,
    located,
    step_strides,
    view_index,
)
from funcgrad.ir.program import has_effect

STRIDED = frozenset({"dot", "attention"})  # steps that take operands with any strides
TINY = 4  # elements of arrays that are computed one by one, in registers
FAR_BYTES = 1 << 20  # arrays of so many bytes are not in a cache when a second kernel reads them
CHEAP = 4  # simple operations that are rather repeated than stored
NEARLY = 1.25  # so much more than an array may be computed rather than stored
MAX_PARTS = 4  # computed parts of an array, up to which readers choose among them


class Fuser(Merging):
    """The state of one partition."""

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self.graph = graph
        self.required: set[Node] = set()
        self.step_readers: dict[Node, list[Step]] = {}
        self.stored: set[Node] = set()
        self.inlined: set[Node] = set()
        self.tree_cost = tree_costs(graph)
        self.uses = uses_behind_views(graph)
        self.changes = Changes(graph)
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
        if isinstance(node, Constant | Full | Iota):
            node = operand
        self.require(node)
        self.step_readers.setdefault(node, []).append(step)
        if node is not operand:  # from which the step reads if it is in memory, too
            self.step_readers.setdefault(operand, []).append(step)

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
            self.merge_siblings(node, readers)
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
        if index is None and not is_affine(node):
            base = contiguous_base(node)
            if base is not None and not isinstance(base[0], Constant | Full | Iota):
                operand = base[0]
            self.require(operand)
        self.read(kernel, operand, index)

    def place_computed(self, node: Node, readers: list[Record], required: bool) -> None:
        if self.joins_tiny(node, readers, required):
            return
        if self.changes.come_first(node, [kernel for kernel, _ in readers]):
            self.new_kernel(node)
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
        if isinstance(node, Concatenate | Place) and node.type.size:
            self.store_pieces(node)
        else:
            self.new_kernel(node)

    def merge_siblings(self, node: Node, readers: list[Record]) -> None:
        """Read a large input only once: merge kernels that share nothing else, if they take it in its order."""
        if len(readers) < 2 or node.type.size * node.dtype.itemsize < FAR_BYTES:
            return
        in_order = []
        for kernel, index in readers:
            axes = self.alignment(node, kernel, readers)
            if axes is not None and list(axes) == list(range(len(kernel.domain))):
                in_order.append((kernel, index))
        self.merge_readers(node, in_order)

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
        expands = reads > NEARLY * node.type.size or used != set(range(len(kernel.domain)))
        return not expands

    def inline(self, node: Node, readers: list[Record]) -> None:
        self.inlined.add(node)
        for kernel, index in readers:
            kernel.span(node.number)
            self.read_operands(kernel, node, index)

    def read_operands(self, kernel: Kernel, node: Node, index: Index | None) -> None:
        if isinstance(node, Place) and index is not None:
            self.read_parts(kernel, node, index)
            return
        for operand, found in operand_reads(node, index):
            self.read(kernel, operand, found)

    def read_parts(self, kernel: Kernel, node: Place, index: Index) -> None:
        """The part that fills a slice, and what lies around it: only one of them where that is certain."""
        entries, ranges = entries_at(node, index), whole_ranges(kernel.domain)
        known = is_in_slice(entries, ranges)
        inner = None
        if all(entry.step == 1 and not entry.is_backward for entry in entries):
            inner = tuple([entry.place for entry in entries if entry.is_axis])
        if known is not False:
            self.read(kernel, node.operands[0], inner)
        for base in () if known else node.operands[1:]:
            self.read(kernel, base, index)

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
        if required:
            return True
        parts = [part for part in map(behind_views, node.operands) if not is_leaf(part)]
        is_read = [
            self.is_cheap(part) or self.uses[part] > 1 or part.type.size * NEARLY >= node.type.size
            for part in parts
        ]
        return len(parts) > MAX_PARTS or not all(is_read)

    def store_pieces(self, node: Concatenate | Place) -> None:
        """One kernel for each part, writing to its slice."""
        previous: Kernel | None = None
        kernels = []
        for operand, spec in pieces_of(node):
            if 0 in operand.shape:
                continue
            kernel = self.piece_kernel(operand, node, spec)
            if previous is not None and isinstance(node, Place):
                self.add_readers(previous, [kernel])
            previous = kernel
            kernels.append(kernel)
        self.stored.add(node)
        self.units.extend(reversed(kernels))

    def piece_kernel(
        self, operand: Node, owner: Node, spec: Any, shape: tuple[int, ...] | None = None
    ) -> Kernel:
        """A kernel that writes elements of one node to a slice of another one, seen in this shape."""
        kernel = Kernel()
        axes = open_loops(kernel, operand.shape)
        kernel.span(owner.number)
        self.add_readers(kernel, self.all_readers(owner))
        self.store(kernel, Store(operand, axes, owner, spec, shape))
        self.read(kernel, operand, loops_index(axes))
        return kernel

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

    def read_tiny(self, kernel: Kernel, node: Node) -> None:
        """All elements of all operands are read."""
        for operand in node.operands:
            self.read(kernel, operand, None)


def partition(graph: Graph) -> Partition:
    """Kernels and steps for a graph."""
    return Fuser(graph).run()
