"""Library steps: a primitive without native code is called back in Python."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from funcgrad.compiler.graph import Node, Step
from funcgrad.compiler.llvm.builder import Value, constant
from funcgrad.compiler.llvm.callbacks import TABLE
from funcgrad.compiler.llvm.failure import RECORDED, stop_if
from funcgrad.compiler.llvm.program import ProgramWriter, pointer_array


def takes(operands: Sequence[Node], params: dict[str, Any]) -> bool:
    del operands, params
    return True


def write(writer: ProgramWriter, step: Step) -> None:
    """Call the step by its place in the program's table of numbers, which is filled when the program is loaded."""
    f, module = writer.f, writer.writer
    slot = len(module.libraries)
    module.libraries.append(step)
    number = f.load("i64", f.gep(Value("ptr", f"@{TABLE}"), slot, "i64"), 8)
    inputs = pointer_array(f, [writer.operand(operand) for operand in step.operands])
    targets = [writer.result(step, i) for i in range(len(step.types))]
    addresses = [
        t if t is not None else f.emit("ptr", "getelementptr i8, ptr null, i64 0") for t in targets
    ]
    outputs = pointer_array(f, addresses)
    counts = [constant("i64", len(step.operands)), constant("i64", len(step.types))]
    arguments = [number, inputs, counts[0], outputs, counts[1]]
    failed = f.external("fg_library", "i32", arguments)
    bad = f.icmp("ne", failed, constant("i32", 0))
    stop_if(f, bad, writer.failure, RECORDED, writer.end)
