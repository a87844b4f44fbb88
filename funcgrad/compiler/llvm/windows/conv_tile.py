"""Tiles of convolutions in registers: the left operand lies at the sum of an offset per row and one per term."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from funcgrad.compiler.llvm.builder import Function
from funcgrad.compiler.llvm.kernels.registers import register_type
from funcgrad.compiler.llvm.loading.libraries import CONVOLUTION
from funcgrad.compiler.llvm.strided import index
from funcgrad.compiler.llvm.target import Target
from funcgrad.compiler.llvm.types import Value, element_of, vector, zero

# x, offsets of rows, offsets of terms, how many terms, panel, tile, whether it adds to what the tile holds
PARAMETERS = ("ptr", "ptr", "ptr", "i64", "ptr", "ptr", "i1")

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
    """

    dtype: np.dtype
    lanes: int
    rows: int
    width: int

    @property
    def columns(self) -> int:
        return self.width * max(self.lanes, 1)

    @property
    def row_bytes(self) -> int:
        return self.columns * self.dtype.itemsize

    @property
    def name(self) -> str:
        """Its function in the library: all there is to know of it."""
        return f"{CONVOLUTION}tile.{self.dtype.name}.{self.lanes}.{self.rows}x{self.width}"


def parse_tile(text: str) -> ConvTile:
    """The tile of the last three parts of a name."""
    dtype, lanes, shape = text.split(".")
    rows, width = map(int, shape.split("x"))
    return ConvTile(np.dtype(dtype), int(lanes), rows, width)


def choose_tile(dtype: np.dtype, rows: int, columns: int, target: Target) -> ConvTile:
    """As many sums at a time as registers hold, without much left over at the edges."""
    lanes = target.vector_bytes // dtype.itemsize if dtype.itemsize in (4, 8) else 0
    vectors = -(-columns // lanes) if lanes else columns
    widest = 4 if target.registers == 32 else 2
    width = -(-vectors // -(-vectors // widest))
    fitting = min(MOST_ROWS, (target.registers - 2 - width) // width)
    return ConvTile(dtype, lanes, -(-rows // -(-rows // fitting)), width)


def call_tile(f: Function, tile: ConvTile, arguments: list[Value]) -> None:
    """Compute a tile.

    The panel holds a row of `columns` elements of w for each term; the tile has as many in each row.
    """
    f.external(tile.name, "void", arguments)


def write_tile(f: Function, tile: ConvTile) -> None:
    """The body of a function with `PARAMETERS`."""
    x, row_offsets, term_offsets, terms, panel, out, adds = f.arguments
    element = register_type(tile.dtype)
    type = vector(tile.lanes, element)
    step = max(tile.lanes, 1) * tile.dtype.itemsize
    addresses = [
        [f.gep(out, i * tile.row_bytes + v * step) for v in range(tile.width)]
        for i in range(tile.rows)
    ]
    pointers = [f.gep(x, _offset(f, row_offsets, index(i)), element) for i in range(tile.rows)]
    starts = _starts(f, type, adds, addresses, step)
    with f.loop(index(0), terms) as loop:
        row = f.carry(loop, panel)
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


def _starts(
    f: Function, type: str, adds: Value, addresses: list[list[Value]], align: int
) -> list[list[Value]]:
    """What the tile holds, or zeros."""
    before, adding, ready = f.block, f.new_block("adding"), f.new_block("ready")
    f.branch_if(adds, adding, ready)
    f.block = adding
    held = [[f.load(type, address, align) for address in of_row] for of_row in addresses]
    f.branch(ready)
    f.block = ready
    none = zero(type).text
    return [
        [
            f.emit(type, f"phi {type} [{none}, %{before.label}], [{value.text}, %{adding.label}]")
            for value in of_row
        ]
        for of_row in held
    ]


def multiply_add(f: Function, x: Value, y: Value, total: Value) -> Value:
    """x * y + total, rounded once if floating."""
    if element_of(x.type) in ("float", "double"):
        return f.intrinsic("llvm.fma", total.type, [x, y, total])
    return f.op("add", f.op("mul", x, y), total)


def _offset(f: Function, table: Value, number: Value) -> Value:
    return f.cast("sext", f.load("i32", f.gep(table, number, "i32"), 4), "i64")
