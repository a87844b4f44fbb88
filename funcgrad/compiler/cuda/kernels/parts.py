"""The second kernel of rows that were divided among blocks: combines the parts of each row in order."""

from __future__ import annotations

from typing import Literal

from funcgrad.compiler.cuda.kernels.rows import RowWriter, first_value, gathered_type
from funcgrad.compiler.cuda.kernels.shapes import (
    PART_TURNS,
    THREADS,
    WARP,
    RowShape,
    up_to_power,
)
from funcgrad.compiler.cuda.kernels.text import Block
from funcgrad.compiler.lowering.graph import Reduce
from funcgrad.compiler.lowering.index import flat_offset
from funcgrad.compiler.lowering.kernels import loops_index

# How the parts lie: those of a row together, rows together, or the elements of a result together.
Layout = Literal["rows", "columns", "elements"]


class PartsWriter(RowWriter):
    """Writes the kernel that combines parts. Its own shape has the parts of a row as its length."""

    def write_parts(self, block: Block, pointers: dict[Reduce, str], layout: Layout) -> None:
        """Combine the parts of one row, whose outer counters are known."""
        for node, pointer in pointers.items():
            type, total = gathered_type(node), self.names("a")
            place = self.part_place(node, layout)
            block.add(f"{type} {total} = {first_value(node)};")
            block.add("#pragma unroll 4")
            loop = block.open(f"for (int c = t; c < {self.shape.length}; c += {self.shape.group})")
            loop.add(f"{total} = fg_{node.combine}::of({total}, {pointer}[{place}]);")
            result = self.names("r")
            block.add(f"const {type} {result} = {self.across_group(block, node, total)};")
            self.publish(node, result)
        self.write_rest(block)

    def part_place(self, node: Reduce, layout: Layout) -> str:
        """Where part `c` of the current row lies."""
        if layout == "rows":
            return f"row * {self.shape.length} + c"
        if layout == "columns":
            return f"c * {self.shape.rows} + row"
        offset = flat_offset(loops_index(self.kernel.axes[node]), node.shape)
        return f"c * {node.type.size} + {self.index_text(offset)}"


def parts_shape(rows: int, parts: int, layout: Layout) -> RowShape:
    """The layout of the second kernel: few parts for each thread, as they wait for memory one after the other."""
    group = up_to_power(-(-parts // PART_TURNS))
    if layout != "rows" and rows >= WARP:
        return RowShape(rows, parts, 1, min(WARP, group), True, WARP, 1, False)
    group = min(THREADS, max(WARP, group))
    return RowShape(rows, parts, 1, group, False, max(1, 128 // group), 1, False)
