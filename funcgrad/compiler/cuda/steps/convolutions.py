"""Convolutions: by cuDNN where it is installed and has them, else as products with a matrix of all windows (im2col).

A kernel of their own sums what would be too small for a product. These two read an array that holds the zeros around
it, so that every element of a window lies at a sum of strides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from funcgrad.compiler.cuda.kernels.scalars import combines, is_native
from funcgrad.compiler.cuda.launches import Fill, Product, Slot
from funcgrad.compiler.cuda.program import LaunchWriter
from funcgrad.compiler.cuda.steps.convolution_kernels import direct_source, pad_source
from funcgrad.compiler.cuda.steps.convolution_plan import convolution_plan
from funcgrad.compiler.cuda.steps.convolution_products import write_as_product
from funcgrad.compiler.cuda.steps.cublaslt import DATA_TYPES
from funcgrad.compiler.lowering.conv_spec import ConvSpec, Part, conv_spec, total
from funcgrad.compiler.lowering.graph import Node, Step
from funcgrad.ops.reduce import accumulator

SMALL = 1 << 16  # multiplications that one kernel does before a product has begun
NARROW = 8  # output channels of a group that are no matrix worth a product


def takes(operands: Sequence[Node], params: dict[str, Any]) -> bool:
    del params
    x, w = operands
    dtype = x.dtype
    return dtype == w.dtype and is_native(dtype) and combines("add", accumulator(dtype))


def spec_of(step: Step) -> ConvSpec:
    x, w = step.operands
    return conv_spec(x.dtype, step.params["labels"], step.params["window"], x.shape, w.shape)


def write(writer: LaunchWriter, step: Step) -> None:
    out, spec = writer.result(step, 0), spec_of(step)
    assert out is not None
    if not spec.out_size:
        return
    x, w = (writer.operand(node) for node in step.operands)
    if write_by_library(writer, step, spec, (x, w, out)):
        return
    if any(not total(part.terms) for part in spec.parts):
        writer.add(Fill(out, spec.out_size * spec.dtype.itemsize))
    if spec.is_padded and spec.products:
        padded = writer.scratch(spec.padded_size * spec.dtype.itemsize)
        writer.launch(pad_source(spec), x, padded)
        x = padded
    for part in spec.parts:
        if total((*part.groups, *part.rows, *part.columns, *part.terms)):
            write_part(writer, spec, part, (x, w, out))


def write_by_library(
    writer: LaunchWriter, step: Step, spec: ConvSpec, slots: tuple[Slot, Slot, Slot]
) -> bool:
    """Add the convolution as the library does it; whether it can."""
    library, plan = writer.backend.products, convolution_plan(step)
    if library is None or plan is None or spec.products <= SMALL or not library.has_algorithm(plan):
        return False
    roles = ("x", "w", "y") if plan.result == "y" else ("x", "y", "w")
    writer.add(Product(plan, dict(zip(roles, slots, strict=True))))
    return True


def write_part(
    writer: LaunchWriter, spec: ConvSpec, part: Part, slots: tuple[Slot, Slot, Slot]
) -> None:
    """Add what computes the places of one phase."""
    size = spec.dtype.itemsize
    x, w, out = (slot.at(n * size) for slot, n in zip(slots, part.starts, strict=True))
    if is_direct(spec, part):
        writer.launch(direct_source(spec, part), x, w, out)
    else:
        write_as_product(writer, spec, replace(part, starts=(0, 0, 0)), (x, w, out))


def is_direct(spec: ConvSpec, part: Part) -> bool:
    """Whether a kernel sums the products of each place, rather than the library."""
    if spec.dtype.name not in DATA_TYPES:
        return True
    columns, rows = total(part.columns), total(part.rows)
    is_narrow = min(columns, rows) < NARROW and total(part.groups) > 1
    return is_narrow or total(part.terms) * columns * rows * total(part.groups) <= SMALL
