"""Tiles of convolutions in registers: the left operand lies at the sum of an offset per row and one per term."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from funcgrad.compiler.llvm.builder import Function, Module, Value, element_of, vector, zero
from funcgrad.compiler.llvm.elements import register_type
from funcgrad.compiler.llvm.matrix_copy import index
from funcgrad.compiler.llvm.target import Target

# x, offsets of rows, offsets of terms, how many terms, panel, tile
PARAMETERS = ("ptr", "ptr", "ptr", "i64", "ptr", "ptr")

# Each row has a pointer, and other addresses need registers too.
MOST_ROWS = 8


@dataclass(frozen=True)
class ConvTile:
    """The shape of a tile.

    Attributes:
        dtype: of the operands.
        lanes: of a vector register; 0 for scalars.
        rows: of the tile: places.
        width: of a row, in vectors (in elements without lanes): output channels.
        adds: whether products are added to what the tile holds.
    """

    dtype: np.dtype
    lanes: int
    rows: int
    width: int
    adds: bool = False

    @property
    def columns(self) -> int:
        return self.width * max(self.lanes, 1)

    @property
    def row_bytes(self) -> int:
        return self.columns * self.dtype.itemsize

    @property
    def name(self) -> str:
        return f"fg_conv_{'adding_' * self.adds}tile_{self.dtype.name}_{self.rows}x{self.columns}"


def choose_tile(dtype: np.dtype, rows: int, columns: int, target: Target) -> ConvTile:
    """As many sums at a time as registers hold, without much left over at the edges."""
    lanes = target.vector_bytes // dtype.itemsize if dtype.itemsize in (4, 8) else 0
    vectors = -(-columns // lanes) if lanes else columns
    widest = 4 if target.registers == 32 else 2
    width = -(-vectors // -(-vectors // widest))
    fitting = min(MOST_ROWS, (target.registers - 2 - width) // width)
    return ConvTile(dtype, lanes, -(-rows // -(-rows // fitting)), width)


def conv_tile_function(module: Module, tile: ConvTile) -> str:
    """The name of the function that computes such tiles.

    The panel holds a row of `columns` elements of w for each term; the tile has as many in each row.
    """
    if not module.defines(tile.name):
        f = module.function(tile.name, "void", PARAMETERS, "internal")
        f.attributes = "nounwind noinline"
        _write(f, tile)
        f.ret()
    return tile.name


def _write(f: Function, tile: ConvTile) -> None:
    x, row_offsets, term_offsets, terms, panel, out = f.arguments
    element = register_type(tile.dtype)
    type = vector(tile.lanes, element)
    step = max(tile.lanes, 1) * tile.dtype.itemsize
    addresses = [
        [f.gep(out, i * tile.row_bytes + v * step) for v in range(tile.width)]
        for i in range(tile.rows)
    ]
    pointers = [f.gep(x, _offset(f, row_offsets, index(i)), element) for i in range(tile.rows)]
    with f.loop(index(0), terms) as loop:
        row = f.carry(loop, panel)
        with f.at(loop.preheader):
            starts = [
                [f.load(type, a, step) if tile.adds else zero(type) for a in of_row]
                for of_row in addresses
            ]
        totals = [[f.carry(loop, start) for start in of_row] for of_row in starts]
        offset = _offset(f, term_offsets, loop.index)
        vectors = [f.load(type, f.gep(row, v * step), step) for v in range(tile.width)]
        sums = []
        for pointer, of_row in zip(pointers, totals, strict=True):
            number = f.splat(f.load(element, f.gep(pointer, offset, element)), tile.lanes)
            products = zip(vectors, of_row, strict=True)
            sums.append([f.update(loop, t, multiply_add(f, number, v, t)) for v, t in products])
        f.update(loop, row, f.gep(row, tile.row_bytes))
    for of_row, values in zip(addresses, sums, strict=True):
        for address, value in zip(of_row, values, strict=True):
            f.store(value, address, step)


def multiply_add(f: Function, x: Value, y: Value, total: Value) -> Value:
    """x * y + total, rounded once if floating."""
    if element_of(x.type) in ("float", "double"):
        return f.intrinsic("llvm.fma", total.type, [x, y, total])
    return f.op("add", f.op("mul", x, y), total)


def _offset(f: Function, table: Value, number: Value) -> Value:
    return f.cast("sext", f.load("i32", f.gep(table, number, "i32"), 4), "i64")
