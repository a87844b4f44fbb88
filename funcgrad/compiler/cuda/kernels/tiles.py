"""Maps that read along one level and write along another: through tiles in shared memory.

A block reads a square of what lies crosswise in the order of memory, and computes from it in the order of the result.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from funcgrad.compiler.cuda.kernels.maps import MapWriter
from funcgrad.compiler.cuda.kernels.places import Placed
from funcgrad.compiler.cuda.kernels.scalars import from_memory, memory_type, register_type, sections
from funcgrad.compiler.cuda.kernels.text import Block
from funcgrad.compiler.lowering.index import Affine
from funcgrad.compiler.lowering.schedule import Schedule

SIDE = 32  # of a tile
HEIGHT = 8  # rows of threads, each of which takes several elements of its column
SHORTEST = 16  # length of a level that is worth a side of a tile


def crosswise_level(schedule: Schedule) -> int | None:
    """The level along which most of what is read crosswise lies next to each other in memory; None if nothing is."""
    levels = schedule.levels
    if len(levels) < 2 or not levels[-1].is_vector or levels[-1].extent < SHORTEST:
        return None
    shares = {
        i: sum(
            access.node.type.size * access.node.dtype.itemsize
            for access in schedule.accesses
            if not access.is_store and is_crosswise(schedule, access.offset, i)
        )
        for i, level in enumerate(levels[:-1])
        if level.extent >= SHORTEST
    }
    best = max(shares, key=lambda i: shares[i], default=None)
    return best if best is not None and shares[best] else None


def is_crosswise(schedule: Schedule, offset: Affine, level: int) -> bool:
    """Whether neighbours along a level, but not along the last one, are neighbours in memory."""
    levels = schedule.levels
    crosses = levels[level].factor(offset) == 1 and levels[-1].factor(offset) not in (0, 1)
    return crosses and not offset.dynamic


class TileWriter(MapWriter):
    """Writes one kernel.

    Attributes:
        across: the level along which crosswise operands lie in memory.
    """

    across = 0

    def write_tile(self, body: Block) -> None:
        """The points of tile `q`."""
        levels, type = self.schedule.levels, register_type(self.index_dtype)
        self.tiles: dict[Any, str] = {}
        body.add(f"const int x = threadIdx.x % {SIDE}, y = threadIdx.x / {SIDE};")
        last = len(levels) - 1
        counts = [-(-level.extent // SIDE) for level in (levels[self.across], levels[last])]
        body.add(f"const {type} q = blockIdx.x, a0 = q % {counts[1]} * {SIDE};")
        body.add(f"const {type} b0 = q / {counts[1]} % {counts[0]} * {SIDE};")
        with self.scope(body.room()):
            self.open_others(f"q / {counts[0] * counts[1]}", last)
            self.declared, self.staging = body.room(), body.room()
            self.stage: Block | None = None
            inner = self.open_points(body, "a0 + x", f"b0 + y + {HEIGHT} * i")
            with self.scope(inner):
                depth = self.depth
                self.counters |= {last: Placed("a", depth), self.across: Placed("b", depth)}
                self.write_point()

    def open_others(self, rest: str, last: int) -> None:
        """The counters of the levels that are no sides of tiles."""
        type = register_type(self.index_dtype)
        for i in reversed(range(last)):
            if i != self.across:
                extent = self.schedule.levels[i].extent
                self.counters[i] = self.let(type, f"{rest} % {extent}", self.depth)
                rest = f"({rest}) / {extent}"

    def open_points(self, block: Block, a: str, b: str) -> Block:
        """The loop over the elements of a thread, and the condition that they are inside."""
        levels, type = self.schedule.levels, register_type(self.index_dtype)
        block.add("#pragma unroll")
        loop = block.open(f"for (int i = 0; i < {SIDE // HEIGHT}; i++)")
        loop.add(f"const {type} a = {a}, b = {b};")
        tests = [("a", levels[-1].extent), ("b", levels[self.across].extent)]
        inside = [f"{name} < {extent}" for name, extent in tests if extent % SIDE]
        return loop.open(f"if ({' && '.join(inside)})") if inside else loop

    def load(self, key: Any, offset: Affine, dtype: np.dtype) -> Placed:
        if self.gates or not is_crosswise(self.schedule, offset, self.across):
            return super().load(key, offset, dtype)
        tile = self.tile(key, offset, dtype)
        text = from_memory(dtype, f"{tile}[x * {SIDE + 1} + y + {HEIGHT} * i]")
        return self.let(register_type(dtype), text, self.depth)

    def tile(self, key: Any, offset: Affine, dtype: np.dtype) -> str:
        """The name of the tile that holds these elements."""
        memo = (key, offset.key)
        if memo not in self.tiles:
            self.used |= sections(dtype)
            self.tiles[memo] = name = self.names("tile")
            if self.stage is None:
                self.stage = self.open_points(self.staging, f"a0 + y + {HEIGHT} * i", "b0 + x")
                self.staging.add("__syncthreads();")
            self.declared.add(f"FG_SHARED({memory_type(dtype)}, {name}, {SIDE * (SIDE + 1)});")
            place = f"{name}[(y + {HEIGHT} * i) * {SIDE + 1} + x]"
            pointer = self.pointers.read(key, dtype)
            self.stage.add(f"{place} = {pointer}[{self.index_text(offset)}];")
        return self.tiles[memo]

    @property
    def blocks(self) -> int:
        """How many tiles there are."""
        sides = (self.across, len(self.schedule.levels) - 1)
        extents = [
            -(-level.extent // SIDE) if i in sides else level.extent
            for i, level in enumerate(self.schedule.levels)
        ]
        return math.prod(extents)
