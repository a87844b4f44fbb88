"""Matrix products as steps: operands with any strides, straight from the memory that holds them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from funcgrad.compiler.graph import Node, Step
from funcgrad.compiler.index import flat_offset, strides_of
from funcgrad.compiler.llvm.builder import Value
from funcgrad.compiler.llvm.dot_spec import DotSpec
from funcgrad.compiler.llvm.elements import is_native
from funcgrad.compiler.llvm.gemm import dot
from funcgrad.compiler.llvm.program import ProgramWriter
from funcgrad.compiler.views import contiguous_base, strided_base

Strides = tuple[int, ...]


def takes(operands: Sequence[Node], params: dict[str, Any]) -> bool:
    del params
    return is_native(operands[0].dtype) and operands[0].dtype == operands[1].dtype


def write(writer: ProgramWriter, step: Step) -> None:
    x, y = step.operands
    out = writer.result(step, 0)
    assert out is not None
    x_pointer, x_strides = located(writer, x)
    y_pointer, y_strides = located(writer, y)
    spec = dot_spec(step, x_strides, y_strides)
    if spec is None:
        raise AssertionError(f"the axes of {step} are not those of matrices")
    name = dot(writer.writer.module, spec)
    writer.f.call(name, "void", [x_pointer, y_pointer, out])
    writer.writer.work += spec.batches * spec.m * spec.n * spec.k // 8


def located(writer: ProgramWriter, node: Node) -> tuple[Value, Strides]:
    """The address of the first element of an operand, and the strides of its axes in elements."""
    base = contiguous_base(node) if node not in writer.plan.in_memory else (node, 0)
    if base is not None:
        owner, start = base
        strides = strides_of(node.shape)
    else:
        found = strided_base(node)
        assert found is not None
        owner, index = found
        offset = flat_offset(index, owner.shape)
        start = offset.constant
        strides = tuple([offset.factor(axis) for axis in range(len(node.shape))])
    pointer = writer.f.gep(writer.pointer(owner), start * node.dtype.itemsize)
    return pointer, strides


def merged(axes: Sequence[int], shape: Sequence[int], strides: Strides) -> tuple[int, int] | None:
    """The length and the stride of several axes counted as one; None if they do not lie so."""
    wide = [a for a in axes if shape[a] != 1]
    for outer, inner in zip(wide, wide[1:], strict=False):
        if strides[outer] != strides[inner] * shape[inner]:
            return None
    return math.prod(shape[a] for a in axes), strides[wide[-1]] if wide else 1


def dot_spec(step: Step, x_strides: Strides, y_strides: Strides) -> DotSpec | None:
    """The product as one of (batches of) matrices."""
    x, y = step.operands
    contract, batch = step.params["contract"], step.params["batch"]
    free_x = [i for i in range(len(x.shape)) if i not in contract[0] and i not in batch[0]]
    free_y = [i for i in range(len(y.shape)) if i not in contract[1] and i not in batch[1]]
    parts = [
        merged(free_x, x.shape, x_strides),
        merged(free_y, y.shape, y_strides),
        merged(contract[0], x.shape, x_strides),
        merged(contract[1], y.shape, y_strides),
    ]
    if any(part is None for part in parts):
        return None
    (m, x_row), (n, y_column), (k, x_column), (_, y_row) = parts  # type: ignore[misc]
    batches, step_out = [], m * n
    for i, j in zip(reversed(batch[0]), reversed(batch[1]), strict=True):
        batches.append((x.shape[i], x_strides[i], y_strides[j], step_out))
        step_out *= x.shape[i]
    return DotSpec(
        x.dtype, tuple(reversed(batches)), m, n, k, (x_row, x_column), (y_row, y_column), (n, 1)
    )
