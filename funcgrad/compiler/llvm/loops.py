"""Loops and branches as native control flow: `scan`, `while_loop` and `cond` without Python between iterations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from funcgrad.compiler.graph import Node, Step
from funcgrad.compiler.llvm.builder import Value, constant
from funcgrad.compiler.llvm.carried import (
    Carried,
    Elements,
    Phis,
    buffer_bytes,
    is_small,
    load_elements,
    only_tiny_readers,
    store_elements,
)
from funcgrad.compiler.llvm.failure import RAISED, stop_if
from funcgrad.compiler.llvm.interrupts import tick, tick_state
from funcgrad.compiler.llvm.program import ProgramWriter, copy_bytes
from funcgrad.compiler.plan import Plan, nbytes
from funcgrad.ir.program import is_ragged


def takes_scan(operands: Sequence[Node], params: dict[str, Any]) -> bool:
    del operands
    return params["length"] is not None and not is_ragged(params["body"])


def takes_while(operands: Sequence[Node], params: dict[str, Any]) -> bool:
    del operands
    ragged = is_ragged(params["cond"]) or is_ragged(params["body"])
    return not params["collect"] and not ragged


def takes_cond(operands: Sequence[Node], params: dict[str, Any]) -> bool:
    del operands
    return not any(map(is_ragged, params["branches"]))


class LoopWriter:
    """What scans and while loops share: the memory of the carry, and the code of the body."""

    def __init__(self, writer: ProgramWriter, step: Step, plans: list[Plan]) -> None:
        self.writer = writer
        self.f = writer.f
        self.step = step
        self.plans = plans
        self.scratch = writer.pointer(("scratch", step))
        self.used = max([0, *[plan.arena for plan in plans]])
        self.used = -(-self.used // 64) * 64

    def open(self) -> tuple[Phis, Value]:
        """Begin a loop: what it carries, and the state of its check for Ctrl-C."""
        f = self.f
        before, header = f.new_block("loop_before"), f.new_block("loop_head")
        f.branch(before)
        f.block = before
        ticks = tick_state(f)
        f.branch(header)
        f.block = header
        return Phis(f, header, before), ticks

    def stack_element(self, number: int, place: Value, element: Node) -> Value:
        """Where the body writes its part of a stacked result."""
        stack = self.writer.result(self.step, number)
        if stack is None:
            return self.take(buffer_bytes(element))
        return element_pointer(self.writer, stack, place, nbytes(element))

    def take(self, size: int) -> Value:
        """Scratch memory of this loop."""
        pointer = self.f.gep(self.scratch, self.used)
        self.used += size
        return pointer

    def run(
        self,
        plan: Plan,
        inputs: list[Value],
        registers: list[Elements | None],
        outputs: list[Value],
        kept: Sequence[int],
    ) -> list[Elements | None]:
        """Write a body; the elements of the outputs `kept`, where they are in registers."""
        inner = ProgramWriter(
            self.writer.writer,
            self.f,
            plan,
            inputs,
            outputs,
            self.scratch,
            self.writer.failure,
            self.writer.end,
        )
        for node, elements in zip(plan.graph.inputs, registers, strict=True):
            if elements is not None:
                inner.registers[node] = elements
        inner.captured = {
            plan.graph.outputs[i] for i in kept if is_small(plan.graph.outputs[i].type)
        }
        inner.write()
        return [inner.registers.get(plan.graph.outputs[i]) for i in kept]

    def carried(
        self,
        phis: Phis,
        number: int,
        operand: Node,
        inputs: list[tuple[Plan, Node]],
        last_is_first: bool | None,
        in_place: bool = False,
    ) -> Carried:
        """One array of the carry. `last_is_first`: whether the first buffer is written last; None if unknown."""
        with self.f.at(phis.before):  # what phis begin with must be known there
            start = self.writer.operand(operand)
            buffers = self.carry_buffers(number, operand, last_is_first, in_place)
            if in_place:
                copy_bytes(self.f, buffers[0], start, nbytes(operand))
        unread = only_tiny_readers(inputs)
        return Carried(self.f, phis, operand.type, start, buffers, unread, in_place)

    def carry_buffers(
        self, number: int, operand: Node, last_is_first: bool | None, in_place: bool
    ) -> tuple[Value, Value]:
        """The two arrays that a body writes to in turn; the one written last is the result, if that is known."""
        result = self.writer.result(self.step, number)
        size = buffer_bytes(operand)
        if in_place:
            target = result if result is not None else self.take(size)
            return target, target
        if result is None or last_is_first is None or is_small(operand.type):
            return self.take(size), self.take(size)
        other = self.take(size)
        return (result, other) if last_is_first else (other, result)

    def constants(self, operands: Sequence[Node], phis: Phis) -> list[Elements | None]:
        """Small operands that do not change, in registers."""
        found: list[Elements | None] = []
        with self.f.at(phis.before):
            for node in operands:
                small = is_small(node.type)
                found.append(
                    load_elements(self.f, self.writer.operand(node), node.type) if small else None
                )
        return found


def write_scan(writer: ProgramWriter, step: Step) -> None:
    f, params = writer.f, step.params
    length, num_carry = params["length"], params["num_carry"]
    first_x = params["num_consts"] + num_carry
    consts, xs = step.operands[: params["num_consts"]], step.operands[first_x:]
    carry = step.operands[params["num_consts"] : first_x]
    if not length:
        copy_carry(writer, step, carry)
        return
    (body,) = writer.plan.inner[step]
    loop = LoopWriter(writer, step, [body])
    phis, ticks = loop.open()
    index = phis.new(constant("i64", 0))
    in_place = body.in_place_carries(len(consts), num_carry)
    carried = []
    for k, node in enumerate(carry):
        reader = [(body, body.graph.inputs[len(consts) + k])]
        carried.append(loop.carried(phis, k, node, reader, bool(length % 2), k in in_place))
    known = loop.constants(consts, phis)
    place = f.op("sub", constant("i64", length - 1), index) if params["reverse"] else index
    for array in carried:
        array.begin()
    inputs = [writer.operand(node) for node in consts] + [array.pointer for array in carried]
    for x, element in zip(xs, body.graph.inputs[first_x:], strict=True):
        inputs.append(element_pointer(writer, writer.operand(x), place, nbytes(element)))
    outputs = [array.target for array in carried]
    for number, element in enumerate(body.graph.outputs[num_carry:], num_carry):
        outputs.append(loop.stack_element(number, place, element))
    registers = known + [array.elements or None for array in carried] + [None] * len(xs)
    after = loop.run(body, inputs, registers, outputs, range(num_carry))
    for array, elements in zip(carried, after, strict=True):
        array.advance(elements)
    stop_if(f, tick(f, ticks), writer.failure, RAISED, writer.end)
    following = f.op("add", index, constant("i64", 1))
    phis.update(index, following)
    finish_loop(writer, phis, f.icmp("slt", following, constant("i64", length)))
    for k, array in enumerate(carried):
        result = writer.result(step, k)
        if array.is_small and result is not None:
            store_elements(f, last_values(phis, array.elements), result, array.type)


def element_pointer(writer: ProgramWriter, base: Value, place: Value, size: int) -> Value:
    """The address of one element of a stack."""
    return writer.f.gep(base, writer.f.op("mul", place, constant("i64", size)))


def last_values(phis: Phis, elements: Elements) -> Elements:
    """What registers hold after the last iteration."""
    following = {entry[0].text: entry[2] for entry in phis.entries}
    return [following[element.text] for element in elements]


def finish_loop(writer: ProgramWriter, phis: Phis, more: Value) -> None:
    f = writer.f
    after = f.new_block("loop_after")
    f.branch_if(more, phis.header, after)
    phis.finish(f.block)
    f.block = after


def copy_carry(writer: ProgramWriter, step: Step, carry: Sequence[Node]) -> None:
    """A loop that never runs: the results are the start."""
    for number, node in enumerate(carry):
        result = writer.result(step, number)
        if result is not None:
            copy_bytes(writer.f, result, writer.operand(node), nbytes(node))


def write_while(writer: ProgramWriter, step: Step) -> None:
    f, params = writer.f, step.params
    num_cond, num_body = params["num_cond"], params["num_body"]
    cond_consts = step.operands[:num_cond]
    body_consts = step.operands[num_cond : num_cond + num_body]
    carry = step.operands[num_cond + num_body :]
    cond, body = writer.plan.inner[step]
    loop = LoopWriter(writer, step, [cond, body])
    phis, ticks = loop.open()
    in_place = body.in_place_carries(num_body, len(carry))
    carried = [
        loop.carried(
            phis,
            k,
            node,
            [(cond, cond.graph.inputs[num_cond + k]), (body, body.graph.inputs[num_body + k])],
            None,
            k in in_place,
        )
        for k, node in enumerate(carry)
    ]
    in_test, in_body = loop.constants(cond_consts, phis), loop.constants(body_consts, phis)
    for array in carried:
        array.begin()
    pointers = [array.pointer for array in carried]
    now = [array.elements or None for array in carried]
    test = loop.take(64)
    (answer,) = loop.run(
        cond, [writer.operand(n) for n in cond_consts] + pointers, in_test + now, [test], [0]
    )
    if answer is None:
        answer = load_elements(f, test, cond.graph.outputs[0].type)
    body_block, after = f.new_block("while_body"), f.new_block("while_after")
    f.branch_if(answer[0], body_block, after)
    f.block = body_block
    following = loop.run(
        body,
        [writer.operand(n) for n in body_consts] + pointers,
        in_body + now,
        [array.target for array in carried],
        range(len(carry)),
    )
    for array, elements in zip(carried, following, strict=True):
        array.advance(elements)
    stop_if(f, tick(f, ticks), writer.failure, RAISED, writer.end)
    f.branch(phis.header)
    phis.finish(f.block)
    f.block = after
    for k, array in enumerate(carried):
        result = writer.result(step, k)
        if result is not None and array.is_small:
            store_elements(f, array.elements, result, array.type)
        elif result is not None and not array.is_in_place:
            copy_bytes(f, result, array.pointer, nbytes(carry[k]))


def write_cond(writer: ProgramWriter, step: Step) -> None:
    """A switch over the branches, all of which fill the same memory."""
    f = writer.f
    index, *operands = step.operands
    plans = writer.plan.inner[step]
    loop = LoopWriter(writer, step, plans)
    (number,) = writer.element_registers(index)
    inputs = [writer.operand(node) for node in operands]
    registers = [writer.registers.get(node) for node in operands]
    outputs = [
        pointer if pointer is not None else loop.take(buffer_bytes(node))
        for node in step.results
        for pointer in [writer.result(step, node.position)]
    ]
    blocks = [f.new_block("branch") for _ in plans]
    after = f.new_block("branch_after")
    if number.type == "i1":
        number = f.cast("zext", number, "i64")
    cases = " ".join(f"{number.type} {i}, label %{b.label}" for i, b in enumerate(blocks[:-1]))
    f.block.terminator = f"switch {number.type} {number.text}, label %{blocks[-1].label} [{cases}]"
    for block, plan in zip(blocks, plans, strict=True):
        f.block = block
        loop.run(plan, inputs, registers, outputs, [])
        f.branch(after)
    f.block = after
