"""Kernels that reduce along rows and across them: each block takes many rows, and gathers from row to row.

So the gradient of a normalisation reads its operands once. What the blocks have gathered is combined by a second
kernel, in the order of the blocks.
"""

from __future__ import annotations

from funcgrad.compiler.cuda.kernels.divide import reduction_groups
from funcgrad.compiler.cuda.kernels.rows import RowWriter, first_value, gathered_type
from funcgrad.compiler.cuda.kernels.scalars import register_type
from funcgrad.compiler.cuda.kernels.text import Block
from funcgrad.compiler.lowering.graph import Reduce
from funcgrad.compiler.lowering.index import flat_offset
from funcgrad.compiler.lowering.kernels import Kernel, loops_index
from funcgrad.compiler.lowering.reductions import POSITIONS, accumulator_dtype


def row_of(kernel: Kernel) -> frozenset[int] | None:
    """The loops of the rows, if all other reductions run across whole rows or over everything."""
    groups = reduction_groups(kernel)
    everything = frozenset(range(len(kernel.domain)))
    for row in [kernel.row] if kernel.row is not None else list(groups):
        others = [loops for loops in groups if loops != row]
        if row != everything and all(loops in (everything, everything - row) for loops in others):
            return row
    return None


class GatheringWriter(RowWriter):
    """Writes the first of the two kernels.

    Attributes:
        columns: the reductions across rows, which have an element for each place of a row.
    """

    def prepare(self, block: Block) -> None:
        """Registers for what is gathered, before the first row."""
        row = self.kernel.row
        assert row is not None
        reduced = self.kernel.reduced
        others = [node for node, loops in reduced.items() if frozenset(loops) != row]
        self.columns = [node for node in others if row.isdisjoint(reduced[node])]
        for node in others:
            assert node.combine not in POSITIONS
            count = self.shape.turns if node in self.columns else 1
            name, count = self.names("b"), count * self.shape.lanes
            self.reserved_words += count * -(-accumulator_dtype(node).itemsize // 4)
            self.running[node] = name
            block.add(f"{gathered_type(node)} {name}[{count}];")
            block.add("#pragma unroll")
            block.add(f"for (int i = 0; i < {count}; i++) {name}[i] = {first_value(node)};")

    def running_place(self, node: Reduce) -> str:
        v = "v" if self.shape.lanes > 1 else "0"
        place = f"k * {self.shape.lanes} + {v}" if node in self.columns else v
        return f"{self.running[node]}[{place}]"

    def write_gathered(self, block: Block, pointers: dict[Reduce, str]) -> None:
        """What this block has gathered, as one of the parts."""
        for node, name in self.running.items():
            if node not in self.columns:
                for lane in range(1, self.shape.lanes):
                    block.add(f"{name}[0] = fg_{node.combine}::of({name}[0], {name}[{lane}]);")
                block.add(f"{name}[0] = {self.across_group(block, node, f'{name}[0]')};")
            if self.shape.width > 1:
                self.join_groups(block, node, name)
        first = block.open("if (g == 0)") if self.shape.width > 1 else block
        for node, name in self.running.items():
            if node not in self.columns:
                guard = f"if ({self.leader}) " if self.leader else ""
                first.add(f"{guard}{pointers[node]}[blockIdx.x] = {name}[0];")
        if self.columns:
            self.write_columns(first, pointers)

    def join_groups(self, block: Block, node: Reduce, name: str) -> None:
        """What the groups of a block have gathered, from the last one to the first."""
        shape, room = self.shape, self.names("room")
        count = shape.turns * shape.lanes if node in self.columns else 1
        block.add(f"FG_SHARED({gathered_type(node)}, {room}, {count * shape.group});")
        loop = block.open(f"for (int i = {shape.width - 1}; i > 0; i--)")
        place = f"{room}[j * {shape.group} + t]"
        for group, line in (
            ("i", f"{place} = {name}[j];"),
            ("i - 1", f"{name}[j] = fg_{node.combine}::of({name}[j], {place});"),
        ):
            chosen = loop.open(f"if (g == {group})")
            chosen.add("#pragma unroll")
            chosen.add(f"for (int j = 0; j < {count}; j++) {line}")
            loop.add("__syncthreads();")

    def write_columns(self, block: Block, pointers: dict[Reduce, str]) -> None:
        lanes, outer = self.shape.lanes, dict(self.counters)
        inner = self.open_turns(block)
        with self.scope(inner.room()):
            self.row_counters()
            if lanes > 1:
                inner.add("#pragma unroll")
                inner = inner.open(f"for (int v = 0; v < {lanes}; v++)")
            with self.scope(inner):
                if lanes > 1:
                    self.open_lane()
                for node in self.columns:
                    offset = flat_offset(loops_index(self.kernel.axes[node]), node.shape)
                    place = f"(int)blockIdx.x * {node.type.size} + {self.index_text(offset)}"
                    inner.add(f"{pointers[node]}[{place}] = {self.running_place(node)};")
                self.lane = None
        self.counters, self.rest = outer, None


def open_gathered_rows(writer: GatheringWriter, body: Block, blocks: int) -> Block:
    """The loop over the rows of a block; which one a thread works on, and its number `t` in its group."""
    shape, type = writer.shape, register_type(writer.index_dtype)
    body.add(f"const int t = threadIdx.x % {shape.group}, g = threadIdx.x / {shape.group};")
    writer.prepare(body)
    step = blocks * shape.width
    head = f"for ({type} first = ({type})blockIdx.x * {shape.width}; first < {shape.rows}; first += {step})"
    loop = body.open(head)
    loop.add(f"const {type} wanted = first + g;")
    writer.leader = "t == 0" if shape.group > 1 else ""
    if shape.rows % shape.width:
        loop.add(f"const bool live = wanted < {shape.rows};")
        loop.add(f"const {type} row = live ? wanted : {shape.rows - 1};")
        writer.live = "live"
    else:
        loop.add(f"const {type} row = wanted;")
    return loop
