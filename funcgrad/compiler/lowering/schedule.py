"""How the loops of a kernel run: their order, which become one, which is the vector, and the passes over a row."""

from __future__ import annotations

import math
from collections.abc import Iterator

from funcgrad.compiler.lowering.fusion import (
    Kernel,
    cost_of,
    loops_index,
    operand_reads,
    reduced_index,
)
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
    constant,
    flat_offset,
)
from funcgrad.compiler.lowering.views import contiguous_base, view_index

CHUNK_WORK = 1 << 19  # simple operations on single elements that are worth handing to a thread
MAX_CHUNKS = 64
MAX_COLUMN_CHUNKS = 8  # chunks that need memory of their own for what they sum up
CHUNK_MULTIPLE = 256  # elements: whole unrolled vectors of every dtype
DEAR_STEP = 4  # operations from which on a value is kept for the next phase of its row


class Access:
    """One load or store: how its position depends on the loops."""

    __slots__ = ("is_store", "offset", "size")

    def __init__(self, offset: Affine, size: int, is_store: bool) -> None:
        self.offset = offset
        self.size = size
        self.is_store = is_store


class Level:
    """One loop, over one or more variables of the domain (outermost first) that together count like one."""

    __slots__ = ("extent", "is_row", "is_vector", "variables")

    def __init__(self, variables: list[int], extent: int, is_row: bool) -> None:
        self.variables = variables
        self.extent = extent
        self.is_row = is_row
        self.is_vector = False

    def factor(self, offset: Affine) -> int:
        """By how much the counter of this level moves an offset."""
        return offset.factor(self.variables[-1])

    def __repr__(self) -> str:
        names = "*".join(f"d{v}" for v in self.variables)
        flags = (" row" if self.is_row else "") + (" vector" if self.is_vector else "")
        return f"for {names} in {self.extent}{flags}"


def store_offset(axes: tuple, owner: tuple, spec: tuple | None) -> Affine:
    """Where an element of a stored node lies in the memory of its owner."""
    index: Index = loops_index(axes)
    if spec is None:
        return flat_offset(index, owner)
    return flat_offset(placed_index(index, spec, owner), owner)


def placed_index(index: Index, spec: tuple, owner: tuple) -> Index:
    """The index into an array of an element of its slice `spec`."""
    given = iter(index)
    result = []
    for entry, length in zip(spec, owner, strict=True):
        if isinstance(entry, int):
            result.append(constant(entry % length))
        else:
            span = range(*slice(*entry).indices(length))
            result.append(combine([(next(given), span.step)], span.start))
    return tuple(result)


def unknown() -> Affine:
    """An index that only the running code knows."""
    return Affine((), 0, ((object(), 1),))


class Schedule:
    """The loops of one kernel.

    Attributes:
        levels: outermost first; those of the row last.
        outer: how many levels are not part of the row.
        phases: per member that is a reduction finished within the row, the pass over the row that computes it.
        cost: simple operations per point of the domain.
        chunk_level: the level that is divided among threads, -1 for none.
        chunks: into how many parts.
        loads: the nodes in memory that are read.
    """

    def __init__(self, kernel: Kernel, in_memory: set[Node]) -> None:
        self.kernel = kernel
        self.in_memory = in_memory
        self.accesses: list[Access] = []
        self.alone: set[int] = set()
        self.cost = 0
        self.seen: set[tuple] = set()
        self.loads: dict[Node, None] = {}
        self.collect()
        self.levels = self.make_levels()
        self.outer = sum(not level.is_row for level in self.levels)
        self.phase_memo: dict[Node, int] = {}
        self.chunk_level, self.chunks = self.choose_chunks()

    @classmethod
    def of_nothing(cls, kernel: Kernel) -> Schedule:
        """The schedule of a kernel without loops."""
        schedule = cls.__new__(cls)
        schedule.kernel = kernel
        schedule.levels, schedule.outer = [], 0
        return schedule

    @property
    def is_loud(self) -> bool:
        """Whether something that is computed may cause a warning of NumPy."""
        return any(isinstance(node, Map) and node.is_loud for node, _ in self.seen)

    def __str__(self) -> str:
        chunks = f", {self.chunks} chunks of level {self.chunk_level}" if self.chunks > 1 else ""
        lines = ["  " * i + repr(level) for i, level in enumerate(self.levels)]
        return "\n".join([*lines, f"{self.cost} operations a point{chunks}"])

    # --- what is read and written ---

    def collect(self) -> None:
        kernel = self.kernel
        for store in kernel.stores:
            offset = store_offset(store.axes, store.owner.shape, store.spec)
            self.accesses.append(Access(offset, store.node.type.size, True))
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
            self.accesses.append(Access(flat_offset(index, node.shape), node.type.size, False))
        elif isinstance(node, View):
            yield from self.view_reads(node, index)
        elif isinstance(node, Map):
            self.cost += cost_of(node)
            for operand, found in operand_reads(node, index):
                assert found is not None
                yield operand, found
        else:
            self.cost += 4
            yield from self.gated_reads(node, index)

    def view_reads(self, node: View, index: Index) -> Iterator[tuple[Node, Index]]:
        found = view_index(node, index)
        if found is not None:
            yield node.operands[0], found
            return
        offset = flat_offset(index, node.shape)
        base = contiguous_base(node)
        owner = base[0] if base else node.operands[0]
        self.loads[owner] = None
        self.accesses.append(Access(offset, owner.type.size, False))

    def gated_reads(self, node: Node, index: Index) -> Iterator[tuple[Node, Index]]:
        """Reads that depend on where the element is, or on values: their indices are used one by one."""
        if isinstance(node, Concatenate):
            self.use_alone(index[node.axis])
            for operand in node.operands:
                yield operand, index
        elif isinstance(node, Place):
            for part in index:
                self.use_alone(part)
            inner = [
                p for p, entry in zip(index, node.spec, strict=True) if not isinstance(entry, int)
            ]
            yield node.operands[0], tuple(inner)
            for operand in node.operands[1:]:
                yield operand, index
        elif isinstance(node, Gather):
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

    def use_alone(self, part: Affine) -> None:
        self.alone.update(name for name, _ in part.terms)

    # --- loops ---

    def make_levels(self) -> list[Level]:
        kernel = self.kernel
        order = self.variable_order()
        row = kernel.row or frozenset()
        levels: list[Level] = []
        for name in order:
            extent = kernel.domain[name]
            if levels and self.can_merge(levels[-1], name):
                levels[-1].variables.append(name)
                levels[-1].extent *= extent
            else:
                levels.append(Level([name], extent, name in row))
        if not levels:
            return []
        if kernel.row is None:
            levels[-1].is_row = True
        self.choose_vector(levels)
        return levels

    def variable_order(self) -> list[int]:
        """Variables with large strides first; those of the row after the others."""
        kernel = self.kernel
        names = list(range(len(kernel.domain)))
        weight = {name: 0.0 for name in names}
        for access in self.accesses:
            covered = math.prod(kernel.domain[v] for v, _ in access.offset.terms)
            share = covered * (2.0 if access.is_store else 1.0)
            for name, factor in access.offset.terms:
                weight[name] += share * math.log2(1 + abs(factor))
            for name in names:
                if not access.offset.factor(name):
                    weight[name] += share * 0.5
        row = kernel.row or frozenset()
        return sorted(names, key=lambda name: (name in row, -weight[name], name))

    def can_merge(self, level: Level, name: int) -> bool:
        """Whether a variable counts on where a level ends, in every access and every reduction."""
        kernel, last = self.kernel, level.variables[-1]
        row = kernel.row or frozenset()
        if last in self.alone or name in self.alone or (last in row) != (name in row):
            return False
        if any((last in loops) != (name in loops) for loops in kernel.reduced.values()):
            return False
        extent = kernel.domain[name]
        return all(
            access.offset.factor(last) == access.offset.factor(name) * extent
            for access in self.accesses
        )

    def choose_vector(self, levels: list[Level]) -> None:
        """The innermost loop is the vector, unless only the loop around the rows moves through memory by ones."""
        candidates = [levels[-1]]
        if self.kernel.row is not None and not any(
            node.combine in ("argmax", "argmin") for node in self.kernel.reduced
        ):
            candidates += [level for level in levels if not level.is_row][-1:]
        best = max(candidates, key=lambda level: (self.unit_strides(level), level is levels[-1]))
        best.is_vector = True

    def unit_strides(self, level: Level) -> float:
        """How well an access pattern suits vectors along a level."""
        total = 0.0
        for access in self.accesses:
            factor = level.factor(access.offset)
            weight = 2.0 if access.is_store else 1.0
            total += weight if factor == 1 else 0.0 if factor == 0 else -weight
        return total * min(1.0, level.extent / 4)

    # --- phases ---

    def finished_in_row(self, node: Reduce) -> bool:
        """Whether a reduction runs over the loops of the row and no others."""
        return (
            self.kernel.row is not None and frozenset(self.kernel.reduced[node]) == self.kernel.row
        )

    def phase(self, node: Node) -> int:
        """The first pass over the row in which a node can be computed."""
        if node not in self.phase_memo:
            for needed in self.in_order(node):
                self.phase_memo[needed] = max([0, *map(self.phase_after, needed.operands)])
        return self.phase_memo[node]

    def phase_after(self, operand: Node) -> int:
        """The first pass that can use an operand."""
        is_row_sum = isinstance(operand, Reduce) and operand in self.kernel.axes
        return self.phase_memo.get(operand, 0) + is_row_sum

    def in_order(self, root: Node) -> list[Node]:
        """What is computed for a node in this kernel and has no phase yet, operands first."""
        found, pending, seen = [], [root], set()
        while pending:
            node = pending[-1]
            waiting = (
                []
                if node in seen
                else [o for o in self.computed_here(node) if o not in self.phase_memo]
            )
            seen.add(node)
            if waiting:
                pending += waiting
                continue
            pending.pop()
            if node not in self.phase_memo:
                self.phase_memo[node] = 0
                found.append(node)
        return found

    def computed_here(self, node: Node) -> tuple[Node, ...]:
        """The operands of a node, unless it lies in memory."""
        is_loaded = node in self.in_memory and node not in self.kernel.axes
        return () if is_loaded else node.operands

    # --- division among threads ---

    def choose_chunks(self) -> tuple[int, int]:
        points = math.prod(self.kernel.domain)
        work = points * max(1, self.cost + 2 * len(self.accesses))
        wanted = min(MAX_CHUNKS, work // CHUNK_WORK)
        if wanted < 2 or not self.levels:
            return -1, 1
        candidates = [
            i for i, level in enumerate(self.levels) if not level.is_row or self.kernel.row is None
        ]
        if not candidates:
            return -1, 1
        level = max(candidates, key=lambda i: (min(self.levels[i].extent, wanted), -i))
        if self.needs_partials(level):
            wanted = min(wanted, MAX_COLUMN_CHUNKS if self.partial_size(level) > 64 else MAX_CHUNKS)
        chunks = min(wanted, self.levels[level].extent)
        return (level, chunks) if chunks > 1 else (-1, 1)

    def needs_partials(self, level: int) -> bool:
        return any(self.is_partial(node, level) for node in self.kernel.reduced)

    def is_partial(self, node: Reduce, level: int) -> bool:
        """Whether chunks of a level each compute a part of a reduction."""
        return self.levels[level].variables[-1] in self.kernel.reduced[node]

    def divided(self) -> list[Reduce]:
        """Reductions of which every chunk computes a part."""
        if self.chunk_level < 0:
            return []
        return [n for n in self.kernel.reduced if self.is_partial(n, self.chunk_level)]

    def summed_in_memory(self) -> list[Reduce]:
        """Reductions with a loop outside the innermost, which gather in memory, but whole ones."""
        row = {v for level in self.levels if level.is_row for v in level.variables}
        divided = self.divided()
        return [
            n
            for n, loops in self.kernel.reduced.items()
            if n not in divided and not set(loops) <= row
        ]

    def chunk_count(self) -> int:
        """How many chunks have something to do."""
        if self.chunk_level < 0:
            return 1
        return -(-self.levels[self.chunk_level].extent // self.chunk_size())

    def partial_size(self, level: int) -> int:
        return sum(n.type.size for n in self.kernel.reduced if self.is_partial(n, level))

    def chunk_size(self) -> int:
        """The length of a chunk: the level divided evenly, in whole vectors if there are many."""
        level = self.levels[self.chunk_level]
        size = -(-level.extent // self.chunks)
        return -(-size // CHUNK_MULTIPLE) * CHUNK_MULTIPLE if size > 4 * CHUNK_MULTIPLE else size

    # --- values kept between passes over the row ---

    def kept_values(self) -> set[Node]:
        """Nodes that are dear to compute and needed in several passes over the row."""
        if self.kernel.row is None:
            return set()
        first: dict[Node, int] = {}
        kept: set[Node] = set()
        nodes = [*self.kernel.members, *[store.node for store in self.kernel.stores]]
        for phase in range(max(map(self.phase, nodes)) + 1):
            roots = [n.operands[0] for n in self.kernel.reduced if self.phase(n) == phase]
            roots += [s.node for s in self.kernel.stores if self.phase(s.node) == phase]
            seen: set[Node] = set()
            for root in roots:
                self.find_kept(root, phase, first, kept, seen)
        return kept

    def find_kept(
        self, root: Node, phase: int, first: dict[Node, int], kept: set[Node], seen: set[Node]
    ) -> None:
        """Walk what one pass computes, as far as earlier passes have not kept it."""
        pending = [root]
        while pending:
            node = pending.pop()
            if node in seen or node not in self.kernel.axes or isinstance(node, Reduce):
                continue
            seen.add(node)
            if self.is_dear_in_row(node) and first.setdefault(node, phase) < phase:
                kept.add(node)
            else:
                pending += node.operands

    def is_dear_in_row(self, node: Node) -> bool:
        row = self.kernel.row or frozenset()
        inside = any(axis in row for axis in self.kernel.axes[node])
        return inside and isinstance(node, Map) and cost_of(node) >= DEAR_STEP
