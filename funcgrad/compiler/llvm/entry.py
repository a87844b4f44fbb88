"""The function of a module that is called from outside: memory, a whole program, and what went wrong in it."""

from __future__ import annotations

from collections.abc import Callable

from funcgrad.compiler.llvm.builder import Function
from funcgrad.compiler.llvm.calls.failure import (
    RAISED,
    RECORD_BYTES,
    RECORDED,
    write_answer,
    write_memory_check,
)
from funcgrad.compiler.llvm.kernels.floating import can_look, write_clear, write_recheck
from funcgrad.compiler.llvm.kernels.memory import ALIGNED
from funcgrad.compiler.llvm.module_writer import ModuleWriter
from funcgrad.compiler.llvm.program import (
    EVENTS_PLACE,
    LONG_WORK,
    ProgramWriter,
    copy_bytes,
    note_events,
    was_interrupted,
)
from funcgrad.compiler.llvm.steps.stacks import write_frame, write_release
from funcgrad.compiler.llvm.types import Value, constant
from funcgrad.compiler.lowering.graph import Node
from funcgrad.compiler.lowering.plan import Plan, nbytes

STACK_BYTES = 1 << 13  # up to which the arena lies on the stack


def write_entry(writer: ModuleWriter, plan: Plan, name: str) -> None:
    """`i32 NAME(ptr inputs, ptr outputs)`: runs a plan on arrays of data pointers.

    Returns 0; 1 if a Python exception is set; 2 if one is kept in `failure.PENDING`.
    """
    f = writer.module.function(name, "i32", ["ptr", "ptr"])
    inputs, outputs = f.arguments
    pointers = [f.load("ptr", f.gep(inputs, i, "ptr"), 8) for i in range(len(plan.graph.inputs))]
    targets = [f.load("ptr", f.gep(outputs, i, "ptr"), 8) for i in range(len(plan.graph.outputs))]
    size = plan.arena + RECORD_BYTES
    on_stack = size <= STACK_BYTES
    if on_stack:
        arena = f.alloca("i8", size, 64)
    else:
        arena = f.external("fg_allocate", "ptr", [constant("i64", size)])
        write_memory_check(f, arena, size)
    failure = f.gep(arena, plan.arena)
    f.store(constant("i64", 0), failure, 8)
    begin, end = f.new_block("begin"), f.new_block("end")
    f.branch(begin)
    f.block = f.new_block("units")
    begin.terminator = f"br label %{f.block.label}"
    whole = ProgramWriter(writer, f, plan, pointers, targets, arena, failure, end)
    whole.is_outermost = True
    moved = [
        write_alignment(f, targets, i, n)
        for i, n in enumerate(plan.graph.outputs)
        if n in whole.streamed
    ]
    whole.write()
    f.branch(end)
    f.block = end
    if writer.work >= LONG_WORK // 16:
        with f.when(was_interrupted(f)):
            f.store(constant("i64", RAISED), failure, 8)
    for finish in moved:
        finish()
    if writer.is_loud and can_look(writer.target):
        with f.at(begin):
            write_clear(f)
            f.store(constant("i64", 0), f.gep(failure, EVENTS_PLACE, "i64"), 8)
        note_events(f, failure)
        events = f.load("i64", f.gep(failure, EVENTS_PLACE, "i64"), 8)
        # After a failure an exception may be set, and with one Python code must not run.
        fine = f.icmp("eq", f.load("i64", failure, 8), constant("i64", 0))
        events = f.select(fine, events, constant("i64", 0))
        bad = write_recheck(f, inputs, outputs, events)
        with f.when(bad):
            f.store(constant("i64", RECORDED), failure, 8)
    if writer.slot_count:
        with f.at(begin):
            write_frame(f, writer.slot_count)
        write_release(f, writer.slot_count)
    answer = write_answer(f, failure)
    if not on_stack:
        f.external("fg_free", "void", [arena])
    f.ret(answer)
    # Without loops it runs faster than it could be improved. With pairs LLVM's quick way makes wrong code.
    if not any(plan.inner.values()) and not f.pairs:
        f.attributes += " noinline optnone"


def write_alignment(
    f: Function, targets: list[Value], number: int, node: Node
) -> Callable[[], None]:
    """Give a result that is not aligned memory that is; afterwards it is copied."""
    given, size = targets[number], constant("i64", nbytes(node))
    low = f.op("and", f.cast("ptrtoint", given, "i64"), constant("i64", ALIGNED - 1))
    odd = f.icmp("ne", low, constant("i64", 0))
    slot = f.alloca("ptr", 1, 8)
    f.store(given, slot, 8)
    with f.when(odd):
        f.store(f.external("fg_allocate", "ptr", [size]), slot, 8)
    targets[number] = f.load("ptr", slot, 8)

    def finish() -> None:
        with f.when(odd):
            copy_bytes(f, given, targets[number], nbytes(node))
            f.external("fg_free", "void", [targets[number]])

    return finish
