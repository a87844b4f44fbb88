"""Library steps: a primitive without launches of its own runs by its `xp` implementation, between the launches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from funcgrad.compiler.cuda.launches import LibraryCall
from funcgrad.compiler.cuda.program import LaunchWriter
from funcgrad.compiler.lowering.graph import Node, Step
from funcgrad.compiler.lowering.plan import nbytes


def takes(operands: Sequence[Node], params: dict[str, Any]) -> bool:
    del operands, params
    return True


def write(writer: LaunchWriter, step: Step) -> None:
    """Add the call, with memory for results that nobody reads as well."""
    assert step.equation is not None
    operands = tuple([(writer.operand(node), node.type) for node in step.operands])
    results = []
    for number, node in enumerate(step.results):
        slot = writer.result(step, number)
        results.append((writer.scratch(nbytes(node)) if slot is None else slot, node.type))
    writer.add(LibraryCall(step.equation, operands, tuple(results)))
