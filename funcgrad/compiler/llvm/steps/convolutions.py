"""Convolutions and reductions over windows as steps of a program."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from funcgrad.compiler.llvm.program import ProgramWriter
from funcgrad.compiler.llvm.windows import convolution, windows
from funcgrad.compiler.llvm.windows.conv_spec import ConvSpec, conv_spec
from funcgrad.compiler.llvm.windows.windows import WindowSpec
from funcgrad.compiler.lowering.graph import Node, Step

Operands = Sequence[Node]
Params = dict[str, Any]


def spec_of(operands: Operands, params: Params) -> ConvSpec:
    x, w = operands
    return conv_spec(x.dtype, params["labels"], params["window"], x.shape, w.shape)


def takes(operands: Operands, params: Params) -> bool:
    return convolution.supports(spec_of(operands, params))


def write(writer: ProgramWriter, step: Step) -> None:
    spec = spec_of(step.operands, step.params)
    name = convolution.conv(writer.writer.module, spec)
    call(writer, step, name, spec.products // 8)


def window_spec(operands: Operands, params: Params) -> WindowSpec:
    x = operands[0]
    return WindowSpec(params["what"], x.dtype, params.get("shape", x.shape), params["window"])


def takes_windows(operands: Operands, params: Params) -> bool:
    return windows.supports(window_spec(operands, params))


def write_windows(writer: ProgramWriter, step: Step) -> None:
    spec = window_spec(step.operands, step.params)
    name = windows.windows(writer.writer.module, spec)
    call(writer, step, name, step.type.size * spec.elements // 8)


def call(writer: ProgramWriter, step: Step, name: str, work: int) -> None:
    """Call a function of the operands and the result."""
    out = writer.result(step, 0)
    assert out is not None
    operands = [writer.operand(node) for node in step.operands]
    writer.f.call(name, "void", [*operands, out])
    writer.writer.work += work
