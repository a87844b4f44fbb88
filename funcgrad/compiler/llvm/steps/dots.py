"""Matrix products as steps: operands with any strides, straight from the memory that holds them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from funcgrad.compiler.llvm.kernels.registers import is_native
from funcgrad.compiler.llvm.products.dot_spec import DotSpec
from funcgrad.compiler.llvm.products.gemm import dot
from funcgrad.compiler.llvm.program import ProgramWriter
from funcgrad.compiler.lowering.graph import Node, Step
from funcgrad.compiler.lowering.plan import memory_of
from funcgrad.compiler.lowering.views import Located, matrix_axes, merged_axes


def takes(operands: Sequence[Node], params: dict[str, Any]) -> bool:
    del params
    x, y = operands
    return is_native(x.dtype) and x.dtype == y.dtype


def write(writer: ProgramWriter, step: Step) -> None:
    out = writer.result(step, 0)
    assert out is not None
    places = [memory_of(step, operand, writer.plan.in_memory) for operand in step.operands]
    spec = dot_spec(step, *places)
    pointers = [
        writer.f.gep(writer.pointer(place.base), place.offset * place.base.dtype.itemsize)
        for place in places
    ]
    writer.f.call(dot(writer.writer.module, spec), "void", [*pointers, out])
    writer.writer.work += spec.batches * spec.m * spec.n * spec.k // 8


def dot_spec(step: Step, x_place: Located, y_place: Located) -> DotSpec:
    """The product as one of (batches of) matrices."""
    x = step.operands[0]
    (m, x_row), (k, x_column) = matrix(step, 0, x_place)
    (_, y_row), (n, y_column) = matrix(step, 1, y_place)
    batches, out_stride = [], m * n
    for axis in reversed(range(step.params["batch"])):
        extent = x.shape[axis]
        batches.append((extent, x_place.strides[axis], y_place.strides[axis], out_stride))
        out_stride *= extent
    strides = (x_row, x_column), (y_row, y_column), (n, 1)
    return DotSpec(x.dtype, tuple(reversed(batches)), m, n, k, *strides)


def matrix(step: Step, number: int, place: Located) -> list[tuple[int, int]]:
    """Lengths and strides of the rows and columns of an operand."""
    found = []
    for axes in matrix_axes(step, number):
        merged = merged_axes(step.operands[number].shape, place.strides, axes)
        assert merged is not None
        found.append(merged)
    return found
