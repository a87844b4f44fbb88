"""What loops and branches share as native control flow: the memory of what they carry, and the code of their bodies."""

from __future__ import annotations

from collections.abc import Sequence

from funcgrad.compiler.llvm.kernels.small_arrays import load_elements
from funcgrad.compiler.llvm.program import ProgramWriter, copy_bytes
from funcgrad.compiler.llvm.runtime.interrupts import tick_state
from funcgrad.compiler.llvm.steps.carried import (
    Carried,
    Elements,
    Phis,
    buffer_bytes,
    is_small,
    only_tiny_readers,
)
from funcgrad.compiler.llvm.steps.carried_stacks import CarriedStack
from funcgrad.compiler.llvm.steps.stacks import Stack
from funcgrad.compiler.llvm.types import Value, constant
from funcgrad.compiler.lowering.graph import Node, Step
from funcgrad.compiler.lowering.plan import Plan, nbytes
from funcgrad.compiler.lowering.ragged import is_ragged

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
        self.stacks: dict[int, Stack] = {}

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
        """Where the body writes its part of a stacked result: the element, or the header of one to be copied."""
        if is_ragged(element.shape):
            return self.take(buffer_bytes(element))
        if number in self.stacks:
            return self.stacks[number].element(place)
        stack = self.writer.result(self.step, number)
        if stack is None:
            return self.take(buffer_bytes(element))
        return element_pointer(self.writer, stack, place, nbytes(element))

    def make_stacks(self, first: int) -> None:
        """Slots for the results from a number on whose lengths are not known."""
        for number, node in enumerate(self.step.results[first:], first):
            if is_ragged(node.shape):
                self.stacks[number] = self.writer.stack(node)

    def put_stacks(self, place: Value, outputs: list[Value]) -> None:
        """Keep what the body has written as headers."""
        for number, stack in self.stacks.items():
            if stack.levels > 1:
                stack.put(place, outputs[number])

    def finish_stacks(self) -> None:
        """The results whose lengths are known now."""
        for number, stack in self.stacks.items():
            result = self.writer.result(self.step, number)
            if result is not None:
                stack.write_header(result)

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
    ) -> Carried | CarriedStack:
        """One array of the carry. `last_is_first`: whether the first buffer is written last; None if unknown."""
        with self.f.at(phis.before):  # what phis begin with must be known there
            if is_ragged(operand.shape):
                return CarriedStack(self, phis, operand)
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


def element_pointer(writer: ProgramWriter, base: Value, place: Value, size: int) -> Value:
    """The address of one element of a stack."""
    return writer.f.gep(base, writer.f.op("mul", place, constant("i64", size)))
