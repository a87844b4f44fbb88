"""Operands of matrix products in panels: copied before the product, by all threads, as tiles read them.

A panel holds as many rows of x, or columns of y, as a tile has. It is contiguous over all of k, and the numbers for
one step of k lie side by side. The last panel moves back to end with the operand.
"""

from __future__ import annotations

from funcgrad.compiler.llvm.builder import Function, Module
from funcgrad.compiler.llvm.loading.libraries import GEMM
from funcgrad.compiler.llvm.products.dot_copy import copy_text
from funcgrad.compiler.llvm.products.dot_driver import (
    ONCE,
    Table,
    call_pointer,
    least,
    stepping,
    table,
)
from funcgrad.compiler.llvm.products.dot_plan import Panels, Plan, ceil
from funcgrad.compiler.llvm.products.dot_table import shared
from funcgrad.compiler.llvm.strided import at, index
from funcgrad.compiler.llvm.types import Value

PACK, TASK = GEMM + "pack.panels", "pack"

# Panels that a chunk of work makes, and the steps of k for which it does so before it goes on: lines of the caches that
# belong to several panels are read once.
CHUNK_PANELS, CHUNK_STEPS = 32, 64


def write_panels(
    f: Function, plan: Plan, panels: Panels, x: Value, y: Value
) -> tuple[tuple[Value, Value], list[Value]]:
    """Copy operands of a product: where both are then, and the memory that is to be freed after the product."""
    operands, made = [x, y], []
    for is_x, is_copied in ((True, panels.x), (False, panels.y)):
        if is_copied:
            place = int(is_x == plan.is_swapped)
            given = [pack_table(f.module, plan, is_x), operands[place]]
            operands[place] = f.external(PACK, "ptr", given)
            made.append(operands[place])
    return (operands[0], operands[1]), made


def pack_table(module: Module, plan: Plan, is_x: bool) -> Value:
    """The constant that tells `PACK` about one operand; here m, rows and strides of x stand for those of either."""
    spec, tile, size = plan.spec, plan.tile, plan.spec.dtype.itemsize
    count, width = (spec.m, tile.rows) if is_x else (spec.n, tile.columns)
    across, along = spec.x_strides if is_x else spec.y_strides[::-1]
    fields: dict[str, str | int] = {
        "copy": shared(module, f"{GEMM}copy.{copy_text(spec.dtype, along, across, tile.lanes)}"),
        "m": count,
        "k": spec.k,
        "rows": width,
        "x_row": across * size,
        "x_column": along * size,
        "panel_row": width * size,
        "panel_column": spec.k * size,
        "scratch": ceil(count, width) * width * spec.k * size,
        "units": ceil(ceil(count, width), CHUNK_PANELS),
    }
    return table(module, f"fg_dot_pack_{spec.text}_{'x' if is_x else 'y'}{width}", fields)


def write_pack(module: Module) -> None:
    """The function `PACK`: `pack(table, operand)` is the address of all its panels."""
    _write_task(module)
    f = module.function(PACK, "ptr", ["ptr", "ptr"])
    t = Table(f, f.arguments[0])
    to = f.external("fg_allocate", "ptr", [t.scratch])
    data = f.alloca("ptr", 3, 8)
    for i, word in enumerate([*f.arguments, to]):
        f.store(word, f.gep(data, 8 * i), 8)
    task = Value("ptr", f"@{TASK}")
    f.external("fg_parallel_interruptible", "i32", [task, data, t.units])
    f.ret(to)


def _write_task(module: Module) -> None:
    """Some panels, for the thread pool."""
    f = module.function(TASK, "void", ["ptr", "i64"], "internal")
    f.attributes = ONCE
    data, chunk = f.arguments
    pointer, source, to = (f.load("ptr", f.gep(data, 8 * i), 8) for i in range(3))
    t = Table(f, pointer)
    positions = f.op("mul", t.rows, index(CHUNK_PANELS))
    start = f.op("mul", chunk, positions)
    stop = least(f, f.op("add", start, positions), t.m)
    with (
        stepping(f, index(0), t.k, index(CHUNK_STEPS)) as k_start,
        stepping(f, start, stop, t.rows) as i,
    ):
        first = least(f, i, f.op("sub", t.m, t.rows))
        origin = at(f, source, (first, t.x_row), (k_start, t.x_column))
        target = at(f, to, (i, t.panel_column), (k_start, t.panel_row))
        steps = least(f, index(CHUNK_STEPS), f.op("sub", t.k, k_start))
        given = [target, t.panel_row, origin, t.x_column, t.x_row, steps, t.rows]
        call_pointer(f, t.copy, given)
    f.ret()
