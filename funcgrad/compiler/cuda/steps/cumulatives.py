"""Running operations along an axis, and linear recurrences, as steps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from funcgrad.compiler.cuda.kernels.scalars import (
    combine,
    combines,
    is_native,
    load,
    memory_type,
    register_type,
    sections,
    store,
)
from funcgrad.compiler.cuda.program import LaunchWriter
from funcgrad.compiler.cuda.steps.running import Operation, Runs, write_running
from funcgrad.compiler.lowering.graph import Node, Step
from funcgrad.ir.types import kind
from funcgrad.ops.reduce import accumulator


def takes_cumulative(operands: Sequence[Node], params: dict[str, Any]) -> bool:
    dtype = operands[0].dtype
    return is_native(dtype) and combines(params["combine"], accumulator(dtype))


def takes_recurrence(operands: Sequence[Node], params: dict[str, Any]) -> bool:
    del params
    dtype = operands[0].dtype
    return is_native(dtype) and kind(dtype) in "fc"


def write_cumulative(writer: LaunchWriter, step: Step) -> None:
    """`s[k] = combine(s[k - 1], x[k])`."""
    dtype = step.types[0].dtype
    wide = accumulator(dtype)
    both = combine(step.params["combine"], wide, "a", "b")
    type = register_type(wide)
    state = f"  typedef {type} S;\n  auto then = [](const S& a, const S& b) -> S {{ return {both}; }};\n"
    write_step(
        writer, step, "cumulative", state, wide.itemsize, ("x",), load(dtype, "x", "at"), "value"
    )


def write_recurrence(writer: LaunchWriter, step: Step) -> None:
    """`s[k] = factor[k] * s[k - 1] + term[k]`; a carried 0 stays 0, whatever the factor is.

    A state is the function of what comes before: its factor and its term.
    """
    dtype = step.types[0].dtype
    wide = accumulator(dtype)
    type = register_type(wide)
    is_zero = "a.t.re == 0 && a.t.im == 0" if wide.kind == "c" else "a.t == 0"
    factor = combine("multiply", wide, "b.f", "a.f")
    carried = combine("multiply", wide, "b.f", "a.t")
    term = combine("add", wide, f"({is_zero} ? a.t : {carried})", "b.t")
    state = f"""  struct S {{ {type} f, t; }};
  auto then = [](const S& a, const S& b) -> S {{ return S{{{factor}, {term}}}; }};
"""
    positive = combine("add", wide, load(dtype, "y", "at"), f"{type}{{}}")  # 0 of -0
    read = f"S{{{load(dtype, 'x', 'at')}, {positive}}}"
    write_step(writer, step, "recurrence", state, 2 * wide.itemsize, ("x", "y"), read, "value.t")


def write_step(
    writer: LaunchWriter,
    step: Step,
    name: str,
    state: str,
    size: int,
    operands: tuple[str, ...],
    read: str,
    value: str,
) -> None:
    """Add the launches of a step whose states are described by text."""
    out, type, axis = writer.result(step, 0), step.types[0], step.params["axis"]
    assert out is not None
    element = memory_type(type.dtype)
    pointers = (*[f"const {element}* {name}" for name in operands], f"{element}* out")
    write = store(type.dtype, "out", "at", value)
    prelude = sections(type.dtype, accumulator(type.dtype)) | {"combine"}
    operation = Operation(name, state, size, pointers, read, write, prelude)
    outer, inner = math.prod(type.shape[:axis]), math.prod(type.shape[axis + 1 :])
    runs = Runs(outer, type.shape[axis], inner, step.params["reverse"])
    slots = [writer.operand(node) for node in step.operands]
    write_running(writer, operation, runs, (*slots, out))
