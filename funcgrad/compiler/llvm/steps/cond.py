"""`cond` as native branches."""

from __future__ import annotations

from funcgrad.compiler.llvm.program import ProgramWriter
from funcgrad.compiler.llvm.steps.carried import buffer_bytes
from funcgrad.compiler.llvm.steps.loops import LoopWriter
from funcgrad.compiler.lowering.graph import Step


def write(writer: ProgramWriter, step: Step) -> None:
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
        for place, node in enumerate(step.results)
        for pointer in [writer.result(step, place)]
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
