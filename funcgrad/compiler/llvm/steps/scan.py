"""`scan` as a native loop, without Python between iterations."""

from __future__ import annotations

from collections.abc import Sequence

from funcgrad.compiler.llvm.calls.failure import RAISED, stop_if
from funcgrad.compiler.llvm.kernels.small_arrays import store_elements
from funcgrad.compiler.llvm.program import ProgramWriter, copy_bytes
from funcgrad.compiler.llvm.runtime.interrupts import tick
from funcgrad.compiler.llvm.steps.carried import Carried, Elements, Phis
from funcgrad.compiler.llvm.steps.carried_stacks import CarriedStack, NoElements, StackElements
from funcgrad.compiler.llvm.steps.loops import (
    ITERATION,
    UNKNOWN_LENGTH,
    LoopWriter,
    element_pointer,
)
from funcgrad.compiler.llvm.steps.stacks import write_empty_header
from funcgrad.compiler.llvm.types import Value, constant
from funcgrad.compiler.lowering.graph import Node, Result, Step
from funcgrad.compiler.lowering.plan import nbytes
from funcgrad.compiler.lowering.ragged import is_ragged
from funcgrad.compiler.lowering.step_table import NUMBERS


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
        self.readers: dict[Node, StackElements | NoElements] = {}

    def write(self) -> None:
        f, writer = self.f, self.writer
        count = constant("i64", self.length or 0)
        if self.is_dynamic:
            (count,) = writer.element_registers(self.step.operands[0])
        self.reserve(count)
        elements = self.body.graph.inputs[self.first_x :]
        for x, element in zip(self.xs, elements, strict=True):
            if is_ragged(x.shape) and not is_numbers(x):
                self.readers[x] = StackElements(self, x, element)
            elif self.is_dynamic and x.shape[0] == 0:
                self.readers[x] = NoElements(self, element)
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
        self.make_stacks(len(self.carry))
        for stack in self.stacks.values():
            stack.clear()
            stack.reserve(count)
            stack.set_length(count)

    def carried_arrays(self, phis: Phis) -> list[Carried | CarriedStack]:
        first = len(self.consts)
        in_place = self.body.in_place_carries(first, len(self.carry))
        is_odd = None if self.is_dynamic else bool(self.length % 2)
        found = []
        for k, node in enumerate(self.carry):
            reader = [(self.body, self.body.graph.inputs[first + k])]
            found.append(self.carried(phis, k, node, reader, is_odd, k in in_place))
        return found

    def write_body(
        self,
        index: Value,
        count: Value,
        carried: list[Carried | CarriedStack],
        known: list[Elements | None],
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
        self.put_stacks(place, outputs)

    def element(self, x: Node, element: Node, place: Value) -> tuple[Value, Elements | None]:
        """One element of a stacked operand: where it lies, and its value if that is its own number."""
        if x in self.readers:
            return self.readers[x].at(place), None
        if not is_ragged(x.shape):
            base = self.writer.operand(x)
            return element_pointer(self.writer, base, place, nbytes(element)), None
        slot = self.f.alloca("i64", 1, 8)
        self.f.store(place, slot, 8)
        return slot, [place]

    def finish(self, phis: Phis, carried: list[Carried | CarriedStack]) -> None:
        """Put what is carried last where the results are."""
        f = self.f
        for k, array in enumerate(carried):
            result = self.writer.result(self.step, k)
            if result is None:
                continue
            if array.is_small:
                last = array.elements if self.is_dynamic else last_values(phis, array.elements)
                store_elements(f, last, result, array.type)
            elif isinstance(array, CarriedStack) or (self.is_dynamic and not array.is_in_place):
                copy_bytes(f, result, array.pointer, nbytes(self.carry[k]))
        self.finish_stacks()


def write(writer: ProgramWriter, step: Step) -> None:
    scan = ScanWriter(writer, step)
    if scan.length == 0:
        copy_carry(writer, step, scan.carry)
        return
    before = writer.writer.work
    scan.write()
    repeated = UNKNOWN_LENGTH if scan.is_dynamic else scan.length
    writer.writer.work += (writer.writer.work - before + ITERATION) * repeated


def last_values(phis: Phis, elements: Elements) -> Elements:
    """What registers hold after the last iteration."""
    following = {entry[0].text: entry[2] for entry in phis.entries}
    return [following[element.text] for element in elements]


def is_numbers(x: Node) -> bool:
    """Whether the elements of a stack are the numbers of the iterations."""
    return isinstance(x, Result) and x.step.how == NUMBERS


def copy_carry(writer: ProgramWriter, step: Step, carry: Sequence[Node]) -> None:
    """A loop that never runs: the results are the start, and stacks without elements."""
    for number, node in enumerate(step.results[len(carry) :], len(carry)):
        result = writer.result(step, number)
        if result is not None and is_ragged(node.shape):
            write_empty_header(writer.f, result, node.type)
    for number, node in enumerate(carry):
        result = writer.result(step, number)
        if result is not None:
            copy_bytes(writer.f, result, writer.operand(node), nbytes(node))
