"""What Winograd's convolution and its gradient by w share: lines of squares of x, and the 16 products."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from typing import NamedTuple

from funcgrad.compiler.llvm.builder import Function, Module, Value, vector, zero
from funcgrad.compiler.llvm.conv_copy import (
    place,
)
from funcgrad.compiler.llvm.conv_spec import Part, Planes, chained
from funcgrad.compiler.llvm.conv_tasks import (
    TaskWriter,
    divided,
    raise_if,
)
from funcgrad.compiler.llvm.conv_tile import call_tile
from funcgrad.compiler.llvm.elements import register_type
from funcgrad.compiler.llvm.matrix_copy import at, index, repeat
from funcgrad.compiler.llvm.winograd_layout import (
    Layout,
    x_plane,
    y_plane,
)
from funcgrad.compiler.llvm.winograd_maps import (
    INPUT,
    PRODUCTS,
    SIDE,
    STEP,
    Square,
    sandwich,
)

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

    # --- vectors ---

    def load(self, f: Function, address: Value) -> Value:
        return f.load(self.type, address, self.step)

    def square(self, f: Function, rows: list[Value], step: int) -> Square:
        """As many columns as rows, from where these begin."""
        return [[self.load(f, f.gep(row, j * step)) for j in range(len(rows))] for row in rows]

    def scatter(self, f: Function, values: Square, base: Value, step: int) -> None:
        """One vector for each product."""
        for i, value in enumerate(itertools.chain(*values)):
            f.store(value, f.gep(base, i * step), self.step)

    def gather(self, f: Function, base: Value, step: int) -> Square:
        numbers = range(SIDE)
        return [
            [self.load(f, f.gep(base, (SIDE * i + j) * step)) for j in numbers] for i in numbers
        ]

    @contextlib.contextmanager
    def squares(self, f: Function, bytes_each: int) -> Iterator[tuple[Value, Value]]:
        """For each square of a line and each vector of its channels: the square's number, the vector's place."""
        with (
            f.loop(index(0), index(self.layout.squares)) as outer,
            f.loop(index(0), index(bytes_each), self.step) as inner,
        ):
            yield outer.index, inner.index

    # --- values that the transforms would spread ---

    def doubt(self, f: Function) -> Value:
        """A vector that is 0 as long as all values are finite."""
        address = f.alloca(self.type)
        f.store(zero(self.type), address, self.step)
        return address

    def watch(self, f: Function, doubt: Value, values: Square) -> None:
        first, *others = itertools.chain(*values)
        for value in others:
            first = f.op("fadd", first, value)
        found = f.op("fadd", self.load(f, doubt), f.op("fsub", first, first))
        f.store(found, doubt, self.step)

    def raise_if_doubtful(self, f: Function, doubt: Value, failed: Value) -> None:
        lanes = f.fcmp("une", self.load(f, doubt), zero(self.type))
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
        with self.squares(f, channel_bytes) as (square, part):
            distance = f.op("add", f.op("mul", square, index(STEP * channel_bytes)), part)
            starts = [f.gep(line, distance) for line in lines]
            values = sandwich(f, INPUT, self.square(f, starts, channel_bytes))
            target = f.gep(at(f, to, (square, index(channel_bytes))), part)
            self.scatter(f, values, target, self.layout.x_product)

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
