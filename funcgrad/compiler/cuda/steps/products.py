"""Matrix products: by the library where it has the dtype, else by a kernel of our own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from typing import Any

from funcgrad.compiler.cuda.launches import Fill, Product, Slot
from funcgrad.compiler.cuda.program import LaunchWriter
from funcgrad.compiler.cuda.steps.copies import contiguous
from funcgrad.compiler.cuda.steps.cublaslt import DATA_TYPES
from funcgrad.compiler.cuda.steps.plain_products import plain_product
from funcgrad.compiler.cuda.steps.product_plan import MatrixLayout, ProductPlan
from funcgrad.compiler.lowering.dot_spec import BatchAxis, DotSpec, Pair, dot_spec, simplified
from funcgrad.compiler.lowering.graph import Node, Step
from funcgrad.compiler.lowering.plan import memory_of
from funcgrad.compiler.lowering.views import Located
from funcgrad.config import config

MOST_LAUNCHES = 16  # of the library for one product whose batch is no single axis
WORTH_A_LAUNCH = 1 << 27  # multiplications that take longer than copying an operand


def takes(operands: Sequence[Node], params: dict[str, Any]) -> bool:
    del params
    x, y = operands[:2]
    known = x.dtype.name in DATA_TYPES or x.dtype.kind in "iub"
    return x.dtype == y.dtype and x.dtype.isnative and known


def write(writer: LaunchWriter, step: Step) -> None:
    out = writer.result(step, 0)
    assert out is not None
    if "epilogue" in step.params:
        write_fused(writer, step, out)
        return
    places = [writer.strided(step, operand) for operand in step.operands[:2]]
    located = [
        Located(node, 0, strides) for node, (_, strides) in zip(step.operands, places, strict=False)
    ]
    spec = simplified(dot_spec(step, *located))
    (a, _), (b, _) = places
    write_product(writer, spec, a, b, out)


def write_fused(writer: LaunchWriter, step: Step, out: Slot) -> None:
    """Add a product with what is done before it is written; see `fused_plan`."""
    plan = fused_plan(step, writer.plan.in_memory)
    assert plan is not None
    a, b, *extra = [writer.strided(step, operand)[0] for operand in step.operands]
    slots = {"a": a, "b": b, "d": out}
    if plan.auxiliary:
        slots["auxiliary"] = extra.pop(0)
    if "bgrad" in plan.epilogue:
        sums = writer.result(step, 1)
        assert sums is not None
        slots["bias"] = sums
    if "bias" in plan.epilogue:
        slots["bias"] = extra.pop(0)
    if plan.beta:
        slots["c"] = extra.pop(0)
    writer.add(Product(plan, slots))


def fused_plan(step: Step, in_memory: set[Node]) -> ProductPlan | None:
    """The plan of a product with an epilogue, or None if it is none that the library can read as it lies.

    The params of such a step: `epilogue`, `alpha` and `beta` as in the plan, and `added`, the number of the operand
    that is added with the factor `beta`. Operand 2 is the bias if the epilogue has one, or bits for each element if
    there are `auxiliary` many for each row. Sums of columns are the second result. `keeps_nan` is that of the plan.
    """
    places = [memory_of(step, operand, in_memory) for operand in step.operands[:2]]
    spec = simplified(dot_spec(step, *places))
    if spec.batch or not spec.m * spec.n * spec.k or spec.dtype.name not in DATA_TYPES:
        return None
    readable = (
        layout_of(spec.m, spec.k, spec.x_strides),
        layout_of(spec.k, spec.n, spec.y_strides),
    )
    if None in readable or spec.out_strides != (spec.n, 1):
        return None
    params = step.params
    changes = {name: params[name] for name in ("epilogue", "alpha", "beta")}
    changes["auxiliary"] = params.get("auxiliary", 0)
    changes["keeps_nan"] = params.get("keeps_nan", True)
    return replace(product_plan(spec, (1, 0, 0, 0)), **changes)


def write_product(writer: LaunchWriter, spec: DotSpec, a: Slot, b: Slot, out: Slot) -> None:
    """Add what computes a product of strided matrices; the rows of the result are contiguous."""
    if not spec.batches * spec.m * spec.n:
        return
    if not spec.k:
        writer.add(Fill(out, spec.batches * spec.m * spec.n * spec.dtype.itemsize))
        return
    if spec.dtype.name not in DATA_TYPES:
        writer.launch(plain_product(spec), a, b, out)
        return
    spec, a, b = for_library(writer, spec, a, b)
    outer, inner = split_batch(spec.batch)
    plan = product_plan(spec, inner)
    size = spec.dtype.itemsize
    for place in product(*[range(axis[0]) for axis in outer]):
        moved = [sum(i * axis[k] for i, axis in zip(place, outer, strict=True)) for k in (1, 2, 3)]
        slots = {
            name: slot.at(offset * size)
            for name, slot, offset in zip("abd", (a, b, out), moved, strict=True)
        }
        writer.add(Product(plan, slots))


def product_plan(spec: DotSpec, inner: BatchAxis) -> ProductPlan:
    """The plan of a product with one batch axis whose matrices the library can read."""
    batch, *steps = inner
    layouts = (
        layout_of(spec.m, spec.k, spec.x_strides, steps[0]),
        layout_of(spec.k, spec.n, spec.y_strides, steps[1]),
        layout_of(spec.m, spec.n, spec.out_strides, steps[2]),
    )
    a, b, d = layouts
    assert a is not None and b is not None and d is not None and not d.is_transposed
    precision = config.default_matmul_precision
    beta = 1.0 if spec.accumulate else 0.0
    return ProductPlan(spec.dtype, precision, spec.m, spec.n, spec.k, batch, a, b, d, beta=beta)


def layout_of(rows: int, columns: int, strides: Pair, step: int = 0) -> MatrixLayout | None:
    """How a matrix lies for the library; None if neither its rows nor its columns are contiguous."""
    row, column = strides
    if (column == 1 or columns == 1) and (row >= columns or rows == 1):
        return MatrixLayout(False, row if rows > 1 else columns, step)
    if (row == 1 or rows == 1) and (column >= rows or columns == 1):
        return MatrixLayout(True, column if columns > 1 else rows, step)
    return None


def for_library(
    writer: LaunchWriter, spec: DotSpec, a: Slot, b: Slot
) -> tuple[DotSpec, Slot, Slot]:
    """The same product with operands that the library can read, which may be copies."""
    is_scattered = needs_copies(spec)
    sides = [(a, spec.m, spec.k, spec.x_strides, 1), (b, spec.k, spec.n, spec.y_strides, 2)]
    slots: list[Slot] = []
    for slot, rows, columns, strides, number in sides:
        steps = [axis[number] for axis in spec.batch]
        is_readable = layout_of(rows, columns, strides) is not None
        if is_readable and not (is_scattered and not merges(spec.batch, number)):
            slots.append(slot)
            continue
        shape = [
            axis[0] if step or is_scattered else 1
            for axis, step in zip(spec.batch, steps, strict=True)
        ]
        size = (*shape, rows, columns)
        slots.append(contiguous(writer, slot, spec.dtype, size, (*steps, *strides)))
        spec = with_contiguous(spec, number, shape, rows * columns, columns)
    return simplified(spec), slots[0], slots[1]


def needs_copies(spec: DotSpec) -> bool:
    """Whether the batch axes shall become one by copying, rather than be many launches."""
    outer, inner = split_batch(spec.batch)
    launches = math.prod(axis[0] for axis in outer)
    work = inner[0] * spec.m * spec.n * spec.k
    return launches > 2 and (launches > MOST_LAUNCHES or work < WORTH_A_LAUNCH)


def merges(batch: Sequence[BatchAxis], number: int) -> bool:
    """Whether an array counts evenly over all batch axes."""
    return all(
        outer[number] == inner[number] * inner[0]
        for outer, inner in zip(batch, batch[1:], strict=False)
    )


def with_contiguous(
    spec: DotSpec, number: int, shape: Sequence[int], size: int, columns: int
) -> DotSpec:
    """The spec for an operand (1: x, 2: y) that was copied to contiguous matrices."""
    batch, step = [], size
    for axis, extent in zip(reversed(spec.batch), reversed(shape), strict=True):
        is_repeated = extent == 1 and axis[0] != 1
        values = list(axis)
        values[number] = 0 if is_repeated else step
        batch.append(tuple(values))
        step *= extent
    side = {"x_strides": (columns, 1)} if number == 1 else {"y_strides": (columns, 1)}
    return replace(spec, batch=tuple(reversed(batch)), **side)


def split_batch(batch: Sequence[BatchAxis]) -> tuple[list[BatchAxis], BatchAxis]:
    """The axes that are one launch for each place, and the one that the library runs over: the longest."""
    if not batch:
        return [], (1, 0, 0, 0)
    longest = max(range(len(batch)), key=lambda i: batch[i][0])
    return [axis for i, axis in enumerate(batch) if i != longest], batch[longest]
