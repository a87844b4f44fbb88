"""`while_loop` as a native loop, without Python between iterations."""

from __future__ import annotations

from funcgrad.compiler.llvm.calls.failure import RAISED, stop_if
from funcgrad.compiler.llvm.kernels.small_arrays import load_elements, store_elements
from funcgrad.compiler.llvm.program import ProgramWriter, copy_bytes
from funcgrad.compiler.llvm.runtime.interrupts import tick
from funcgrad.compiler.llvm.steps.carried import Carried, Elements, Phis
from funcgrad.compiler.llvm.steps.carried_stacks import CarriedStack
from funcgrad.compiler.llvm.steps.loops import ITERATION, UNKNOWN_LENGTH, LoopWriter
from funcgrad.compiler.llvm.types import Value, constant
from funcgrad.compiler.lowering.graph import Step
from funcgrad.compiler.lowering.plan import nbytes


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
        self.make_stacks(len(self.carry))
        for stack in self.stacks.values():
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
        for stack in self.stacks.values():
            stack.push()
        targets = [array.target for array in carried]
        for number, element in enumerate(self.body.graph.outputs[len(carried) :], len(carried)):
            targets.append(self.stack_element(number, count, element))
        following = self.run(self.body, given, in_body + now, targets, range(len(carried)))
        for array, elements in zip(carried, following, strict=True):
            array.advance(elements)
        self.put_stacks(count, targets)
        stop_if(f, tick(f, ticks), self.writer.failure, RAISED, self.writer.end)
        phis.update(count, f.op("add", count, constant("i64", 1)))
        f.branch(phis.header)
        phis.finish(f.block)
        f.block = after
        self.finish(carried, count)

    def carried_arrays(self, phis: Phis) -> list[Carried | CarriedStack]:
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

    def finish(self, carried: list[Carried | CarriedStack], count: Value) -> None:
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
        self.finish_stacks()


def write(writer: ProgramWriter, step: Step) -> None:
    WhileWriter(writer, step).write()
    writer.writer.work += UNKNOWN_LENGTH * ITERATION
