"""Convolutions as steps of a program."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from funcgrad.compiler.graph import Node, Step
from funcgrad.compiler.llvm.conv_spec import ConvSpec, conv_spec
from funcgrad.compiler.llvm.convolution import conv, supports
from funcgrad.compiler.llvm.program import ProgramWriter


def spec_of(operands: Sequence[Node], params: dict[str, Any]) -> ConvSpec:
    x, w = operands
    return conv_spec(x.dtype, params["labels"], params["window"], x.shape, w.shape)


def takes(operands: Sequence[Node], params: dict[str, Any]) -> bool:
    return supports(spec_of(operands, params))


def write(writer: ProgramWriter, step: Step) -> None:
    spec = spec_of(step.operands, step.params)
    out = writer.result(step, 0)
    assert out is not None
    name = conv(writer.writer.module, spec)
    x, w = (writer.operand(node) for node in step.operands)
    writer.f.call(name, "void", [x, w, out])
    writer.writer.work += spec.products // 8
