"""Reductions over sliding windows, the positions of their extrema, and the elements at positions: one thread for each
place of the window, or for each element that windows add to."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from funcgrad.compiler.cuda.kernels.scalars import combines, is_native
from funcgrad.compiler.cuda.program import LaunchWriter
from funcgrad.compiler.cuda.steps.window_kernels import COMBINES, Windows
from funcgrad.compiler.lowering.graph import Node, Step
from funcgrad.compiler.lowering.window_spec import WindowSpec
from funcgrad.ir.types import kind
from funcgrad.ops.reduce import accumulator

MOST_ELEMENTS = 4096  # of a window; larger ones are combined axis by axis by the library


def spec_of(operands: Sequence[Node], params: dict[str, Any]) -> WindowSpec:
    x = operands[0]
    return WindowSpec(params["what"], x.dtype, params.get("shape", x.shape), params["window"])


def takes(operands: Sequence[Node], params: dict[str, Any]) -> bool:
    spec = spec_of(operands, params)
    if not spec.shape or spec.elements > MOST_ELEMENTS or not is_native(spec.dtype):
        return False
    if spec.what in COMBINES:
        return kind(spec.dtype) in "iufb"
    return spec.what in ("take", "put") or combines(spec.what, accumulator(spec.dtype))


def write(writer: LaunchWriter, step: Step) -> None:
    out = writer.result(step, 0)
    assert out is not None
    if math.prod(step.types[0].shape):
        slots = [writer.operand(node) for node in step.operands]
        writer.launch(Windows(spec_of(step.operands, step.params)).source(), *slots, out)
