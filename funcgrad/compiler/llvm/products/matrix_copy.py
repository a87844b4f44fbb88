"""Copies of matrices with any strides; where rows become columns, squares are transposed in registers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from funcgrad.compiler.llvm.builder import Function
from funcgrad.compiler.llvm.strided import at, index, repeat
from funcgrad.compiler.llvm.types import Value, vector

# to, its strides of rows and columns, source, its strides, rows, columns: strides in bytes
PARAMETERS = ("ptr", "i64", "i64", "ptr", "i64", "i64", "i64", "i64")

# Eight vectors in, three rounds of shuffles, eight vectors out.
SQUARE = 8
# Elements of a row that are copied at once.
LANES = 8

Strides = tuple[int, int]


def copy_matrix(
    f: Function,
    size: int,
    to: Value,
    to_strides: Strides,
    source: Value,
    strides: Strides,
    shape: tuple[Value, Value],
) -> None:
    """Copy a matrix of elements of `size` bytes; strides of rows and columns in elements."""
    name, turns = copy_name(size, to_strides, strides)
    if turns:
        to_strides, strides, shape = _swapped(to_strides), _swapped(strides), _swapped(shape)
    given = [index(stride * size) for stride in (*to_strides, *strides)]
    f.external(name, "void", [to, *given[:2], source, *given[2:], *shape])


def copy_name(size: int, to_strides: Strides, strides: Strides) -> tuple[str, bool]:
    """The function for a copy, and whether it shall be given columns in the place of rows."""
    kind, turns = "elements", False
    if strides[1] == to_strides[1] == 1:
        kind = "rows"
    elif strides[0] == to_strides[0] == 1:
        kind, turns = "rows", True
    elif size in (4, 8) and strides[0] == to_strides[1] == 1:
        kind = "turned"
    elif size in (4, 8) and strides[1] == to_strides[0] == 1:
        kind, turns = "turned", True
    elif size in (4, 8) and strides[1] == 1 and abs(to_strides[0]) < abs(to_strides[1]):
        kind, turns = "spread", True
    return f"fg_convolution.copy.{kind}.{size}", turns


def _swapped(pair: tuple[Any, Any]) -> tuple[Any, Any]:
    return pair[1], pair[0]


def write_copy(f: Function, text: str) -> None:
    """The body of a function with `PARAMETERS`, such as "rows.4": what is copied, and the bytes of an element."""
    kind, size = text.split(".")
    writers = {"elements": _elements, "rows": _rows, "turned": _turned, "spread": _spread}
    writers[kind](f, int(size))


def _move(f: Function, type: str, to: Value, source: Value) -> None:
    f.store(f.load(type, source), to)


def _elements(f: Function, size: int) -> None:
    """One by one."""
    to, to_row, to_column, source, row, column, rows, columns = f.arguments
    with repeat(f, index(0), rows) as outer:
        line, into = at(f, source, (outer.index, row)), at(f, to, (outer.index, to_row))
        with repeat(f, index(0), columns) as inner:
            target, origin = (
                at(f, into, (inner.index, to_column)),
                at(f, line, (inner.index, column)),
            )
            _move(f, f"i{8 * size}", target, origin)


def _rows(f: Function, size: int) -> None:
    """Both have contiguous rows: vectors, the last of which moves back to end with the row."""
    to, to_row, _, source, row, _, rows, columns = f.arguments
    type, step = vector(LANES, f"i{8 * size}"), index(size)
    is_wide = f.icmp("sge", columns, index(LANES))
    wide, narrow = f.select(is_wide, columns, index(0)), f.select(is_wide, index(0), columns)
    last = f.op("sub", columns, index(LANES))
    with repeat(f, index(0), rows) as outer:
        line, into = at(f, source, (outer.index, row)), at(f, to, (outer.index, to_row))
        with repeat(f, index(0), wide, LANES) as inner:
            first = f.intrinsic("llvm.smin", "i64", [inner.index, last])
            _move(f, type, at(f, into, (first, step)), at(f, line, (first, step)))
        with repeat(f, index(0), narrow) as inner:
            target, origin = (at(f, base, (inner.index, step)) for base in (into, line))
            _move(f, f"i{8 * size}", target, origin)


def _turned(f: Function, size: int) -> None:
    """Columns of the source become rows."""
    _squares(f, size, lambda value, target: f.store(value, target))


def _spread(f: Function, size: int) -> None:
    """The same, with space between the elements of these rows."""
    step = f.arguments[2]

    def store(value: Value, target: Value) -> None:
        for lane in range(SQUARE):
            f.store(f.extract(value, lane), target, size)
            target = f.gep(target, step)

    _squares(f, size, store)


def _squares(f: Function, size: int, store: Callable[[Value, Value], None]) -> None:
    """Squares are transposed in registers; the last ones move back to end with the matrix."""
    to, to_row, to_column, source, row, column, rows, columns = f.arguments
    least = f.intrinsic("llvm.smin", "i64", [rows, columns])
    is_small = f.icmp("slt", least, index(SQUARE))
    none = index(0)
    edge = f.module.function("small", "void", PARAMETERS, "internal")
    _elements(edge, size)
    edge.ret()
    f.call(edge.name, "void", [*f.arguments[:6], f.select(is_small, rows, none), columns])
    last_row, last_column = (f.op("sub", n, index(SQUARE)) for n in (rows, columns))
    type = vector(SQUARE, f"i{8 * size}")
    with (
        repeat(f, none, f.select(is_small, none, columns), SQUARE) as outer,
        repeat(f, none, rows, SQUARE) as inner,
    ):
        i = f.intrinsic("llvm.smin", "i64", [inner.index, last_row])
        j = f.intrinsic("llvm.smin", "i64", [outer.index, last_column])
        origin, target = (
            at(f, source, (i, row), (j, column)),
            at(f, to, (i, to_row), (j, to_column)),
        )
        vectors = []
        for _ in range(SQUARE):
            vectors.append(f.load(type, origin))
            origin = f.gep(origin, column)
        for value in transposed(f, vectors):
            store(value, target)
            target = f.gep(target, to_row)


def transposed(f: Function, rows: list[Value]) -> list[Value]:
    """The columns of a square of vectors: blocks of half the side change places, then smaller ones."""
    side = len(rows)
    distance = side // 2
    while distance:
        following = list(rows)
        for i in range(side):
            if i & distance:
                continue
            a, b = rows[i], rows[i + distance]
            low = [j if not j & distance else side + j - distance for j in range(side)]
            high = [j + distance if not j & distance else side + j for j in range(side)]
            following[i], following[i + distance] = f.shuffle(a, b, low), f.shuffle(a, b, high)
        rows = following
        distance //= 2
    return rows
