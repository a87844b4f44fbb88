"""Convolutions in native code: a function per convolution, divided among threads by places and output channels.

A convolution is a product of matrices, one row per place of the window, whose left operand is never made: an element
of it lies in x at the sum of two offsets, of its row and of its term. x is copied only if it needs zeros around it, w
becomes panels of as many output channels as a tile of registers has. The gradients are convolutions, too: in
that by w the examples are summed, and w is a large window.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

from funcgrad.compiler.llvm import libraries
from funcgrad.compiler.llvm.builder import Function, Module, Value
from funcgrad.compiler.llvm.conv_copy import (
    OFFSETS,
    fill,
    last_axis,
    pack_terms,
    pad_lines,
    place,
    store_rows,
    total,
    write_offsets,
)
from funcgrad.compiler.llvm.conv_lanes import (
    AlongPlaces,
    AlongTerms,
    has_few_columns,
    runs_along_places,
    runs_along_terms,
)
from funcgrad.compiler.llvm.conv_spec import ConvSpec, Part
from funcgrad.compiler.llvm.conv_tasks import (
    LEAST_BYTES,
    LEAST_WORK,
    TaskWriter,
    divided,
    flag,
    rounded,
    share,
    unless_stopped,
)
from funcgrad.compiler.llvm.conv_tile import ConvTile, call_tile, choose_tile
from funcgrad.compiler.llvm.matrix_copy import index, repeat
from funcgrad.compiler.llvm.target import host
from funcgrad.compiler.llvm.winograd import write_winograd
from funcgrad.compiler.llvm.winograd_layout import pays

libraries.register()
# A panel of this size stays in the second cache while the rows of a chunk pass.
PANEL_BYTES = 1 << 18
# The sums of the rows of a chunk.
SUMS_BYTES = 3 << 14
CHUNKS_PER_THREAD = 4


@dataclass(frozen=True)
class Plan:
    """How one part of a convolution is computed.

    Attributes:
        part: the part, with at most one column axis.
        tile: the register tile.
        blocks: of columns.
        terms: how many there are, and how many are done at once.
        most_rows: in one chunk.
    """

    part: Part
    tile: ConvTile
    blocks: int
    terms: int
    terms_at_once: int
    most_rows: int

    @property
    def groups(self) -> int:
        return total(self.part.groups)

    @property
    def rows(self) -> int:
        return total(self.part.rows)

    @property
    def columns(self) -> int:
        return total(self.part.columns)

    @property
    def panel_bytes(self) -> int:
        return self.terms * self.tile.row_bytes

    @property
    def work(self) -> int:
        return self.groups * self.blocks * self.rows * self.terms * self.tile.width


def with_one_column_axis(part: Part) -> Part:
    """All but the last of its column axes count as groups."""
    outer = tuple((n, 0, w, out) for n, w, out in part.columns[:-1])
    return replace(part, groups=part.groups + outer, columns=part.columns[-1:])


def plan_part(spec: ConvSpec, part: Part) -> Plan:
    """The plan of a part that has rows, columns and terms."""
    terms, columns = total(part.terms), total(part.columns)
    tile = choose_tile(spec.dtype, total(part.rows), columns, host())
    pieces = -(-terms * tile.row_bytes // PANEL_BYTES)
    most_rows = max(SUMS_BYTES // tile.row_bytes // tile.rows, 1) * tile.rows
    return Plan(part, tile, -(-columns // tile.columns), terms, -(-terms // pieces), most_rows)


def supports(spec: ConvSpec) -> bool:
    """Whether there is native code for it."""
    size = max(_extent(spec.padded_shape), 1)
    return spec.dtype.name in ("float32", "float64", "int32", "int64") and size < 1 << 31


def _extent(shape: tuple[int, ...]) -> int:
    return total([(n,) for n in shape])


def conv(module: Module, spec: ConvSpec) -> str:
    """The name of a function `void (ptr x, ptr w, ptr out)` that computes a convolution, by several threads if large.

    Its result does not depend on the number of threads. Ctrl-C ends it early: poll after large ones.

    Args:
        module: gets the function, once for each spec.
        spec: the convolution, which must be one that `supports`.
    """
    name = "fg_conv_" + hashlib.sha256(repr(spec).encode()).hexdigest()[:20]
    if not module.defines(name):
        f = module.function(name, "void", ["ptr"] * 3, "internal")
        if pays(spec):
            direct = conv(module, replace(spec, planes=None))
            write_winograd(module, name, spec, f, direct)
        else:
            _Writer(module, name, spec).write(f)
        f.ret()
    return name


class _Writer(TaskWriter):
    """Writes the function of one convolution, and its tasks."""

    def __init__(self, module: Module, name: str, spec: ConvSpec) -> None:
        super().__init__(module, name)
        self.spec = spec
        self.size = spec.dtype.itemsize

    def write(self, f: Function) -> None:
        x, w, out = f.arguments
        padded = None
        if self.spec.is_padded and self.spec.out_size:
            padded = x = self.padded(f, x)
        for number, part in enumerate(self.spec.parts):
            if total(part.groups) and total(part.rows) and total(part.columns):
                if total(part.terms):
                    self.part(f, number, with_one_column_axis(part), [x, w, out])
                else:
                    self.zeros(f, part, out)
        if padded is not None:
            f.external("fg_free", "void", [padded])

    # --- x with zeros around it ---

    def padded(self, f: Function, x: Value) -> Value:
        *outer, length = self.spec.padded_shape
        lines = _extent(tuple(outer))
        size = index(lines * length * self.size)
        padded = f.external("fg_allocate", "ptr", [size])
        chunks = max(lines * length * self.size // LEAST_BYTES, 1)
        g, chunk, values = self.task("pad", ["ptr", "ptr"])
        span = share(g, chunk, lines, chunks)
        pad_lines(g, self.spec, values[0], values[1], *span)
        g.ret()
        self.parallel(f, g, [x, padded], index(chunks))
        return padded

    # --- one part ---

    def zeros(self, f: Function, part: Part, out: Value) -> None:
        """No element of the window meets x: sums of nothing."""
        axes = (*part.groups, *((n, 0, 0, s) for n, _, s in (*part.rows, *part.columns)))
        with repeat(f, index(0), index(total(axes))) as loop:
            (offset,) = place(f, loop.index, axes, 3)
            offset = f.op("add", offset, index(part.starts[2]))
            fill(f, f.gep(out, f.op("mul", offset, index(self.size))), self.size)

    def part(self, f: Function, number: int, part: Part, operands: list[Value]) -> None:
        """By vectors of output channels if these are enough, else along another axis."""
        operands = [
            f.gep(base, start * self.size)
            for base, start in zip(operands, part.starts, strict=True)
        ]
        few = has_few_columns(self.spec, part)
        if few and runs_along_places(part):
            AlongPlaces(self, self.spec, part, number).write(f, operands)
        elif few and runs_along_terms(part):
            AlongTerms(self, self.spec, part, number).write(f, operands)
        else:
            self.product(f, number, plan_part(self.spec, part), operands)

    def product(self, f: Function, number: int, plan: Plan, operands: list[Value]) -> None:
        """Make panels, then compute the rows."""
        x, w, out = operands
        panels = plan.groups * plan.blocks
        panel = f.external("fg_allocate", "ptr", [index(panels * plan.panel_bytes)])
        table = f.external("fg_allocate", "ptr", [index(4 * (plan.terms + OFFSETS))])
        terms = index(plan.terms)
        write_offsets(f, table, plan.part.terms, index(0), terms, plan.terms - 1)
        pieces = max(plan.panel_bytes // LEAST_BYTES, 1)
        task = self.pack_task(number, plan, pieces)
        self.parallel(f, task, [w, panel], index(panels * pieces))
        self.rows(f, number, plan, [x, panel, out, table])
        f.external("fg_free", "void", [panel])
        f.external("fg_free", "void", [table])

    def pack_task(self, number: int, plan: Plan, pieces: int) -> Function:
        f, chunk, (w, panel) = self.task(f"pack{number}", ["ptr", "ptr"])
        which, piece = divided(f, chunk, pieces)
        w, columns = self.block(f, plan, which, w, 2)
        panel = f.gep(panel, f.op("mul", which, index(plan.panel_bytes)))
        span = share(f, piece, plan.terms, pieces)
        if plan.columns % plan.tile.columns:
            self.blank(f, plan, panel, span)
        pack_terms(f, plan.part, plan.tile, w, panel, columns, span)
        f.ret()
        return f

    def blank(self, f: Function, plan: Plan, panel: Value, span: tuple[Value, Value]) -> None:
        """Zeros where the last block has no columns."""
        with repeat(f, *span) as loop:
            fill(
                f,
                f.gep(panel, f.op("mul", loop.index, index(plan.tile.row_bytes))),
                plan.tile.row_bytes,
            )

    def block(
        self, f: Function, plan: Plan, which: Value, base: Value, stride: int
    ) -> tuple[Value, Value]:
        """Where a block of columns begins in w (stride 2) or out (3), and how many columns it has."""
        group, block = divided(f, which, plan.blocks)
        (offset,) = place(f, group, plan.part.groups, stride)
        first = f.op("mul", block, index(plan.tile.columns))
        step = last_axis(plan.part.columns, 2)[stride - 1]
        offset = f.op("add", offset, f.op("mul", first, index(step)))
        rest = f.op("sub", index(plan.columns), first)
        columns = f.intrinsic("llvm.smin", "i64", [rest, index(plan.tile.columns)])
        return f.gep(base, f.op("mul", offset, index(self.size))), columns

    def rows(self, f: Function, number: int, plan: Plan, values: list[Value]) -> None:
        """All rows of all blocks, in chunks of whole tiles, of which each thread gets some."""
        tiles = -(-plan.rows // plan.tile.rows)
        panels = plan.groups * plan.blocks
        threads = f.external("fg_threads", "i64", [])
        wanted = f.op("mul", threads, index(CHUNKS_PER_THREAD))
        work = plan.work // panels // tiles
        least = max(-(-LEAST_WORK // work), 1)
        each = f.op("udiv", index(panels * tiles), wanted)
        each = f.intrinsic("llvm.umax", "i64", [each, index(least)])
        each = f.intrinsic("llvm.umin", "i64", [each, index(plan.most_rows // plan.tile.rows)])
        per_panel = f.op("udiv", f.op("add", f.op("sub", each, index(1)), index(tiles)), each)
        values = [*values, f.op("mul", each, index(plan.tile.rows)), per_panel, flag(f)]
        chunks = f.op("mul", per_panel, index(panels))
        self.parallel(f, self.rows_task(number, plan), values, chunks)

    def rows_task(self, number: int, plan: Plan) -> Function:
        types = ["ptr"] * 4 + ["i64"] * 2 + ["ptr"]
        f, chunk, values = self.task(f"rows{number}", types)
        x, panel, out, terms, each, per_panel, stopped = values
        with unless_stopped(f, stopped, plan.work):
            which, piece = f.op("udiv", chunk, per_panel), f.op("urem", chunk, per_panel)
            start = f.op("mul", piece, each)
            stop = f.intrinsic("llvm.smin", "i64", [f.op("add", start, each), index(plan.rows)])
            out, columns = self.block(f, plan, which, out, 3)
            (offset,) = place(f, f.op("udiv", which, index(plan.blocks)), plan.part.groups, 1)
            x = f.gep(x, f.op("mul", offset, index(self.size)))
            panel = f.gep(panel, f.op("mul", which, index(plan.panel_bytes)))
            sums = self.sums(f, plan, x, terms, panel, start, stop)
            store_rows(f, plan.part, plan.tile, sums, out, columns, (start, stop))
        f.ret()
        return f

    def sums(
        self,
        f: Function,
        plan: Plan,
        x: Value,
        terms: Value,
        panel: Value,
        start: Value,
        stop: Value,
    ) -> Value:
        """The rows from start to stop: piece by piece of the terms, so that a panel stays in the cache."""
        tile = plan.tile
        sums = f.alloca("i8", plan.most_rows * tile.row_bytes)
        table = f.alloca("i32", plan.most_rows + OFFSETS)
        count = f.op("sub", stop, start)
        write_offsets(f, table, plan.part.rows, start, rounded(f, count, tile.rows), plan.rows - 1)
        with repeat(f, index(0), index(plan.terms), plan.terms_at_once) as loop:
            rest = f.op("sub", index(plan.terms), loop.index)
            length = f.intrinsic("llvm.smin", "i64", [rest, index(plan.terms_at_once)])
            adds = f.icmp("ne", loop.index, index(0))
            offsets = f.gep(terms, loop.index, "i32")
            part = f.gep(panel, f.op("mul", loop.index, index(tile.row_bytes)))
            with repeat(f, index(0), count, tile.rows) as rows:
                row_offsets = f.gep(table, rows.index, "i32")
                to = f.gep(sums, f.op("mul", rows.index, index(tile.row_bytes)))
                call_tile(f, tile, [x, row_offsets, offsets, length, part, to, adds])
        return sums
