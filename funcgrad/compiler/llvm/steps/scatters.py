"""`scatter` as a step: rows of updates combined into the rows of an array that indices name, in their order."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from funcgrad.compiler.llvm.builder import Function
from funcgrad.compiler.llvm.calls.failure import write_index_failure
from funcgrad.compiler.llvm.kernels.combine import combine, combines
from funcgrad.compiler.llvm.kernels.registers import convert_value, is_native, memory_type
from funcgrad.compiler.llvm.program import ProgramWriter, copy_bytes
from funcgrad.compiler.llvm.runtime.interrupts import tick, tick_state
from funcgrad.compiler.llvm.steps.rows import (
    each_vector,
    each_vector_between,
    load_at,
    row_lanes,
    store_at,
)
from funcgrad.compiler.llvm.steps.tasks import Task, begin_with_copy
from funcgrad.compiler.llvm.types import Value, constant
from funcgrad.compiler.llvm.windows.conv_tasks import POLL_WORK, flag, raise_if, unless_raised
from funcgrad.compiler.lowering.graph import Node, Step
from funcgrad.compiler.lowering.index import strides_of
from funcgrad.ir.types import FLOAT32, INT64, ArrayType
from funcgrad.ops.reduce import accumulator

CHUNK_WORK = 1 << 17  # elements that are worth handing to a thread
MAX_CHUNKS = 16
BLOCK = 1 << 12  # rows between two looks for Ctrl-C
CHUNK_BYTES = 512  # of a row: whole cache lines, so that threads do not wait for each other


def takes(operands: Sequence[Node], params: dict[str, Any]) -> bool:
    dtype = operands[0].dtype
    if params["combine"] == "set":
        return is_native(dtype)
    return combines(params["combine"], accumulator(dtype))


def write(writer: ProgramWriter, step: Step) -> None:
    out, (updates, *indices) = begin_with_copy(writer, step)
    scatter = Scatter(step.types[0], updates, indices, step.params)
    if not scatter.count:
        return
    writer.writer.work += updates.type.size
    if scatter.is_wide:
        scatter_wide(writer, scatter, out)
    else:
        scatter_rows(writer, scatter, out, scatter.type.dtype)


class Scatter:
    """What is scattered where.

    Attributes:
        type: of the array.
        updates, indices: nodes.
        shape: the common shape of the indices.
        count: how many rows are written.
        width: elements of a row.
        is_wide: whether sums of half precision are gathered in float32 first.
    """

    def __init__(
        self, type: ArrayType, updates: Node, indices: Sequence[Node], params: dict[str, Any]
    ) -> None:
        self.type = type
        self.updates = updates
        self.indices = indices
        self.combine: str = params["combine"]
        self.labels: Sequence[int] = params["labels"]
        self.drop: bool = params["drop"]
        self.shape = np.broadcast_shapes(*[node.shape for node in indices])
        self.count = math.prod(self.shape)
        self.width = math.prod(type.shape[len(indices) :])
        narrow = accumulator(type.dtype) != type.dtype
        self.is_wide = narrow and self.combine == "add" and not params["unique"]

    def chunks(self) -> tuple[int, int]:
        """Into how many parts rows are divided, and their elements."""
        wanted = min(MAX_CHUNKS, self.count * self.width // CHUNK_WORK)
        unit = CHUNK_BYTES // self.type.dtype.itemsize
        size = max(unit, -(-self.width // max(1, wanted) // unit) * unit)
        return max(1, -(-self.width // size)), size

    def levels(self) -> list[Level]:
        """Loops over the indices: neighbouring axes are one where all operands count on."""
        shapes = [self.shape, *[node.shape for node in self.indices]]
        strides = [broadcast_strides(shape, self.shape) for shape in shapes]
        found: list[Level] = []
        for axis, extent in enumerate(self.shape):
            steps = tuple([of_operand[axis] for of_operand in strides])
            if extent == 1:
                continue
            if found and found[-1].steps == tuple([extent * step for step in steps]):
                found[-1] = Level(found[-1].extent * extent, steps)
            else:
                found.append(Level(extent, steps))
        return found


class Level(NamedTuple):
    """A loop, and by how many elements it moves the rows of the updates and each index."""

    extent: int
    steps: tuple[int, ...]


def broadcast_strides(shape: tuple[int, ...], result: tuple[int, ...]) -> tuple[int, ...]:
    """Element strides with which an array of this shape is read in the shape of the result."""
    own = [0 if n == 1 else stride for n, stride in zip(shape, strides_of(shape), strict=True)]
    return (*[0] * (len(result) - len(shape)), *own)


def scatter_wide(writer: ProgramWriter, scatter: Scatter, out: Value) -> None:
    """Gather sums in float32, and round them at the end."""
    dtype, size = scatter.type.dtype, scatter.type.size
    wide = writer.f.external("fg_allocate", "ptr", [constant("i64", 4 * size)])
    convert(writer, wide, FLOAT32, out, dtype, size)
    scatter_rows(writer, scatter, wide, FLOAT32)
    convert(writer, out, dtype, wide, FLOAT32, size)
    writer.f.external("fg_free", "void", [wide])


def scatter_rows(writer: ProgramWriter, scatter: Scatter, out: Value, dtype: np.dtype) -> None:
    """Write all rows into an array of this dtype, each thread some of their columns."""
    stopped = flag(writer.f)
    operands = [writer.operand(node) for node in (scatter.updates, *scatter.indices)]
    task = Task(writer, [out, writer.failure, stopped, *operands])
    RowWriter(task, scatter, dtype).write()
    task.run(scatter.chunks()[0])


class RowWriter:
    """Writes the task that combines rows into an array of the dtype `kept`."""

    def __init__(self, task: Task, scatter: Scatter, kept: np.dtype) -> None:
        self.task = task
        self.f = task.f
        self.scatter = scatter
        self.kept = kept
        self.out, self.failure, self.stopped, self.updates, *self.indices = task.pointers

    def write(self) -> None:
        """Loops over the rows; long ones look for Ctrl-C in each block of them."""
        f, scatter = self.f, self.scatter
        levels = scatter.levels()
        first = [constant("i64", 0)] * (1 + len(scatter.indices))
        if scatter.count * scatter.width <= POLL_WORK:
            self.write_level(levels, first)
            return
        outer, ticks = levels[0], tick_state(f)
        block = BLOCK if len(levels) == 1 else 1
        with f.loop(constant("i64", 0), constant("i64", outer.extent), block, "block") as loop:
            last = f.op("add", loop.index, constant("i64", block))
            stop = f.intrinsic("llvm.smin", "i64", [last, constant("i64", outer.extent)])
            with unless_raised(f, self.stopped):
                with f.loop(loop.index, stop, 1, "row") as inner:
                    self.write_level(levels[1:], moved(f, first, inner.index, outer.steps))
                raise_if(f, tick(f, ticks), self.stopped)

    def write_level(self, levels: list[Level], offsets: list[Value]) -> None:
        """The loops from here on; `offsets` says where the updates and indices are."""
        if not levels:
            self.write_row(offsets)
            return
        level = levels[0]
        with self.f.loop(constant("i64", 0), constant("i64", level.extent), 1, "row") as loop:
            self.write_level(levels[1:], moved(self.f, offsets, loop.index, level.steps))

    def write_row(self, offsets: list[Value]) -> None:
        """Combine one row, unless its indices are out of bounds."""
        f, scatter = self.f, self.scatter
        valid, row = constant("i1", 1), constant("i64", 0)
        sizes = strides_of(scatter.type.shape)
        for axis, (pointer, offset) in enumerate(zip(self.indices, offsets[1:], strict=True)):
            dtype = scatter.indices[axis].dtype
            raw = convert_value(f, load_at(f, pointer, offset, dtype, 0), dtype, INT64)
            place, test = self.checked(raw, axis)
            row = f.op("add", row, f.op("mul", place, constant("i64", sizes[axis])))
            valid = f.op("and", valid, test)
        with f.when(valid):
            source = f.op("mul", offsets[0], constant("i64", scatter.width))
            self.combine_row(
                f.gep(self.out, row, memory_type(self.kept)),
                f.gep(self.updates, source, memory_type(scatter.type.dtype)),
            )

    def checked(self, raw: Value, axis: int) -> tuple[Value, Value]:
        """An index counted from the front, and whether it is in bounds; where not, that is noted."""
        f, length = self.f, self.scatter.type.shape[axis]
        shifted = f.op("add", raw, constant("i64", length))
        place = f.select(f.icmp("slt", raw, constant("i64", 0)), shifted, raw)
        test = f.icmp("ult", place, constant("i64", length))
        if not self.scatter.drop:
            bad = f.op("xor", test, constant("i1", 1))
            where = (self.scatter.labels[axis], length, -1)
            write_index_failure(f, self.failure, bad, raw, where)
        return place, test

    def combine_row(self, target: Value, source: Value) -> None:
        """Combine this task's columns of a row."""
        f, scatter = self.f, self.scatter
        dtype, name = scatter.type.dtype, scatter.combine
        chunks, size = scatter.chunks()

        def body(place: Value, lanes: int) -> None:
            value = load_at(f, source, place, dtype, lanes)
            if name != "set":
                known = load_at(f, target, place, self.kept, lanes)
                value = combine(f, name, self.dtype(), known, value)
            store_at(f, value, target, place, self.kept)

        lanes = row_lanes(dtype)
        if chunks == 1 and name == "set":
            copy_bytes(f, target, source, scatter.width * dtype.itemsize)
        elif chunks == 1:
            each_vector(f, scatter.width, lanes, body)
        else:
            each_vector_between(
                f, *self.task.bounds(scatter.width, size), scatter.width, lanes, body
            )

    def dtype(self) -> np.dtype:
        """The dtype in which rows are combined: a sum of half precision is rounded when it is stored."""
        return accumulator(self.kept) if self.scatter.combine == "add" else self.kept


def moved(f: Function, offsets: list[Value], index: Value, steps: Sequence[int]) -> list[Value]:
    """Offsets after `index` turns of a loop."""
    return [
        f.op("add", offset, f.op("mul", index, constant("i64", step))) if step else offset
        for offset, step in zip(offsets, steps, strict=True)
    ]


def convert(
    writer: ProgramWriter,
    target: Value,
    to: np.dtype,
    source: Value,
    dtype: np.dtype,
    count: int,
) -> None:
    """Copy elements between half precision and float32, which is what both are in registers."""
    size = CHUNK_WORK
    task = Task(writer, [target, source])

    def body(place: Value, lanes: int) -> None:
        value = load_at(task.f, task.pointers[1], place, dtype, lanes)
        store_at(task.f, value, task.pointers[0], place, to)

    each_vector_between(task.f, *task.bounds(count, size), count, row_lanes(FLOAT32), body)
    task.run(-(-count // size))
