"""Loops and branches as native control flow: `scan`, `while_loop` and `cond` without Python between iterations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from funcgrad.compiler.llvm.builder import Value, constant
from funcgrad.compiler.llvm.calls.failure import RAISED, stop_if
from funcgrad.compiler.llvm.kernels.small_arrays import load_elements, store_elements
from funcgrad.compiler.llvm.program import ProgramWriter, copy_bytes
from funcgrad.compiler.llvm.runtime.interrupts import tick, tick_state
from funcgrad.compiler.llvm.steps.carried import (
    Carried,
    Elements,
    Phis,
    buffer_bytes,
    is_small,
    only_tiny_readers,
)
from funcgrad.compiler.llvm.steps.stacks import Stack
from funcgrad.compiler.lowering.graph import Node, Step
from funcgrad.compiler.lowering.plan import Plan, nbytes
from funcgrad.compiler.lowering.ragged import is_native_body


def takes_scan(operands: Sequence[Node], params: dict[str, Any]) -> bool:
    del operands
    return is_native_body(params["body"])


def takes_while(operands: Sequence[Node], params: dict[str, Any]) -> bool:
    del operands
    return is_native_body(params["cond"]) and is_native_body(params["body"])


def takes_cond(operands: Sequence[Node], params: dict[str, Any]) -> bool:
    del operands
    return all(map(is_native_body, params["branches"]))


def takes_iota(operands: Sequence[Node], params: dict[str, Any]) -> bool:
    del operands, params
    return True


def write_iota(writer: ProgramWriter, step: Step) -> None:
    """Nothing: whoever reads the numbers of the iterations knows them."""
    del writer, step


ITERATION = 16  # simple operations that an iteration is at least
UNKNOWN_LENGTH = 1 << 20  # iterations that a loop of unknown length is taken for


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
        if None in self.step.types[number].shape:
            stack = self.writer.stack(self.step.results[number], nbytes(element))
            return stack.element(stack.base(), place)
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
        inputs: Sequence[tuple[Plan, Node]],
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


class ScanWriter(LoopWriter):
    """A scan of fixed length, or of one that is known only at run time."""

    def __init__(self, writer: ProgramWriter, step: Step) -> None:
        super().__init__(writer, step, writer.plan.inner[step])
        params, operands = step.params, step.operands
        (self.body,) = self.plans
        self.length = params["length"]
        self.is_dynamic = self.length is None
        first = int(self.is_dynamic) + params["num_consts"]
        self.first_x = params["num_consts"] + params["num_carry"]
        self.consts = operands[int(self.is_dynamic) : first]
        self.carry = operands[first : first + params["num_carry"]]
        self.xs = operands[first + params["num_carry"] :]

    def write(self) -> None:
        f, writer = self.f, self.writer
        count = constant("i64", self.length or 0)
        if self.is_dynamic:
            (count,) = writer.element_registers(self.step.operands[0])
            self.reserve(count)
        phis, ticks = self.open()
        index = phis.new(constant("i64", 0))
        carried = self.carried_arrays(phis)
        known = self.constants(self.consts, phis)
        after = f.new_block("scan_after")
        if self.is_dynamic:
            inside = f.new_block("scan_body")
            f.branch_if(f.icmp("slt", index, count), inside, after)
            f.block = inside
        self.write_body(index, count, carried, known)
        stop_if(f, tick(f, ticks), writer.failure, RAISED, writer.end)
        following = f.op("add", index, constant("i64", 1))
        phis.update(index, following)
        if self.is_dynamic:
            f.branch(phis.header)
        else:
            f.branch_if(f.icmp("slt", following, count), phis.header, after)
        phis.finish(f.block)
        f.block = after
        self.finish(phis, carried)

    def reserve(self, count: Value) -> None:
        """Room in the stacks that the body fills."""
        for number in range(len(self.carry), len(self.step.types)):
            element = self.body.graph.outputs[number]
            stack = self.writer.stack(self.step.results[number], nbytes(element))
            stack.clear()
            stack.reserve(count)
            stack.set_length(count)

    def carried_arrays(self, phis: Phis) -> list[Carried]:
        first = len(self.consts)
        in_place = self.body.in_place_carries(first, len(self.carry))
        is_odd = None if self.is_dynamic else bool(self.length % 2)
        found = []
        for k, node in enumerate(self.carry):
            reader = [(self.body, self.body.graph.inputs[first + k])]
            found.append(self.carried(phis, k, node, reader, is_odd, k in in_place))
        return found

    def write_body(
        self, index: Value, count: Value, carried: list[Carried], known: list[Elements | None]
    ) -> None:
        f, writer = self.f, self.writer
        place = index
        if self.step.params["reverse"]:
            place = f.op("sub", f.op("sub", count, constant("i64", 1)), index)
        for array in carried:
            array.begin()
        inputs = [writer.operand(n) for n in self.consts] + [a.pointer for a in carried]
        registers = known + [array.elements or None for array in carried]
        for x, element in zip(self.xs, self.body.graph.inputs[self.first_x :], strict=True):
            pointer, elements = self.element(x, element, place)
            inputs.append(pointer)
            registers.append(elements)
        outputs = [array.target for array in carried]
        for number, element in enumerate(self.body.graph.outputs[len(carried) :], len(carried)):
            outputs.append(self.stack_element(number, place, element))
        after = self.run(self.body, inputs, registers, outputs, range(len(carried)))
        for array, elements in zip(carried, after, strict=True):
            array.advance(elements)

    def element(self, x: Node, element: Node, place: Value) -> tuple[Value, Elements | None]:
        """One element of a stacked operand: where it lies, and its value if that is its own number."""
        if None not in x.shape:
            return element_pointer(
                self.writer, self.writer.operand(x), place, nbytes(element)
            ), None
        if x.operands[0].how == "run_time_iota":  # type: ignore[attr-defined]
            slot = self.f.alloca("i64", 1, 8)
            self.f.store(place, slot, 8)
            return slot, [place]
        stack = self.writer.stack(x, nbytes(element))
        return stack.element(stack.base(), place), None

    def finish(self, phis: Phis, carried: list[Carried]) -> None:
        """Put what is carried last where the results are."""
        f = self.f
        for k, array in enumerate(carried):
            result = self.writer.result(self.step, k)
            if result is None:
                continue
            if array.is_small:
                last = array.elements if self.is_dynamic else last_values(phis, array.elements)
                store_elements(f, last, result, array.type)
            elif self.is_dynamic and not array.is_in_place:
                copy_bytes(f, result, array.pointer, nbytes(self.carry[k]))


def write_scan(writer: ProgramWriter, step: Step) -> None:
    scan = ScanWriter(writer, step)
    if scan.length == 0:
        copy_carry(writer, step, scan.carry)
        return
    before = writer.writer.work
    scan.write()
    repeated = UNKNOWN_LENGTH if scan.is_dynamic else scan.length
    writer.writer.work += (writer.writer.work - before + ITERATION) * repeated


def element_pointer(writer: ProgramWriter, base: Value, place: Value, size: int) -> Value:
    """The address of one element of a stack."""
    return writer.f.gep(base, writer.f.op("mul", place, constant("i64", size)))


def last_values(phis: Phis, elements: Elements) -> Elements:
    """What registers hold after the last iteration."""
    following = {entry[0].text: entry[2] for entry in phis.entries}
    return [following[element.text] for element in elements]


def copy_carry(writer: ProgramWriter, step: Step, carry: Sequence[Node]) -> None:
    """A loop that never runs: the results are the start."""
    for number, node in enumerate(carry):
        result = writer.result(step, number)
        if result is not None:
            copy_bytes(writer.f, result, writer.operand(node), nbytes(node))


class WhileWriter(LoopWriter):
    """A while loop; with `collect` it also stacks further results of the body, and counts."""

    def __init__(self, writer: ProgramWriter, step: Step) -> None:
        super().__init__(writer, step, writer.plan.inner[step])
        self.num_cond, self.num_body = step.params["num_cond"], step.params["num_body"]
        self.cond, self.body = self.plans
        self.in_test = step.operands[: self.num_cond]
        self.in_body = step.operands[self.num_cond : self.num_cond + self.num_body]
        self.carry = step.operands[self.num_cond + self.num_body :]
        self.collect = step.params["collect"]

    def write(self) -> None:
        f = self.f
        stacks = self.stacks()
        for stack in stacks:
            stack.clear()
        phis, ticks = self.open()
        count = phis.new(constant("i64", 0))
        carried = self.carried_arrays(phis)
        in_test, in_body = self.constants(self.in_test, phis), self.constants(self.in_body, phis)
        for array in carried:
            array.begin()
        pointers = [array.pointer for array in carried]
        now = [array.elements or None for array in carried]
        inside, after = f.new_block("while_body"), f.new_block("while_after")
        f.branch_if(self.test(pointers, in_test + now), inside, after)
        f.block = inside
        given = [self.writer.operand(n) for n in self.in_body] + pointers
        targets = [array.target for array in carried] + [stack.push() for stack in stacks]
        following = self.run(self.body, given, in_body + now, targets, range(len(carried)))
        for array, elements in zip(carried, following, strict=True):
            array.advance(elements)
        stop_if(f, tick(f, ticks), self.writer.failure, RAISED, self.writer.end)
        phis.update(count, f.op("add", count, constant("i64", 1)))
        f.branch(phis.header)
        phis.finish(f.block)
        f.block = after
        self.finish(carried, count)

    def stacks(self) -> list[Stack]:
        found = []
        for number, element in enumerate(
            self.body.graph.outputs[len(self.carry) :], len(self.carry)
        ):
            found.append(self.writer.stack(self.step.results[number], nbytes(element)))
        return found

    def carried_arrays(self, phis: Phis) -> list[Carried]:
        in_place = self.body.in_place_carries(self.num_body, len(self.carry))
        found = []
        for k, node in enumerate(self.carry):
            readers = [
                (self.cond, self.cond.graph.inputs[self.num_cond + k]),
                (self.body, self.body.graph.inputs[self.num_body + k]),
            ]
            found.append(self.carried(phis, k, node, readers, None, k in in_place))
        return found

    def test(self, pointers: list[Value], registers: list[Elements | None]) -> Value:
        """Whether the loop goes on."""
        place = self.take(64)
        given = [self.writer.operand(n) for n in self.in_test] + pointers
        (answer,) = self.run(self.cond, given, registers, [place], [0])
        if answer is None:
            answer = load_elements(self.f, place, self.cond.graph.outputs[0].type)
        return answer[0]

    def finish(self, carried: list[Carried], count: Value) -> None:
        f = self.f
        for k, array in enumerate(carried):
            result = self.writer.result(self.step, k)
            if result is not None and array.is_small:
                store_elements(f, array.elements, result, array.type)
            elif result is not None and not array.is_in_place:
                copy_bytes(f, result, array.pointer, nbytes(self.carry[k]))
        counted = self.writer.result(self.step, len(self.step.types) - 1) if self.collect else None
        if counted is not None:
            f.store(count, counted, 8)


def write_while(writer: ProgramWriter, step: Step) -> None:
    WhileWriter(writer, step).write()
    writer.writer.work += UNKNOWN_LENGTH * ITERATION


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
