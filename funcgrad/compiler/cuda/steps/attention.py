"""Attention as one operation of a library. Where no library has it, it was lowered as products and softmax instead."""

from __future__ import annotations

from dataclasses import replace

from funcgrad.compiler.cuda.launches import Product, Slot
from funcgrad.compiler.cuda.program import VECTOR, LaunchWriter
from funcgrad.compiler.cuda.steps.attention_plan import FORWARD, AttentionPlan, strided_plan
from funcgrad.compiler.cuda.steps.copies import contiguous
from funcgrad.compiler.lowering.graph import Node, Step
from funcgrad.compiler.lowering.plan import nbytes


def write(writer: LaunchWriter, step: Step) -> None:
    """Add the operation, with memory for results that nobody reads as well."""
    write_part = write_forward if step.params["plan"].kind == FORWARD else write_backward
    write_part(writer, step)


def write_forward(writer: LaunchWriter, step: Step) -> None:
    plan, slots = operands(writer, step, ())
    slots["out"] = result(writer, step, 0)
    if writer.result(step, 1) is None:
        without = replace(plan, has_totals=False)
        if writer.backend.products.has_algorithm(without):
            add(writer, without, slots)
            return
    slots["totals"] = result(writer, step, 1)
    add(writer, plan, slots)


def write_backward(writer: LaunchWriter, step: Step) -> None:
    plan, slots = operands(writer, step, ("out", "totals", "cotangent"))
    wanted = step.params["wanted"]
    for place, name in enumerate(("query", "key", "value")):
        if name in wanted:
            slots["gradient_" + name] = result(writer, step, wanted.index(name))
        else:
            slots["gradient_" + name] = writer.scratch(nbytes(step.operands[place]))
    add(writer, plan, slots)


def operands(
    writer: LaunchWriter, step: Step, more: tuple[str, ...]
) -> tuple[AttentionPlan, dict[str, Slot]]:
    """The plan, and the memory of the operands by role: as they lie, or copies where the library may not read them."""
    contiguous_plan = step.params["plan"]
    bias = ("bias",) if contiguous_plan.bias is not None else ()
    rows, others = step.operands[:3], step.operands[3:]
    places = [writer.strided(step, node) for node in rows]
    strides = [found if writer.alignment(slot) % VECTOR == 0 else None for slot, found in places]
    plan = strided_plan(contiguous_plan, rows, strides)
    if not writer.backend.products.has_algorithm(plan):
        strides = [None] * 3
        plan = contiguous_plan
    slots = [
        slot if kept == found else contiguous(writer, slot, node.dtype, node.shape, found)
        for node, kept, (slot, found) in zip(rows, strides, places, strict=True)
    ]
    slots += [aligned(writer, node) for node in others]
    return plan, dict(zip(("query", "key", "value", *bias, *more), slots, strict=True))


def aligned(writer: LaunchWriter, node: Node) -> Slot:
    """The memory of a contiguous operand, or a copy where the library may read it."""
    slot = writer.operand(node)
    if writer.alignment(slot) % VECTOR == 0:
        return slot
    target = writer.scratch(nbytes(node))
    writer.copy(target, slot, nbytes(node))
    return target


def result(writer: LaunchWriter, step: Step, number: int) -> Slot:
    slot = writer.result(step, number)
    return writer.scratch(nbytes(step.results[number])) if slot is None else slot


def add(writer: LaunchWriter, plan: AttentionPlan, slots: dict[str, Slot]) -> None:
    """Add an operation, with the scratch memory that it wants."""
    size = writer.backend.products.prepared(plan).workspace_bytes
    writer.add(Product(plan, {**slots, "workspace": writer.scratch(size)}))
