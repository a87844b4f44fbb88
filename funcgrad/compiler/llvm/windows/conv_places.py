"""Convolutions with few output channels in a group whose vectors run along neighbouring places of the window."""

from __future__ import annotations

import itertools

from funcgrad.compiler.llvm.builder import Function
from funcgrad.compiler.llvm.kernels.lane_access import Lanes
from funcgrad.compiler.llvm.strided import index
from funcgrad.compiler.llvm.target import host
from funcgrad.compiler.llvm.types import Value, vector, zero
from funcgrad.compiler.llvm.windows.conv_copy import OFFSETS, write_offsets
from funcgrad.compiler.llvm.windows.conv_lanes import SUMS, LanesWriter
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
        self.terms, self.down = self.shared_terms()

    def shared_terms(self) -> tuple[Axes, tuple[int, ...]]:
        """All axes of terms but one, along which neighbouring lines see the same elements of x; and that one."""
        beside = self.beside[1]
        for axis in self.part.terms:
            length, step, _ = axis
            fits = length * self.columns <= host().registers // 2
            if (
                self.height > 1
                and step > 0
                and beside % step == 0
                and beside < length * step
                and fits
            ):
                return tuple(other for other in self.part.terms if other is not axis), axis
        return self.part.terms, (1, 0, 0)

    def write(self, f: Function, operands: list[Value]) -> None:
        part = self.part
        terms = total(self.terms)
        tables = [
            f.external("fg_allocate", "ptr", [index(4 * (terms + OFFSETS))]) for _ in range(2)
        ]
        for which, table in enumerate(tables, 1):
            write_offsets(f, table, self.terms, index(0), index(terms), terms - 1, which)
        lines = (*part.groups, *((n, x, 0, out) for n, x, out in self.outer))
        blocks = -(-self.beside[0] // self.height)
        count = total(lines) * blocks
        work = total(part.terms) * self.columns * self.vectors * self.height
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
        places = [(row, i) for row in range(self.height) for i in range(len(active))]
        with f.loop(index(0), index(terms)) as loop:
            totals = [
                {place: f.carry(loop, zero(self.type)) for place in places}
                for _ in range(self.columns)
            ]
            x_offset, w_offset = (
                f.cast("sext", f.load("i32", f.gep(table, loop.index, "i32"), 4), "i64")
                for table in tables
            )
            operands = self.at(f, x, x_offset), self.at(f, w, w_offset)
            sums = self.added(f, operands, active, totals)
            for before, after in zip(totals, sums, strict=True):
                for place in places:
                    f.update(loop, before[place], after[place])
        for column, of_column in enumerate(sums):
            for (row, i), value in of_column.items():
                offset = column * self.out_column + row * self.beside[2]
                start = f.op("add", first, index(i * self.lanes.count))
                self.store(f, value, f.gep(out, offset * self.size), start, active[i])

    def added(
        self,
        f: Function,
        operands: tuple[Value, Value],
        active: list[int],
        totals: list[dict[tuple[int, int], Value]],
    ) -> list[dict[tuple[int, int], Value]]:
        """The sums of a block with the terms of the shared axis: each vector of x is read once for all its lines."""
        source, weight = operands
        length, x_step, w_step = self.down
        seen: dict[int, list[tuple[int, int]]] = {}
        for row in range(self.height):
            for k in range(length):
                seen.setdefault(row * self.beside[1] + k * x_step, []).append((row, k))
        numbers = [
            [
                self.in_all_lanes(f, weight, column * self.w_column + k * w_step)
                for k in range(length)
            ]
            for column in range(self.columns)
        ]
        sums = [dict(of_column) for of_column in totals]
        for offset, users in sorted(seen.items()):
            for i, lanes in enumerate(active):
                start = (offset + i * self.lanes.count * self.step) * self.size
                elements = self.lanes.load_apart(f, f.gep(source, start), lanes)
                for (row, k), column in itertools.product(users, range(self.columns)):
                    before = sums[column][row, i]
                    sums[column][row, i] = multiply_add(f, numbers[column][k], elements, before)
        return sums

    def in_all_lanes(self, f: Function, weight: Value, offset: int) -> Value:
        """A number of w in all lanes."""
        found = f.load(self.element, f.gep(weight, offset * self.size))
        return f.splat(found, self.lanes.count)

    def store(self, f: Function, value: Value, out: Value, first: Value, active: int) -> None:
        to = self.at(f, out, f.op("mul", first, index(self.out_step)))
        if self.out_step == 1:
            self.lanes.store(f, value, to, active)
            return
        for lane in range(active):
            f.store(f.extract(value, lane), f.gep(to, lane * self.out_step * self.size), self.size)
