"""Matrix products in native code: a function per product, made of tiles and loops that a module shares."""

from __future__ import annotations

from dataclasses import replace

from funcgrad.compiler.llvm.builder import Function, Module
from funcgrad.compiler.llvm.loading import libraries
from funcgrad.compiler.llvm.products.dot_copy import stored_type
from funcgrad.compiler.llvm.products.dot_driver import PRODUCT, SPAN
from funcgrad.compiler.llvm.products.dot_panels import write_panels
from funcgrad.compiler.llvm.products.dot_plan import NO_PANELS, Panels, Plan, count_parts, plan_dot
from funcgrad.compiler.llvm.products.dot_table import plan_table, store_name
from funcgrad.compiler.llvm.strided import at, index, repeat
from funcgrad.compiler.llvm.target import host
from funcgrad.compiler.llvm.types import Value, constant, zero
from funcgrad.compiler.lowering.dot_spec import DotSpec, simplified

libraries.register()


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
    count = count_parts(plan)
    if count > 1:
        _write_parts(f, simplified(spec), count, x, y, out)
    else:
        _write_product(f, plan, x, y, out)


def write_dot_rows(
    f: Function,
    spec: DotSpec,
    x: Value,
    y: Value,
    out: Value,
    start: Value,
    stop: Value,
    by_columns: bool = False,
    panels: Panels = NO_PANELS,
) -> None:
    """Compute some rows of a product at this place of a function, by the thread that runs it.

    Rows are counted through all batch entries: row i of entry b has the number b * m + i. Blocks of 24 rows or more
    lose little speed; if y must be copied to be read fast (y transposed), some hundred.

    Args:
        f, spec, x, y, out: as for `write_dot`; the addresses are those of the whole product.
        start, stop: the rows, as i64.
        by_columns: whether these are columns, of a product that `simplified` makes one of two matrices.
        panels: which operands `write_panels` has copied; blocks of rows then begin with whole tiles.
    """
    if not (spec.m and spec.n and spec.batches and spec.k):
        _without_terms(f, spec, out, start, stop)
        return
    plan = plan_dot(simplified(spec), host())
    operands = (y, x) if plan.is_swapped else (x, y)
    turned = index(int(plan.is_swapped != by_columns))
    arguments = [plan_table(f.module, plan, panels), *operands, out, start, stop, turned]
    f.external(SPAN, "void", arguments)


def call_dot(f: Function, spec: DotSpec, x: Value, y: Value, out: Value) -> None:
    """What `write_dot` does, by a call: of the shared loops, or of a function of the module if it takes more."""
    is_empty = not (spec.m and spec.n and spec.batches and spec.k)
    plan = None if is_empty else plan_dot(simplified(spec), host())
    if plan is None or count_parts(plan) > 1:
        f.call(dot(f.module, spec), "void", [x, y, out])
    else:
        _write_product(f, plan, x, y, out)


def dot(module: Module, spec: DotSpec) -> str:
    """The name of a function `void (ptr x, ptr y, ptr out)` of the module that does `write_dot`, one for each spec."""
    name = f"fg_dot_{spec.text}"
    if not module.defines(name):
        f = module.function(name, "void", ["ptr"] * 3, "internal")
        write_dot(f, spec, *f.arguments)
        f.ret()
    return name


def _write_product(f: Function, plan: Plan, x: Value, y: Value, out: Value) -> None:
    panels = Panels(x=plan.packs_x)
    (x, y), made = write_panels(f, plan, panels, x, y)
    operands = (y, x) if plan.is_swapped else (x, y)
    f.external(PRODUCT, "void", [plan_table(f.module, plan, panels), *operands, out])
    for memory in made:
        f.external("fg_free", "void", [memory])


def _write_parts(f: Function, spec: DotSpec, count: int, x: Value, y: Value, out: Value) -> None:
    """Parts of the sums side by side into scratch, what is left of k into `out`, and then their total."""
    m, n, size = spec.m, spec.n, spec.dtype.itemsize
    length, rest = divmod(spec.k, count)
    steps = length * spec.x_strides[1], length * spec.y_strides[0]
    scratch = f.external("fg_allocate", "ptr", [index(count * m * n * size)])
    part = replace(spec, k=length, batch=((count, *steps, m * n),), out_strides=(n, 1))
    part = simplified(replace(part, accumulate=False))
    _write_product(f, plan_dot(part, host()), x, y, scratch)
    if rest:
        left, right = (
            f.gep(base, count * step * size) for base, step in zip((x, y), steps, strict=True)
        )
        _write_product(f, plan_dot(simplified(replace(spec, k=rest)), host()), left, right, out)
    row, column = (index(stride * size) for stride in spec.out_strides)
    with f.loop(index(0), index(count)) as loop:
        first = f.icmp("eq", loop.index, index(0))
        adds = constant("i1", 1)
        if not rest and not spec.accumulate:
            adds = f.op("xor", first, adds)
        source = at(f, scratch, (loop.index, index(m * n * size)))
        arguments = [source, index(n * size), out, row, column, index(m), index(n), adds]
        f.external(store_name(spec.dtype), "void", arguments)
    f.external("fg_free", "void", [scratch])


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
