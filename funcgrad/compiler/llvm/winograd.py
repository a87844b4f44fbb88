"""Winograd's convolution for windows of 3 by 3 elements: 2.25 times fewer multiplications than the definition.

Threads take lines of squares: x is turned to channels last and transformed, 16 products of matrices follow,
and their results are transformed back. For the gradient by w, the squares are summed over. Where an infinity, a NaN or
an overflow comes out, the result is computed again by the definition: a transform would spread these.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from typing import NamedTuple

from funcgrad.compiler.llvm.builder import Function, Module, Value, constant, vector, zero
from funcgrad.compiler.llvm.conv_copy import (
    OFFSETS,
    fill,
    pack_terms,
    place,
    store_rows,
    write_offsets,
)
from funcgrad.compiler.llvm.conv_spec import ConvSpec, Part, Planes, chained
from funcgrad.compiler.llvm.conv_tasks import (
    TaskWriter,
    divided,
    flag,
    is_raised,
    raise_if,
    share,
    unless_stopped,
)
from funcgrad.compiler.llvm.conv_tile import call_tile
from funcgrad.compiler.llvm.elements import register_type
from funcgrad.compiler.llvm.matrix_copy import at, copy_matrix, index, repeat
from funcgrad.compiler.llvm.winograd_layout import (
    MOST_PARTS,
    Layout,
    layout_of,
    x_plane,
    y_plane,
)
from funcgrad.compiler.llvm.winograd_maps import (
    FILTER,
    INPUT,
    OUTPUT,
    PRODUCTS,
    SIDE,
    STEP,
    Square,
    sandwich,
    turned,
)

# Elements of the window.
WINDOW = 9


def write_winograd(module: Module, name: str, spec: ConvSpec, f: Function, direct: str) -> None:
    """Write the body of a convolution that `pays`; the function `direct` computes it by the definition."""
    assert spec.planes is not None
    failed = flag(f)
    kind = Gradient if spec.planes.sums_examples else Forward
    kind(module, name, spec.planes, layout_of(spec, spec.planes)).write(f, failed)
    with f.when(is_raised(f, failed)):
        f.call(direct, "void", f.arguments)


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


class Forward(Winograd):
    """y from x and w."""

    def write(self, f: Function, failed: Value) -> None:
        layout = self.layout
        x, w, out = f.arguments
        raw, panels = self.memory(
            f,
            layout.channels * WINDOW * layout.output_bytes,
            PRODUCTS * layout.channels * layout.output_bytes,
        )
        pieces = min(layout.channels, MOST_PARTS)
        self.parallel(f, self.filter_task(pieces), [w, raw, panels], index(layout.blocks * pieces))
        chunks = -(-layout.lines // layout.at_once)
        values = [x, panels, out, failed, flag(f)]
        self.parallel(f, self.lines_task(), values, index(chunks))
        f.external("fg_free", "void", [raw])

    # --- w ---

    def filter_task(self, pieces: int) -> Function:
        """Transform w for some channels and one block of outputs."""
        layout = self.layout
        f, chunk, (w, raw, panels) = self.task("filter", ["ptr"] * 3)
        block, piece = divided(f, chunk, pieces)
        first, last = share(f, piece, layout.channels, pieces)
        row_bytes = layout.tile.row_bytes
        raw = at(f, raw, (block, index(layout.channels * WINDOW * row_bytes)))
        self.pack(f, w, raw, block, first, last)
        step = layout.channels * layout.output_bytes
        panels = at(f, panels, (block, index(layout.channels * row_bytes)))
        with (
            repeat(f, first, last) as channel,
            f.loop(index(0), index(row_bytes), self.step) as part,
        ):
            source = f.gep(at(f, raw, (channel.index, index(WINDOW * row_bytes))), part.index)
            rows = [f.gep(source, 3 * i * row_bytes) for i in range(3)]
            values = sandwich(f, FILTER, self.square(f, rows, row_bytes))
            to = f.gep(at(f, panels, (channel.index, index(row_bytes))), part.index)
            self.scatter(f, values, to, step)
        f.ret()
        return f

    def pack(
        self, f: Function, w: Value, raw: Value, block: Value, first: Value, last: Value
    ) -> None:
        """The nine elements of each window one after the other, outputs last."""
        layout, tile = self.layout, self.layout.tile
        part = weights_part(self.planes)
        start = f.op("mul", block, index(tile.columns))
        w = at(f, w, (start, index(part.columns[0][1] * layout.size)))
        rest = f.op("sub", index(layout.outputs), start)
        columns = f.intrinsic("llvm.smin", "i64", [rest, index(tile.columns)])
        span = [f.op("mul", end, index(WINDOW)) for end in (first, last)]
        if layout.outputs % tile.columns:
            with repeat(f, span[0], span[1]) as loop:
                fill(f, at(f, raw, (loop.index, index(tile.row_bytes))), tile.row_bytes)
        pack_terms(f, part, tile, w, raw, columns, (span[0], span[1]))

    # --- lines of squares ---

    def lines_task(self) -> Function:
        layout = self.layout
        f, chunk, values = self.task("lines", ["ptr"] * 5)
        x, panels, out, failed, stopped = values
        with unless_stopped(f, stopped, layout.work):
            start = f.op("mul", chunk, index(layout.at_once))
            end = f.op("add", start, index(layout.at_once))
            stop = f.intrinsic("llvm.smin", "i64", [end, index(layout.lines)])
            sizes = (PRODUCTS * layout.x_product, PRODUCTS * layout.y_product)
            left, sums, rows, results = self.memory(
                f, *sizes, SIDE * self.x.row_bytes, STEP * self.y.row_bytes
            )
            fill(f, rows, SIDE * self.x.row_bytes)
            with repeat(f, start, stop) as line:
                self.transform_x(f, x, rows, left, start, line.index)
            self.multiply(f, left, panels, sums, self.first_square(f, stop, start))
            doubt = self.doubt(f)
            with repeat(f, start, stop) as line:
                self.transform_back(f, sums, results, doubt, start, line.index)
                self.store(f, results, out, line.index)
            self.raise_if_doubtful(f, doubt, failed)
            f.external("fg_free", "void", [left])
        f.ret()
        return f

    def multiply(self, f: Function, left: Value, panels: Value, sums: Value, count: Value) -> None:
        layout = self.layout
        most = layout.most_squares
        rows, terms = (f.alloca("i32", n + OFFSETS) for n in (most, layout.channels))
        step = layout.channel_bytes // layout.size
        write_offsets(f, rows, ((most, step),), index(0), index(most), most - 1)
        write_offsets(
            f, terms, ((layout.channels, 1),), index(0), index(layout.channels), layout.channels - 1
        )
        row_bytes = layout.tile.row_bytes
        channels = index(layout.channels)
        right = Blocks(panels, layout.channels * layout.output_bytes, layout.channels * row_bytes)
        to = Blocks(sums, layout.y_product, most * row_bytes)
        self.products(f, left, (rows, terms), right, to, (count, channels), constant("i1", 0))

    def transform_back(
        self, f: Function, sums: Value, results: Value, doubt: Value, start: Value, number: Value
    ) -> None:
        """A line of squares into two rows of y."""
        layout = self.layout
        row_bytes = layout.tile.row_bytes
        sums = at(f, sums, (self.first_square(f, number, start), index(row_bytes)))
        with self.squares(f, layout.output_bytes) as (square, part):
            block, within = divided(f, part, row_bytes)
            source = at(
                f, sums, (block, index(layout.most_squares * row_bytes)), (square, index(row_bytes))
            )
            values = sandwich(f, OUTPUT, self.gather(f, f.gep(source, within), layout.y_product))
            self.watch(f, doubt, values)
            to = f.gep(at(f, results, (square, index(STEP * layout.output_bytes))), part)
            for i, row in enumerate(values):
                for j, value in enumerate(row):
                    distance = i * self.y.row_bytes + j * layout.output_bytes
                    f.store(value, f.gep(to, distance), self.step)

    def store(self, f: Function, results: Value, out: Value, number: Value) -> None:
        """Two rows to their places in y."""
        layout, y = self.layout, self.y
        _, offset, within = self.line(f, number)
        plane = f.gep(out, offset)
        strides = layout.output_bytes // layout.size, 1
        shape = index(y.lengths[1]), index(layout.outputs)
        with f.loop(index(0), index(STEP)) as loop:
            row = f.op("add", f.op("mul", within, index(STEP)), loop.index)
            with f.when(f.icmp("ult", row, index(y.lengths[0]))):
                to = at(f, plane, (row, index(y.steps[0] * layout.size)))
                source = at(f, results, (loop.index, index(y.row_bytes)))
                copy_matrix(f, layout.size, to, y.steps[1:], source, strides, shape)


class Gradient(Winograd):
    """The gradient by w from x and y: parts of the sum over squares, which are then added in order."""

    def write(self, f: Function, failed: Value) -> None:
        layout = self.layout
        x, y, out = f.arguments
        parts = min(MOST_PARTS, layout.lines)
        sums, raw = self.memory(
            f,
            parts * PRODUCTS * layout.w_product,
            layout.channels * WINDOW * layout.output_bytes,
        )
        self.parallel(f, self.sums_task(parts), [x, y, sums, flag(f)], index(parts))
        pieces = min(layout.channels, MOST_PARTS)
        values = [sums, raw, out, failed]
        self.parallel(f, self.filter_task(parts, pieces), values, index(layout.blocks * pieces))
        f.external("fg_free", "void", [sums])

    def sums_task(self, parts: int) -> Function:
        """The sums over a share of the lines."""
        layout = self.layout
        f, chunk, (x, y, sums, stopped) = self.task("sums", ["ptr"] * 4)
        with unless_stopped(f, stopped, layout.work):
            first, last = share(f, chunk, layout.lines, parts)
            to = at(f, sums, (chunk, index(PRODUCTS * layout.w_product)))
            sizes = (PRODUCTS * layout.x_product, PRODUCTS * layout.y_product)
            left, right, x_rows, y_rows = self.memory(
                f, *sizes, SIDE * self.x.row_bytes, STEP * self.y.row_bytes
            )
            fill(f, x_rows, SIDE * self.x.row_bytes)
            fill(f, y_rows, STEP * self.y.row_bytes)
            tables = self.tables(f)
            with repeat(f, first, last, layout.at_once) as loop:
                start = loop.index
                end = f.op("add", start, index(layout.at_once))
                stop = f.intrinsic("llvm.smin", "i64", [end, last])
                with repeat(f, start, stop) as line:
                    self.transform_x(f, x, x_rows, left, start, line.index)
                    self.transform_y(f, y, y_rows, right, start, line.index)
                count = self.first_square(f, stop, start)
                adds = f.icmp("ne", start, first)
                self.multiply(f, left, right, to, tables, count, adds)
            f.external("fg_free", "void", [left])
        f.ret()
        return f

    def tables(self, f: Function) -> tuple[Value, Value]:
        """Offsets of channels, which are rows, and of squares, which are terms."""
        layout = self.layout
        rows, terms = (
            f.alloca("i32", n + 2 * OFFSETS) for n in (layout.channels, layout.most_squares)
        )
        count = -(-layout.channels // layout.tile.rows) * layout.tile.rows
        write_offsets(f, rows, ((layout.channels, 1),), index(0), index(count), layout.channels - 1)
        step = layout.channel_bytes // layout.size
        most = layout.most_squares
        write_offsets(f, terms, ((most, step),), index(0), index(most), most - 1)
        return rows, terms

    def transform_y(
        self, f: Function, y: Value, rows: Value, to: Value, start: Value, number: Value
    ) -> None:
        """Two rows of y into squares."""
        layout = self.layout
        _, offset, within = self.line(f, number)
        lines = [f.gep(rows, i * self.y.row_bytes) for i in range(STEP)]
        with f.loop(index(0), index(STEP)) as loop:
            row = f.op("add", f.op("mul", within, index(STEP)), loop.index)
            line = at(f, rows, (loop.index, index(self.y.row_bytes)))
            self.y.copy_row(f, f.gep(y, offset), row, line)
        row_bytes, output_bytes = layout.tile.row_bytes, layout.output_bytes
        to = at(f, to, (self.first_square(f, number, start), index(row_bytes)))
        with self.squares(f, output_bytes) as (square, part):
            distance = f.op("add", f.op("mul", square, index(STEP * output_bytes)), part)
            starts = [f.gep(line, distance) for line in lines]
            values = sandwich(f, turned(OUTPUT), self.square(f, starts, output_bytes))
            block, in_block = divided(f, part, row_bytes)
            steps = (block, index(layout.most_squares * row_bytes)), (square, index(row_bytes))
            self.scatter(f, values, f.gep(at(f, to, *steps), in_block), layout.y_product)

    def multiply(
        self,
        f: Function,
        left: Value,
        right: Value,
        to: Value,
        tables: tuple[Value, Value],
        count: Value,
        adds: Value,
    ) -> None:
        """Add some squares; the first ones overwrite."""
        layout = self.layout
        row_bytes = layout.tile.row_bytes
        rows = -(-layout.channels // layout.tile.rows) * layout.tile.rows
        panels = Blocks(right, layout.y_product, layout.most_squares * row_bytes)
        sums = Blocks(to, layout.w_product, rows * row_bytes)
        self.products(f, left, tables, panels, sums, (index(layout.channels), count), adds)

    def filter_task(self, parts: int, pieces: int) -> Function:
        """Add the parts for some channels and one block of outputs, transform and store."""
        layout, tile = self.layout, self.layout.tile
        f, chunk, (sums, raw, out, failed) = self.task("filter", ["ptr"] * 4)
        block, piece = divided(f, chunk, pieces)
        first, last = share(f, piece, layout.channels, pieces)
        row_bytes = tile.row_bytes
        rows = -(-layout.channels // tile.rows) * tile.rows
        sums = at(f, sums, (block, index(rows * row_bytes)))
        raw = at(f, raw, (block, index(layout.channels * WINDOW * row_bytes)))
        doubt = self.doubt(f)
        with (
            repeat(f, first, last) as channel,
            f.loop(index(0), index(row_bytes), self.step) as part,
        ):
            source = f.gep(at(f, sums, (channel.index, index(row_bytes))), part.index)
            values = sandwich(f, turned(FILTER), self.added(f, source, parts))
            self.watch(f, doubt, values)
            to = f.gep(at(f, raw, (channel.index, index(WINDOW * row_bytes))), part.index)
            self.scatter(f, values, to, row_bytes)
        self.raise_if_doubtful(f, doubt, failed)
        self.store(f, raw, out, block, (first, last))
        f.ret()
        return f

    def added(self, f: Function, source: Value, parts: int) -> Square:
        """The squares of all parts, added in order."""
        step = self.layout.w_product
        with f.loop(index(0), index(parts)) as loop:
            base = at(f, source, (loop.index, index(PRODUCTS * step)))
            totals = [f.carry(loop, zero(self.type)) for _ in range(PRODUCTS)]
            found = itertools.chain(*self.gather(f, base, step))
            sums = [
                f.update(loop, total, f.op("fadd", total, value))
                for total, value in zip(totals, found, strict=True)
            ]
        return [sums[SIDE * i : SIDE * i + SIDE] for i in range(SIDE)]

    def store(
        self, f: Function, raw: Value, out: Value, block: Value, span: tuple[Value, Value]
    ) -> None:
        layout, tile = self.layout, self.layout.tile
        start = f.op("mul", block, index(tile.columns))
        (_, _, step), *_ = weights_part(self.planes).columns
        out = at(f, out, (start, index(step * layout.size)))
        rest = f.op("sub", index(layout.outputs), start)
        columns = f.intrinsic("llvm.smin", "i64", [rest, index(tile.columns)])
        first, last = (f.op("mul", end, index(WINDOW)) for end in span)
        source = at(f, raw, (first, index(tile.row_bytes)))
        store_rows(f, weights_part(self.planes), tile, source, out, columns, (first, last))


def weights_part(p: Planes) -> Part:
    """The weights as a matrix: rows, which are terms, of channels and elements of the window; columns of outputs."""
    (channels, _, step), (outputs, _, of_output) = p.channels, p.outputs
    axes = ((channels, 0, step), *((3, 0, axis.w_step) for axis in p.axes))
    chain = chained(axes)
    return Part((), chain, ((outputs, of_output, of_output),), chain, (0, 0, 0))
