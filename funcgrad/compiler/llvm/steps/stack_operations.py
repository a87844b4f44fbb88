"""Operations on stacks of unknown length as steps: sums, axes in another order, repeated or summed over; masks."""

from __future__ import annotations

import numpy as np

from funcgrad.compiler.llvm.builder import Function, Module
from funcgrad.compiler.llvm.kernels.combine import combine
from funcgrad.compiler.llvm.kernels.registers import alignment, from_memory, memory_type, to_memory
from funcgrad.compiler.llvm.program import ProgramWriter
from funcgrad.compiler.llvm.steps.stack_axes import axes_function
from funcgrad.compiler.llvm.steps.stacks import (
    ENTRY_BYTES,
    WORDS,
    ZERO,
    Stack,
    append_function,
    load_entry,
    return_if,
    store_entry,
    write_empty_header,
    write_reserve,
)
from funcgrad.compiler.llvm.types import Value, constant
from funcgrad.compiler.lowering.graph import Step
from funcgrad.compiler.lowering.ragged import row_bytes

INT64 = np.dtype(np.int64)


def write(writer: ProgramWriter, step: Step) -> None:
    """The step that `name` among the params says."""
    result = writer.result(step, 0)
    if result is None:
        return
    if step.params["name"] == "empty_stack":
        write_empty_header(writer.f, result, step.types[0])
        return
    stack = writer.stack(step.results[0])
    stack.clear()
    if step.params["name"] == "add_stacks":
        write_sum(writer, step, stack)
    else:
        function = axes_function(writer.f.module, step)
        operands = [writer.operand(operand) for operand in step.operands]
        writer.leave_if(writer.f.call(function, "i1", [stack.slots, *operands]))
    stack.write_header(result)


def write_numbers(writer: ProgramWriter, step: Step) -> None:
    """0, 1, 2, ... where somebody but a loop over them reads them: that counts by itself."""
    result, node = writer.result(step, 0), step.results[0]
    if result is None or not is_read(writer, step):
        return
    f, stack = writer.f, writer.stack(node)
    (count,) = writer.element_registers(step.operands[0])
    stack.reserve(count)
    stack.set_length(count)
    base = stack.base()
    with f.when(f.icmp("sgt", count, ZERO)), f.loop(ZERO, count, hint="numbers") as loop:
        f.store(loop.index, f.gep(base, loop.index, "i64"), 8)
    stack.write_header(result)


def is_read(writer: ProgramWriter, step: Step) -> bool:
    """Whether numbers of iterations are needed in memory."""
    node = step.results[0]
    if node in writer.plan.graph.outputs:
        return True
    for reader in writer.plan.units:
        if isinstance(reader, Step) and node in reader.operands:
            first = len(reader.operands)
            if reader.how == "scan":
                before = reader.params["num_consts"] + reader.params["num_carry"]
                first = before + int(reader.params["length"] is None)
            if node in reader.operands[:first]:
                return True
    return False


# --- sums ---


def write_sum(writer: ProgramWriter, step: Step, stack: Stack) -> None:
    f = writer.f
    add = sum_function(f.module, step.types[0].dtype, stack.levels)
    given: list[Value] = [stack.slots]
    for operand in step.operands:
        header = writer.operand(operand)
        given += [f.gep(header, 1, "i64"), ZERO, f.load("i64", header, 8)]
    given.append(constant("i64", row_bytes(step.types[0])))
    writer.leave_if(f.call(add, "i1", given))


def sum_function(module: Module, dtype: np.dtype, levels: int) -> str:
    """`i1 (ptr slots, ptr x, i64 start, i64 length, ptr y, i64 start, i64 length, i64 row)`.

    Puts sums of elements of two stacks of one loop, of which either may be empty, behind the elements of a stack.
    True if there is no memory.
    """
    name = f"fg_add_stacks_{dtype.name}_{levels}"
    if module.defines(name):
        return name
    append = append_function(module, levels)
    inner = sum_function(module, dtype, levels - 1) if levels > 1 else ""
    types = ["ptr", "ptr", "i64", "i64", "ptr", "i64", "i64", "i64"]
    f = module.function(name, "i1", types, "internal")
    slots, x, x_start, x_length, y, y_start, y_length, row = f.arguments
    _return_other(f, x_length, append, [slots, y, y_start, y_length, row])
    _return_other(f, y_length, append, [slots, x, x_start, x_length, row])
    length = f.intrinsic("llvm.smin", "i64", [x_length, y_length])
    width = row if levels == 1 else constant("i64", ENTRY_BYTES)
    count = f.load("i64", f.gep(slots, 1, "i64"), 8)
    after = f.op("add", count, length)
    write_reserve(f, slots, after, width, return_if(f))
    f.store(after, f.gep(slots, 1, "i64"), 8)

    def element(source: Value, start: Value) -> Value:
        return f.gep(f.load("ptr", source, 8), f.op("mul", start, width))

    places = [element(slots, count), element(x, x_start), element(y, y_start)]
    if levels == 1:
        _add_rows(f, dtype, places, f.op("mul", length, row))
    else:
        _add_entries(f, inner, places, length)
    f.ret(constant("i1", 0))
    return name


def _return_other(f: Function, length: Value, append: str, given: list[Value]) -> None:
    """If one stack is empty, the sum is the other one."""
    empty, going = f.new_block("empty"), f.new_block("going")
    f.branch_if(f.icmp("eq", length, ZERO), empty, going)
    f.block = empty
    f.ret(f.call(append, "i1", given))
    f.block = going


def _add_rows(f: Function, dtype: np.dtype, places: list[Value], size: Value) -> None:
    target, *given = places
    count = f.op("udiv", size, constant("i64", dtype.itemsize))
    element, align = memory_type(dtype), alignment(dtype)
    with f.when(f.icmp("sgt", count, ZERO)), f.loop(ZERO, count, hint="sum") as loop:
        x, y = [
            from_memory(f, dtype, f.load(element, f.gep(place, loop.index, element), align))
            for place in given
        ]
        total = to_memory(f, dtype, combine(f, "add", dtype, x, y))
        f.store(total, f.gep(target, loop.index, element), align)


def _add_entries(f: Function, inner: str, places: list[Value], length: Value) -> None:
    slots, x, _, _, y, _, _, row = f.arguments
    deeper = f.gep(slots, WORDS, "i64")
    behind_x, behind_y = f.gep(x, 1, "i64"), f.gep(y, 1, "i64")
    with f.loop(ZERO, length, hint="sums") as loop:
        shift = f.op("mul", loop.index, constant("i64", ENTRY_BYTES))
        entry, of_x, of_y = [f.gep(place, shift) for place in places]
        first = f.load("i64", f.gep(deeper, 1, "i64"), 8)
        x_first, x_count = load_entry(f, of_x)
        y_first, y_count = load_entry(f, of_y)
        given = [deeper, behind_x, x_first, x_count, behind_y, y_first, y_count, row]
        return_if(f)(f.call(inner, "i1", given))
        made = f.op("sub", f.load("i64", f.gep(deeper, 1, "i64"), 8), first)
        store_entry(f, entry, first, made)
