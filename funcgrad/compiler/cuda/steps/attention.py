"""Attention as one operation of a library. Where no library has it, it was lowered as products and softmax instead."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from funcgrad.compiler.cuda.launches import Product, Slot
from funcgrad.compiler.cuda.program import VECTOR, LaunchWriter
from funcgrad.compiler.cuda.steps.attention_plan import FORWARD
from funcgrad.compiler.lowering.graph import Node, Step
from funcgrad.compiler.lowering.plan import nbytes


def write(writer: LaunchWriter, step: Step) -> None:
    """Add the operation, with memory for results that nobody reads as well."""
    write_part = write_forward if step.params["plan"].kind == FORWARD else write_backward
    write_part(writer, step)


def write_forward(writer: LaunchWriter, step: Step) -> None:
    plan, slots = step.params["plan"], operands(writer, step, ())
    slots["out"] = result(writer, step, 0)
    if writer.result(step, 1) is None:
        without = replace(plan, has_totals=False)
        if writer.backend.products.has_algorithm(without):
            add(writer, without, slots)
            return
    slots["totals"] = result(writer, step, 1)
    add(writer, plan, slots)


def write_backward(writer: LaunchWriter, step: Step) -> None:
    plan = step.params["plan"]
    slots = operands(writer, step, ("out", "totals", "cotangent"))
    wanted = step.params["wanted"]
    for place, name in enumerate(("query", "key", "value")):
        if name in wanted:
            slots["gradient_" + name] = result(writer, step, wanted.index(name))
        else:
            slots["gradient_" + name] = writer.scratch(nbytes(step.operands[place]))
    add(writer, plan, slots)


def operands(writer: LaunchWriter, step: Step, more: tuple[str, ...]) -> dict[str, Slot]:
    """The memory of the operands by role."""
    bias = ("bias",) if step.params["plan"].bias is not None else ()
    roles = ("query", "key", "value", *bias, *more)
    return {role: aligned(writer, node) for role, node in zip(roles, step.operands, strict=True)}


def aligned(writer: LaunchWriter, node: Node) -> Slot:
    """The memory of an operand, or a copy where the library may read it."""
    slot = writer.operand(node)
    if writer.alignment(slot) % VECTOR == 0:
        return slot
    target = writer.scratch(nbytes(node))
    writer.copy(target, slot, nbytes(node))
    return target


def result(writer: LaunchWriter, step: Step, number: int) -> Slot:
    slot = writer.result(step, number)
    return writer.scratch(nbytes(step.results[number])) if slot is None else slot


def add(writer: LaunchWriter, plan: Any, slots: dict[str, Slot]) -> None:
    """Add an operation, with the scratch memory that it wants."""
    size = writer.backend.products.prepared(plan).workspace_bytes
    writer.add(Product(plan, {**slots, "workspace": writer.scratch(size)}))
