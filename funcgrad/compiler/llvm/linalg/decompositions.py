"""QR, eigenvalues and singular values by LAPACK, for stacks of matrices.

LAPACK reads and writes columns first, so matrices are transposed on the way in and out: it then sees the same
matrices as from NumPy, and signs come out the same.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import numpy as np

from funcgrad.compiler.llvm.builder import Function
from funcgrad.compiler.llvm.linalg.calls import integer, lapack, letter, section
from funcgrad.compiler.llvm.linalg.matrices import (
    ONE,
    ZERO,
    Matrix,
    Numbers,
    counted,
    each_matrix,
    part_type,
    write_transposition,
)
from funcgrad.compiler.llvm.strided import index
from funcgrad.compiler.llvm.types import Value, constant
from funcgrad.ir.types import real_dtype

NULL = Value("ptr", "null")
FAILED, NO_MEMORY = 1, 2  # what routines answer


@contextlib.contextmanager
def scratch(f: Function, failed: Value, sizes: Sequence[Value]) -> Iterator[list[Value]]:
    """Memory of so many bytes each for the body, which does not run if there is none."""
    starts, total = [], ZERO
    for size in sizes:
        starts.append(total)
        aligned = f.op("and", f.op("add", size, index(63)), index(-64))
        total = f.op("add", total, aligned)
    base = f.external("fg_allocate", "ptr", [f.op("add", total, ONE)])
    is_there = f.icmp("ne", base, NULL)
    with f.when(f.op("xor", is_there, constant("i1", 1))):
        f.external("fg_out_of_memory", "void", [total])
        f.store(constant("i32", NO_MEMORY), failed, 4)
    with f.when(is_there):
        yield [f.gep(base, start) for start in starts]
        f.external("fg_free", "void", [base])


def note(f: Function, failed: Value, answer: Value) -> None:
    """Set the i32 at `failed` if LAPACK answered anything but 0."""
    bad = f.cast("zext", f.icmp("ne", answer, constant("i32", 0)), "i32")
    f.store(f.op("or", f.load("i32", failed, 4), bad), failed, 4)


def times(f: Function, *factors: Value) -> Value:
    out = factors[0]
    for factor in factors[1:]:
        out = f.op("mul", out, factor)
    return out


def wanted(f: Function, dtype: np.dtype, slot: Value) -> Value:
    """The number of elements of workspace that LAPACK asked for in the first of them."""
    part = part_type(dtype)
    return f.cast("fptosi", f.load(part, slot, 4), "i64")


class Workspace:
    """Arguments of LAPACK for workspace: first they ask for its size, then they hold it.

    Args:
        f: the function.
        dtype: of the matrices.
        has_integers: whether the routine also asks for the sizes of a real workspace, for complex numbers, and of one
            of integers.
    """

    def __init__(self, f: Function, dtype: np.dtype, has_integers: bool = False) -> None:
        self.f = f
        self.types = [dtype]
        if has_integers:
            self.types += [real_dtype(dtype)] * (dtype.kind == "c") + [np.dtype(np.int32)]
        self.slots = [f.alloca("i64", 2, 16) for _ in self.types]
        self.lengths: list[Value] = []

    def asking(self) -> list[Value]:
        unknown = integer(self.f, index(-1))
        return [argument for slot in self.slots for argument in (slot, unknown)]

    def sizes(self) -> list[Value]:
        """The bytes that were asked for."""
        f = self.f
        for dtype, slot in zip(self.types, self.slots, strict=True):
            is_whole = dtype.kind == "i"
            length = (
                f.cast("sext", f.load("i32", slot, 4), "i64")
                if is_whole
                else wanted(f, dtype, slot)
            )
            self.lengths.append(f.op("add", length, ONE))
        pairs = zip(self.lengths, self.types, strict=True)
        return [times(f, length, index(dtype.itemsize)) for length, dtype in pairs]

    def holding(self, memory: Sequence[Value]) -> list[Value]:
        pairs = zip(memory, self.lengths, strict=True)
        return [argument for place, n in pairs for argument in (place, integer(self.f, n))]


# --- Hermitian matrices ---


def write_eigh(f: Function, dtype: np.dtype, failed: Value) -> None:
    """`(ptr a, ptr w, ptr v, i64 n, i64 count)`: `v` is null where only values are wanted."""
    a, w, v, n, count = f.arguments
    name = "heevd" if dtype.kind == "c" else "syevd"
    no_vectors = f.icmp("eq", v, NULL)
    job = f.select(no_vectors, letter(f, "N"), letter(f, "V"))
    square, size = times(f, n, n), integer(f, n)
    space = Workspace(f, dtype, has_integers=True)
    given = [job, letter(f, "L"), size]
    slot = f.alloca("i64", 2, 16)
    lapack(f, dtype, name, [*given, slot, size, slot, *space.asking()])
    sizes = [times(f, square, index(dtype.itemsize)), *space.sizes()]
    with scratch(f, failed, sizes) as (matrix, *memory), section(f):
        run, do = each_matrix(f, dtype, count, [(a, square)])

        def one(source: Value, place: Value) -> None:
            values = Numbers(f, real_dtype(dtype)).advance(w, times(f, place, n))
            write_transposition(do, source, matrix, n, n)
            answer = lapack(f, dtype, name, [*given, matrix, size, values, *space.holding(memory)])
            note(f, failed, answer)
            with f.when(f.op("xor", no_vectors, constant("i1", 1))):
                write_transposition(do, matrix, do.advance(v, times(f, place, square)), n, n)

        run(one)


# --- singular values ---


def write_svd(f: Function, dtype: np.dtype, failed: Value) -> None:
    """`(ptr a, ptr u, ptr s, ptr vh, i64 m, i64 n, i64 full, i64 count)`: `u` and `vh` are null, or neither is."""
    a, u, s, vh, m, n, full, count = f.arguments
    k = f.intrinsic("llvm.smin", "i64", [m, n])
    is_full, only_values = f.icmp("ne", full, ZERO), f.icmp("eq", u, NULL)
    left, right = f.select(is_full, m, k), f.select(is_full, n, k)
    job = f.select(is_full, letter(f, "A"), letter(f, "S"))
    job = f.select(only_values, letter(f, "N"), job)
    counts = [times(f, m, n), times(f, m, left), times(f, right, n)]
    space, slot = Workspace(f, dtype), f.alloca("i64", 2, 16)
    rows, columns, lines, others = (integer(f, x) for x in (m, n, m, right))
    real = real_dtype(dtype)
    # More than any version of LAPACK asks for.
    larger = f.op("add", f.op("add", m, n), k)
    real_count = times(f, k, f.op("add", times(f, larger, index(7)), index(7)))

    def call(
        matrix: Value, values: Value, factors: list[Value], work: list[Value], rest: list[Value]
    ) -> Value:
        given = [job, rows, columns, matrix, rows, values, factors[0], lines, factors[1], others]
        return lapack(f, dtype, "gesdd", [*given, *work, *rest])

    extra = 2 if dtype.kind == "c" else 1  # real numbers, and integers
    call(slot, slot, [slot, slot], space.asking(), [slot] * extra)
    sizes = [times(f, number, index(dtype.itemsize)) for number in counts]
    sizes += [times(f, real_count, index(real.itemsize))] * (extra - 1) + [times(f, k, index(32))]
    with scratch(f, failed, [*sizes, *space.sizes()]) as memory, section(f):
        matrix, *factors = memory[:3]
        run, do = each_matrix(f, dtype, count, [(a, counts[0])])

        def one(source: Value, place: Value) -> None:
            values = Numbers(f, real).advance(s, times(f, place, k))
            write_transposition(do, source, matrix, m, n)
            work = space.holding(memory[3 + extra :])
            note(f, failed, call(matrix, values, factors, work, memory[3 : 3 + extra]))
            with f.when(f.op("xor", only_values, constant("i1", 1))):
                write_transposition(
                    do, factors[0], do.advance(u, times(f, place, counts[1])), left, m
                )
                write_transposition(
                    do, factors[1], do.advance(vh, times(f, place, counts[2])), n, right
                )

        run(one)


# --- QR ---


def write_qr(f: Function, dtype: np.dtype, failed: Value) -> None:
    """`(ptr a, ptr q, ptr r, i64 m, i64 n, i64 k, i64 count)`: `q` has k columns, and is null if it is not wanted."""
    a, q, r, m, n, k, count = f.arguments
    size = dtype.itemsize
    least = f.intrinsic("llvm.smin", "i64", [m, n])
    wide = f.intrinsic("llvm.smax", "i64", [n, k])
    name = "ungqr" if dtype.kind == "c" else "orgqr"
    rows, columns, wanted_columns, reflections = (integer(f, x) for x in (m, n, k, least))
    first, second = Workspace(f, dtype), Workspace(f, dtype)
    slot = f.alloca("i64", 2, 16)
    lapack(f, dtype, "geqrf", [rows, columns, slot, rows, slot, *first.asking()])
    lapack(f, dtype, name, [rows, wanted_columns, reflections, slot, rows, slot, *second.asking()])
    sizes = [
        times(f, m, wide, index(size)),
        times(f, least, index(size)),
        *first.sizes(),
        *second.sizes(),
    ]
    with scratch(f, failed, sizes) as (matrix, tau, space, other), section(f):
        run, do = each_matrix(f, dtype, count, [(a, times(f, m, n)), (r, times(f, k, n))])

        def one(source: Value, target: Value, place: Value) -> None:
            write_transposition(do, source, matrix, m, n)
            given = [rows, columns, matrix, rows, tau, *first.holding([space])]
            note(f, failed, lapack(f, dtype, "geqrf", given))
            write_upper(do, Matrix(matrix, ONE, m), Matrix(target, n, ONE), k, n)
            with f.when(f.icmp("ne", q, NULL)):
                given = [
                    rows,
                    wanted_columns,
                    reflections,
                    matrix,
                    rows,
                    tau,
                    *second.holding([other]),
                ]
                note(f, failed, lapack(f, dtype, name, given))
                write_transposition(do, matrix, do.advance(q, times(f, place, m, k)), k, m)

        run(one)


def write_upper(do: Numbers, given: Matrix, made: Matrix, rows: Value, columns: Value) -> None:
    """Copy what is not below the diagonal, and zeros."""
    f = do.f

    def row(i: Value, _: list[Value]) -> list[Value]:
        stop = f.intrinsic("llvm.smin", "i64", [i, columns])

        def zero(j: Value, _: list[Value]) -> list[Value]:
            do.store(do.zero(), made, i, j)
            return []

        def element(j: Value, _: list[Value]) -> list[Value]:
            do.store(do.load(given, i, j), made, i, j)
            return []

        counted(f, ZERO, stop, [], zero)
        counted(f, stop, columns, [], element)
        return []

    counted(f, ZERO, rows, [], row)
