"""Fourier transforms as steps of a program."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from funcgrad.compiler.llvm.fourier.spec import FourierSpec
from funcgrad.compiler.llvm.fourier.transform import transform
from funcgrad.compiler.llvm.program import ProgramWriter
from funcgrad.compiler.lowering.graph import Node, Step
from funcgrad.ir.types import real_dtype


def spec_of(operands: Sequence[Node], params: dict[str, Any]) -> FourierSpec:
    (x,) = operands
    kind, axes, length = (params[name] for name in ("transform", "axes", "length"))
    return FourierSpec(real_dtype(x.dtype), kind, x.shape, axes, length)


def takes(operands: Sequence[Node], params: dict[str, Any]) -> bool:
    return spec_of(operands, params).supports()


def write(writer: ProgramWriter, step: Step) -> None:
    spec = spec_of(step.operands, step.params)
    out = writer.result(step, 0)
    assert out is not None and step.equation is not None
    name = transform(writer.writer.module, spec)
    writer.f.call(name, "void", [writer.operand(step.operands[0]), out, writer.failure])
    writer.writer.work += math.prod(spec.half_shape) * math.ceil(math.log2(spec.points))
    writer.writer.is_loud |= not step.equation.is_quiet
