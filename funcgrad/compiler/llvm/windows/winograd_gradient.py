"""The gradient by w of Winograd's convolution: products of squares of x and y, summed over all squares."""

from __future__ import annotations

from funcgrad.compiler.llvm.builder import Function
from funcgrad.compiler.llvm.strided import at, index, repeat
from funcgrad.compiler.llvm.types import Value
from funcgrad.compiler.llvm.windows.conv_copy import (
    OFFSETS,
    fill,
    store_rows,
    write_offsets,
)
from funcgrad.compiler.llvm.windows.conv_tasks import (
    POLL_WORK,
    divided,
    flag,
    share,
    unless_stopped,
)
from funcgrad.compiler.llvm.windows.winograd_base import WINDOW, Blocks, Winograd, weights_part
from funcgrad.compiler.llvm.windows.winograd_layout import (
    MOST_PARTS,
)
from funcgrad.compiler.llvm.windows.winograd_maps import (
    PRODUCTS,
    SIDE,
    STEP,
)


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
        with unless_stopped(f, stopped, layout.work > POLL_WORK):
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
        steps = STEP * output_bytes, row_bytes
        count = index(layout.squares)
        for block in range(layout.blocks):
            rows_of_block = [f.gep(line, block * row_bytes) for line in lines]
            target = f.gep(to, block * layout.most_squares * row_bytes)
            product = layout.y_product
            self.spread(
                f, "y", rows_of_block, output_bytes, target, product, count, row_bytes, steps
            )

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
        source = at(f, sums, (first, index(row_bytes)))
        to = at(f, raw, (first, index(WINDOW * row_bytes)))
        count = f.op("sub", last, first)
        product = layout.w_product
        steps = row_bytes, WINDOW * row_bytes
        place, sets = (3 * row_bytes, row_bytes), (parts, PRODUCTS * product)
        self.gather(f, "to_w", source, product, sets, to, place, count, row_bytes, steps, doubt)
        self.raise_if_doubtful(f, doubt, failed)
        self.store(f, raw, out, block, (first, last))
        f.ret()
        return f

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
