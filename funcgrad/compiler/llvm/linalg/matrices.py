"""Matrices in memory and loops over their elements, as code for single numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from funcgrad.compiler.llvm.builder import Function
from funcgrad.compiler.llvm.kernels.elements import Elements
from funcgrad.compiler.llvm.kernels.registers import memory_type, register_type
from funcgrad.compiler.llvm.steps.rows import load_at, store_at
from funcgrad.compiler.llvm.strided import index
from funcgrad.compiler.llvm.types import Value, constant
from funcgrad.compiler.lowering.elements import Element
from funcgrad.ir.types import real_dtype

ZERO, ONE = index(0), index(1)
TILE = 16  # of a transposition: so many lines of memory are written at a time


class Matrix(NamedTuple):
    """Where a matrix lies: its first element, and how many elements lie between rows and between columns."""

    base: Value
    row: Value
    column: Value

    def turned(self) -> Matrix:
        """The transpose."""
        return Matrix(self.base, self.column, self.row)


def counted(
    f: Function,
    start: Value,
    stop: Value,
    carried: Sequence[Value],
    body: Callable[[Value, list[Value]], Sequence[Value]],
) -> list[Value]:
    """A loop from `start` to `stop`, which may be empty; what it carries after the last iteration."""
    before, head = f.block, f.new_block("head")
    inside, after = f.new_block("inside"), f.new_block("after")
    f.branch(head)
    f.count += 1
    number = Value("i64", f"%n{f.count}")
    phis = [Value(value.type, f"%n{f.count}.{i}") for i, value in enumerate(carried)]
    f.block = head
    f.branch_if(f.icmp("slt", number, stop), inside, after)
    f.block = inside
    following = [*body(number, phis), f.op("add", number, ONE)]
    latch = f.block
    f.branch(head)
    head.lines[:0] = [
        f"  {phi.text} = phi {phi.type} [{first.text}, %{before.label}], [{then.text}, %{latch.label}]"
        for phi, first, then in zip([*phis, number], [*carried, start], following, strict=True)
    ]
    f.block = after
    return phis


class Numbers(Elements):
    """Arithmetic on single numbers of one dtype, and the way from and to memory."""

    def __init__(self, f: Function, dtype: np.dtype) -> None:
        super().__init__(f, dtype)
        self.f = f
        self.dtype = dtype

    def element(self, value: Value) -> Element:
        return Element(self.dtype, value)

    def zero(self) -> Element:
        return self.number(self.dtype, self.dtype.type(0))

    def place(self, m: Matrix, i: Value, j: Value) -> Value:
        f = self.f
        return f.op("add", f.op("mul", i, m.row), f.op("mul", j, m.column))

    def load(self, m: Matrix, i: Value, j: Value) -> Element:
        return self.element(load_at(self.f, m.base, self.place(m, i, j), self.dtype, 0))

    def store(self, x: Element, m: Matrix, i: Value, j: Value) -> None:
        store_at(self.f, x.value, m.base, self.place(m, i, j), self.dtype)

    def size(self, x: Element) -> Value:
        """What LAPACK compares when it chooses a pivot: the sum of the sizes of both parts of a complex number."""
        f = self.f
        if self.dtype.kind != "c":
            return f.intrinsic("llvm.fabs", x.value.type, [x.value])
        real, imag = (f.intrinsic("llvm.fabs", part.type, [part]) for part in f.parts(x.value))
        return f.op("fadd", real, imag)

    def less_product(self, total: Element, x: Element, y: Element) -> Element:
        """`total - x * y`."""
        return self.arithmetic("subtract", total, self.arithmetic("multiply", x, y))

    def conjugate(self, x: Element) -> Element:
        return self.complex("conjugate", x) if self.dtype.kind == "c" else x

    def at(self, base: Value, lead: Value, i: Value, j: Value) -> Value:
        """The address of an element of a matrix that lies column by column, so many elements apart."""
        return self.advance(base, self.f.op("add", i, self.f.op("mul", j, lead)))

    def advance(self, base: Value, elements: Value) -> Value:
        return self.f.gep(base, elements, memory_type(self.dtype))


def part_type(dtype: np.dtype) -> str:
    """The LLVM type of a real number of this precision."""
    return register_type(real_dtype(dtype))


def each_matrix(
    f: Function, dtype: np.dtype, count: Value, arrays: list[tuple[Value, Value]]
) -> tuple[Callable[..., None], Numbers]:
    """A loop over the matrices of stacks: the arrays, and how many elements lie between their matrices."""
    do = Numbers(f, dtype)

    def run(body: Callable[..., None]) -> None:
        def one(number: Value, _: list[Value]) -> list[Value]:
            body(*[do.advance(base, f.op("mul", number, step)) for base, step in arrays], number)
            return []

        counted(f, ZERO, count, [], one)

    return run, do


def either(
    f: Function, condition: Value, yes: Callable[[], object], no: Callable[[], object]
) -> None:
    with f.when(condition):
        yes()
    with f.when(f.op("xor", condition, constant("i1", 1))):
        no()


def write_transposition(
    do: Numbers, source: Value, target: Value, rows: Value, columns: Value
) -> None:
    """Copy a matrix of so many rows and columns transposed, some columns at a time."""
    f = do.f
    given, made = Matrix(source, columns, ONE), Matrix(target, ONE, rows)

    def tile(number: Value, _: list[Value]) -> list[Value]:
        start = f.op("mul", number, index(TILE))
        stop = f.intrinsic("llvm.smin", "i64", [f.op("add", start, index(TILE)), columns])

        def row(i: Value, _: list[Value]) -> list[Value]:
            def element(j: Value, _: list[Value]) -> list[Value]:
                do.store(do.load(given, i, j), made, i, j)
                return []

            counted(f, start, stop, [], element)
            return []

        counted(f, ZERO, rows, [], row)
        return []

    tiles = f.op("sdiv", f.op("add", columns, index(TILE - 1)), index(TILE))
    counted(f, ZERO, tiles, [], tile)
