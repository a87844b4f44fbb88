"""Where a kernel is in its loops: scopes of C text, counters of loops, and indices made of them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from funcgrad.compiler.cuda.kernels.pointers import Pointers
from funcgrad.compiler.cuda.kernels.scalars import register_type
from funcgrad.compiler.cuda.kernels.text import Block, Names
from funcgrad.compiler.lowering.graph import Node
from funcgrad.compiler.lowering.index import Affine
from funcgrad.compiler.lowering.schedule import Schedule
from funcgrad.ir.types import INT64

INT32 = np.dtype(np.int32)


class Placed:
    """The text of a value and the depth of the scope in which it is known."""

    __slots__ = ("depth", "text")

    def __init__(self, text: str, depth: int) -> None:
        self.text = text
        self.depth = depth


class Scope:
    """One scope: its lines, what was computed in it, and the lines behind the scope inside it."""

    def __init__(self, block: Block, after: Block | None = None) -> None:
        self.block = block
        self.after = after if after is not None else block
        self.memo: dict[Any, Placed] = {}


class PlaceWriter:
    """Writes what depends on the current place.

    Args:
        schedule: the levels of loops.
        in_memory: the nodes that are read rather than computed.
        pointers: names of memory.
        lanes: how many elements of the vector level the innermost scope runs over.
        aligned: the nodes whose memory begins at a multiple of 16 bytes; None for all.

    Attributes:
        counters: per number of a level, the name of its counter and the depth where it is known.
        lane: the name of the counter of the vector level for one lane, with its depth; None without lanes.
        rest: the name of how many lanes are inside, where the vector level is no multiple of `lanes`.
    """

    def __init__(
        self,
        schedule: Schedule,
        in_memory: set[Node],
        pointers: Pointers,
        names: Names,
        lanes: int,
        aligned: frozenset[Node] | None,
    ) -> None:
        self.schedule = schedule
        self.kernel = schedule.kernel
        self.in_memory = in_memory
        self.pointers = pointers
        self.names = names
        self.lanes = lanes
        self.aligned = aligned
        self.used: set[str] = {"core"}
        self.scopes: list[Scope] = []
        self.gates: list[Placed] = []
        self.alive: list[Any] = []
        self.counters: dict[int, Placed] = {}
        self.lane: Placed | None = None
        self.rest: str | None = None
        self.index_dtype = INT64 if is_large(schedule) else INT32

    # --- scopes ---

    @contextmanager
    def scope(self, block: Block, after: Block | None = None) -> Iterator[Scope]:
        self.scopes.append(Scope(block, after))
        yield self.scopes[-1]
        self.scopes.pop()

    @property
    def depth(self) -> int:
        return len(self.scopes) - 1

    @property
    def vector_level(self) -> int:
        """The number of the level that the lanes run along."""
        levels = self.schedule.levels
        return next((i for i, level in enumerate(levels) if level.is_vector), -1)

    def let(self, type: str, text: str, depth: int) -> Placed:
        """A value under a name of its own."""
        name = self.names()
        self.scopes[depth].block.add(f"const {type} {name} = {text};")
        return Placed(name, depth)

    def depth_of(self, part: Affine) -> int:
        """The innermost scope that an index depends on."""
        found = [placed.depth for placed, _ in part.dynamic]
        for i, level in enumerate(self.schedule.levels):
            if level.factor(part):
                found.append(self.counter(i).depth)
        return max(found, default=0)

    def counter(self, level: int) -> Placed:
        if self.lane is not None and level == self.vector_level:
            return self.lane
        return self.counters[level]

    # --- indices ---

    def index_text(self, part: Affine, base: bool = False) -> str:
        """An index of the current place; with `base` that of the first lane."""
        terms = []
        for i, level in enumerate(self.schedule.levels):
            factor = level.factor(part)
            if factor:
                name = self.counters[i].text if base else self.counter(i).text
                terms.append(name if factor == 1 else f"{name} * {factor}")
        for placed, factor in part.dynamic:
            terms.append(placed.text if factor == 1 else f"{placed.text} * {factor}")
        if part.constant or not terms:
            terms.append(str(part.constant))
        return " + ".join(terms).replace("+ -", "- ")

    def index_value(self, part: Affine) -> Placed:
        """An index as a value of its own."""
        if part.is_constant:
            return Placed(str(part.constant), 0)
        return self.let(register_type(self.index_dtype), self.index_text(part), self.depth_of(part))

    def other_loops(self, axes: Sequence[int | None]) -> list[Placed]:
        """For an element that many points have: the tests that hold at one of them."""
        return [
            Placed(f"{self.counter(i).text} == 0", self.counter(i).depth)
            for i, level in enumerate(self.schedule.levels)
            if level.variables[-1] not in axes and i in self.counters and level.extent > 1
        ]


def is_large(schedule: Schedule) -> bool:
    """Whether positions in memory or in the loops need more than 32 bits."""
    if not schedule.levels:
        return False
    sizes = [access.node.type.size for access in schedule.accesses]
    points = math.prod(level.extent for level in schedule.levels)
    return max([points, *sizes]) >= 2**31
