"""Convolutions with few output channels in a group, or few places, whose vectors run along neighbouring terms."""

from __future__ import annotations

from funcgrad.compiler.llvm.builder import Function, Loop
from funcgrad.compiler.llvm.kernels.lane_access import Lanes
from funcgrad.compiler.llvm.strided import index
from funcgrad.compiler.llvm.target import host
from funcgrad.compiler.llvm.types import Value, vector, zero
from funcgrad.compiler.llvm.windows.conv_copy import place
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
