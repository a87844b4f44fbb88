"""Factorizations and solutions for stacks of matrices, as functions that all programs share."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from funcgrad.compiler.llvm.builder import Function, Module
from funcgrad.compiler.llvm.linalg.blocked import (
    is_large,
    write_blocked_cholesky,
    write_blocked_lu,
    write_parallel_trsm,
)
from funcgrad.compiler.llvm.linalg.calls import (
    blas,
    integer,
    lapack,
    letter,
    section,
    unnoticed,
)
from funcgrad.compiler.llvm.linalg.decompositions import write_eigh, write_qr, write_svd
from funcgrad.compiler.llvm.linalg.matrices import (
    ONE,
    ZERO,
    Matrix,
    Numbers,
    counted,
    each_matrix,
    either,
    write_transposition,
)
from funcgrad.compiler.llvm.linalg.small import (
    substitution,
    write_cholesky,
    write_exchange,
    write_lu,
)
from funcgrad.compiler.llvm.loading.libraries import LINALG
from funcgrad.compiler.llvm.strided import index
from funcgrad.compiler.llvm.types import Value, constant

# Up to so many rows loops of our own are faster, and up to so many right-hand sides.
SMALL, FEW = 8, 16

LOWER, UNIT, TRANSPOSED, RIGHT = 1, 2, 4, 8


def module_text(name: str) -> str:
    """The LLVM text of the module that defines a function, such as "fg_linalg.lu_factor.float64"."""
    module = Module()
    kind, dtype = name.removeprefix(LINALG).split(".")
    parameters, write = ROUTINES[kind]
    f = module.function(name, "i32", parameters)
    failed = f.alloca("i32", align=4)
    f.store(constant("i32", 0), failed, 4)
    with unnoticed(f):
        write(f, np.dtype(dtype), failed)
    f.ret(f.load("i32", failed, 4))
    return module.text()


# --- LU ---


def write_lu_factor(f: Function, dtype: np.dtype, failed: Value) -> None:
    """`(ptr a, ptr factors, ptr pivots, i64 n, i64 count)`."""
    del failed
    a, factors, pivots, n, count = f.arguments
    square = f.op("mul", n, n)
    run, do = each_matrix(f, dtype, count, [(a, square), (factors, square)])
    is_small = f.icmp("sle", n, index(SMALL))

    def one(source: Value, target: Value, place: Value) -> None:
        here = f.gep(pivots, f.op("mul", place, n), "i32")
        write_transposition(do, source, target, n, n)

        def large() -> None:
            size = integer(f, n)
            with section(f):
                either(
                    f,
                    is_large(f, n),
                    lambda: write_blocked_lu(f, dtype, target, here, n),
                    lambda: lapack(f, dtype, "getrf", [size, size, target, size, here]),
                )
            counted(f, ZERO, n, [], lambda i, _: from_zero(f, f.gep(here, i, "i32")))

        small = Matrix(target, ONE, n)
        either(f, is_small, lambda: write_lu(f, dtype, small, here, n), large)

    run(one)


def from_zero(f: Function, place: Value) -> list[Value]:
    f.store(f.op("sub", f.load("i32", place, 4), constant("i32", 1)), place, 4)
    return []


def write_lu_solve(f: Function, dtype: np.dtype, failed: Value) -> None:
    """`(ptr factors, ptr pivots, ptr x, i64 n, i64 k, i64 count, i64 transposed)`: x is b first; 1 if singular."""
    factors, pivots, x, n, k, count, flag = f.arguments
    square, size = f.op("mul", n, n), f.op("mul", n, k)
    run, do = each_matrix(f, dtype, count, [(factors, square), (x, size)])
    is_transposed = f.icmp("ne", flag, ZERO)

    def one(matrix: Value, columns: Value, place: Value) -> None:
        here = f.gep(pivots, f.op("mul", place, n), "i32")
        note_zeros(do, Matrix(matrix, n, ONE), n, failed)
        given = Matrix(columns, k, ONE)

        def exchange(number: Value, is_backward: bool) -> list[Value]:
            last = f.op("sub", f.op("sub", n, ONE), number)
            i = last if is_backward else number
            other = f.cast("sext", f.load("i32", f.gep(here, i, "i32"), 4), "i64")
            with f.when(f.icmp("ne", i, other)):
                write_exchange(do, given, i, other, k)
            return []

        def plain() -> None:
            counted(f, ZERO, n, [], lambda i, _: exchange(i, False))
            write_triangular(f, dtype, matrix, columns, n, k, TRANSPOSED | UNIT)
            write_triangular(f, dtype, matrix, columns, n, k, TRANSPOSED | LOWER)

        def turned() -> None:
            write_triangular(f, dtype, matrix, columns, n, k, LOWER)
            write_triangular(f, dtype, matrix, columns, n, k, UNIT)
            counted(f, ZERO, n, [], lambda i, _: exchange(i, True))

        either(f, is_transposed, turned, plain)

    run(one)


def note_zeros(do: Numbers, m: Matrix, n: Value, failed: Value) -> None:
    """Set the i32 at `failed` if an element of the diagonal is 0."""
    f = do.f

    def look(i: Value, found: list[Value]) -> list[Value]:
        is_zero = do.compare("equal", do.load(m, i, i), do.zero()).value
        return [f.op("or", found[0], f.cast("zext", is_zero, "i32"))]

    (found,) = counted(f, ZERO, n, [f.load("i32", failed, 4)], look)
    f.store(found, failed, 4)


def write_lu_permutation(f: Function, dtype: np.dtype, failed: Value) -> None:
    """`(ptr pivots, ptr rows, i64 n, i64 count)`."""
    del failed
    pivots, rows, n, count = f.arguments
    run, do = each_matrix(f, dtype, count, [(pivots, n), (rows, n)])

    def one(given: Value, made: Value, _: Value) -> None:
        row, column = Matrix(made, ONE, ZERO), Matrix(given, ONE, ZERO)

        def number_row(i: Value, _: list[Value]) -> list[Value]:
            do.store(do.element(f.cast("trunc", i, "i32")), row, i, ZERO)
            return []

        def exchange(i: Value, _: list[Value]) -> list[Value]:
            other = f.cast("sext", do.load(column, i, ZERO).value, "i64")
            write_exchange(do, row, i, other, ONE)
            return []

        counted(f, ZERO, n, [], number_row)
        counted(f, ZERO, n, [], exchange)

    run(one)


# --- triangles ---


def write_triangular(
    f: Function, dtype: np.dtype, a: Value, x: Value, n: Value, k: Value, flags: int
) -> None:
    """Solve a system in place: `a` is a square matrix, `x` has n rows, or n columns for RIGHT, row by row in memory.

    The flags say which triangle of the memory of `a` is read, whether its diagonal counts as ones, and whether
    the matrix of the system is the transpose of that.
    """
    is_small = f.op("and", f.icmp("sle", n, index(SMALL)), f.icmp("sle", k, index(FEW)))
    either(
        f,
        is_small,
        lambda: _substitute(f, dtype, a, x, n, k, flags),
        lambda: _trsm(f, dtype, a, x, n, k, flags),
    )


def _substitute(
    f: Function, dtype: np.dtype, a: Value, x: Value, n: Value, k: Value, flags: int
) -> None:
    matrix, rows = Matrix(a, n, ONE), Matrix(x, k, ONE)
    if flags & TRANSPOSED:
        matrix = matrix.turned()
    if flags & RIGHT:
        rows = Matrix(x, ONE, n)
    is_forward = bool(flags & LOWER) != bool(flags & TRANSPOSED)
    name = substitution(f.module, dtype, is_forward, bool(flags & UNIT))
    f.call(name, "void", [*matrix, *rows, n, k])


def _trsm(f: Function, dtype: np.dtype, a: Value, x: Value, n: Value, k: Value, flags: int) -> None:
    # BLAS reads columns first: to it both matrices are transposed, and so is the triangle.
    triangle, diagonal = "U" if flags & LOWER else "L", "U" if flags & UNIT else "N"
    as_it_is, turned = "TN" if flags & TRANSPOSED else "NT"

    def vector() -> None:
        given = [letter(f, text) for text in (triangle, turned, diagonal)]
        rows = integer(f, n)
        blas(f, dtype, "trsv", [*given, rows, a, rows, x, integer(f, ONE)])

    def matrix() -> None:
        side, turn = ("L", turned) if flags & RIGHT else ("R", as_it_is)
        letters = (side, triangle, turn, diagonal)
        write_parallel_trsm(f, dtype, f"trsm_{''.join(letters)}", letters, a, x, n, k)

    with section(f):
        either(f, f.icmp("eq", k, ONE), vector, matrix)


def write_triangular_solve(f: Function, dtype: np.dtype, failed: Value) -> None:
    """`(ptr a, ptr x, i64 n, i64 k, i64 count, i64 flags)`: x is b first."""
    del failed
    a, x, n, k, count, flags = f.arguments
    run, _ = each_matrix(f, dtype, count, [(a, f.op("mul", n, n)), (x, f.op("mul", n, k))])
    for value in range(16):
        with f.when(f.icmp("eq", flags, index(value))):
            run(lambda m, columns, _, v=value: write_triangular(f, dtype, m, columns, n, k, v))


# --- Cholesky ---


def write_cholesky_factor(f: Function, dtype: np.dtype, failed: Value) -> None:
    """`(ptr x, i64 n, i64 count)`: in place; 1 if a matrix is not positive definite."""
    x, n, count = f.arguments
    run, do = each_matrix(f, dtype, count, [(x, f.op("mul", n, n))])
    is_small = f.icmp("sle", n, index(SMALL))

    def one(matrix: Value, _: Value) -> None:
        lower = Matrix(matrix, n, ONE)

        def plain() -> None:
            size = integer(f, n)
            answer = lapack(f, dtype, "potrf", [letter(f, "U"), size, matrix, size])
            bad = f.cast("zext", f.icmp("ne", answer, constant("i32", 0)), "i32")
            f.store(f.op("or", f.load("i32", failed, 4), bad), failed, 4)

        def large() -> None:
            # The upper triangle of what BLAS takes for the transpose is the lower one.
            with section(f):
                either(
                    f,
                    is_large(f, n),
                    lambda: write_blocked_cholesky(f, dtype, matrix, n, failed),
                    plain,
                )
            counted(f, ZERO, n, [], lambda i, _: clear_right(do, lower, i, n))

        either(f, is_small, lambda: write_cholesky(f, dtype, lower, n, failed), large)

    run(one)


def clear_right(do: Numbers, m: Matrix, i: Value, n: Value) -> list[Value]:
    """Set what is right of the diagonal in a row to zero."""
    f = do.f
    start = f.op("add", i, ONE)
    size = f.op("mul", f.op("sub", n, start), index(do.dtype.itemsize))
    f.module.declare("llvm.memset.p0.i64", "void", ["ptr", "i8", "i64", "i1"])
    address = do.advance(m.base, do.place(m, i, start))
    f.call("llvm.memset.p0.i64", "void", [address, constant("i8", 0), size, constant("i1", 0)])
    return []


ROUTINES: dict[str, tuple[list[str], Callable[[Function, np.dtype, Value], None]]] = {
    "lu_factor": (["ptr", "ptr", "ptr", "i64", "i64"], write_lu_factor),
    "lu_solve": (["ptr", "ptr", "ptr", "i64", "i64", "i64", "i64"], write_lu_solve),
    "lu_permutation": (["ptr", "ptr", "i64", "i64"], write_lu_permutation),
    "triangular_solve": (["ptr", "ptr", "i64", "i64", "i64", "i64"], write_triangular_solve),
    "cholesky": (["ptr", "i64", "i64"], write_cholesky_factor),
    "eigh": (["ptr"] * 3 + ["i64"] * 2, write_eigh),
    "svd": (["ptr"] * 4 + ["i64"] * 4, write_svd),
    "qr": (["ptr"] * 3 + ["i64"] * 4, write_qr),
}
