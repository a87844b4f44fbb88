"""Winograd's convolution: w is transformed once, then lines of squares of x become lines of y."""

from __future__ import annotations

from funcgrad.compiler.llvm.builder import Function
from funcgrad.compiler.llvm.products.matrix_copy import copy_matrix
from funcgrad.compiler.llvm.strided import at, index, repeat
from funcgrad.compiler.llvm.types import Value, constant
from funcgrad.compiler.llvm.windows.conv_copy import (
    OFFSETS,
    fill,
    pack_terms,
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
        raw = at(f, raw, (first, index(WINDOW * row_bytes)))
        to = at(f, panels, (first, index(row_bytes)))
        rows = [f.gep(raw, 3 * i * row_bytes) for i in range(3)]
        count = f.op("sub", last, first)
        steps = WINDOW * row_bytes, row_bytes
        self.spread(f, "w", rows, row_bytes, to, step, count, row_bytes, steps)
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
        with unless_stopped(f, stopped, layout.work > POLL_WORK):
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
        place = self.y.row_bytes, layout.output_bytes
        steps = row_bytes, STEP * layout.output_bytes
        for block in range(layout.blocks):
            source = f.gep(sums, block * layout.most_squares * row_bytes)
            to = f.gep(results, block * row_bytes)
            count = index(layout.squares)
            product = layout.y_product
            self.gather(
                f, "to_y", source, product, (1, 0), to, place, count, row_bytes, steps, doubt
            )

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
