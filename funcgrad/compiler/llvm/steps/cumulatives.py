"""Running operations along an axis as steps: each element combined with those before it, in their order.

Several rows, or vectors of columns, run side by side. Where the order makes no difference to the result, vectors of
one row are combined within themselves first.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from funcgrad.compiler.llvm.builder import Function
from funcgrad.compiler.llvm.kernels.combine import combine, combines, start
from funcgrad.compiler.llvm.kernels.elements import Elements
from funcgrad.compiler.llvm.kernels.registers import register_type
from funcgrad.compiler.llvm.program import ProgramWriter
from funcgrad.compiler.llvm.runtime.interrupts import tick, tick_state
from funcgrad.compiler.llvm.steps.rows import load_at, pieces, row_lanes, store_at
from funcgrad.compiler.llvm.steps.tasks import Task
from funcgrad.compiler.llvm.types import Value, constant, lanes_of, vector
from funcgrad.compiler.llvm.windows.conv_tasks import flag, raise_if, unless_raised
from funcgrad.compiler.lowering.elements import Element
from funcgrad.compiler.lowering.graph import Node, Step
from funcgrad.ir.types import kind
from funcgrad.ops.reduce import accumulator

SIDE_BY_SIDE = 8  # sums that hide each other's latency
BLOCK_VECTORS = 4  # of a row of columns: a few cache lines
CHUNK_WORK = 1 << 16  # elements that are worth handing to a thread
MAX_CHUNKS = 64
POLL_ELEMENTS = 1 << 20  # of a row, after which Ctrl-C is looked for

Begin = Callable[[Function, list[Value]], Value]
Advance = Callable[[Function, Value, list[Value]], Value]
Part = Callable[[list[Value], Value, Value], list[Value]]


def takes_cumulative(operands: Sequence[Node], params: dict[str, Any]) -> bool:
    return combines(params["combine"], accumulator(operands[0].dtype))


def takes_recurrence(operands: Sequence[Node], params: dict[str, Any]) -> bool:
    del params
    dtype = accumulator(operands[0].dtype)
    return kind(dtype) in "fc" and combines("multiply", dtype) and combines("add", dtype)


def write_cumulative(writer: ProgramWriter, step: Step) -> None:
    """`s[k] = combine(s[k - 1], x[k])`."""
    name, dtype = step.params["combine"], accumulator(step.types[0].dtype)
    rows = Rows(step)
    if not rows.size:
        return
    exact = kind(dtype) in "iu" or name in ("maximum", "minimum", "logaddexp")
    if exact and rows.inner == 1 and rows.length >= row_lanes(dtype):
        single = Rows(step, 1)
        single.run(writer, lambda task: PrefixWriter(task, single, name, dtype).write())
        return

    def advance(f: Function, state: Value, read: list[Value]) -> Value:
        return combine(f, name, dtype, state, read[0])

    rows.run(writer, lambda task: RunningWriter(task, rows, itself, advance).write())


def itself(f: Function, read: list[Value]) -> Value:
    """The first result of a running operation."""
    del f
    return read[0]


def write_recurrence(writer: ProgramWriter, step: Step) -> None:
    """`s[k] = factor[k] * s[k - 1] + term[k]`; a carried 0 stays 0, whatever the factor is."""
    dtype = accumulator(step.types[0].dtype)
    rows = Rows(step)

    def begin(f: Function, read: list[Value]) -> Value:
        """A term, 0 for -0: no result is -0, in whatever order parts are added up."""
        elements = Elements(f, dtype, lanes_of(read[-1].type))
        return elements.add(Element(dtype, read[-1]), elements.constant(0)).value

    def advance(f: Function, state: Value, read: list[Value]) -> Value:
        factor, term, last = (Element(dtype, value) for value in (read[0], begin(f, read), state))
        elements = Elements(f, dtype, lanes_of(state.type))
        is_zero = elements.equal(last, elements.constant(0))
        carried = elements.select(is_zero, last, elements.multiply(factor, last))
        return elements.add(carried, term).value

    if rows.size:
        rows.run(writer, lambda task: RunningWriter(task, rows, begin, advance).write())


class Member(NamedTuple):
    """A run along the axis: where it begins, in elements from the first of its unit, and its lanes."""

    offset: int
    lanes: int


class Rows:
    """How an array divides into runs along one axis, and these into units that one loop computes.

    Attributes:
        outer, length, inner: elements of the axes before, of the axis itself, and after it.
        block: columns of a unit.
        group: rows of a unit; more than one only where its columns are all there are.
        units: how many there are.
    """

    def __init__(self, step: Step, group: int = 0) -> None:
        self.step = step
        self.dtype = step.types[0].dtype
        shape, axis = step.types[0].shape, step.params["axis"]
        self.reverse: bool = step.params["reverse"]
        self.size = math.prod(shape)
        self.outer = math.prod(shape[:axis])
        self.length = shape[axis]
        self.inner = math.prod(shape[axis + 1 :])
        self.lanes = row_lanes(self.dtype)
        self.block = min(self.inner, BLOCK_VECTORS * self.lanes)
        runs = len(self.columns(self.block))
        is_narrow = self.block == self.inner
        many = SIDE_BY_SIDE // max(1, runs) if is_narrow else 1
        self.group = group or max(1, min(self.outer, many))
        self.blocks = -(-self.inner // max(1, self.block))
        self.units = -(-self.outer // self.group) * self.blocks

    def columns(self, count: int) -> list[Member]:
        """Vectors that cover so many columns."""
        whole = range(0, count - count % self.lanes, self.lanes)
        rest = pieces(count, self.lanes)
        return [Member(i, self.lanes) for i in whole] + [Member(i, n) for i, n in rest]

    def members(self, is_last: bool) -> list[Member]:
        """The runs of a unit; the last group of rows, or block of columns, may be a smaller one."""
        group, block = self.group, self.block
        if is_last:
            group = self.outer % group or group
            block = self.inner % block or block
        size = self.length * self.inner
        return [
            Member(i * size + c.offset, c.lanes) for i in range(group) for c in self.columns(block)
        ]

    def base(self, f: Function, unit: Value) -> tuple[Value, Value]:
        """Where a unit begins, and whether it is a last one."""
        blocks = constant("i64", self.blocks)
        row, column = f.op("udiv", unit, blocks), f.op("urem", unit, blocks)
        last = self.blocks - 1 if self.blocks > 1 else self.units - 1
        is_last = f.icmp("eq", column if self.blocks > 1 else unit, constant("i64", last))
        size = constant("i64", self.group * self.length * self.inner)
        start = f.op("mul", row, size)
        return f.op("add", start, f.op("mul", column, constant("i64", self.block))), is_last

    def has_smaller(self) -> bool:
        """Whether some unit is smaller than the others."""
        return bool(self.outer % self.group or self.inner % self.block)

    def place(self, f: Function, k: Value) -> Value:
        """Elements from the beginning of a run to its `k`th one, in the order in which they are combined."""
        if self.reverse:
            k = f.op("sub", constant("i64", self.length - 1), k)
        return f.op("mul", k, constant("i64", self.inner))

    def run(self, writer: ProgramWriter, write: Callable[[Task], None]) -> None:
        """Write and call the task; it finds the result, a word that stops it, and the operands."""
        out = writer.result(self.step, 0)
        assert out is not None
        operands = [writer.operand(node) for node in self.step.operands]
        task = Task(writer, [out, flag(writer.f), *operands])
        write(task)
        task.run(-(-self.units // self.chunk_units()))
        writer.writer.work += self.size

    def chunk_units(self) -> int:
        """How many units one chunk computes."""
        chunks = max(1, min(MAX_CHUNKS, self.size // CHUNK_WORK))
        return max(1, -(-self.units // chunks))


class UnitWriter:
    """A task that computes units one after the other, long ones in parts between which it looks for Ctrl-C."""

    def __init__(self, task: Task, rows: Rows) -> None:
        self.f = task.f
        self.task = task
        self.rows = rows
        self.out, self.stopped, *self.operands = task.pointers
        self.ticks = tick_state(self.f)

    def write(self) -> None:
        f, rows = self.f, self.rows
        start, stop = self.task.bounds(rows.units, rows.chunk_units())
        with f.loop(start, stop, 1, "unit") as loop, unless_raised(f, self.stopped):
            self.write_unit(loop.index)
            raise_if(f, tick(f, self.ticks), self.stopped)

    def write_unit(self, unit: Value) -> None:
        raise NotImplementedError

    def in_parts(self, states: list[Value], start: int, stop: int, write: Part) -> list[Value]:
        """Write a loop from `start` to `stop` that carries states; what they are after it.

        Between the parts of a long one they are in memory, so that it can be left.
        """
        f = self.f
        first, end = constant("i64", start), constant("i64", stop)
        if stop - start <= POLL_ELEMENTS:
            return write(states, first, end)
        kept = [f.alloca(value.type) for value in states]
        for value, slot in zip(states, kept, strict=True):
            f.store(value, slot)
        with f.loop(first, end, POLL_ELEMENTS, "part") as loop:
            last = f.op("add", loop.index, constant("i64", POLL_ELEMENTS))
            limit = f.intrinsic("llvm.smin", "i64", [last, end])
            with unless_raised(f, self.stopped):
                now = [f.load(v.type, slot) for v, slot in zip(states, kept, strict=True)]
                for value, slot in zip(write(now, loop.index, limit), kept, strict=True):
                    f.store(value, slot)
                raise_if(f, tick(f, self.ticks), self.stopped)
        return [f.load(v.type, slot) for v, slot in zip(states, kept, strict=True)]

    def read(self, place: Value, lanes: int) -> list[Value]:
        """The elements of all operands at a place."""
        dtype = self.rows.dtype
        return [load_at(self.f, pointer, place, dtype, lanes) for pointer in self.operands]

    def store(self, value: Value, place: Value) -> None:
        store_at(self.f, value, self.out, place, self.rows.dtype)


class RunningWriter(UnitWriter):
    """Computes the runs of a unit side by side, each in a register."""

    def __init__(self, task: Task, rows: Rows, begin: Begin, advance: Advance) -> None:
        super().__init__(task, rows)
        self.begin = begin
        self.advance = advance

    def write_unit(self, unit: Value) -> None:
        f, rows = self.f, self.rows
        base, is_last = rows.base(f, unit)
        if not rows.has_smaller():
            self.write_runs(base, rows.members(False))
            return
        last, others, after = f.new_block("last"), f.new_block("others"), f.new_block("after")
        f.branch_if(is_last, last, others)
        for block, is_smaller in ((last, True), (others, False)):
            f.block = block
            self.write_runs(base, rows.members(is_smaller))
            f.branch(after)
        f.block = after

    def write_runs(self, base: Value, members: list[Member]) -> None:
        first = self.first(base, members)
        length = self.rows.length
        if length > 1:
            self.in_parts(first, 1, length, lambda *part: self.write_part(base, members, *part))

    def first(self, base: Value, members: list[Member]) -> list[Value]:
        """The first results, which need no others."""
        f = self.f
        found = []
        for member in members:
            begin = f.op("add", base, self.rows.place(f, constant("i64", 0)))
            place = f.op("add", begin, constant("i64", member.offset))
            value = self.begin(f, self.read(place, member.lanes))
            self.store(value, place)
            found.append(value)
        return found

    def write_part(
        self, base: Value, members: list[Member], states: list[Value], start: Value, stop: Value
    ) -> list[Value]:
        """A loop along the axis; the states after it."""
        f = self.f
        with f.loop(start, stop, 1, "along") as loop:
            here = f.op("add", base, self.rows.place(f, loop.index))
            after = []
            for member, state in zip(members, states, strict=True):
                now = f.carry(loop, state)
                place = f.op("add", here, constant("i64", member.offset))
                value = self.advance(f, now, self.read(place, member.lanes))
                self.store(value, place)
                after.append(f.update(loop, now, value))
        return after


class PrefixWriter(UnitWriter):
    """Computes contiguous rows, a vector at a time: combined within, then with all before it."""

    def __init__(self, task: Task, rows: Rows, name: str, dtype: np.dtype) -> None:
        super().__init__(task, rows)
        self.name = name
        self.dtype = dtype

    def write_unit(self, unit: Value) -> None:
        f, rows, lanes = self.f, self.rows, self.rows.lanes
        base = f.op("mul", unit, constant("i64", rows.length))
        whole = rows.length - rows.length % lanes

        def write_part(states: list[Value], start: Value, stop: Value) -> list[Value]:
            with f.loop(start, stop, lanes, "along") as loop:
                now = f.carry(loop, states[0])
                carry = f.update(loop, now, self.write_vector(base, loop.index, lanes, now))
            return [carry]

        (carry,) = self.in_parts([self.start(lanes)], 0, whole, write_part)
        for place, width in pieces(rows.length, lanes):
            narrow = self.narrowed(carry, width)
            carry = self.write_vector(base, constant("i64", place), width, narrow)

    def start(self, lanes: int) -> Value:
        return start(self.name, self.dtype, vector(lanes, register_type(self.dtype)))

    def narrowed(self, carry: Value, lanes: int) -> Value:
        """What all lanes hold, in fewer."""
        if not lanes:
            return self.f.extract(carry, 0)
        return self.f.shuffle(carry, carry, range(lanes))

    def write_vector(self, base: Value, k: Value, lanes: int, carry: Value) -> Value:
        """A vector of results; all before and in it, in every lane."""
        f, rows = self.f, self.rows
        if rows.reverse:
            k = f.op("sub", constant("i64", rows.length - max(1, lanes)), k)
        place = f.op("add", base, k)
        (value,) = self.read(place, lanes)
        value = self.within(value, lanes)
        self.store(combine(f, self.name, self.dtype, carry, value), place)
        last = value
        if lanes:
            last = f.shuffle(value, value, [0 if rows.reverse else lanes - 1] * lanes)
        return combine(f, self.name, self.dtype, carry, last)

    def within(self, value: Value, lanes: int) -> Value:
        """Each lane combined with those before it, in log2(lanes) steps."""
        nothing = self.start(lanes)
        step = 1
        while step < lanes:
            places = [lane + step if self.rows.reverse else lane - step for lane in range(lanes)]
            mask = [place if 0 <= place < lanes else lanes for place in places]
            shifted = self.f.shuffle(value, nothing, mask)
            value = combine(self.f, self.name, self.dtype, shifted, value)
            step *= 2
        return value
