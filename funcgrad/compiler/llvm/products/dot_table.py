"""Constant tables that tell the shared loops of matrix products all about one product."""

from __future__ import annotations

import numpy as np

from funcgrad.compiler.llvm.builder import Module
from funcgrad.compiler.llvm.loading.libraries import GEMM
from funcgrad.compiler.llvm.products.dot_blas import LETTERS
from funcgrad.compiler.llvm.products.dot_copy import copy_text
from funcgrad.compiler.llvm.products.dot_driver import table
from funcgrad.compiler.llvm.products.dot_plan import (
    CHUNK_CYCLES,
    NO_PANELS,
    POLL_CYCLES,
    Panels,
    Plan,
    ceil,
    lanes_of_dtype,
)
from funcgrad.compiler.llvm.target import host
from funcgrad.compiler.llvm.types import Value
from funcgrad.compiler.lowering.dot_spec import DotSpec


def plan_table(module: Module, plan: Plan, panels: Panels = NO_PANELS) -> Value:
    """The constant that tells the shared loops all about a product, of whose operands some may lie in panels."""
    spec, tile, size = plan.spec, plan.tile, plan.spec.dtype.itemsize
    y_row, y_column = (stride * size for stride in spec.y_strides)
    fields: dict[str, str | int] = {
        "batch": _batch_axes(module, spec),
        "m": spec.m,
        "n": spec.n,
        "k": spec.k,
        "k_block": plan.k_block,
        "rows": tile.rows,
        "columns": plan.columns,
        "tile_row": tile.columns * size,
        "size": size,
        "x_row": spec.x_strides[0] * size,
        "x_column": spec.x_strides[1] * size,
        "y_row": y_row,
        "y_column": y_column,
        "x_start": spec.x_strides[0] * size,
        "out_row": spec.out_strides[0] * size,
        "out_column": spec.out_strides[1] * size,
        "panel_row": tile.columns * size if plan.packs else y_row,
        "panel_column": plan.k_block * size if plan.packs else y_column,
        "is_inner": tile.kind == "inner",
        "is_direct": plan.is_direct,
        "is_single": plan.is_single,
        "accumulate": spec.accumulate,
        "batch_axes": max(1, len(spec.batch)),
        "scratch": plan.k_block * tile.columns * size if plan.packs else 0,
        **_functions(module, plan),
        **_division(plan),
    }
    if panels.x:
        row = tile.rows * size
        fields |= {"x_in_panels": 1, "x_start": spec.k * size, "x_row": size, "x_column": row}
    if panels.y:
        row, column = tile.columns * size, spec.k * size
        fields |= {"y_in_panels": 1, "y_row": row, "y_column": column, "scratch": 0}
        fields |= {"panel_row": row, "panel_column": column}
    turned = "_swapped" * plan.is_swapped
    packed = "_x" * panels.x + "_y" * panels.y
    return table(module, f"fg_dot_table_{spec.text}{turned}{packed}", fields)


def _functions(module: Module, plan: Plan) -> dict[str, str]:
    """What the loops call."""
    spec, tile = plan.spec, plan.tile
    if tile.kind == "blas":
        return {"block": shared(module, f"{GEMM}blas.{LETTERS[spec.dtype.name]}")}
    names = {
        "block": "block",
        "tile": f"tile.{tile.text}",
    }
    if plan.packs:
        row, column = spec.y_strides[::-1] if tile.kind == "inner" else spec.y_strides
        names["copy"] = f"copy.{copy_text(spec.dtype, row, column, tile.lanes)}"
    functions = {field: shared(module, GEMM + name) for field, name in names.items()}
    return {**functions, "store": shared(module, store_name(spec.dtype))}


def shared(module: Module, name: str) -> str:
    """The address of a function of `dot_library`."""
    # Only the address is used here, so any type does.
    module.declare(name, "void", [])
    return f"@{name}"


def store_name(dtype: np.dtype) -> str:
    """The function that stores a tile of such a result."""
    return f"{GEMM}store.{dtype.name}.{lanes_of_dtype(dtype, host())}"


def _batch_axes(module: Module, spec: DotSpec) -> str:
    """Extents, and strides in bytes, from the last axis to the first."""
    size = spec.dtype.itemsize
    axes = spec.batch[::-1] or ((1, 0, 0, 0),)
    numbers = [(extent, x * size, y * size, out * size) for extent, x, y, out in axes]
    words = ", ".join(f"i64 {number}" for axis in numbers for number in axis)
    definition = f"private constant [{4 * len(axes)} x i64] [{words}]"
    return module.data(
        "fg_dot_axes_" + "_".join(str(n) for axis in numbers for n in axis), definition
    ).text


def _division(plan: Plan) -> dict[str, str | int]:
    """How the positions of a product fall into chunks of whole tiles."""
    tiles = ceil(plan.extent, plan.unit)
    return {
        "by_columns": plan.by_columns,
        "unit": plan.unit,
        "extent": plan.extent,
        "tiles": tiles,
        "units": tiles * plan.spec.batches,
        "positions": plan.extent * plan.spec.batches,
        "least_chunks": max(1, int(plan.cycles / POLL_CYCLES)),
        "most_chunks": max(1, int(plan.cycles / CHUNK_CYCLES)),
    }
