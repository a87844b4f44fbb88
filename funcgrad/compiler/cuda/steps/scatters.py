"""`scatter`: rows of updates combined into the rows of an array that indices name; those out of bounds are left out.

The result does not depend on which thread comes first. Few updates look for those of the same row themselves; many
are sorted by row and number, so that those of a row lie next to each other in their order.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.compiler.cuda.kernels.scalars import combines, is_native
from funcgrad.compiler.cuda.launches import Fill, Slot
from funcgrad.compiler.cuda.program import LaunchWriter
from funcgrad.compiler.cuda.steps.scatter_kernels import FEW, RUN, Rows
from funcgrad.compiler.cuda.steps.text import SMALL
from funcgrad.compiler.cuda.steps.updates import begin_with_copy
from funcgrad.compiler.lowering.graph import Node, Step
from funcgrad.ops.reduce import accumulator


def takes(operands: Sequence[Node], params: dict[str, Any]) -> bool:
    dtype = operands[0].dtype
    indices = operands[1:] if "fill" in params else operands[2:]
    count = math.prod(np.broadcast_shapes(*[node.shape for node in indices]))
    known = params["combine"] == "set" or combines(params["combine"], accumulator(dtype))
    return is_native(dtype) and known and count < SMALL


def rows_of(step: Step, indices: Sequence[Node]) -> Rows:
    return Rows(step.types[0], [node.type for node in indices], step.params["combine"])


def write(writer: LaunchWriter, step: Step) -> None:
    out, (updates, *indices) = begin_with_copy(writer, step)
    rows = rows_of(step, indices)
    if not rows.count * rows.width * rows.total:
        return
    slots = [writer.operand(node) for node in (updates, *indices)]
    if step.params["unique"] or rows.is_direct:
        writer.launch(rows.direct(), out, *slots)
    elif rows.count <= FEW:
        writer.launch(rows.searching(), out, *slots)
    elif rows.combine == "set":
        winners = writer.scratch(4 * rows.total)
        writer.add(Fill(winners, 4 * rows.total, 255))
        writer.launch(rows.racing(), winners, *slots[1:])
        writer.launch(rows.winning(), out, winners, *slots)
    else:
        write_sorted(writer, rows, out, slots)


def write_sorted(writer: LaunchWriter, rows: Rows, out: Slot, slots: list[Slot]) -> None:
    """Sort the updates by their rows, and combine those of each row."""
    updates, *indices = slots
    keys, other = writer.scratch(8 * rows.keys), writer.scratch(8 * rows.keys)
    writer.launch(rows.sorting(), keys, *indices)
    run = RUN
    while run < rows.keys:
        writer.launch(rows.merging(run), other, keys)
        keys, other = other, keys
        run *= 2
    wide = np.dtype(accumulator(rows.dtype)).itemsize
    parts = writer.scratch(rows.chunks * rows.width * wide)
    writer.launch(rows.gathering(), parts, keys, updates)
    writer.launch(rows.finishing(), out, parts, keys, updates)
