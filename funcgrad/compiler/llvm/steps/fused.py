"""A step in parts, with kernels that run on each part: tasks of the thread pool."""

from __future__ import annotations

from typing import Any

from funcgrad.compiler.llvm.products.dot_driver import ONCE
from funcgrad.compiler.llvm.program import ProgramWriter
from funcgrad.compiler.llvm.steps.tasks import Task
from funcgrad.compiler.llvm.types import Value, constant
from funcgrad.compiler.lowering.epilogues import Fused
from funcgrad.compiler.lowering.kernels import Kernel

NOWHERE = Value("ptr", "null")


class KernelCall:
    """A call of a kernel in a task.

    Attributes:
        name: the function.
        keys: what it finds in its array of pointers.
        first: where this array begins in that of the task.
    """

    def __init__(self, writer: ProgramWriter, kernel: Kernel, first: int) -> None:
        self.keys = writer.kernel_buffers(kernel)
        self.name, self.chunks = writer.kernel_function(kernel, self.keys)
        self.first = first

    def write(self, task: Task) -> None:
        task.f.call(self.name, "void", [task.f.gep(task.data, 8 * self.first), task.chunk])

    def write_with(self, task: Task, key: Any, pointer: Value) -> None:
        """Write a call that finds this pointer for one of the keys."""
        f = task.f
        buffers = f.alloca("ptr", len(self.keys), 8)
        for i, own in enumerate(self.keys):
            found = pointer if own is key else task.pointers[self.first + i]
            f.store(found, f.gep(buffers, i, "ptr"), 8)
        f.call(self.name, "void", [buffers, task.chunk])


def write(writer: ProgramWriter, unit: Fused, step: Any) -> None:
    """Write a step and its kernels.

    Args:
        writer: of the program.
        unit: what to write.
        step: the module that knows such steps, see `table.IN_PARTS`.
    """
    in_memory = writer.plan.in_memory
    out = NOWHERE if unit.is_local else writer.pointer(unit.result)
    sources, temporary = step.prepared(writer, unit)
    given = [*sources, out]
    calls = {}
    for kernel in unit.kernels:
        calls[kernel] = call = KernelCall(writer, kernel, len(given))
        given += [
            NOWHERE if key is unit.result and unit.is_local else writer.buffer(key)
            for key in call.keys
        ]
    task = Task(writer, given)
    task.f.attributes = ONCE
    *sources, out = task.pointers[: len(unit.step.operands) + 1]
    start, stop = task.bounds(unit.division.count, unit.size)
    if unit.before is not None:
        calls[unit.before].write(task)
    memory = NOWHERE
    if unit.is_local:
        # The part has memory of its own; the whole result would begin so many rows before it.
        size = constant("i64", unit.size * unit.row_bytes)
        memory = task.f.external("fg_allocate", "ptr", [size])
        out = task.f.gep(memory, task.f.op("mul", start, constant("i64", -unit.row_bytes)))
    pointers = [*sources, out]
    step.write_part(task.f, unit, in_memory, pointers, (start, stop))
    if unit.after is not None and unit.is_local:
        calls[unit.after].write_with(task, unit.result, out)
        task.f.external("fg_free", "void", [memory])
    elif unit.after is not None:
        calls[unit.after].write(task)
    task.run(unit.parts, is_interruptible=True)
    for made in temporary:
        writer.f.external("fg_free", "void", [made])
    writer.writer.work += step.work(unit.step, in_memory)
    for kernel in unit.kernels:
        writer.count_work(kernel)
        writer.merge_parts(kernel, calls[kernel].chunks)
