"""The loops of convolutions: one set for all of a dtype, which read from a table what they are to do.

A convolution is a product of matrices, one row per place of the window, whose left operand is never made: an element
of it lies in x at the sum of two offsets, of its row and of its term. x is copied only if it needs zeros around it, w
becomes panels of as many output channels as a tile of registers has.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from funcgrad.compiler.llvm.builder import Function, Module
from funcgrad.compiler.llvm.strided import at, index, repeat
from funcgrad.compiler.llvm.types import Value, constant
from funcgrad.compiler.llvm.windows.conv_table import (
    AXIS_PLACES,
    AXIS_WORDS,
    HEAD_PLACES,
    HEAD_WORDS,
    MOST_ROWS,
    PADDING,
    PART_PLACES,
    PART_WORDS,
    SUMS_BYTES,
    Table,
)
from funcgrad.compiler.llvm.windows.conv_tasks import TaskWriter, flag, unless_stopped

CHUNKS_PER_THREAD = 4
# table, x, w, out
PARAMETERS = ("ptr",) * 4


def write_driver(module: Module, name: str, size: int) -> None:
    """Define the function `name(table, x, w, out)` for elements of `size` bytes."""
    _Driver(module, name, size).write()


class _Driver(TaskWriter):
    def __init__(self, module: Module, name: str, size: int) -> None:
        super().__init__(module, "task")
        self.entry = name
        self.size = size

    def write(self) -> None:
        f = self.module.function(self.entry, "void", PARAMETERS)
        table, x, w, out = f.arguments
        t = Table(f, table, HEAD_PLACES)
        place_function(self.module)
        tasks = self.pad_task(), self.pack_task(), self.rows_task()
        product = self.product_function(tasks[1], tasks[2])
        zeros = self.zeros_function()
        stopped = flag(f)
        padded = f.alloca("ptr", align=8)
        f.store(x, padded, 8)
        with f.when(t.holds("padded_bytes")):
            memory = f.external("fg_allocate", "ptr", [t.padded_bytes])
            f.store(memory, padded, 8)
            self.parallel(f, tasks[0], [table, x, memory, stopped], t.pad_chunks)
        x = f.load("ptr", padded, 8)
        with repeat(f, index(0), t.parts) as loop:
            part = f.gep(table, 8 * HEAD_WORDS)
            part = at(f, part, (loop.index, index(8 * PART_WORDS)))
            terms = f.load("i64", f.gep(part, 8 * PART_PLACES["terms"]), 8)
            f.call(product.name, "void", [part, x, w, out, stopped])
            with f.when(f.icmp("eq", terms, index(0))):
                f.call(zeros.name, "void", [part, out])
        with f.when(t.holds("padded_bytes")):
            f.external("fg_free", "void", [x])
        f.ret()

    def scaled(self, f: Function, base: Value, offset: Value) -> Value:
        return f.gep(base, f.op("mul", offset, index(self.size)))

    # --- x with zeros around it ---

    def pad_task(self) -> Function:
        f, chunk, (table, x, padded, stopped) = self.task("pad", ["ptr"] * 4)
        t = Table(f, table, HEAD_PLACES)
        start, stop = share(f, chunk, t.lines, t.pad_chunks)
        axes = f.gep(table, 8 * len(PADDING))
        extent, low, length, stride = (f.load("i64", f.gep(axes, 8 * i), 8) for i in range(4))
        with (
            unless_stopped(f, stopped, t.holds("pad_polls")),
            runs(f, start, stop, extent) as (number, first, count),
        ):
            inside, origin = self.source_plane(f, t, x, number)
            before = f.op("sub", first, f.op("mul", number, extent))
            with repeat(f, index(0), count) as loop:
                to = at(f, padded, (f.op("add", first, loop.index), t.line_bytes))
                along = f.op("sub", f.op("add", before, loop.index), low)
                here = f.op("and", inside, f.icmp("ult", along, length))
                self.pad_line(f, t, to, at(f, origin, (along, stride)), here)
        f.ret()
        return f

    def pad_line(self, f: Function, t: Table, to: Value, source: Value, inside: Value) -> None:
        """A line of x with zeros around it, or one of zeros."""
        clear = clear_function(self.module, self.size)
        f.call(clear, "void", [to, t.low_bytes])
        to = f.gep(to, t.low_bytes)
        count = f.select(inside, t.length, index(0))
        self.copy_line(f, t, to, source, count)
        blank = f.op("mul", f.op("sub", t.length, count), index(self.size))
        f.call(clear, "void", [to, blank])
        f.call(clear, "void", [at(f, to, (t.length, index(self.size))), t.high_bytes])

    def source_plane(self, f: Function, t: Table, x: Value, number: Value) -> tuple[Value, Value]:
        """Whether lines along the last axis but one can be such of x, and where the first of them begins."""
        axes = f.gep(t.pointer, 8 * len(PADDING))
        state = f.alloca("i64", 3)
        for i, value in enumerate((number, index(0), index(1))):
            f.store(value, f.gep(state, 8 * i), 8)
        with repeat(f, index(1), t.line_axes) as loop:
            axis = f.gep(axes, f.op("mul", loop.index, index(8 * AXIS_WORDS)))
            extent, low, length, stride = (f.load("i64", f.gep(axis, 8 * i), 8) for i in range(4))
            rest, offset, inside = (f.load("i64", f.gep(state, 8 * i), 8) for i in range(3))
            along = f.op("sub", f.op("urem", rest, extent), low)
            f.store(f.op("udiv", rest, extent), state, 8)
            f.store(f.op("add", offset, f.op("mul", along, stride)), f.gep(state, 8), 8)
            here = f.cast("zext", f.icmp("ult", along, length), "i64")
            f.store(f.op("and", inside, here), f.gep(state, 16), 8)
        offset, inside = (f.load("i64", f.gep(state, 8 * i), 8) for i in (1, 2))
        return f.icmp("ne", inside, index(0)), f.gep(x, offset)

    def copy_line(self, f: Function, t: Table, to: Value, source: Value, count: Value) -> None:
        arguments = [index(0), index(self.size), source, index(0), t.x_step, index(1), count]
        kinds = (f"fg_convolution.copy.{kind}.{self.size}" for kind in ("rows", "elements"))
        is_close = f.icmp("eq", t.x_step, index(self.size))
        near, far, after = (f.new_block(hint) for hint in ("near", "far", "after"))
        f.branch_if(is_close, near, far)
        for block, name in zip((near, far), kinds, strict=True):
            f.block = block
            f.external(name, "void", [to, *arguments])
            f.branch(after)
        f.block = after

    # --- panels ---

    def product_function(self, pack: Function, rows: Function) -> Function:
        """Make panels of a part, then compute its rows."""
        f = self.module.function("product", "void", ["ptr"] * 5, "internal")
        part, x, w, out, stopped = f.arguments
        t = Table(f, part, PART_PLACES)
        x, w, out = f.gep(x, t.x_start), f.gep(w, t.w_start), f.gep(out, t.out_start)
        with f.when(f.icmp("sgt", t.terms, index(0))):
            panel = f.external("fg_allocate", "ptr", [f.op("mul", t.panels, t.panel_bytes)])
            offsets = f.external("fg_allocate", "ptr", [f.op("mul", t.terms, index(4))])
            self.write_offsets(f, offsets, t, "term", index(0), t.terms)
            self.parallel(f, pack, [part, w, panel], f.op("mul", t.panels, t.pieces))
            each = self.tiles_per_chunk(f, t)
            per_panel = f.op("udiv", f.op("add", f.op("sub", each, index(1)), t.tiles), each)
            values = [part, x, panel, out, offsets, f.op("mul", each, t.tile_rows), per_panel]
            self.parallel(f, rows, [*values, stopped], f.op("mul", per_panel, t.panels))
            f.external("fg_free", "void", [panel])
            f.external("fg_free", "void", [offsets])
        f.ret()
        return f

    def tiles_per_chunk(self, f: Function, t: Table) -> Value:
        """So that each thread gets some chunks, if these are not too small."""
        threads = f.external("fg_threads", "i64", [])
        wanted = f.op("mul", threads, index(CHUNKS_PER_THREAD))
        each = f.op("udiv", f.op("mul", t.panels, t.tiles), wanted)
        each = f.intrinsic("llvm.umax", "i64", [each, t.least_tiles])
        return f.intrinsic("llvm.umin", "i64", [each, t.most_tiles])

    def pack_task(self) -> Function:
        f, chunk, (part, w, panel) = self.task("pack", ["ptr"] * 3)
        t = Table(f, part, PART_PLACES)
        which, piece = f.op("udiv", chunk, t.pieces), f.op("urem", chunk, t.pieces)
        w, columns = self.block(f, t, which, w, 2, t.w_column)
        panel = at(f, panel, (which, t.panel_bytes))
        start, stop = share(f, piece, t.terms, t.pieces)
        with f.when(f.icmp("ne", columns, t.tile_columns)):
            size = f.op("mul", f.op("sub", stop, start), t.row_bytes)
            to = at(f, panel, (start, t.row_bytes))
            f.call(clear_function(self.module, self.size), "void", [to, size])
        with runs(f, start, stop, t.term_length) as (number, first, length):
            source = self.run_start(f, t, "term", number, 2, w)
            within = f.op("sub", first, f.op("mul", number, t.term_length))
            source = at(f, source, (within, t.w_term))
            to = at(f, panel, (first, t.row_bytes))
            strides = [t.row_bytes, index(self.size)], [t.w_term, t.w_column]
            copy(f, t.pack, t.holds("pack_turns"), to, source, *strides, [length, columns])
        f.ret()
        return f

    def block(
        self, f: Function, t: Table, which: Value, base: Value, stride: int, column: Value
    ) -> tuple[Value, Value]:
        """Where a block of columns begins in w or out, and how many columns it has."""
        group, block = f.op("udiv", which, t.blocks), f.op("urem", which, t.blocks)
        first = f.op("mul", block, t.tile_columns)
        base = at(f, self.placed(f, t, "group", group, stride, base), (first, column))
        rest = f.op("sub", t.columns, first)
        return base, f.intrinsic("llvm.smin", "i64", [rest, t.tile_columns])

    # --- places along axes ---

    def placed(
        self, f: Function, t: Table, kind: str, number: Value, stride: int, base: Value
    ) -> Value:
        """The address of an element along the axes of a kind."""
        offset = self.offset(f, t, kind, number, stride, 0)
        return self.scaled(f, base, offset)

    def offset(
        self, f: Function, t: Table, kind: str, number: Value, stride: int, skip: int
    ) -> Value:
        """The sum of strides for the element with this number, not counting the last `skip` axes."""
        count = getattr(t, f"{kind}_axes")
        count = f.op("sub", count, index(skip)) if skip else count
        axes = f.gep(t.pointer, 8 * (AXIS_PLACES[kind] + skip * AXIS_WORDS))
        return f.call("place", "i64", [axes, count, number, index(8 * stride)])

    def run_start(
        self, f: Function, t: Table, kind: str, number: Value, stride: int, base: Value
    ) -> Value:
        """Where the run with this number begins: the place along all axes but the last."""
        return self.scaled(f, base, self.offset(f, t, kind, number, stride, 1))

    def write_offsets(
        self, f: Function, table: Value, t: Table, kind: str, start: Value, stop: Value
    ) -> None:
        """Offsets in x of rows or terms, as i32."""
        extent = getattr(t, f"{kind}_length")
        step = f.load("i64", f.gep(t.pointer, 8 * (AXIS_PLACES[kind] + 1)), 8)
        with runs(f, start, stop, extent) as (number, first, length):
            origin = self.offset(f, t, kind, number, 1, 1)
            within = f.op("sub", first, f.op("mul", number, extent))
            origin = f.op("add", origin, f.op("mul", within, step))
            to = f.gep(table, f.op("sub", first, start), "i32")
            with f.loop(index(0), length) as loop:
                offset = f.op("add", origin, f.op("mul", loop.index, step))
                f.store(f.cast("trunc", offset, "i32"), f.gep(to, loop.index, "i32"), 4)

    # --- rows ---

    def rows_task(self) -> Function:
        f, chunk, values = self.task("rows", ["ptr"] * 5 + ["i64"] * 2 + ["ptr"])
        part, x, panel, out, terms, each, per_panel, stopped = values
        t = Table(f, part, PART_PLACES)
        with unless_stopped(f, stopped, t.holds("polls")):
            which, piece = f.op("udiv", chunk, per_panel), f.op("urem", chunk, per_panel)
            start = f.op("mul", piece, each)
            stop = f.intrinsic("llvm.smin", "i64", [f.op("add", start, each), t.rows])
            out, columns = self.block(f, t, which, out, 3, t.out_column)
            x = self.placed(f, t, "group", f.op("udiv", which, t.blocks), 1, x)
            panel = at(f, panel, (which, t.panel_bytes))
            sums = f.alloca("i8", SUMS_BYTES)
            self.sums(f, t, x, terms, panel, (start, stop), sums)
            self.store(f, t, sums, out, columns, (start, stop))
        f.ret()
        return f

    def sums(
        self,
        f: Function,
        t: Table,
        x: Value,
        terms: Value,
        panel: Value,
        span: tuple[Value, Value],
        sums: Value,
    ) -> None:
        """The rows of a span: piece by piece of the terms, so that a panel stays in the cache."""
        offsets = f.alloca("i32", MOST_ROWS + 16)
        count = f.op("sub", span[1], span[0])
        self.write_offsets(f, offsets, t, "row", *span)
        # The last tile may have too many rows: these repeat the last one.
        last = f.load("i32", f.gep(offsets, f.op("sub", count, index(1)), "i32"), 4)
        with f.loop(index(0), index(8)) as loop:
            f.store(last, f.gep(offsets, f.op("add", count, loop.index), "i32"), 4)
        with stepping(f, index(0), t.terms, t.terms_at_once) as term:
            rest = f.op("sub", t.terms, term)
            length = f.intrinsic("llvm.smin", "i64", [rest, t.terms_at_once])
            adds = f.icmp("ne", term, index(0))
            right = at(f, panel, (term, t.row_bytes))
            with stepping(f, index(0), count, t.tile_rows) as row:
                left = [x, f.gep(offsets, row, "i32"), f.gep(terms, term, "i32")]
                to = at(f, sums, (row, t.row_bytes))
                call_pointer(f, t.tile, [*left, length, right, to, adds])

    def store(
        self,
        f: Function,
        t: Table,
        sums: Value,
        out: Value,
        columns: Value,
        span: tuple[Value, Value],
    ) -> None:
        """The rows of a span to their places in the result; `out` points to the first column."""
        with runs(f, *span, t.row_length) as (number, first, length):
            to = self.run_start(f, t, "row", number, 2, out)
            within = f.op("sub", first, f.op("mul", number, t.row_length))
            to = at(f, to, (within, t.out_row))
            source = at(f, sums, (f.op("sub", first, span[0]), t.row_bytes))
            strides = [t.out_row, t.out_column], [t.row_bytes, index(self.size)]
            copy(f, t.store, t.holds("store_turns"), to, source, *strides, [length, columns])

    def zeros_function(self) -> Function:
        """No element of the window meets x: sums of nothing."""
        f = self.module.function("zeros", "void", ["ptr"] * 2, "internal")
        t = Table(f, f.arguments[0], PART_PLACES)
        out = f.gep(f.arguments[1], t.out_start)
        raw = f"i{8 * self.size}"
        with repeat(f, index(0), t.groups) as group, repeat(f, index(0), t.columns) as column:
            base = self.placed(f, t, "group", group.index, 3, out)
            base = at(f, base, (column.index, t.out_column))
            with repeat(f, index(0), t.rows) as row:
                to = self.placed(f, t, "row", row.index, 2, base)
                f.store(constant(raw, 0), to, self.size)
        f.ret()
        return f


def place_function(module: Module) -> None:
    """`place(axes, count, number, stride)`: a sum of strides; axes are stored from the last to the first."""
    f = module.function("place", "i64", ["ptr", "i64", "i64", "i64"], "internal")
    axes, count, number, stride = f.arguments
    state = f.alloca("i64", 2)
    f.store(number, state, 8)
    f.store(index(0), f.gep(state, 8), 8)
    with repeat(f, index(0), count) as loop:
        axis = f.gep(axes, f.op("mul", loop.index, index(8 * AXIS_WORDS)))
        extent, step = f.load("i64", axis, 8), f.load("i64", f.gep(axis, stride), 8)
        rest, offset = f.load("i64", state, 8), f.load("i64", f.gep(state, 8), 8)
        f.store(f.op("udiv", rest, extent), state, 8)
        along = f.op("mul", f.op("urem", rest, extent), step)
        f.store(f.op("add", offset, along), f.gep(state, 8), 8)
    f.ret(f.load("i64", f.gep(state, 8), 8))


def clear_function(module: Module, size: int) -> str:
    """`clear(to, bytes)`: zeros, for the short stretches for which a call of memset takes longer."""
    if not module.defines("clear"):
        f = module.function("clear", "void", ["ptr", "i64"], "internal")
        to, length = f.arguments
        with repeat(f, index(0), length, size) as loop:
            f.store(constant(f"i{8 * size}", 0), f.gep(to, loop.index), size)
        f.ret()
    return "clear"


def call_pointer(f: Function, target: Value, arguments: list[Value]) -> None:
    f.do(f"call void {target.text}({', '.join(map(str, arguments))})")


def copy(
    f: Function,
    function: Value,
    turns: Value,
    to: Value,
    source: Value,
    to_strides: list[Value],
    strides: list[Value],
    shape: list[Value],
) -> None:
    """Call a function of `matrix_copy`, with rows and columns in each other's place if it `turns`."""
    pairs = [
        [f.select(turns, b, a), f.select(turns, a, b)] for a, b in (to_strides, strides, shape)
    ]
    call_pointer(f, function, [to, *pairs[0], source, *pairs[1], *pairs[2]])


def share(f: Function, chunk: Value, count: Value, chunks: Value) -> tuple[Value, Value]:
    """Where an equal share of `count` things begins and ends."""
    following = f.op("add", chunk, index(1))
    start, stop = (
        f.op("udiv", f.op("mul", number, count), chunks) for number in (chunk, following)
    )
    return start, stop


@contextlib.contextmanager
def stepping(f: Function, start: Value, stop: Value, step: Value) -> Iterator[Value]:
    """Count from start to stop by a step known at run time."""
    distance = f.op("sub", stop, start)
    rounded = f.op("add", distance, f.op("sub", step, index(1)))
    with repeat(f, index(0), f.op("udiv", rounded, step)) as loop:
        yield f.op("add", start, f.op("mul", loop.index, step))


@contextlib.contextmanager
def runs(
    f: Function, start: Value, stop: Value, extent: Value
) -> Iterator[tuple[Value, Value, Value]]:
    """The numbers from start to stop, cut where the last axis begins anew: (number of the run, first, length)."""
    first = f.op("udiv", start, extent)
    last = f.op("udiv", f.op("add", stop, f.op("sub", extent, index(1))), extent)
    with repeat(f, first, last) as loop:
        begin = f.op("mul", loop.index, extent)
        low = f.intrinsic("llvm.smax", "i64", [begin, start])
        high = f.intrinsic("llvm.smin", "i64", [f.op("add", begin, extent), stop])
        yield loop.index, low, f.op("sub", high, low)
