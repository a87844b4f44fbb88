"""Matrix products by BLAS: where its code is better than ours, which is complex numbers and CPUs with matrix units."""

from __future__ import annotations

from funcgrad.compiler.llvm.builder import Function, Module
from funcgrad.compiler.llvm.products.dot_driver import Table
from funcgrad.compiler.llvm.runtime import blas
from funcgrad.compiler.llvm.strided import at
from funcgrad.compiler.llvm.target import Target
from funcgrad.compiler.llvm.types import Value, constant
from funcgrad.compiler.lowering.dot_spec import DotSpec, Pair

LETTERS = {"float32": "s", "float64": "d", "complex64": "c", "complex128": "z"}

# From so many multiplications on: a call costs about half a microsecond, and ours for complex numbers are slow.
COMPLEX_PRODUCTS = 16**3
REAL_PRODUCTS = 96**3

LARGEST = 2**31 - 1


def prefers_blas(spec: DotSpec, target: Target) -> bool:
    """Whether BLAS accepts a product as it lies in memory, and is likely to be faster."""
    products = spec.m * spec.n * spec.k
    if spec.dtype.kind == "c":
        is_worth = products >= COMPLEX_PRODUCTS
    else:
        # On x86 ours are as fast as OpenBLAS at all sizes; elsewhere BLAS may know more than LLVM of the CPU.
        is_worth = products >= REAL_PRODUCTS and not target.triple.startswith(("x86", "i686"))
    return is_worth and spec.dtype.name in LETTERS and _fits(spec) and "sgemm" in blas.functions()


def _fits(spec: DotSpec) -> bool:
    return (
        _is_dense(spec.x_strides, spec.m, spec.k)
        and _is_dense(spec.y_strides, spec.k, spec.n)
        and spec.out_strides[1] == 1
        and spec.n <= spec.out_strides[0] <= LARGEST
        and max(spec.m, spec.n, spec.k) <= LARGEST
    )


def _is_dense(strides: Pair, rows: int, columns: int) -> bool:
    """Contiguous along one side, and the lines of it do not overlap."""
    row, column = strides
    return (column == 1 and columns <= row <= LARGEST) or (row == 1 and rows <= column <= LARGEST)


def write_blas(f: Function, letter: str) -> None:
    """The body of a function like that of `BLOCK`, which computes the part of one matrix by one call of gemm.

    BLAS counts along columns first, so it is asked for the transpose: y.T @ x.T.
    """
    module = f.module
    pointer, x, y, out, row_start, row_stop, column_start, column_stop = f.arguments
    t = Table(f, pointer)
    part = "float" if letter in "sc" else "double"
    one, zero = (_scalar(module, part, value) for value in (1.0, 0.0))
    y_flag, y_lead = _layout(f, module, t.y_row, t.y_column, t.size)
    x_flag, x_lead = _layout(f, module, t.x_row, t.x_column, t.size)
    sizes = [
        _by_address(f, size)
        for size in (
            f.op("sub", column_stop, column_start),
            f.op("sub", row_stop, row_start),
            t.k,
        )
    ]
    left = [at(f, y, (column_start, t.y_column)), _by_address(f, y_lead)]
    right = [at(f, x, (row_start, t.x_row)), _by_address(f, x_lead)]
    into = [
        at(f, out, (row_start, t.out_row), (column_start, t.out_column)),
        _by_address(f, f.op("sdiv", t.out_row, t.size)),
    ]
    beta = f.select(t.holds("accumulate"), one, zero)
    f.external("fg_blas_enter", "void", [])
    arguments = [y_flag, x_flag, *sizes, one, *left, *right, beta, *into]
    f.external(f"fg_blas_{letter}gemm", "void", arguments)
    f.external("fg_blas_leave", "void", [])
    f.ret()


def _scalar(module: Module, part: str, value: float) -> Value:
    """The address of a number; of a complex one with imaginary part 0."""
    text = f"private constant [2 x {part}] [{constant(part, value)}, {constant(part, 0.0)}]"
    return module.data(f"fg_blas_{part}_{int(value)}", text)


def _layout(
    f: Function, module: Module, row: Value, column: Value, size: Value
) -> tuple[Value, Value]:
    """The letter that says whether a matrix is to be transposed, and the distance of its lines in elements."""
    letters = [module.data(f"fg_blas_{c}", f'private constant [1 x i8] c"{c}"') for c in "NT"]
    is_contiguous = f.icmp("eq", column, size)
    lead = f.op("sdiv", f.select(is_contiguous, row, column), size)
    return f.select(is_contiguous, *letters), lead


def _by_address(f: Function, value: Value) -> Value:
    slot = f.alloca("i32", align=8)
    f.store(f.cast("trunc", value, "i32"), slot, 4)
    return slot
