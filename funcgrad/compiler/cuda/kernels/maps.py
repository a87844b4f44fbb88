"""Kernels without reductions: each thread computes some neighbours along the vector level."""

from __future__ import annotations

import math

from funcgrad.compiler.cuda.kernels.choosing import ChoosingWriter
from funcgrad.compiler.cuda.kernels.places import Placed
from funcgrad.compiler.cuda.kernels.scalars import register_type
from funcgrad.compiler.cuda.kernels.text import Block
from funcgrad.compiler.lowering.accesses import store_offset
from funcgrad.compiler.lowering.kernels import Store, loops_index


class MapWriter(ChoosingWriter):
    """Writes one kernel without reductions."""

    @property
    def vectors(self) -> int:
        """How many vectors all points make."""
        extents = [level.extent for level in self.schedule.levels]
        if not extents:
            return 1
        return math.prod(extents[:-1]) * -(-extents[-1] // self.lanes)

    def write_vector(self, block: Block) -> None:
        """The points of vector number `q`."""
        with self.scope(block.room(), after=Block()) as scope:
            self.open_counters()
            if self.lanes == 1:
                self.write_point()
            else:
                block.add("#pragma unroll")
                with self.scope(block.open(f"for (int v = 0; v < {self.lanes}; v++)")):
                    self.open_lane()
                    self.write_point()
                    self.lane = None
        block.parts.append(scope.after)

    def open_counters(self) -> None:
        levels, type, rest = self.schedule.levels, register_type(self.index_dtype), "q"
        for i in reversed(range(len(levels))):
            extent = levels[i].extent
            if i == len(levels) - 1 and self.lanes > 1:
                rest = self.vector_counter(rest, extent, is_only=i == 0)
            elif i == 0:
                self.counters[i] = Placed(rest, self.depth)
            else:
                self.counters[i] = self.let(type, f"{rest} % {extent}", self.depth)
                rest = self.let(type, f"{rest} / {extent}", self.depth).text

    def vector_counter(self, rest: str, extent: int, is_only: bool) -> str:
        """The counter of the vector level at the first lane; what is left for the levels around it."""
        level, lanes, type = (
            len(self.schedule.levels) - 1,
            self.lanes,
            register_type(self.index_dtype),
        )
        count = -(-extent // lanes)
        place = rest if is_only else f"{rest} % {count}"
        self.counters[level] = self.let(type, f"({place}) * {lanes}", self.depth)
        if extent % lanes:
            base = self.counters[level].text
            self.rest = self.let("int", f"{extent} - {base}", self.depth).text
        return rest if is_only else self.let(type, f"{rest} / {count}", self.depth).text

    def open_lane(self) -> None:
        base = self.counters[self.vector_level].text
        v = f"(v < {self.rest} ? v : {self.rest} - 1)" if self.rest else "v"
        self.lane = self.let(register_type(self.index_dtype), f"{base} + {v}", self.depth)

    def write_point(self) -> None:
        stores = self.kernel.stores
        self.compute_members([store.node for store in stores])
        found = [self.value(store.node, loops_index(store.axes)) for store in stores]
        for store, placed in zip(stores, found, strict=True):
            self.write_store(store, placed)

    def write_store(self, store: Store, placed: Placed) -> None:
        """Write an element of a result, once."""
        offset = store_offset(store.axes, store.shape, store.spec)
        self.store(store.owner, offset, store.node.dtype, placed, self.other_loops(store.axes))
