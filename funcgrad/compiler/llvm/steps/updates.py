"""`dynamic_update` as a step: a window of an array replaced, row by row, at a place known only at run time."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from typing import Any

from funcgrad.compiler.llvm.builder import Function
from funcgrad.compiler.llvm.calls.failure import write_index_failure
from funcgrad.compiler.llvm.kernels.registers import convert_value, is_native
from funcgrad.compiler.llvm.program import ProgramWriter, copy_bytes
from funcgrad.compiler.llvm.steps.rows import load_at
from funcgrad.compiler.llvm.steps.tasks import begin_with_copy
from funcgrad.compiler.llvm.types import Value, constant
from funcgrad.compiler.lowering.graph import Constant, Node, Step
from funcgrad.compiler.lowering.index import strides_of
from funcgrad.ir.types import INT64, ArrayType


def takes(operands: Sequence[Node], params: dict[str, Any]) -> bool:
    del params
    return is_native(operands[0].dtype)


def write(writer: ProgramWriter, step: Step) -> None:
    out, (updates, *starts) = begin_with_copy(writer, step)
    WindowWriter(writer, step.types[0], updates, starts, out).write()


class WindowWriter:
    """Writes one window for each example of the leading axes, which the starts have."""

    def __init__(
        self,
        writer: ProgramWriter,
        x: ArrayType,
        updates: Node,
        starts: Sequence[Node],
        out: Value,
    ) -> None:
        self.writer = writer
        self.f = writer.f
        self.x = x
        self.updates = updates
        self.starts = starts
        self.out = out
        self.lead = len(starts[0].shape)

    def write(self) -> None:
        f, lead, itemsize = self.f, self.lead, self.x.dtype.itemsize
        examples = math.prod(self.x.shape[:lead])
        if not examples:
            return
        source = self.writer.operand(self.updates)
        places = [None if self.is_fixed(i) else self.place_of(i) for i in range(len(self.starts))]
        with counted(f, examples) as example:
            offset = f.op("mul", example, constant("i64", self.row_size(self.x, lead)))
            strides = strides_of(self.x.shape)[lead:]
            for axis, place in enumerate(places):
                if place is not None:
                    start = self.checked(axis, place(example))
                    part = f.op("mul", start, constant("i64", strides[axis]))
                    offset = f.op("add", offset, part)
            first = f.op("mul", example, constant("i64", self.row_size(self.updates, lead)))
            target = f.gep(self.out, f.op("mul", offset, constant("i64", itemsize)))
            window = f.gep(source, f.op("mul", first, constant("i64", itemsize)))
            if self.updates.type.size:
                self.copy_window(target, window, lead)

    def row_size(self, array: Node | ArrayType, axis: int) -> int:
        """Elements of the axes from `axis` on."""
        return math.prod(array.shape[axis:])

    def is_fixed(self, axis: int) -> bool:
        """Whether a window takes all of an axis, from its known beginning."""
        start, number = self.starts[axis], self.lead + axis
        same = self.updates.shape[number] == self.x.shape[number]
        return same and isinstance(start, Constant) and start.value == 0

    def place_of(self, axis: int) -> Any:
        """A function from the number of an example to its start along an axis."""
        f, node = self.f, self.starts[axis]
        if not self.lead:
            (number,) = self.writer.element_registers(node)
            return lambda _: convert_value(f, number, node.dtype, INT64)
        base = self.writer.operand(node)

        def start(example: Value) -> Value:
            raw = load_at(f, base, example, node.dtype, 0)
            return convert_value(f, raw, node.dtype, INT64)

        return start

    def checked(self, axis: int, raw: Value) -> Value:
        """A start counted from the front; 0, and a note of the failure, where the window leaves the array."""
        f, number = self.f, self.lead + axis
        length, size = self.x.shape[number], self.updates.shape[number]
        shifted = f.op("add", raw, constant("i64", length))
        place = f.select(f.icmp("slt", raw, constant("i64", 0)), shifted, raw)
        bad = f.icmp("ugt", place, constant("i64", length - size))
        write_index_failure(f, self.writer.failure, bad, raw, (axis, length, size))
        return f.select(bad, constant("i64", 0), place)

    def copy_window(self, target: Value, source: Value, axis: int) -> None:
        """Copy a window: rows that are contiguous in both arrays, in loops over the axes outside."""
        f, itemsize = self.f, self.x.dtype.itemsize
        rest = slice(axis + 1, None)
        if axis == len(self.x.shape) or self.x.shape[rest] == self.updates.shape[rest]:
            copy_bytes(f, target, source, self.row_size(self.updates, axis) * itemsize)
            return
        with counted(f, self.updates.shape[axis]) as index:
            steps = [self.row_size(array, axis + 1) * itemsize for array in (self.x, self.updates)]
            to, place = (
                f.gep(base, f.op("mul", index, constant("i64", size)))
                for base, size in zip((target, source), steps, strict=True)
            )
            self.copy_window(to, place, axis + 1)


@contextlib.contextmanager
def counted(f: Function, count: int) -> Iterator[Value]:
    """Run the body for 0, 1, ..., count - 1 (at least one)."""
    if count == 1:
        yield constant("i64", 0)
        return
    with f.loop(constant("i64", 0), constant("i64", count), 1, "row") as loop:
        yield loop.index
