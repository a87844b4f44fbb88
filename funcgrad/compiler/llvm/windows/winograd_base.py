"""What Winograd's convolution and its gradient by w share: lines of squares of x, and the 16 products."""

from __future__ import annotations

import itertools
from typing import NamedTuple

from funcgrad.compiler.llvm.builder import Function, Module
from funcgrad.compiler.llvm.kernels.registers import register_type
from funcgrad.compiler.llvm.strided import at, index, repeat
from funcgrad.compiler.llvm.types import Value, vector, zero
from funcgrad.compiler.llvm.windows.conv_copy import (
    place,
)
from funcgrad.compiler.llvm.windows.conv_tasks import (
    TaskWriter,
    divided,
    raise_if,
)
from funcgrad.compiler.llvm.windows.conv_tile import call_tile
from funcgrad.compiler.llvm.windows.winograd_layout import (
    Layout,
    x_plane,
    y_plane,
)
from funcgrad.compiler.llvm.windows.winograd_maps import (
    PRODUCTS,
    SIDE,
    STEP,
)
from funcgrad.compiler.llvm.windows.winograd_transforms import transform_name
from funcgrad.compiler.lowering.conv_spec import Part, Planes, chained

# Elements of the window.
WINDOW = 9


class Winograd(TaskWriter):
    """What the convolution and its gradient by w share."""

    def __init__(self, module: Module, name: str, planes: Planes, layout: Layout) -> None:
        super().__init__(module, name)
        self.planes = planes
        self.layout = layout
        self.type = vector(layout.lanes, register_type(layout.dtype))
        self.step = layout.lanes * layout.size
        self.x = x_plane(planes, layout)
        self.y = y_plane(planes, layout)

    def write(self, f: Function, failed: Value) -> None:
        """Compute; raise `failed` if the result cannot be trusted."""
        raise NotImplementedError

    # --- transforms ---

    def spread(
        self,
        f: Function,
        kind: str,
        rows: list[Value],
        column: int,
        to: Value,
        product: int,
        count: Value,
        size: int,
        steps: tuple[int, int],
    ) -> None:
        """Squares into one vector for each product.

        Args:
            kind: "x", "y" or "w".
            rows: where the rows of the first square begin; column: the distance of its columns in bytes.
            to: where the first vectors go; product: how far apart.
            count: of squares; size: of the channels of an element; steps: from square to square in both.
        """
        rows = [*rows, *[rows[0]] * (SIDE - len(rows))]
        numbers = [index(n) for n in (size, *steps)]
        arguments = [*rows, index(column), to, index(product), count, *numbers]
        f.external(transform_name(kind, self.layout.dtype, self.layout.lanes), "void", arguments)

    def gather(
        self,
        f: Function,
        kind: str,
        source: Value,
        product: int,
        parts: tuple[int, int],
        to: Value,
        place: tuple[int, int],
        count: Value,
        size: int,
        steps: tuple[int, int],
        doubt: Value,
    ) -> None:
        """One vector for each product into squares.

        Args:
            kind: "to_y" or "to_w".
            source: where the first vectors are; product: how far apart.
            parts: how many such sets are added, and how far apart they are.
            to: where the first square goes; place: the distances of its rows and columns.
            count, size, steps: as in `spread`.
            doubt: gets what is not finite.
        """
        numbers = [index(n) for n in (product, *parts)]
        others = [index(n) for n in (size, *steps)]
        arguments = [source, *numbers, to, *(index(n) for n in place), count, *others, doubt]
        f.external(transform_name(kind, self.layout.dtype, self.layout.lanes), "void", arguments)

    # --- values that the transforms would spread ---

    def doubt(self, f: Function) -> Value:
        """A vector that is 0 as long as all values are finite."""
        address = f.alloca(self.type)
        f.store(zero(self.type), address, self.step)
        return address

    def raise_if_doubtful(self, f: Function, doubt: Value, failed: Value) -> None:
        lanes = f.fcmp("une", f.load(self.type, doubt, self.step), zero(self.type))
        suffix = f"v{self.layout.lanes}i1"
        raise_if(f, f.intrinsic("llvm.vector.reduce.or", "i1", [lanes], suffix), failed)

    # --- x ---

    def line(self, f: Function, number: Value) -> tuple[Value, Value, Value]:
        """The offsets in bytes of a line's plane in x and in y, and its place there."""
        plane, within = divided(f, number, self.layout.lines_per_plane)
        x, y = place(f, plane, self.planes.examples, 1, 2)
        size = index(self.layout.size)
        return f.op("mul", x, size), f.op("mul", y, size), within

    def transform_x(
        self, f: Function, x: Value, rows: Value, to: Value, start: Value, number: Value
    ) -> None:
        """A line of x into squares. `rows` holds four rows; two of them are still those of the line before."""
        offset, _, within = self.line(f, number)
        plane = f.gep(x, offset)
        first = f.op("mul", within, index(STEP))
        is_new = f.op("or", f.icmp("eq", number, start), f.icmp("eq", within, index(0)))
        distances = [f.op("urem", f.op("add", first, index(i)), index(SIDE)) for i in range(SIDE)]
        lines = [at(f, rows, (n, index(self.x.row_bytes))) for n in distances]
        with repeat(f, f.select(is_new, index(0), index(STEP)), index(SIDE)) as loop:
            row = f.op("add", first, loop.index)
            line = at(f, rows, (f.op("urem", row, index(SIDE)), index(self.x.row_bytes)))
            self.x.copy_row(f, plane, row, line)
        channel_bytes = self.layout.channel_bytes
        to = at(f, to, (self.first_square(f, number, start), index(channel_bytes)))
        steps = STEP * channel_bytes, channel_bytes
        product, count = self.layout.x_product, index(self.layout.squares)
        self.spread(f, "x", lines, channel_bytes, to, product, count, channel_bytes, steps)

    def first_square(self, f: Function, number: Value, start: Value) -> Value:
        return f.op("mul", f.op("sub", number, start), index(self.layout.squares))

    def memory(self, f: Function, *sizes: int) -> list[Value]:
        """Blocks of these sizes in bytes, one after the other; the first is to be freed."""
        offsets = [0, *itertools.accumulate(-(-size // 64) * 64 for size in sizes)]
        base = f.external("fg_allocate", "ptr", [index(offsets[-1])])
        return [f.gep(base, offset) for offset in offsets[:-1]]

    # --- products ---

    def products(
        self,
        f: Function,
        left: Value,
        offsets: tuple[Value, Value],
        right: Blocks,
        to: Blocks,
        counts: tuple[Value, Value],
        adds: Value,
    ) -> None:
        """The 16 products of matrices.

        Args:
            left: where the left operands begin, `x_product` apart; offsets: of their rows and terms.
            right: panels; to: the results.
            counts: of rows and of terms.
            adds: whether to add to what the results hold.
        """
        layout = self.layout
        with (
            f.loop(index(0), index(PRODUCTS)) as product,
            f.loop(index(0), index(layout.blocks)) as block,
            repeat(f, index(0), counts[0], layout.tile.rows) as row,
        ):
            x = at(f, left, (product.index, index(layout.x_product)))
            panel, out = (side.block(f, product.index, block.index) for side in (right, to))
            out = at(f, out, (row.index, index(layout.tile.row_bytes)))
            row_offsets = f.gep(offsets[0], row.index, "i32")
            call_tile(f, layout.tile, [x, row_offsets, offsets[1], counts[1], panel, out, adds])


class Blocks(NamedTuple):
    """Matrices for each product and each block of outputs, and the distances between them in bytes."""

    base: Value
    product: int
    of_outputs: int

    def block(self, f: Function, product: Value, outputs: Value) -> Value:
        steps = (product, index(self.product)), (outputs, index(self.of_outputs))
        return at(f, self.base, *steps)


def weights_part(p: Planes) -> Part:
    """The weights as a matrix: rows, which are terms, of channels and elements of the window; columns of outputs."""
    (channels, _, step), (outputs, _, of_output) = p.channels, p.outputs
    axes = ((channels, 0, step), *((3, 0, axis.w_step) for axis in p.axes))
    chain = chained(axes)
    return Part((), chain, ((outputs, of_output, of_output),), chain, (0, 0, 0))
