"""Matrix products in native code: a function per product, made of tiles and loops that a module shares."""

from __future__ import annotations

from funcgrad.compiler.llvm.builder import Function, Module, Value, zero
from funcgrad.compiler.llvm.dot_blas import LETTERS
from funcgrad.compiler.llvm.dot_copy import at, copy_text, repeat, stored_type
from funcgrad.compiler.llvm.dot_driver import (
    PREFIX,
    PRODUCT,
    SPAN,
    table,
)
from funcgrad.compiler.llvm.dot_library import find
from funcgrad.compiler.llvm.dot_plan import CHUNK_CYCLES, POLL_CYCLES, Plan, ceil, plan_dot
from funcgrad.compiler.llvm.dot_spec import DotSpec, simplified
from funcgrad.compiler.llvm.load import provide
from funcgrad.compiler.llvm.microkernel import index
from funcgrad.compiler.llvm.target import host

provide(PREFIX, find)


def write_dot(f: Function, spec: DotSpec, x: Value, y: Value, out: Value) -> None:
    """Compute a product at this place of a function, by several threads if it is large.

    The result does not depend on the number of threads. Ctrl-C ends it early: poll after large products.

    Args:
        f: the function that is being written.
        spec: the product.
        x, y, out: where the first elements are.

    Example:
        >>> import numpy as np
        >>> f = Module().function("product", "void", ["ptr"] * 3)
        >>> spec = DotSpec(np.dtype("float32"), (), 3, 4, 5, (5, 1), (4, 1), (4, 1))
        >>> write_dot(f, spec, *f.arguments)
        >>> "@fg_gemm.product" in f.text()
        True
    """
    if not (spec.m and spec.n and spec.batches and spec.k):
        _without_terms(f, spec, out, index(0), index(spec.batches * spec.m))
        return
    plan = plan_dot(simplified(spec), host())
    operands = (y, x) if plan.is_swapped else (x, y)
    f.external(PRODUCT, "void", [plan_table(f.module, plan), *operands, out])


def write_dot_rows(
    f: Function, spec: DotSpec, x: Value, y: Value, out: Value, start: Value, stop: Value
) -> None:
    """Compute some rows of a product at this place of a function, by the thread that runs it.

    Rows are counted through all batch entries: row i of entry b has the number b * m + i. Blocks of 24 rows or more
    lose little speed; if y must be copied to be read fast (y transposed), some hundred.

    Args:
        f, spec, x, y, out: as for `write_dot`; the addresses are those of the whole product.
        start, stop: the rows, as i64.
    """
    if not (spec.m and spec.n and spec.batches and spec.k):
        _without_terms(f, spec, out, start, stop)
        return
    plan = plan_dot(simplified(spec), host())
    operands = (y, x) if plan.is_swapped else (x, y)
    by_columns = index(int(plan.is_swapped))
    arguments = [plan_table(f.module, plan), *operands, out, start, stop, by_columns]
    f.external(SPAN, "void", arguments)


def dot(module: Module, spec: DotSpec) -> str:
    """The name of a function `void (ptr x, ptr y, ptr out)` of the module that does `write_dot`, one for each spec."""
    name = f"fg_dot_{spec.text}"
    if not module.defines(name):
        f = module.function(name, "void", ["ptr"] * 3, "internal")
        write_dot(f, spec, *f.arguments)
        f.ret()
    return name


def dot_rows(module: Module, spec: DotSpec) -> str:
    """The name of a function `void (ptr x, ptr y, ptr out, i64 start, i64 stop)` that does `write_dot_rows`."""
    name = f"fg_dot_rows_{spec.text}"
    if not module.defines(name):
        f = module.function(name, "void", ["ptr"] * 3 + ["i64"] * 2, "internal")
        write_dot_rows(f, spec, *f.arguments)
        f.ret()
    return name


def _without_terms(f: Function, spec: DotSpec, out: Value, start: Value, stop: Value) -> None:
    """Sums of nothing."""
    if spec.accumulate or not (spec.m and spec.n and spec.batches):
        return
    size = spec.dtype.itemsize
    with repeat(f, start, stop) as loop:
        rest = f.op("udiv", loop.index, index(spec.m))
        place = f.op("urem", loop.index, index(spec.m))
        row = at(f, out, (place, index(spec.out_strides[0] * size)))
        for extent, _, _, stride in reversed(spec.batch):
            row = at(f, row, (f.op("urem", rest, index(extent)), index(stride * size)))
            rest = f.op("udiv", rest, index(extent))
        with repeat(f, index(0), index(spec.n)) as inner:
            address = at(f, row, (inner.index, index(spec.out_strides[1] * size)))
            f.store(zero(stored_type(spec.dtype)), address)


def plan_table(module: Module, plan: Plan) -> Value:
    """The constant that tells the shared loops all about a product."""
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
    return table(module, f"fg_dot_table_{spec.text}{'_swapped' * plan.is_swapped}", fields)


def _functions(module: Module, plan: Plan) -> dict[str, str]:
    """What the loops call."""
    spec, tile = plan.spec, plan.tile
    if tile.kind == "blas":
        return {"block": _shared(module, f"blas.{LETTERS[spec.dtype.name]}")}
    names = {
        "block": "block",
        "tile": f"tile.{tile.text}",
        "store": f"store.{spec.dtype.name}.{tile.lanes}",
    }
    if plan.packs:
        row, column = spec.y_strides[::-1] if tile.kind == "inner" else spec.y_strides
        names["copy"] = f"copy.{copy_text(spec.dtype, row, column, tile.lanes)}"
    return {field: _shared(module, name) for field, name in names.items()}


def _shared(module: Module, name: str) -> str:
    """The address of a function of `dot_library`."""
    # Only the address is used here, so any type does.
    module.declare(PREFIX + name, "void", [])
    return f"@{PREFIX}{name}"


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
    extent, unit = plan.spec.m, plan.tile.rows
    if plan.by_columns:
        extent, unit = plan.spec.n, plan.columns
    tiles = ceil(extent, unit)
    return {
        "by_columns": plan.by_columns,
        "unit": unit,
        "extent": extent,
        "tiles": tiles,
        "units": tiles * plan.spec.batches,
        "least_chunks": max(1, int(plan.cycles / POLL_CYCLES)),
        "most_chunks": max(1, int(plan.cycles / CHUNK_CYCLES)),
    }
