"""Copies around the tiles of matrix products: panels of y into contiguous scratch, and tiles into the result."""

from __future__ import annotations

import numpy as np

from funcgrad.compiler.llvm.builder import Function
from funcgrad.compiler.llvm.kernels.masked import masked_load, masked_store
from funcgrad.compiler.llvm.kernels.registers import from_memory, memory_type, to_memory
from funcgrad.compiler.llvm.products.matrix_copy import transposed
from funcgrad.compiler.llvm.products.microkernel import adding, complex_part, lane_mask
from funcgrad.compiler.llvm.strided import at, index, repeat
from funcgrad.compiler.llvm.target import host
from funcgrad.compiler.llvm.types import Value, vector

# to, to_row, source, row, column, rows, columns: strides in bytes, rows of `to` are contiguous
COPY_PARAMETERS = ("ptr", "i64", "ptr", "i64", "i64", "i64", "i64")
# tile, tile_row, out, out_row, out_column, rows, columns, accumulate
STORE_PARAMETERS = ("ptr", "i64", "ptr", "i64", "i64", "i64", "i64", "i1")

# Squares of this side are transposed in registers: eight vectors in, three rounds of shuffles, eight vectors out.
SQUARE = 8


def copy_text(dtype: np.dtype, row: int, column: int, lanes: int) -> str:
    """What `write_copy` needs to know, for matrices with these strides (in elements)."""
    kind = "elements"
    if column == 1 and lanes:
        kind = "rows"
    elif row == 1 and dtype.itemsize in (4, 8):
        kind = "squares"
    return f"{kind}.{dtype.itemsize}.{lanes}"


def write_copy(f: Function, text: str) -> None:
    """The body of a function with `COPY_PARAMETERS` that makes the rows of a matrix contiguous."""
    kind, size, lanes = text.split(".")
    write = {"rows": _rows, "squares": _squares, "elements": _elements}[kind]
    write(f, int(size), int(lanes))
    f.ret()


def raw_type(size: int) -> str:
    """An integer as wide as an element, for copies."""
    return f"i{size * 8}"


def _rows(f: Function, itemsize: int, lanes: int) -> None:
    """Rows that are contiguous already."""
    to, to_row, source, row, _, rows, columns = f.arguments
    size, type = index(itemsize), vector(lanes, raw_type(itemsize))
    rest = f.op("urem", columns, index(lanes))
    whole, is_ragged = f.op("sub", columns, rest), f.icmp("ne", rest, index(0))
    mask = lane_mask(f, lanes, rest) if host().has_masks else None
    with repeat(f, index(0), rows) as loop:
        line, into = at(f, source, (loop.index, row)), at(f, to, (loop.index, to_row))
        with repeat(f, index(0), whole, lanes) as inner:
            value = f.load(type, at(f, line, (inner.index, size)))
            f.store(value, at(f, into, (inner.index, size)))
        if mask is not None:
            with f.when(is_ragged):
                value = masked_load(f, type, at(f, line, (whole, size)), 1, mask)
                masked_store(f, value, at(f, into, (whole, size)), 1, mask)
        else:
            with repeat(f, whole, columns) as inner:
                value = f.load(raw_type(itemsize), at(f, line, (inner.index, size)))
                f.store(value, at(f, into, (inner.index, size)))


def _elements(f: Function, itemsize: int, lanes: int) -> None:
    """Any strides."""
    del lanes
    to, to_row, source, row, column, rows, columns = f.arguments
    size = index(itemsize)
    with repeat(f, index(0), rows) as loop:
        line, into = at(f, source, (loop.index, row)), at(f, to, (loop.index, to_row))
        with repeat(f, index(0), columns) as inner:
            value = f.load(raw_type(itemsize), at(f, line, (inner.index, column)))
            f.store(value, at(f, into, (inner.index, size)))


def _squares(f: Function, itemsize: int, lanes: int) -> None:
    """Columns are contiguous: squares are transposed, and what is left at the edges goes element by element."""
    to, to_row, source, row, column, rows, columns = f.arguments
    size = index(itemsize)
    edge = f.module.function("edge", "void", COPY_PARAMETERS, "internal")
    _elements(edge, itemsize, lanes)
    edge.ret()
    whole_rows = f.op("and", rows, index(-SQUARE))
    whole_columns = f.op("and", columns, index(-SQUARE))
    with (
        repeat(f, index(0), whole_columns, SQUARE) as outer,
        repeat(f, index(0), whole_rows, SQUARE) as inner,
    ):
        first = at(f, source, (inner.index, size), (outer.index, column))
        into = at(f, to, (inner.index, to_row), (outer.index, size))
        vectors = []
        for _ in range(SQUARE):
            vectors.append(f.load(vector(SQUARE, raw_type(itemsize)), first))
            first = f.gep(first, column)
        for value in transposed(f, vectors):
            f.store(value, into)
            into = f.gep(into, to_row)
    right = [
        at(f, to, (whole_columns, size)),
        to_row,
        at(f, source, (whole_columns, column)),
        row,
        column,
        rows,
        f.op("sub", columns, whole_columns),
    ]
    below = [
        at(f, to, (whole_rows, to_row)),
        to_row,
        at(f, source, (whole_rows, row)),
        row,
        column,
        f.op("sub", rows, whole_rows),
        whole_columns,
    ]
    f.call(edge.name, "void", right)
    f.call(edge.name, "void", below)


def write_store(f: Function, dtype: np.dtype, lanes: int) -> None:
    """The body of a function with `STORE_PARAMETERS`: a tile is copied, or added, to a part of the result with any
    strides."""
    tile, tile_row, out, out_row, out_column, rows, columns, accumulate = f.arguments
    size = index(dtype.itemsize)
    whole = index(0)
    if lanes:
        side_by_side = f.icmp("eq", out_column, size)
        whole = f.select(side_by_side, f.op("and", columns, index(-lanes)), whole)
    with repeat(f, index(0), rows) as loop:
        line, into = at(f, tile, (loop.index, tile_row)), at(f, out, (loop.index, out_row))
        if lanes:
            with repeat(f, index(0), whole, lanes) as inner:
                source, target = (at(f, base, (inner.index, size)) for base in (line, into))
                type = vector(lanes, memory_type(dtype))
                _store(f, dtype, type, source, target, accumulate)
        with repeat(f, whole, columns) as inner:
            source, target = (
                at(f, line, (inner.index, size)),
                at(f, into, (inner.index, out_column)),
            )
            _store(f, dtype, stored_type(dtype), source, target, accumulate)
    f.ret()


def stored_type(dtype: np.dtype) -> str:
    """The type of one element in memory; complex numbers are two lanes."""
    return vector(2, complex_part(dtype)) if dtype.kind == "c" else memory_type(dtype)


def _store(
    f: Function, dtype: np.dtype, type: str, source: Value, target: Value, accumulate: Value
) -> None:
    """What the result holds is read only if it is added to."""
    value = f.load(type, source)
    old = f.load(type, f.select(accumulate, target, source))
    if dtype.kind == "c":
        total = f.op("fadd", value, old)
    else:
        a, b = from_memory(f, dtype, value), from_memory(f, dtype, old)
        total = to_memory(f, dtype, f.op(adding(a.type), a, b))
    f.store(f.select(accumulate, total, value), target)
