"""Tasks of steps: functions that run once for each chunk of their work; whole arrays copied or filled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.compiler.llvm.kernels.registers import as_python, register_type
from funcgrad.compiler.llvm.program import ProgramWriter, copy_bytes, pointer_array
from funcgrad.compiler.llvm.steps.rows import each_vector_between, row_lanes, store_at
from funcgrad.compiler.llvm.types import Value, constant
from funcgrad.compiler.lowering.graph import Node, Step
from funcgrad.compiler.lowering.plan import nbytes

CHUNK_BYTES = 1 << 20


class Task:
    """A function `void NAME(ptr pointers, i64 chunk)` that is being written.

    Attributes:
        f: the function.
        data: its array of pointers.
        chunk: the number of the chunk.
        pointers: what it finds in its array.
    """

    def __init__(self, writer: ProgramWriter, pointers: list[Value]) -> None:
        self.writer = writer
        self.given = pointers
        name = f"k{len(writer.writer.kernels)}"
        self.f = writer.writer.module.function(name, "void", ["ptr noalias", "i64"], "internal")
        self.data, self.chunk = self.f.arguments
        self.pointers = [
            self.f.load("ptr", self.f.gep(self.data, i, "ptr"), 8) for i in range(len(pointers))
        ]

    def bounds(self, count: int, size: int) -> tuple[Value, Value]:
        """Where this chunk of `size` of `count` things begins and ends."""
        f = self.f
        start = f.op("mul", self.chunk, constant("i64", size))
        stop = f.op("add", start, constant("i64", size))
        return start, f.intrinsic("llvm.smin", "i64", [stop, constant("i64", count)])

    def run(self, chunks: int, is_interruptible: bool = False) -> None:
        """Finish the function, and call it for every chunk; after Ctrl-C not for all, if it may be interrupted."""
        self.f.ret()
        f, name = self.writer.f, self.writer.writer.kernel(self.f)
        data = pointer_array(f, self.given)
        if chunks == 1:
            f.call(name, "void", [data, constant("i64", 0)])
        else:
            task = Value("ptr", f"@{name}")
            result, region = ("i32", "_interruptible") if is_interruptible else ("void", "")
            f.external(f"fg_parallel{region}", result, [task, data, constant("i64", chunks)])


def begin_with_copy(writer: ProgramWriter, step: Step) -> tuple[Value, Sequence[Node]]:
    """The result of a step that changes some elements of an array, and the operands that say how.

    The result holds a copy of the array, unless it lies in the very same memory, or the number `fill`.
    """
    out = writer.result(step, 0)
    assert out is not None
    type = step.types[0]
    if "fill" in step.params:
        fill(writer, out, type.size, type.dtype, step.params["fill"])
        return out, step.operands
    source = writer.operand(step.operands[0]) if type.size else out
    if source.text != out.text:
        with writer.if_apart(out, source):
            copy(writer, out, source, nbytes(step.operands[0]))
    return out, step.operands[1:]


def copy(writer: ProgramWriter, target: Value, source: Value, size: int) -> None:
    """Copy `size` bytes."""
    if size <= CHUNK_BYTES:
        copy_bytes(writer.f, target, source, size)
        return
    task = Task(writer, [target, source])
    start, stop = task.bounds(size, CHUNK_BYTES)
    to, place = (task.f.gep(base, start) for base in task.pointers)
    copy_bytes(task.f, to, place, task.f.op("sub", stop, start))
    task.run(-(-size // CHUNK_BYTES))


def fill(writer: ProgramWriter, target: Value, count: int, dtype: np.dtype, value: Any) -> None:
    """Set `count` elements to a number."""
    if not count:
        return
    number = constant(register_type(dtype), as_python(dtype, value))
    size = CHUNK_BYTES // dtype.itemsize
    task = Task(writer, [target])

    def body(place: Value, lanes: int) -> None:
        store_at(task.f, task.f.splat(number, lanes), task.pointers[0], place, dtype)

    start, stop = task.bounds(count, size)
    each_vector_between(task.f, start, stop, count, row_lanes(dtype), body)
    task.run(-(-count // size))
