"""Loops and branches as launches that are repeated or chosen: `scan`, `while_loop` and `cond`.

An iteration reads what it carries from one place and writes it to another; then the two change roles.
"""

from __future__ import annotations

from collections.abc import Sequence

from funcgrad.compiler.cuda.launches import Choose, Fill, Item, Launch, Loop, Repeat, Slot, Stack
from funcgrad.compiler.cuda.program import LaunchWriter
from funcgrad.compiler.cuda.steps import blocks
from funcgrad.compiler.cuda.steps.counters import advance, last_place
from funcgrad.compiler.lowering.graph import Node, Result, Step
from funcgrad.compiler.lowering.plan import Plan, nbytes

COUNT_BYTES = 8  # numbers of iterations are int64


class LoopWriter:
    """What scans and while loops share: the memory of what they carry and stack.

    Attributes:
        inputs, outputs: the memory of the body's inputs and outputs.
        stacks: those that the body fills.
    """

    def __init__(self, writer: LaunchWriter, step: Step, body: Plan, is_reversed: bool) -> None:
        self.writer = writer
        self.step = step
        self.body = body
        self.loop = Loop(is_reversed)
        self.inputs: list[Slot] = []
        self.outputs: list[Slot] = []
        self.stacks: list[Stack] = []
        self.finals: list[tuple[Slot, Slot, int]] = []

    def constants(self, operands: Sequence[Node]) -> None:
        """Operands that do not change."""
        self.inputs += [self.writer.operand(node) for node in operands]

    def carry(self, operands: Sequence[Node], count: int | None) -> None:
        """What goes from one iteration to the next."""
        first = len(self.inputs)
        in_place = self.body.in_place_carries(first, len(operands))
        for number, operand in enumerate(operands):
            now, following = self.carried(number, operand, number in in_place, count)
            self.inputs.append(now)
            self.outputs.append(following)

    def carried(
        self, number: int, operand: Node, in_place: bool, count: int | None
    ) -> tuple[Slot, Slot]:
        """One array: where an iteration reads it, and where it writes it.

        If the number of iterations is known, so is the place that is written last: that is the result.
        """
        writer, size = self.writer, nbytes(operand)
        result = writer.result(self.step, number)
        first = writer.scratch(size) if result is None else result
        if in_place:
            writer.copy(first, writer.operand(operand), size)
            return first, first
        second = writer.scratch(size)
        if count is not None and count % 2:
            first, second = second, first
        writer.copy(first, writer.operand(operand), size)
        now, following = self.loop.carry(first, second)
        if result is not None and count is None:
            self.finals.append((result, now, size))
        return now, following

    def stacked(self, first: int) -> None:
        """Where the body writes its parts of the stacked results, from a number on."""
        for number in range(first, len(self.body.graph.outputs)):
            node, size = self.step.results[number], nbytes(self.body.graph.outputs[number])
            if None in node.shape:
                stack = self.writer.stack(node, size)
                self.stacks.append(stack)
                self.outputs.append(Slot(("stack", stack)).moving(self.loop, size))
                continue
            slot = self.writer.result(self.step, number)
            self.outputs.append(
                self.writer.scratch(size) if slot is None else slot.moving(self.loop, size)
            )

    def write_body(self) -> list[Item]:
        return self.writer.body(self.body, self.inputs, self.outputs)

    def finish(self) -> None:
        """Copy what is carried last to where the results are."""
        for result, now, size in self.finals:
            self.writer.copy(result, now, size)


class ScanWriter(LoopWriter):
    """A scan of fixed length, or of one that is known only at run time."""

    def __init__(self, writer: LaunchWriter, step: Step) -> None:
        (body,) = writer.plans(step)
        super().__init__(writer, step, body, step.params["reverse"])
        params, operands = step.params, step.operands
        self.length: int | None = params["length"]
        start = int(self.length is None)
        first = start + params["num_consts"]
        last = first + params["num_carry"]
        self.consts, self.carries = operands[start:first], operands[first:last]
        self.xs = operands[last:]
        self.after: list[Item] = []

    def write(self) -> None:
        count: int | Slot | None = self.length
        if count is None:
            count = self.writer.operand(self.step.operands[0])
        self.constants(self.consts)
        self.carry(self.carries, self.length)
        for x, element in zip(self.xs, self.body.graph.inputs[len(self.inputs) :], strict=True):
            self.inputs.append(self.element(x, nbytes(element), count))
        self.stacked(len(self.carries))
        items = [*self.write_body(), *self.after]
        self.writer.add(Repeat(self.loop, items, count, stacks=self.stacks))
        self.finish()

    def element(self, x: Node, size: int, count: int | Slot) -> Slot:
        """Where an iteration finds its element of a stacked operand."""
        if None not in x.shape:
            return self.writer.operand(x).moving(self.loop, size)
        assert isinstance(x, Result)  # only loops make stacks of unknown length
        if x.step.how == "run_time_iota":
            return self.counter(count)
        return Slot(("stack", self.writer.stack(x, size))).moving(self.loop, size)

    def counter(self, count: int | Slot) -> Slot:
        """The number of the place that an iteration works on, counted by the device itself."""
        place = self.writer.scratch(COUNT_BYTES)
        if self.loop.is_reversed:
            assert isinstance(count, Slot)
            self.writer.launch(last_place(), place, count)
        else:
            self.writer.add(Fill(place, COUNT_BYTES))
        self.after.append(Launch(advance(-1 if self.loop.is_reversed else 1), (place,)))
        return place


def write_scan(writer: LaunchWriter, step: Step) -> None:
    if blocks.fits(step, writer.plan):
        blocks.write_together(writer, [step])
    else:
        ScanWriter(writer, step).write()


def write_while(writer: LaunchWriter, step: Step) -> None:
    if blocks.fits(step, writer.plan):
        blocks.write_together(writer, [step])
    else:
        write_host_while(writer, step)


def write_host_while(writer: LaunchWriter, step: Step) -> None:
    """Iterations until a condition fails; with `collect` they stack further results, and are counted."""
    test, body = writer.plans(step)
    num_test, num_body = step.params["num_cond"], step.params["num_body"]
    first = num_test + num_body
    loop = LoopWriter(writer, step, body, False)
    loop.constants(step.operands[num_test:first])
    carries = step.operands[first:]
    loop.carry(carries, None)
    loop.stacked(len(carries))
    condition = writer.scratch(1)
    given = [writer.operand(node) for node in step.operands[:num_test]]
    tested = writer.body(test, [*given, *loop.inputs[num_body:]], [condition])
    counter = writer.result(step, len(step.types) - 1) if step.params["collect"] else None
    items = loop.write_body()
    writer.add(Repeat(loop.loop, items, None, condition, tested, counter, loop.stacks))
    loop.finish()


def write_cond(writer: LaunchWriter, step: Step) -> None:
    """One of the branches, all of which fill the same memory."""
    if blocks.fits(step, writer.plan):
        blocks.write_together(writer, [step])
        return
    index, *operands = step.operands
    inputs = [writer.operand(node) for node in operands]
    outputs = []
    for number, node in enumerate(step.results):
        slot = writer.result(step, number)
        outputs.append(writer.scratch(nbytes(node)) if slot is None else slot)
    branches = [writer.body(plan, inputs, outputs) for plan in writer.plans(step)]
    writer.add(Choose(writer.operand(index), index.dtype, branches))
