"""Matrix products as steps: operands with any strides, straight from the memory that holds them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from funcgrad.compiler.llvm.builder import Function, Module
from funcgrad.compiler.llvm.kernels.registers import is_native
from funcgrad.compiler.llvm.products.dot_panels import write_panels
from funcgrad.compiler.llvm.products.dot_plan import (
    COPY_TILES,
    Panels,
    Plan,
    count_parts,
    fills_panels,
    is_far,
    plan_dot,
)
from funcgrad.compiler.llvm.products.gemm import call_dot, write_dot, write_dot_rows
from funcgrad.compiler.llvm.program import ProgramWriter
from funcgrad.compiler.llvm.target import host
from funcgrad.compiler.llvm.types import Value
from funcgrad.compiler.lowering.dot_spec import DotSpec, dot_spec, simplified
from funcgrad.compiler.lowering.epilogues import Fused
from funcgrad.compiler.lowering.graph import Node, Step
from funcgrad.compiler.lowering.parts import Division
from funcgrad.compiler.lowering.plan import memory_of

# A part of a product with a kernel is at least this long, and longer if there are many.
PART_CYCLES = 32_000
FEW_PARTS, MOST_PARTS = 16, 64
LONG_PART_CYCLES = 400_000

# Every part reads all of one operand, which should stay in the second cache. There parts made of columns must not be
# high, for rows a power of two apart fall into few sets.
NEAR_BYTES = 1 << 19
MOST_ROWS = 256


def takes(operands: Sequence[Node], params: dict[str, Any]) -> bool:
    del params
    x, y = operands
    return is_native(x.dtype) and x.dtype == y.dtype


def write(writer: ProgramWriter, step: Step) -> None:
    out = writer.result(step, 0)
    assert out is not None
    spec = spec_of(step, writer.plan.in_memory)
    call_dot(writer.f, spec, *operands(writer, step), out)
    writer.writer.work += work(step, writer.plan.in_memory)


def operands(writer: ProgramWriter, step: Step) -> tuple[Value, Value]:
    """The addresses of the first elements of both operands."""
    places = [memory_of(step, operand, writer.plan.in_memory) for operand in step.operands]
    x, y = (
        writer.f.gep(writer.pointer(place.base), place.offset * place.base.dtype.itemsize)
        for place in places
    )
    return x, y


def functions_of(step: Step, in_memory: set[Node]) -> set[str]:
    """The functions of other modules that it calls: known once it is written, which is quickly done."""
    module = Module()
    write_dot(
        module.function("product", "void", ["ptr"] * 3),
        spec_of(step, in_memory),
        *(Value("ptr", "null") for _ in range(3)),
    )
    return {*module.declarations}


def work(step: Step, in_memory: set[Node]) -> int:
    """Simple operations of a product."""
    spec = spec_of(step, in_memory)
    return spec.batches * spec.m * spec.n * spec.k // 8


def spec_of(step: Step, in_memory: set[Node]) -> DotSpec:
    """The product, of operands as they lie in memory."""
    return dot_spec(step, *[memory_of(step, operand, in_memory) for operand in step.operands])


# --- products in parts ---


def divisions(step: Step, in_memory: set[Node]) -> list[Division]:
    """The ways in which a product can be divided without becoming slower: none if it is small, or very large."""
    spec = spec_of(step, in_memory)
    if not (spec.m and spec.n and spec.batches and spec.k):
        return []
    plan = plan_dot(simplified(spec), host())
    if wanted_parts(plan.cycles) < 2 or count_parts(plan) > 1:
        return []
    found = []
    for by_columns in (False, True):
        are_rows = by_columns == plan.is_swapped  # of the product as it is planned
        wanted = wanted_parts(plan.cycles)
        if are_rows and plan.packs and plan.spec.batches < wanted and not fills_panels(plan):
            wanted = min(wanted, copying_parts(plan))
        count = spec.n if by_columns else spec.batches * spec.m
        unit = plan.tile.rows if are_rows else plan.columns
        if plan.spec.batches >= wanted:
            unit = count // plan.spec.batches
        if divides_well(plan, are_rows, by_columns, wanted) and count > unit:
            needs = None if by_columns else rows_of_first(step, in_memory)
            found.append(Division(by_columns, count, unit, wanted, count // unit, needs))
    return found


def rows_of_first(step: Step, in_memory: set[Node]) -> Node | None:
    """The array whose rows are those of the first operand, in their order, if only that operand is read from it."""
    x, y = (memory_of(step, operand, in_memory) for operand in step.operands)
    spec = dot_spec(step, x, y)
    (row, column), count = spec.x_strides, spec.batches * spec.m
    length, rest = divmod(x.base.type.size, count)
    wanted, strides = spec.m * length, [axis[:2] for axis in reversed(spec.batch)]
    for extent, stride in strides:
        if extent > 1 and stride != wanted:
            return None
        wanted *= extent
    is_inside = column > 0 and x.offset + (spec.k - 1) * column < length
    is_row = row == length or spec.m == 1
    return x.base if is_row and is_inside and not rest and x.base is not y.base else None


def divides_well(plan: Plan, are_rows: bool, by_columns: bool, wanted: int) -> bool:
    """Whether parts of so many rows, or columns, cost about as much as the whole."""
    spec = plan.spec
    rows = spec.n if plan.is_swapped else spec.m  # of the result
    if wanted < 2 or by_columns and (spec.batches > 1 or rows > MOST_ROWS):
        return False
    if spec.batches >= wanted:
        return True
    other = spec.k * (spec.n if are_rows else spec.m) * spec.dtype.itemsize
    return other <= NEAR_BYTES


def wanted_parts(cycles: float) -> int:
    few, many = int(cycles / PART_CYCLES), int(cycles / LONG_PART_CYCLES)
    return power_of_two(min(MOST_PARTS, max(many, min(few, FEW_PARTS))))


def copying_parts(plan: Plan) -> int:
    """How many parts may each copy all of y: only large ones, and only where nothing is transposed."""
    if plan.spec.y_strides[1] != 1:
        return 0
    return power_of_two(plan.spec.m // (COPY_TILES * plan.tile.rows))


def power_of_two(parts: int) -> int:
    """The largest one up to `parts`, for the numbers of threads are such."""
    return 1 << parts.bit_length() - 1 if parts else 0


def panels_of(unit: Fused, in_memory: set[Node]) -> Panels:
    """Which operands all parts read from panels: those that each part would copy, and that are there before."""
    plan, division = plan_dot(simplified(spec_of(unit.step, in_memory)), host()), unit.division
    are_rows = division.by_columns == plan.is_swapped
    with_tiles = not are_rows or unit.size % plan.tile.rows == 0
    panels = Panels(is_far(plan) and with_tiles, are_rows and plan.packs and fills_panels(plan))
    if unit.before is not None:  # which writes the first operand, part by part
        panels = Panels(panels.x and plan.is_swapped, panels.y and not plan.is_swapped)
    return panels


def prepared(writer: ProgramWriter, unit: Fused) -> tuple[tuple[Value, Value], list[Value]]:
    """The operands as parts read them, and memory to be freed after the last part."""
    in_memory = writer.plan.in_memory
    plan = plan_dot(simplified(spec_of(unit.step, in_memory)), host())
    x, y = operands(writer, unit.step)
    return write_panels(writer.f, plan, panels_of(unit, in_memory), x, y)


def write_part(
    f: Function,
    unit: Fused,
    in_memory: set[Node],
    pointers: Sequence[Value],
    span: tuple[Value, Value],
) -> None:
    """Compute some rows or columns; the pointers are those of both operands and the result."""
    x, y, out = pointers
    spec, by_columns = spec_of(unit.step, in_memory), unit.division.by_columns
    write_dot_rows(f, spec, x, y, out, *span, by_columns, panels_of(unit, in_memory))
