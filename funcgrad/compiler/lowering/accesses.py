"""What a kernel loads and stores, and how the positions depend on its loops."""

from __future__ import annotations

from collections.abc import Iterator

from funcgrad.compiler.lowering.choices import (
    Entry,
    borders_of,
    entries_at,
    is_in_slice,
    is_inside,
    parts_at,
    whole_ranges,
)
from funcgrad.compiler.lowering.costs import cost_of
from funcgrad.compiler.lowering.graph import (
    Concatenate,
    Constant,
    Full,
    Gather,
    Iota,
    Map,
    Node,
    Place,
    Reduce,
    View,
    Window,
)
from funcgrad.compiler.lowering.index import (
    Affine,
    Index,
    combine,
    flat_offset,
    slice_index,
)
from funcgrad.compiler.lowering.kernels import Kernel, loops_index, reduced_index
from funcgrad.compiler.lowering.reads import operand_reads
from funcgrad.compiler.lowering.views import contiguous_base, view_index


class Access:
    """One load or store: of a node in memory, and how its position there depends on the loops."""

    __slots__ = ("is_store", "node", "offset")

    def __init__(self, node: Node, offset: Affine, is_store: bool) -> None:
        self.node = node
        self.offset = offset
        self.is_store = is_store

    @property
    def size(self) -> int:
        """Elements of the node."""
        return self.node.type.size


class Accesses:
    """What one kernel does at a point of its domain.

    Attributes:
        accesses: loads and stores.
        alone: loops whose variables are used one by one, not only in positions.
        cost: simple operations per point of the domain.
        seen: the elements that are computed: nodes with the keys of their indices.
        computed: the nodes of these.
        loads: the nodes in memory that are read.
        choices: nodes of which the point decides what operand they read.
        borders: the counts of loops at which such decisions change.
    """

    def __init__(self, kernel: Kernel, in_memory: set[Node]) -> None:
        self.kernel = kernel
        self.in_memory = in_memory
        self.accesses: list[Access] = []
        self.alone: set[int] = set()
        self.cost = 0
        self.seen: set[tuple] = set()
        self.loads: dict[Node, None] = {}
        self.choices: list[Node] = []
        self.borders: dict[int, set[int]] = {}
        self.ranges = whole_ranges(kernel.domain)
        self.collect()
        self.computed = {node for node, _ in self.seen}

    @property
    def is_loud(self) -> bool:
        """Whether something that is computed may cause a warning of NumPy."""
        return any(isinstance(node, Map) and node.is_loud for node, _ in self.seen)

    def is_computed(self, node: Node) -> bool:
        """Whether elements of a node are needed: not of parts that certainly lie elsewhere in an array."""
        return node in self.computed

    def collect(self) -> None:
        kernel = self.kernel
        for store in kernel.stores:
            offset = store_offset(store.axes, store.shape, store.spec)
            self.accesses.append(Access(store.owner, offset, True))
            if not (isinstance(store.node, Reduce) and store.node in kernel.axes):
                self.visit(store.node, loops_index(store.axes))
        for node in kernel.reduced:
            self.visit(node.operands[0], reduced_index(kernel, node))

    def visit(self, node: Node, index: Index) -> None:
        """Note what computing this element needs."""
        pending = [(node, index)]
        while pending:
            node, index = pending.pop()
            key = (node, tuple([(part.terms, part.constant) for part in index]))
            if key not in self.seen:
                self.seen.add(key)
                pending += self.reads(node, index)

    def reads(self, node: Node, index: Index) -> Iterator[tuple[Node, Index]]:
        kernel = self.kernel
        if isinstance(node, Constant | Full):
            return
        if isinstance(node, Iota):
            self.use_alone(index[node.axis])
        elif node in kernel.axes and isinstance(node, Reduce):
            return
        elif node in self.in_memory and node not in kernel.axes:
            self.loads[node] = None
            self.accesses.append(Access(node, flat_offset(index, node.shape), False))
        elif isinstance(node, View):
            yield from self.view_reads(node, index)
        elif isinstance(node, Map):
            self.cost += cost_of(node)
            for operand, found in operand_reads(node, index):
                assert found is not None
                yield operand, found
        else:
            yield from self.gated_reads(node, index)

    def view_reads(self, node: View, index: Index) -> Iterator[tuple[Node, Index]]:
        found = view_index(node, index)
        if found is not None:
            yield node.operands[0], found
            return
        owner, start = contiguous_base(node) or (node.operands[0], 0)
        offset = combine([(flat_offset(index, node.shape), 1)], start)
        self.loads[owner] = None
        self.accesses.append(Access(owner, offset, False))

    def gated_reads(self, node: Node, index: Index) -> Iterator[tuple[Node, Index]]:
        """Reads that depend on where the element is, or on values: their indices are used one by one."""
        if isinstance(node, Concatenate):
            yield from self.concatenate_reads(node, index)
            return
        if isinstance(node, Place):
            yield from self.place_reads(node, index)
            return
        self.cost += 4
        if isinstance(node, Gather):
            count = len(node.operands) - 1
            rank = len(node.shape) - (len(node.operands[0].shape) - count)
            yield node.operands[0], (*[unknown()] * count, *index[rank:])
            for operand, found in list(operand_reads(node, index))[1:]:
                assert found is not None
                yield operand, found
        elif isinstance(node, Window):
            lead, rest = index[: node.lead], index[node.lead :]
            moved = [combine([(part, 1), (unknown(), 1)]) for part in rest]
            yield node.operands[0], (*lead, *moved)
            for operand in node.operands[1:]:
                yield operand, lead

    def concatenate_reads(self, node: Concatenate, index: Index) -> Iterator[tuple[Node, Index]]:
        parts = parts_at(node, index, self.ranges)
        if not all(part.is_certain for part in parts):
            self.choices.append(node)
            for part in parts:
                self.note_test(part.place, part.operand.shape[node.axis])
        for part in parts:
            yield part.operand, part.index

    def place_reads(self, node: Place, index: Index) -> Iterator[tuple[Node, Index]]:
        entries = entries_at(node, index)
        is_inner = is_in_slice(entries, self.ranges)
        if not is_inner:
            yield from [(operand, index) for operand in node.operands[1:]]
        if is_inner is False:
            return
        if is_inner is None:
            self.choices.append(node)
            for entry in entries:
                length = (entry.count - 1) * entry.step + 1
                if entry.step != 1 or is_inside(entry.place, length, self.ranges) is None:
                    self.note_test(entry.place, length)
        yield node.operands[0], tuple([inner_index(entry) for entry in entries if entry.is_axis])

    def note_test(self, part: Affine, length: int) -> None:
        """Note that the point decides whether an index lies in `range(length)`."""
        self.cost += 2
        self.use_alone(part)
        for name, counts in borders_of(part, length).items():
            self.borders.setdefault(name, set()).update(counts)

    def is_chosen(self, target: Node) -> bool:
        """Whether elements of a node are read as parts of another array: which ones, accesses do not say."""
        pending, seen = list(self.choices), set()
        while pending:
            node = pending.pop()
            if node is target:
                return True
            if node not in seen:
                seen.add(node)
                pending += node.operands if node in self.choices else self.computed_here(node)
        return False

    def computed_here(self, node: Node) -> tuple[Node, ...]:
        """The operands of a node, unless it lies in memory."""
        is_loaded = node in self.in_memory and node not in self.kernel.axes
        return () if is_loaded else node.operands

    def use_alone(self, part: Affine) -> None:
        self.alone.update(name for name, _ in part.terms)


def store_offset(axes: tuple, owner: tuple, spec: tuple | None) -> Affine:
    """Where an element of a stored node lies in the memory of its owner."""
    index: Index = loops_index(axes)
    if spec is None:
        return flat_offset(index, owner)
    return flat_offset(slice_index(index, spec, owner), owner)


def inner_index(entry: Entry) -> Affine:
    """The index along one axis of the part that fills a slice."""
    if entry.step != 1:
        return unknown()
    return combine([(entry.place, -1)], entry.count - 1) if entry.is_backward else entry.place


def unknown() -> Affine:
    """An index that only the running code knows."""
    return Affine((), 0, ((object(), 1),))
