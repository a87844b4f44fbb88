"""Factorizations and substitution for large matrices, by several threads: blocks of columns, divided by size alone."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad.compiler.llvm.builder import Function
from funcgrad.compiler.llvm.linalg.calls import LETTERS, blas, integer, lapack, letter, number
from funcgrad.compiler.llvm.linalg.matrices import ONE, ZERO, Numbers, counted
from funcgrad.compiler.llvm.strided import index
from funcgrad.compiler.llvm.types import Value, constant

LARGE = 256  # rows from which on it pays
PANEL = 64  # columns that one thread factors
WIDTH = 64  # columns of a task
MOST = 8  # tasks that solve systems: each reads the whole matrix


def parallel(
    f: Function,
    name: str,
    values: Sequence[Value],
    chunks: Value,
    body: Callable[[Function, list[Value], Value], None],
) -> None:
    """Run `body(task, values, chunk)` for every chunk, by all threads."""
    data = f.alloca("i64", len(values), 8)
    for place, value in enumerate(values):
        f.store(value, f.gep(data, place, "i64"), 8)
    if not f.module.defines(name):
        task = f.module.function(name, "void", ["ptr", "i64"], "internal")
        given, chunk = task.arguments
        places = [task.gep(given, place, "i64") for place in range(len(values))]
        pairs = zip(values, places, strict=True)
        body(task, [task.load(value.type, place, 8) for value, place in pairs], chunk)
        task.ret()
    f.external("fg_parallel", "void", [Value("ptr", f"@{name}"), data, chunks])


def pieces(f: Function, count: Value, width: Value | None = None) -> Value:
    """How many tasks so many columns are."""
    width = width or index(WIDTH)
    return f.op("sdiv", f.op("add", count, f.op("sub", width, ONE)), width)


def piece(
    f: Function, chunk: Value, start: Value, stop: Value, width: Value | None = None
) -> tuple[Value, Value]:
    """The first column of a task, and how many it has."""
    width = width or index(WIDTH)
    first = f.op("add", start, f.op("mul", chunk, width))
    count = f.op("sub", stop, first)
    return first, f.intrinsic("llvm.smin", "i64", [count, width])


def solving_width(f: Function, count: Value) -> Value:
    """How many right-hand sides are one task."""
    least = pieces(f, count, index(MOST))
    return f.intrinsic("llvm.smax", "i64", [least, index(WIDTH)])


def each_panel(f: Function, n: Value, body: Callable[[Value, Value], None]) -> None:
    """Call `body(k, width)` for the first column of each panel and the columns that it has."""

    def panel(place: Value, _: list[Value]) -> list[Value]:
        k = f.op("mul", place, index(PANEL))
        left = f.op("sub", n, k)
        body(k, f.intrinsic("llvm.smin", "i64", [left, index(PANEL)]))
        return []

    panels = f.op("sdiv", f.op("add", n, index(PANEL - 1)), index(PANEL))
    counted(f, ZERO, panels, [], panel)


def write_blocked_lu(f: Function, dtype: np.dtype, m: Value, pivots: Value, n: Value) -> None:
    """Factor a matrix that lies column by column; the pivots are those of LAPACK, counted from 1."""
    size = integer(f, n)

    def panel(k: Value, width: Value) -> None:
        do = Numbers(f, dtype)
        corner = do.advance(m, f.op("add", k, f.op("mul", k, n)))
        here = f.gep(pivots, k, "i32")
        rows = integer(f, f.op("sub", n, k))
        lapack(f, dtype, "getrf", [rows, integer(f, width), corner, size, here])
        offset = f.cast("trunc", k, "i32")

        def shift(i: Value, _: list[Value]) -> list[Value]:
            place = f.gep(here, i, "i32")
            f.store(f.op("add", f.load("i32", place, 4), offset), place, 4)
            return []

        counted(f, ZERO, width, [], shift)
        parallel(f, "lu_columns", [m, pivots, n, k, width], pieces(f, n), columns)

    def columns(task: Function, values: list[Value], chunk: Value) -> None:
        base, order, n, k, width = values
        end = task.op("add", k, width)
        start, count = piece(task, chunk, ZERO, n)
        stop = task.op("add", start, count)
        # Columns left of the panel, and those right of it; a task may have both.
        before = task.intrinsic("llvm.smin", "i64", [stop, k])
        after = task.intrinsic("llvm.smax", "i64", [start, end])
        with task.when(task.icmp("slt", start, before)):
            exchange(task, values, start, before)
        with task.when(task.icmp("slt", after, stop)):
            exchange(task, values, after, stop)
            update(task, values, after, stop)

    def exchange(task: Function, values: list[Value], start: Value, stop: Value) -> None:
        base, order, n, k, width = values
        place = Numbers(task, dtype).advance(base, task.op("mul", start, n))
        count = integer(task, task.op("sub", stop, start))
        lines = [integer(task, task.op("add", k, ONE)), integer(task, task.op("add", k, width))]
        given = [count, place, integer(task, n), *lines, order, integer(task, ONE)]
        task.external(f"fg_lapack_{LETTERS[dtype.name]}laswp", "void", given)

    def update(task: Function, values: list[Value], start: Value, stop: Value) -> None:
        base, _, n, k, width = values
        do = Numbers(task, dtype)
        end = task.op("add", k, width)
        lead, height = integer(task, n), integer(task, width)
        count = integer(task, task.op("sub", stop, start))
        one, minus = number(task, dtype, 1.0), number(task, dtype, -1.0)
        flags = [letter(task, text) for text in "LLNU"]
        corner, top = do.at(base, n, k, k), do.at(base, n, k, start)
        blas(task, dtype, "trsm", [*flags, height, count, one, corner, lead, top, lead])
        rest = task.op("sub", n, end)
        with task.when(task.icmp("sgt", rest, ZERO)):
            given = [
                letter(task, "N"),
                letter(task, "N"),
                integer(task, rest),
                count,
                height,
                minus,
            ]
            factors = [
                do.at(base, n, end, k),
                lead,
                top,
                lead,
                one,
                do.at(base, n, end, start),
                lead,
            ]
            blas(task, dtype, "gemm", [*given, *factors])

    each_panel(f, n, panel)


def write_blocked_cholesky(f: Function, dtype: np.dtype, m: Value, n: Value, failed: Value) -> None:
    """Factor a matrix that lies column by column, its upper triangle; sets the i32 at `failed` if that fails."""
    size = integer(f, n)
    adjoint = "C" if dtype.kind == "c" else "T"

    def panel(k: Value, width: Value) -> None:
        corner = Numbers(f, dtype).advance(m, f.op("add", k, f.op("mul", k, n)))
        answer = lapack(f, dtype, "potrf", [letter(f, "U"), integer(f, width), corner, size])
        bad = f.cast("zext", f.icmp("ne", answer, constant("i32", 0)), "i32")
        f.store(f.op("or", f.load("i32", failed, 4), bad), failed, 4)
        right = f.op("sub", n, f.op("add", k, width))
        with f.when(f.icmp("sgt", right, ZERO)):
            values = [m, n, k, width]
            parallel(f, "cholesky_rows", values, pieces(f, right), substitute)
            parallel(f, "cholesky_columns", values, pieces(f, right), update)

    def places(task: Function, values: list[Value], chunk: Value) -> tuple[Any, ...]:
        base, n, k, width = values
        end = task.op("add", k, width)
        at = functools.partial(Numbers(task, dtype).at, base, n)
        start, count = piece(task, chunk, end, n)
        return at, end, start, count, integer(task, n), integer(task, width)

    def substitute(task: Function, values: list[Value], chunk: Value) -> None:
        _, _, k, _ = values
        at, _, start, count, lead, height = places(task, values, chunk)
        flags = [letter(task, text) for text in ("L", "U", adjoint, "N")]
        given = [*flags, height, integer(task, count), number(task, dtype, 1.0), at(k, k), lead]
        blas(task, dtype, "trsm", [*given, at(k, start), lead])

    def update(task: Function, values: list[Value], chunk: Value) -> None:
        _, _, k, _ = values
        at, end, start, count, lead, height = places(task, values, chunk)
        rows = integer(task, task.op("sub", task.op("add", start, count), end))
        flags = [letter(task, adjoint), letter(task, "N"), rows, integer(task, count), height]
        factors = [number(task, dtype, -1.0), at(k, end), lead, at(k, start), lead]
        blas(
            task, dtype, "gemm", [*flags, *factors, number(task, dtype, 1.0), at(end, start), lead]
        )

    each_panel(f, n, panel)


def write_parallel_trsm(
    f: Function,
    dtype: np.dtype,
    name: str,
    flags: Sequence[str],
    a: Value,
    x: Value,
    n: Value,
    k: Value,
) -> None:
    """Solve a system by BLAS, some right-hand sides at a time; they are rows for BLAS if the first flag is "R"."""

    def task_of(task: Function, values: list[Value], chunk: Value) -> None:
        a, x, n, k, width = values
        start, count = piece(task, chunk, ZERO, k, width)
        rows, columns = integer(task, n), integer(task, count)
        is_right = flags[0] == "R"
        shift = start if is_right else task.op("mul", start, n)
        place = Numbers(task, dtype).advance(x, shift)
        shape = [columns, rows] if is_right else [rows, columns]
        lead = integer(task, k) if is_right else rows
        letters = [letter(task, text) for text in flags]
        given = [*letters, *shape, number(task, dtype, 1.0), a, rows]
        blas(task, dtype, "trsm", [*given, place, lead])

    width = solving_width(f, k)
    parallel(f, name, [a, x, n, k, width], pieces(f, k, width), task_of)


def is_large(f: Function, n: Value) -> Value:
    return f.icmp("sge", n, index(LARGE))
