"""Convolutions with few output channels in a group: vectors run along places or, for gradients by w, along terms."""

from __future__ import annotations

from collections.abc import Sequence

from funcgrad.compiler.llvm.builder import Function, Loop
from funcgrad.compiler.llvm.kernels.lane_access import MOST_APART, Lanes
from funcgrad.compiler.llvm.kernels.registers import register_type
from funcgrad.compiler.llvm.strided import index
from funcgrad.compiler.llvm.target import host
from funcgrad.compiler.llvm.types import Value, vector, zero
from funcgrad.compiler.llvm.windows.conv_copy import OFFSETS, place, write_offsets
from funcgrad.compiler.llvm.windows.conv_tasks import (
    LEAST_WORK,
    POLL_WORK,
    TaskWriter,
    divided,
    flag,
    share,
    unless_stopped,
)
from funcgrad.compiler.llvm.windows.conv_tile import multiply_add
from funcgrad.compiler.lowering.conv_spec import Axes, ConvSpec, Part, total

# Sums at a time: enough to hide the latency of additions.
SUMS = 8
# Shorter axes leave too many lanes of a vector empty.
LEAST_LENGTH = 6


def has_few_columns(spec: ConvSpec, part: Part) -> bool:
    """Whether vectors of output channels would be mostly empty."""
    lanes = host().vector_bytes // spec.dtype.itemsize
    return total(part.columns) <= max(lanes // 4, 1)


def has_few_rows(part: Part) -> bool:
    """Whether making panels of w would take longer than the products with them."""
    return total(part.rows) <= 2 * SUMS


def runs_along_places(part: Part) -> bool:
    """Whether neighbouring places see elements of x that are near each other."""
    length, step, _ = part.rows[-1] if part.rows else (1, 0, 0)
    return length >= LEAST_LENGTH and 1 <= step <= MOST_APART


def runs_along_terms(part: Part) -> bool:
    """Whether neighbouring terms lie near each other in x and side by side in w."""
    length, step, w_step = part.terms[-1] if part.terms else (1, 0, 0)
    return length >= LEAST_LENGTH and 1 <= step <= MOST_APART and w_step == 1


class LanesWriter:
    """What both share.

    Args:
        writer: of the tasks.
        spec, part: what is computed, from the padded x; the part has at most one column axis.
        number: of the part.
    """

    def __init__(self, writer: TaskWriter, spec: ConvSpec, part: Part, number: int) -> None:
        self.writer = writer
        self.part = part
        self.number = number
        self.dtype = spec.dtype
        self.size = spec.dtype.itemsize
        self.element = register_type(spec.dtype)
        column = part.columns[-1] if part.columns else (1, 0, 0)
        self.columns, self.w_column, self.out_column = column

    def at(self, f: Function, base: Value, offset: Value) -> Value:
        return f.gep(base, f.op("mul", offset, index(self.size)))

    def starts(
        self, f: Function, bases: Sequence[Value], number: Value, axes: Sequence[tuple[int, ...]]
    ) -> list[Value]:
        """Where x, w and out begin for a place along some axes."""
        offsets = place(f, number, axes, 1, 2, 3)
        return [self.at(f, base, offset) for base, offset in zip(bases, offsets, strict=True)]


class AlongPlaces(LanesWriter):
    """Vectors of neighbouring places: each term is a number of w times a vector of x."""

    def __init__(self, writer: TaskWriter, spec: ConvSpec, part: Part, number: int) -> None:
        super().__init__(writer, spec, part, number)
        length, self.step, self.out_step = part.rows[-1]
        self.lanes = Lanes(spec.dtype, length, self.step, host())
        self.type = vector(self.lanes.count, self.element)
        self.at_once = max(SUMS // 2 // self.columns, 1)
        self.vectors = -(-self.lanes.length // self.lanes.count)
        # Neighbouring lines side by side, where those of one are too few sums.
        *self.outer, self.beside = part.rows[:-1] or [(1, 0, 0)]
        wanted = SUMS // (self.columns * min(self.vectors, self.at_once))
        self.height = max(min(wanted, self.beside[0]), 1)

    def write(self, f: Function, operands: list[Value]) -> None:
        part = self.part
        terms = total(part.terms)
        tables = [
            f.external("fg_allocate", "ptr", [index(4 * (terms + OFFSETS))]) for _ in range(2)
        ]
        for which, table in enumerate(tables, 1):
            write_offsets(f, table, part.terms, index(0), index(terms), terms - 1, which)
        lines = (*part.groups, *((n, x, 0, out) for n, x, out in self.outer))
        blocks = -(-self.beside[0] // self.height)
        count = total(lines) * blocks
        work = terms * self.columns * self.vectors * self.height
        chunks = max(min(count, count * work // LEAST_WORK), 1)
        g, chunk, values = self.writer.task(f"places{self.number}", ["ptr"] * 6)
        *bases, x_table, w_table, stopped = values
        with unless_stopped(g, stopped, count * work > POLL_WORK):
            start, stop = share(g, chunk, count, chunks)
            with g.when(g.icmp("slt", start, stop)), g.loop(start, stop) as loop:
                outer, block = divided(g, loop.index, blocks)
                starts = self.moved(g, self.starts(g, bases, outer, lines), block)
                self.line(g, starts, (x_table, w_table), terms)
        g.ret()
        self.writer.parallel(f, g, [*operands, *tables, flag(f)], index(chunks))
        for table in tables:
            f.external("fg_free", "void", [table])

    def moved(self, f: Function, bases: list[Value], block: Value) -> list[Value]:
        """Where a block of lines begins; the last one moves back to end with the axis."""
        length, *steps = self.beside
        first = f.op("mul", block, index(self.height))
        first = f.intrinsic("llvm.smin", "i64", [first, index(length - self.height)])
        x, w, out = bases
        x, out = (
            self.at(f, base, f.op("mul", first, index(step)))
            for base, step in zip((x, out), steps, strict=True)
        )
        return [x, w, out]

    def line(
        self, f: Function, bases: list[Value], tables: tuple[Value, Value], terms: int
    ) -> None:
        """All places of a block of lines, some vectors of each at a time."""
        count, length = self.lanes.count, self.lanes.length
        block = count * self.at_once
        whole = length // block * block
        if whole:
            with f.loop(index(0), index(whole), block) as loop:
                self.block(f, bases, tables, terms, loop.index, [count] * self.at_once)
        rest = [min(count, length - first) for first in range(whole, length, count)]
        if rest:
            self.block(f, bases, tables, terms, index(whole), rest)

    def block(
        self,
        f: Function,
        bases: list[Value],
        tables: tuple[Value, Value],
        terms: int,
        first: Value,
        active: list[int],
    ) -> None:
        x, w, out = bases
        x = self.at(f, x, f.op("mul", first, index(self.step)))
        distance = self.lanes.count * self.step
        _, x_line, out_line = self.beside
        # Of each vector: where it begins in x, its line in the result, its place there, how many lanes it has.
        places = [
            (row * x_line + i * distance, row * out_line, i * self.lanes.count, n)
            for row in range(self.height)
            for i, n in enumerate(active)
        ]
        with f.loop(index(0), index(terms)) as loop:
            totals = [[f.carry(loop, zero(self.type)) for _ in places] for _ in range(self.columns)]
            x_offset, w_offset = (
                f.cast("sext", f.load("i32", f.gep(table, loop.index, "i32"), 4), "i64")
                for table in tables
            )
            source, weight = self.at(f, x, x_offset), self.at(f, w, w_offset)
            vectors = [
                self.lanes.load_apart(f, f.gep(source, offset * self.size), n)
                for offset, _, _, n in places
            ]
            sums = []
            for column, of_column in enumerate(totals):
                address = f.gep(weight, column * self.w_column * self.size)
                number = f.splat(f.load(self.element, address), self.lanes.count)
                pairs = zip(vectors, of_column, strict=True)
                sums.append([f.update(loop, t, multiply_add(f, number, v, t)) for v, t in pairs])
        for column, of_column in enumerate(sums):
            for value, (_, line, start, n) in zip(of_column, places, strict=True):
                to = f.gep(out, (column * self.out_column + line) * self.size)
                self.store(f, value, to, f.op("add", first, index(start)), n)

    def store(self, f: Function, value: Value, out: Value, first: Value, active: int) -> None:
        to = self.at(f, out, f.op("mul", first, index(self.out_step)))
        if self.out_step == 1:
            self.lanes.store(f, value, to, active)
            return
        for lane in range(active):
            f.store(f.extract(value, lane), f.gep(to, lane * self.out_step * self.size), self.size)


class AlongTerms(LanesWriter):
    """Vectors of neighbouring terms, whose lanes are added in the end."""

    def __init__(self, writer: TaskWriter, spec: ConvSpec, part: Part, number: int) -> None:
        super().__init__(writer, spec, part, number)
        length, self.step, _ = part.terms[-1]
        self.lanes = Lanes(spec.dtype, length, self.step, host())
        self.type = vector(self.lanes.count, self.element)
        self.rows = total(part.rows)
        most = SUMS * host().registers // 16 - SUMS // 2
        self.blocks = -(-self.rows // most)
        self.at_once = -(-self.rows // self.blocks)

    def write(self, f: Function, operands: list[Value]) -> None:
        part = self.part
        lines = (*part.groups, (self.columns, 0, self.w_column, self.out_column))
        count = total(lines) * self.blocks
        work = self.at_once * total(part.terms) // self.lanes.count
        chunks = max(min(count, count * work // LEAST_WORK), 1)
        g, chunk, values = self.writer.task(f"terms{self.number}", ["ptr"] * 4)
        *bases, stopped = values
        with unless_stopped(g, stopped, count * work > POLL_WORK):
            start, stop = share(g, chunk, count, chunks)
            with g.when(g.icmp("slt", start, stop)), g.loop(start, stop) as loop:
                line, block = divided(g, loop.index, self.blocks)
                self.block(g, self.starts(g, bases, line, lines), block)
        g.ret()
        self.writer.parallel(f, g, [*operands, flag(f)], index(chunks))

    def block(self, f: Function, bases: list[Value], block: Value) -> None:
        """Some rows at a time; the last one again where there are none."""
        x, w, out = bases
        first = f.op("mul", block, index(self.at_once))
        sources, targets = [], []
        for i in range(self.at_once):
            row = f.op("add", first, index(i))
            row = f.intrinsic("llvm.smin", "i64", [row, index(self.rows - 1)])
            x_offset, out_offset = place(f, row, self.part.rows, 1, 2)
            sources.append(self.at(f, x, x_offset))
            targets.append(self.at(f, out, out_offset))
        nothing = [zero(self.type)] * self.at_once
        sums = self.sums(f, self.part.terms[:-1], sources, w, nothing)
        for value, target in zip(sums, targets, strict=True):
            f.store(self.added(f, value), target, self.size)

    def sums(
        self, f: Function, axes: Axes, lines: list[Value], w: Value, totals: list[Value]
    ) -> list[Value]:
        """A vector for each row: a loop for each axis of terms, the innermost by vectors."""
        if not axes:
            return self.line(f, lines, w, totals)
        (length, x_step, w_step), *inner = axes
        with f.loop(index(0), index(length)) as loop:
            carried = [f.carry(loop, value) for value in totals]
            x_offset, w_offset = (f.op("mul", loop.index, index(n)) for n in (x_step, w_step))
            moved = [self.at(f, line, x_offset) for line in lines]
            sums = self.sums(f, tuple(inner), moved, self.at(f, w, w_offset), carried)
            for before, after in zip(carried, sums, strict=True):
                f.update(loop, before, after)
        return sums

    def line(self, f: Function, lines: list[Value], w: Value, totals: list[Value]) -> list[Value]:
        """All vectors along the last axis of terms."""
        count, length = self.lanes.count, self.lanes.length
        whole = length - length % count
        if whole:
            with f.loop(index(0), index(whole), count) as loop:
                carried = [f.carry(loop, value) for value in totals]
                totals = self.add(f, lines, w, loop.index, count, carried, loop)
        if whole < length:
            totals = self.add(f, lines, w, index(whole), length - whole, totals)
        return totals

    def add(
        self,
        f: Function,
        lines: list[Value],
        w: Value,
        first: Value,
        active: int,
        totals: list[Value],
        loop: Loop | None = None,
    ) -> list[Value]:
        factor = self.lanes.load(f, self.at(f, w, first), active)
        start = f.op("mul", first, index(self.step))
        found = []
        for line, value in zip(lines, totals, strict=True):
            source = self.lanes.load_apart(f, self.at(f, line, start), active)
            found.append(multiply_add(f, source, factor, value))
            if loop is not None:
                f.update(loop, value, found[-1])
        return found

    def added(self, f: Function, value: Value) -> Value:
        """The sum of the lanes, halves first."""
        add = "fadd" if self.dtype.kind == "f" else "add"
        width = self.lanes.count
        while width > 1:
            width //= 2
            low, high = (
                f.shuffle(value, value, range(start, start + width)) for start in (0, width)
            )
            value = f.op(add, low, high)
        return f.extract(value, 0)
