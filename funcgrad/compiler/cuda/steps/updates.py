"""`dynamic_update`: a window of an array replaced, at a place that only the device knows; what is outside is lost."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.compiler.cuda.kernels.scalars import (
    is_native,
    memory_type,
    number,
    register_type,
    sections,
    store,
)
from funcgrad.compiler.cuda.launches import Fill, Slot, Source
from funcgrad.compiler.cuda.program import LaunchWriter
from funcgrad.compiler.cuda.steps.text import blocks_for, each, index_type, kernel, offsets
from funcgrad.compiler.lowering.graph import Node, Step
from funcgrad.compiler.lowering.index import strides_of
from funcgrad.compiler.lowering.plan import nbytes
from funcgrad.ir.types import ArrayType


def takes(operands: Sequence[Node], params: dict[str, Any]) -> bool:
    del params
    return is_native(operands[0].dtype)


def write(writer: LaunchWriter, step: Step) -> None:
    out, (updates, *starts) = begin_with_copy(writer, step)
    if updates.type.size:
        source = window_source(step.types[0], updates.type, [node.type for node in starts])
        slots = [writer.operand(node) for node in (updates, *starts)]
        writer.launch(source, out, *slots)


def begin_with_copy(writer: LaunchWriter, step: Step) -> tuple[Slot, Sequence[Node]]:
    """The result of a step that changes some elements of an array, and the operands that say how.

    The result holds a copy of the array, unless it lies in the very same memory, or the number `fill`.
    """
    out, type = writer.result(step, 0), step.types[0]
    assert out is not None
    if "fill" in step.params:
        fill(writer, out, type, step.params["fill"])
        return out, step.operands
    if type.size:
        writer.copy(out, writer.operand(step.operands[0]), nbytes(step.operands[0]))
    return out, step.operands[1:]


def fill(writer: LaunchWriter, out: Slot, type: ArrayType, value: Any) -> None:
    """Set all elements to a number."""
    dtype = type.dtype
    if not np.asarray(value).astype(dtype).tobytes().strip(b"\0"):
        writer.add(Fill(out, type.size * dtype.itemsize))
        return
    body, blocks = fill_body(type, value, False), blocks_for(type.size, per_thread=4)
    pointers = (f"{memory_type(dtype)}* out",)
    writer.launch(kernel("fill", pointers, body, blocks, prelude=sections(dtype)), out)


def fill_body(type: ArrayType, value: Any, of_block: bool) -> str:
    """The statements that set all elements of `out` to a number."""
    body = f"    {store(type.dtype, 'out', 'i', number(type.dtype, value))}\n"
    return each(type.size, body, of_block=of_block)


def window_source(x: ArrayType, updates: ArrayType, starts: Sequence[ArrayType]) -> Source:
    """A kernel on (out, updates, *starts): one thread for each element of the updates.

    The starts have the leading axes of the array: there is one window for each index of them.
    """
    body = each(updates.size, window_element(x, updates, starts))
    blocks = blocks_for(updates.size)
    return kernel("update", pointers_of(x, starts), body, blocks, prelude=sections(x.dtype))


def pointers_of(x: ArrayType, starts: Sequence[ArrayType]) -> list[str]:
    """What (out, updates, *starts) are in C."""
    element = memory_type(x.dtype)
    given = [f"const {register_type(start.dtype)}* s{i}" for i, start in enumerate(starts)]
    return [f"{element}* out", f"const {element}* updates", *given]


def window_element(x: ArrayType, updates: ArrayType, starts: Sequence[ArrayType]) -> str:
    """The statements that write element `i` of the updates."""
    lead = len(starts[0].shape)
    row, x_row = math.prod(updates.shape[lead:]), math.prod(x.shape[lead:])
    type = index_type(x.size, updates.size)
    strides = strides_of(x.shape)[lead:]
    lines = [f"    {type} e = i / {row}, at = e * {x_row};\n    bool inside = true;\n"]
    for axis, stride in enumerate(strides):
        length, size = x.shape[lead + axis], updates.shape[lead + axis]
        lines.append(f"    {{ long long s = (long long)s{axis}[e]; s += s < 0 ? {length} : 0;\n")
        lines.append(f"      inside &= s >= 0 && s <= {length - size};\n")
        lines.append(f"      at += ({type})(inside ? s : 0) * {stride}; }}\n")
    axes = list(zip(updates.shape[lead:], strides, strict=True))
    lines.append(offsets(f"i % {row}", axes, ("at",)))
    return "".join(lines) + "    if (inside) out[at] = updates[i];\n"
