"""How the loops of a kernel run: their order, which become one, which is the vector, and their division."""

from __future__ import annotations

import itertools
import math

from funcgrad.compiler.lowering.graph import (
    Node,
    Reduce,
)
from funcgrad.compiler.lowering.index import (
    Affine,
)
from funcgrad.compiler.lowering.kernels import Kernel
from funcgrad.compiler.lowering.phases import Phases

CHUNK_WORK = 1 << 19  # simple operations on single elements that are worth handing to a thread
LONG_CHUNK_WORK = 1 << 26  # operations between two looks whether Ctrl-C has come
MAX_CHUNKS = 64  # and more only where they would be longer than that
MAX_COLUMN_CHUNKS = 8  # chunks that need memory of their own for what they sum up
COLUMN_PART = 16  # all that memory is at most this part of what is read
CHUNK_MULTIPLE = 256  # elements: whole unrolled vectors of every dtype


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


class Schedule(Phases):
    """The loops of one kernel.

    Attributes:
        levels: outermost first; those of the row last.
        outer: how many levels are not part of the row.
        phases: per member that is a reduction finished within the row, the pass over the row that computes it.
        chunk_level: the level that is divided among threads, -1 for none.
        chunks: into how many parts.

    Args:
        kernel: the kernel.
        in_memory: what lies in memory.
        apart: variables that must not become one with others.
    """

    def __init__(
        self, kernel: Kernel, in_memory: set[Node], apart: frozenset[int] = frozenset()
    ) -> None:
        super().__init__(kernel, in_memory)
        self.apart = apart
        self.levels = self.make_levels()
        self.outer = sum(not level.is_row for level in self.levels)
        self.given_size = 0
        self.chunk_level, self.chunks = self.choose_chunks()

    @classmethod
    def of_nothing(cls, kernel: Kernel) -> Schedule:
        """The schedule of a kernel without loops."""
        schedule = cls.__new__(cls)
        schedule.kernel = kernel
        schedule.levels, schedule.outer = [], 0
        return schedule

    def __str__(self) -> str:
        chunks = f", {self.chunks} chunks of level {self.chunk_level}" if self.chunks > 1 else ""
        lines = ["  " * i + repr(level) for i, level in enumerate(self.levels)]
        return "\n".join([*lines, f"{self.cost} operations a point{chunks}"])

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
        if (last in self.apart) != (name in self.apart):
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

    def interior(self, level: Level) -> range | None:
        """The counts of a loop between which the same parts of arrays are chosen, if they are most of them."""
        counts = self.borders.get(level.variables[-1], ())
        ends = sorted({0, level.extent, *[n for n in counts if 0 < n < level.extent]})
        if len(ends) < 3 or len(level.variables) > 1:
            return None
        longest = max(itertools.starmap(range, itertools.pairwise(ends)), key=len)
        return longest if 2 * len(longest) >= level.extent else None

    # --- division among threads ---

    def choose_chunks(self) -> tuple[int, int]:
        points = math.prod(self.kernel.domain)
        work = points * max(1, self.cost + 2 * len(self.accesses))
        long = work // LONG_CHUNK_WORK
        wanted = min(max(MAX_CHUNKS, long), work // CHUNK_WORK)
        if wanted < 2 or not self.levels:
            return -1, 1
        candidates = [
            i for i, level in enumerate(self.levels) if not level.is_row or self.kernel.row is None
        ]
        if not candidates:
            return -1, 1
        level = max(candidates, key=lambda i: (min(self.levels[i].extent, wanted), -i))
        size = self.partial_size(level)
        if size > 64:
            wanted = min(wanted, max(MAX_COLUMN_CHUNKS, min(long, points // (size * COLUMN_PART))))
        chunks = min(wanted, self.levels[level].extent)
        return (level, chunks) if chunks > 1 else (-1, 1)

    def divide(self, level: int, size: int) -> None:
        """Let chunks be so many counts of a level."""
        self.chunk_level, self.given_size = level, size
        self.chunks = self.chunk_count()

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
        if self.given_size:
            return self.given_size
        level = self.levels[self.chunk_level]
        size = -(-level.extent // self.chunks)
        return -(-size // CHUNK_MULTIPLE) * CHUNK_MULTIPLE if size > 4 * CHUNK_MULTIPLE else size
