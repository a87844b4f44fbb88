"""Loops around the tiles of a matrix product, and its division among threads: code that all products share.

What differs between products is data, in a constant table per product whose fields are named here. A *position* is a
row of the result (a column, if threads divide columns), counted on through all batch entries.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from funcgrad.compiler.llvm.builder import Function, Module
from funcgrad.compiler.llvm.loading.libraries import GEMM
from funcgrad.compiler.llvm.strided import at, index, repeat
from funcgrad.compiler.llvm.types import Value, constant

# Functions first: of one matrix, of tiles, of copies of y (or null), of stores; then sizes, and strides in bytes.
POINTERS = ("block", "tile", "copy", "store", "batch")
NUMBERS = (
    *("m", "n", "k", "k_block", "rows", "columns", "tile_row", "size"),
    *("x_row", "x_column", "y_row", "y_column", "out_row", "out_column"),
    *("panel_row", "panel_column", "is_inner", "scratch", "is_direct", "is_single", "accumulate"),
    *("x_start", "x_in_panels", "y_in_panels"),
    *("batch_axes", "by_columns", "unit", "extent", "tiles", "units", "positions"),
    *("least_chunks", "most_chunks"),
)
FIELDS = {name: i for i, name in enumerate((*POINTERS, *NUMBERS))}

# More chunks than threads, so that a thread that comes late or is interrupted leaves its share to others.
CHUNKS_PER_THREAD = 4

# The largest tile is as many vectors as there are registers.
TILE_BYTES = 32 * 64

# What code outside calls, and the functions that tables point to, have names with this prefix.
BLOCK, SPAN, PRODUCT = (GEMM + name for name in ("block", "span", "product"))
TASK, SHARED = "task", "shared"

# For functions that run once for much work: compiled fast.
ONCE = "nounwind noinline optnone"

# table, x, y, out, first row, end of rows, first column, end of columns
BLOCK_PARAMETERS = ("ptr", "ptr", "ptr", "ptr", "i64", "i64", "i64", "i64")


class Table:
    """Reads the fields of a table where they are wanted first."""

    def __init__(self, f: Function, pointer: Value) -> None:
        self.f = f
        self.pointer = pointer
        self.known: dict[str, Value] = {}

    def __getattr__(self, name: str) -> Value:
        if name not in self.known:
            type = "ptr" if name in POINTERS else "i64"
            with self.f.at(self.f.entry):
                self.known[name] = self.f.load(type, self.f.gep(self.pointer, 8 * FIELDS[name]))
        return self.known[name]

    def holds(self, name: str) -> Value:
        return self.f.icmp("ne", getattr(self, name), index(0))


def table(module: Module, name: str, fields: dict[str, str | int]) -> Value:
    """The constant with these fields; those not given are 0 or null."""
    parts = [f"ptr {fields.get(field, 'null')}" for field in POINTERS]
    parts += [f"i64 {int(fields.get(field, 0))}" for field in NUMBERS]
    types = ", ".join(part.split(" ")[0] for part in parts)
    return module.data(name, f"private constant {{{types}}} {{{', '.join(parts)}}}")


def call_pointer(f: Function, target: Value, arguments: list[Value]) -> None:
    f.do(f"call void {target.text}({', '.join(map(str, arguments))})")


def least(f: Function, a: Value, b: Value) -> Value:
    return f.intrinsic("llvm.smin", "i64", [a, b])


@contextlib.contextmanager
def stepping(f: Function, start: Value, stop: Value, step: Value) -> Iterator[Value]:
    """Count from start to stop by a step known at run time."""
    distance = f.op("sub", stop, start)
    rounded = f.op("add", distance, f.op("sub", step, index(1)))
    with repeat(f, index(0), f.op("sdiv", rounded, step)) as loop:
        yield f.op("add", start, f.op("mul", loop.index, step))


def write_driver(module: Module) -> None:
    """The functions `BLOCK`, `SPAN` and `PRODUCT`."""
    _write_block(module)
    _write_span(module)
    _write_task(module)
    _write_shared(module)
    _write_product(module)


# --- one matrix ---


def _write_block(module: Module) -> None:
    """Computes the part of one matrix between two rows and two columns."""
    f = module.function(BLOCK, "void", BLOCK_PARAMETERS)
    pointer, x, y, out, row_start, row_stop, column_start, column_stop = f.arguments
    t = Table(f, pointer)
    scratch = f.alloca("ptr", align=8)
    with f.when(t.holds("scratch")):
        f.store(f.external("fg_allocate", "ptr", [t.scratch]), scratch, 8)
    with (
        stepping(f, index(0), t.k, t.k_block) as k_start,
        stepping(f, column_start, column_stop, t.columns) as j,
    ):
        panel = Panel(t, x, y, out, k_start, j, least(f, t.columns, f.op("sub", column_stop, j)))
        panel.copy(scratch)
        with stepping(f, row_start, row_stop, t.rows) as i:
            panel.tile(i, row_stop)
    with f.when(t.holds("scratch")):
        f.external("fg_free", "void", [f.load("ptr", scratch, 8)])
    f.ret()


class Panel:
    """The columns of y under one row of tiles, over one block of k."""

    def __init__(
        self, t: Table, x: Value, y: Value, out: Value, k_start: Value, j: Value, columns: Value
    ) -> None:
        f = t.f
        self.t = t
        self.x = at(f, x, (k_start, t.x_column))
        self.y = at(f, y, (k_start, t.y_row))
        self.out = at(f, out, (j, t.out_column))
        self.k_size = least(f, t.k_block, f.op("sub", t.k, k_start))
        self.j = j
        self.columns = columns
        self.adds = f.op("or", t.holds("accumulate"), f.icmp("ne", k_start, index(0)))
        self.buffer = f.alloca("i8", TILE_BYTES)
        # What is not copied is read in place, and the last tile moves back to have all its columns inside.
        inside = least(f, j, f.op("sub", t.n, t.columns))
        self.column = f.select(t.holds("scratch"), j, inside)
        first = f.select(t.holds("y_in_panels"), j, self.column)
        self.start = at(f, self.y, (first, t.y_column))

    def copy(self, scratch: Value) -> None:
        """Copy it to scratch if the plan says so."""
        f, t = self.t.f, self.t
        start = f.alloca("ptr", align=8)
        f.store(self.start, start, 8)
        with f.when(t.holds("scratch")):
            is_inner = t.holds("is_inner")
            to = f.load("ptr", scratch, 8)
            to_row = f.select(is_inner, t.panel_column, t.panel_row)
            row = f.select(is_inner, t.y_column, t.y_row)
            column = f.select(is_inner, t.y_row, t.y_column)
            rows = f.select(is_inner, self.columns, self.k_size)
            columns = f.select(is_inner, self.k_size, self.columns)
            call_pointer(f, t.copy, [to, to_row, self.start, row, column, rows, columns])
            f.store(to, start, 8)
        self.start = f.load("ptr", start, 8)

    def tile(self, i: Value, row_stop: Value) -> None:
        """One tile: whole ones go to the result at once, others by way of the stack."""
        f, t = self.t.f, self.t
        row = least(f, i, f.op("sub", t.m, t.rows))
        rows = least(f, t.rows, f.op("sub", row_stop, i))
        out = at(f, self.out, (i, t.out_row))
        is_whole = t.holds("is_direct")
        for a, b in ((row, i), (rows, t.rows), (self.column, self.j), (self.columns, t.columns)):
            is_whole = f.op("and", is_whole, f.icmp("eq", a, b))
        first = f.select(t.holds("x_in_panels"), i, row)
        left = [at(f, self.x, (first, t.x_start)), t.x_row, t.x_column]
        right = [self.start, t.panel_row, t.panel_column, self.k_size]
        with f.when(is_whole):
            call_pointer(f, t.tile, [*left, *right, out, t.out_row, t.columns, self.adds])
        with f.when(f.op("xor", is_whole, constant("i1", 1))):
            skipped = (f.op("sub", i, row), t.tile_row), (f.op("sub", self.j, self.column), t.size)
            part, size = at(f, self.buffer, *skipped), [rows, self.columns]
            # Where whole tiles start from the result, these do too: rounding is the same in both.
            starts = f.op("and", t.holds("is_direct"), self.adds)
            no = constant("i1", 0)
            with f.when(starts):
                call_pointer(f, t.store, [out, t.out_row, part, t.tile_row, t.size, *size, no])
            tile = [self.buffer, t.tile_row, t.columns, starts]
            call_pointer(f, t.tile, [*left, *right, *tile])
            adds = f.op("xor", self.adds, starts)
            call_pointer(f, t.store, [part, t.tile_row, out, t.out_row, t.out_column, *size, adds])


# --- all matrices of a batch ---

SPAN_PARAMETERS = ("ptr", "ptr", "ptr", "ptr", "i64", "i64", "i64")


def _write_span(module: Module) -> None:
    """`span(table, x, y, out, start, stop, by_columns)`: the rows, or columns, between two positions."""
    f = module.function(SPAN, "void", SPAN_PARAMETERS)
    pointer, x, y, out, start, stop, by_columns = f.arguments
    t = Table(f, pointer)
    turned = f.icmp("ne", by_columns, index(0))
    extent = f.select(turned, t.n, t.m)
    with f.when(f.icmp("slt", start, stop)):
        first = f.op("udiv", start, extent)
        last = f.op("udiv", f.op("sub", stop, index(1)), extent)
        with f.loop(first, f.op("add", last, index(1))) as loop:
            base = f.op("mul", loop.index, extent)
            low = f.intrinsic("llvm.smax", "i64", [f.op("sub", start, base), index(0)])
            high = least(f, f.op("sub", stop, base), extent)
            matrices = _batch_entry(t, loop.index, [x, y, out])
            all_of_it = f.icmp("eq", f.op("sub", high, low), extent)
            is_single = f.op("and", t.holds("is_single"), all_of_it)
            with f.when(is_single):
                left = [matrices[0], t.x_row, t.x_column]
                right = [matrices[1], t.y_row, t.y_column, t.k]
                tile = [matrices[2], t.out_row, t.columns, t.holds("accumulate")]
                call_pointer(f, t.tile, [*left, *right, *tile])
            with f.when(f.op("xor", is_single, constant("i1", 1))):
                rows = f.select(turned, index(0), low), f.select(turned, t.m, high)
                columns = f.select(turned, low, index(0)), f.select(turned, high, t.n)
                call_pointer(f, t.block, [pointer, *matrices, *rows, *columns])
    f.ret()


def _batch_entry(t: Table, number: Value, bases: list[Value]) -> list[Value]:
    """Where the matrices of an entry begin. Axes are stored from the last to the first, and there is at least one."""
    f = t.f
    with f.loop(index(0), t.batch_axes) as loop:
        rest = f.carry(loop, number)
        carried = [f.carry(loop, base) for base in bases]
        axis = f.gep(t.batch, f.op("mul", loop.index, index(32)))
        extent, *strides = (f.load("i64", f.gep(axis, 8 * i), 8) for i in range(4))
        place = f.op("urem", rest, extent)
        f.update(loop, rest, f.op("udiv", rest, extent))
        return_values = [
            f.update(loop, base, at(f, base, (place, stride)))
            for base, stride in zip(carried, strides, strict=True)
        ]
    return return_values


# --- threads ---

# table, x, y, out, chunks
TASK_WORDS = 5


def _write_task(module: Module) -> None:
    """One chunk of a product, for the thread pool."""
    f = module.function(TASK, "void", ["ptr", "i64"], "internal")
    f.attributes = ONCE
    data, chunk = f.arguments
    pointer, x, y, out = (f.load("ptr", f.gep(data, 8 * i), 8) for i in range(4))
    chunks = f.load("i64", f.gep(data, 32), 8)
    t = Table(f, pointer)
    span = [_position(t, chunk, chunks), _position(t, f.op("add", chunk, index(1)), chunks)]
    f.call(SPAN, "void", [pointer, x, y, out, *span, t.by_columns])
    f.ret()


def _position(t: Table, chunk: Value, chunks: Value) -> Value:
    """Where a chunk begins: always with a whole tile."""
    f = t.f
    unit = f.op("udiv", f.op("mul", chunk, t.units), chunks)
    within = least(f, f.op("mul", f.op("urem", unit, t.tiles), t.unit), t.extent)
    return f.op("add", f.op("mul", f.op("udiv", unit, t.tiles), t.extent), within)


def _write_shared(module: Module) -> None:
    """A product by several threads."""
    f = module.function(SHARED, "void", ["ptr"] * 4, "internal")
    f.attributes = ONCE
    t = Table(f, f.arguments[0])
    threads = f.external("fg_threads", "i64", [])
    wanted = least(f, f.op("mul", threads, index(CHUNKS_PER_THREAD)), t.most_chunks)
    even = f.op("sub", wanted, f.op("urem", wanted, threads))
    wanted = f.select(f.icmp("sgt", even, index(0)), even, wanted)
    wanted = f.intrinsic("llvm.smax", "i64", [wanted, t.least_chunks])
    chunks = least(f, wanted, t.units)
    data = f.alloca("i64", TASK_WORDS)
    for i, word in enumerate([*f.arguments, chunks]):
        f.store(word, f.gep(data, 8 * i), 8)
    task = Value("ptr", f"@{TASK}")
    f.external("fg_parallel_interruptible", "i32", [task, data, chunks])
    f.ret()


def _write_product(module: Module) -> None:
    """`product(table, x, y, out)`: all of a product, by several threads if it is large enough."""
    f = module.function(PRODUCT, "void", ["ptr"] * 4)
    t = Table(f, f.arguments[0])
    is_large = f.icmp("sgt", t.most_chunks, index(1))
    with f.when(is_large):
        f.call(SHARED, "void", f.arguments)
    with f.when(f.op("xor", is_large, constant("i1", 1))):
        f.call(SPAN, "void", [*f.arguments, index(0), t.positions, t.by_columns])
    f.ret()
