"""Factorizations and substitution for small matrices, where a call of LAPACK costs more than the work itself."""

from __future__ import annotations

import numpy as np

from funcgrad.compiler.llvm.builder import Function, Module
from funcgrad.compiler.llvm.linalg.matrices import ONE, ZERO, Matrix, Numbers, counted, part_type
from funcgrad.compiler.llvm.types import Value, constant
from funcgrad.compiler.lowering.elements import Element

SUBSTITUTION = ["ptr", "i64", "i64", "ptr", "i64", "i64", "i64", "i64"]


def write_lu(f: Function, dtype: np.dtype, m: Matrix, pivots: Value, n: Value) -> None:
    """Factor a matrix in place, with partial pivoting; the pivots are rows counted from 0."""
    do = Numbers(f, dtype)

    def column(k: Value, _: list[Value]) -> list[Value]:
        after = f.op("add", k, ONE)
        chosen = find_pivot(do, m, k, n)
        f.store(f.cast("trunc", chosen, "i32"), f.gep(pivots, k, "i32"), 4)
        with f.when(f.icmp("ne", chosen, k)):
            write_exchange(do, m, k, chosen, n)
        pivot = do.load(m, k, k)
        one = do.number(dtype, dtype.type(1))
        divisor = do.select(do.compare("equal", pivot, do.zero()), one, pivot)

        def scale(i: Value, _: list[Value]) -> list[Value]:
            do.store(do.divide(do.load(m, i, k), divisor), m, i, k)
            return []

        def eliminate(j: Value, _: list[Value]) -> list[Value]:
            above = do.load(m, k, j)

            def change(i: Value, _: list[Value]) -> list[Value]:
                left = do.less_product(do.load(m, i, j), do.load(m, i, k), above)
                do.store(left, m, i, j)
                return []

            counted(f, after, n, [], change)
            return []

        counted(f, after, n, [], scale)
        counted(f, after, n, [], eliminate)
        return []

    counted(f, ZERO, n, [], column)


def find_pivot(do: Numbers, m: Matrix, k: Value, n: Value) -> Value:
    """The row of the largest element of column `k`, from row `k` on."""
    f = do.f

    def look(i: Value, known: list[Value]) -> list[Value]:
        size = do.size(do.load(m, i, k))
        is_larger = f.fcmp("ogt", size, known[0])
        return [f.select(is_larger, size, known[0]), f.select(is_larger, i, known[1])]

    first = [do.size(do.load(m, k, k)), k]
    return counted(f, f.op("add", k, ONE), n, first, look)[1]


def write_exchange(do: Numbers, m: Matrix, first: Value, second: Value, columns: Value) -> None:
    """Let two rows change places."""

    def element(j: Value, _: list[Value]) -> list[Value]:
        x, y = do.load(m, first, j), do.load(m, second, j)
        do.store(y, m, first, j)
        do.store(x, m, second, j)
        return []

    counted(do.f, ZERO, columns, [], element)


def substitution(module: Module, dtype: np.dtype, is_forward: bool, is_unit: bool) -> str:
    """`void (ptr a, i64 row, i64 column, ptr x, i64 row, i64 column, i64 n, i64 k)`: solves a @ x = x in place."""
    name = f"substitute_{'forward' if is_forward else 'backward'}{'_unit' * is_unit}"
    if module.defines(name):
        return name
    f = module.function(name, "void", SUBSTITUTION, "internal")
    do = Numbers(f, dtype)
    a, x = Matrix(*f.arguments[:3]), Matrix(*f.arguments[3:6])
    n, k = f.arguments[6:]

    def row(number: Value, _: list[Value]) -> list[Value]:
        last = f.op("sub", f.op("sub", n, ONE), number)
        i = number if is_forward else last
        start, stop = (ZERO, i) if is_forward else (f.op("add", i, ONE), n)

        def column(c: Value, _: list[Value]) -> list[Value]:
            def term(j: Value, total: list[Value]) -> list[Value]:
                known = do.element(total[0])
                return [do.less_product(known, do.load(a, i, j), do.load(x, j, c)).value]

            (total,) = counted(f, start, stop, [do.load(x, i, c).value], term)
            out = do.element(total)
            do.store(out if is_unit else do.divide(out, do.load(a, i, i)), x, i, c)
            return []

        counted(f, ZERO, k, [], column)
        return []

    counted(f, ZERO, n, [], row)
    f.ret()
    return name


def write_cholesky(f: Function, dtype: np.dtype, m: Matrix, n: Value, failed: Value) -> None:
    """Replace a matrix by its lower factor; sets the i32 at `failed` where it is not positive definite."""
    do, part = Numbers(f, dtype), part_type(dtype)
    none = constant(part, 0.0)

    def column(j: Value, _: list[Value]) -> list[Value]:
        def squares(s: Value, total: list[Value]) -> list[Value]:
            return [f.op("fsub", total[0], squared(do, do.load(m, j, s).value))]

        first = real_part(f, do.load(m, j, j).value)
        (left,) = counted(f, ZERO, j, [first], squares)
        bad = f.cast("zext", f.fcmp("ole", left, none), "i32")  # NaN goes on, as in LAPACK
        f.store(f.op("or", f.load("i32", failed, 4), bad), failed, 4)
        root = f.intrinsic("llvm.sqrt", part, [left])
        pivot = do.element(root if dtype.kind == "f" else f.pair(root, none))
        do.store(pivot, m, j, j)

        def below(i: Value, _: list[Value]) -> list[Value]:
            def term(s: Value, total: list[Value]) -> list[Value]:
                turned = do.conjugate(do.load(m, j, s))
                return [do.less_product(do.element(total[0]), do.load(m, i, s), turned).value]

            (rest,) = counted(f, ZERO, j, [do.load(m, i, j).value], term)
            do.store(divided(do, rest, root), m, i, j)
            do.store(do.zero(), m, j, i)
            return []

        counted(f, f.op("add", j, ONE), n, [], below)
        return []

    counted(f, ZERO, n, [], column)


def real_part(f: Function, value: Value) -> Value:
    return f.parts(value)[0] if value.type[0] == "{" else value


def squared(do: Numbers, value: Value) -> Value:
    """The square of the absolute value."""
    f = do.f
    if value.type[0] != "{":
        return f.op("fmul", value, value)
    return f.op("fadd", *[f.op("fmul", part, part) for part in f.parts(value)])


def divided(do: Numbers, value: Value, root: Value) -> Element:
    """A number divided by a real one."""
    f = do.f
    if value.type[0] != "{":
        return do.element(f.op("fdiv", value, root))
    return do.element(f.pair(*[f.op("fdiv", part, root) for part in f.parts(value)]))
