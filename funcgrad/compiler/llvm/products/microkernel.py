"""Tiles of matrix products held in registers: the innermost loops, one small function per tile shape and dtype.

Every tile function has the parameters `PARAMETERS`, all strides in bytes, and overwrites a tile of the result whose
columns lie side by side; outer tiles can add to it. `k` is at least 1. Each element of the result is one chain of
products added in the order of k, whatever the tile, so results do not depend on how a product is cut into tiles. Half
precision is summed in float32 and rounded once, as in NumPy.
"""

from __future__ import annotations

import functools
import itertools
from dataclasses import dataclass

import numpy as np

from funcgrad.compiler.llvm.builder import Function, Loop
from funcgrad.compiler.llvm.kernels.masked import masked_load, masked_store
from funcgrad.compiler.llvm.kernels.registers import (
    from_memory,
    memory_type,
    register_type,
    to_memory,
)
from funcgrad.compiler.llvm.strided import index
from funcgrad.compiler.llvm.types import Value, constant, lanes_of, vector, zero

# x, x_row, x_column, y, y_row, y_column, k, out, out_row, columns (only masked tiles need these), and whether the
# tile is added to `out` (only by outer tiles)
PARAMETERS = ("ptr", "i64", "i64", "ptr", "i64", "i64", "i64", "ptr", "i64", "i64", "i1")

# Rows that one pointer reaches by the addressing modes of common CPUs: itself, plus one and plus two strides.
ROWS_PER_POINTER = 3

# Tiles of so few vectors a row read x so fast that it should be on its way from memory; of others the next lines of the
# caches come in time.
FEW_VECTORS = 2
LINE_BYTES = 64

# The latency of a fused multiply-add is about four cycles, and two start per cycle.
SUMS_SIDE_BY_SIDE = 8


@dataclass(frozen=True)
class Tile:
    """The shape of a tile.

    Attributes:
        dtype: of the operands.
        lanes: of a vector register; 0 in scalar tiles.
        rows: of the tile.
        width: its columns: of `outer` tiles in vectors, of others in elements.
        kind: "outer" adds outer products of a column of x and a row of y, "inner" sums products along k.
        masked: whether the last vector of a row has only some columns.
        tail: lanes of the last vector, if it is shorter than the others.
    """

    dtype: np.dtype
    lanes: int
    rows: int
    width: int
    kind: str
    masked: bool = False
    tail: int = 0

    @property
    def columns(self) -> int:
        return sum(self.vectors) if self.kind == "outer" else self.width

    @property
    def vectors(self) -> list[int]:
        """The lanes of each vector of an outer tile."""
        return [self.lanes] * (self.width - 1) + [self.tail or self.lanes]

    @property
    def bytes_of_row(self) -> int:
        return self.columns * self.dtype.itemsize

    @property
    def step(self) -> int:
        """How many steps of k an inner tile takes at once, so that enough sums run side by side."""
        return self.lanes * max(1, SUMS_SIDE_BY_SIDE // (self.rows * self.width))

    @property
    def text(self) -> str:
        """All of it, as part of a symbol; `parse_tile` reads it."""
        lanes = f"{self.lanes}t{self.tail}"
        parts = [self.kind, self.dtype.name, lanes, f"{self.rows}x{self.width}"]
        return ".".join(parts + ["masked"] * self.masked)


def parse_tile(text: str) -> Tile:
    """The tile with this text."""
    kind, dtype, lanes, shape, *masked = text.split(".")
    rows, width = map(int, shape.split("x"))
    whole, tail = map(int, lanes.split("t"))
    return Tile(np.dtype(dtype), whole, rows, width, kind, bool(masked), tail)


def write_tile(f: Function, tile: Tile) -> None:
    """The body of a function with `PARAMETERS` that computes such tiles."""
    if tile.kind == "outer":
        _outer(f, tile)
    elif tile.lanes:
        _inner(f, tile)
    elif tile.dtype.kind == "c":
        _inner_complex(f, tile)
    else:
        _inner_scalar(f, tile)


def multiply_add(f: Function, x: Value, y: Value, total: Value) -> Value:
    """x * y + total, rounded once if floating."""
    if x.type.endswith(("float", "double", "float>", "double>")):
        return f.intrinsic("llvm.fma", total.type, [x, y, total])
    product = f.op("and" if x.type == "i1" else "mul", x, y)
    return f.op(adding(x.type), product, total)


def adding(type: str) -> str:
    """The instruction that adds."""
    if type.endswith(("float", "double", "float>", "double>")):
        return "fadd"
    return "or" if type == "i1" else "add"


def lane_mask(f: Function, lanes: int, count: Value) -> Value:
    """The first `count` lanes."""
    numbers = ", ".join(f"i32 {lane}" for lane in range(lanes))
    count = f.splat(f.cast("trunc", count, "i32"), lanes)
    return f.icmp("slt", Value(count.type, f"<{numbers}>"), count)


def load_vector(
    f: Function, dtype: np.dtype, lanes: int, address: Value, mask: Value | None = None
) -> Value:
    """A vector of elements as it is held in a register, the lanes outside of a mask as zeros."""
    type = vector(lanes, memory_type(dtype))
    raw = f.load(type, address) if mask is None else masked_load(f, type, address, 1, mask)
    return from_memory(f, dtype, raw)


# --- vectors along a row of the result ---


def _outer(f: Function, tile: Tile) -> None:
    """Per step of k: `width` vectors of y, and for each row one number of x times all of them."""
    x, x_row, x_column, y, y_row, _, k, out, out_row, columns, adds = f.arguments
    dtype, stored = tile.dtype, memory_type(tile.dtype)
    step = tile.lanes * dtype.itemsize
    *_, tail = tile.vectors
    mask = None
    if tile.masked:
        mask = lane_mask(f, tail, f.op("sub", columns, index(tile.columns - tail)))
    masks = [None] * (tile.width - 1) + [mask]
    starts = _starting_totals(f, tile, masks, out, out_row, adds)
    with f.loop(index(0), k) as loop:
        if tile.width <= FEW_VECTORS:
            _prefetch(f, loop, tile)
        pointers = _row_pointers(f, loop, x, x_row, x_column, tile.rows)
        row = f.carry(loop, y)
        totals = [[f.carry(loop, start) for start in of_row] for of_row in starts]
        vectors = [
            load_vector(f, dtype, lanes, f.gep(row, v * step), chosen)
            for v, (lanes, chosen) in enumerate(zip(tile.vectors, masks, strict=True))
        ]
        sums = []
        for pointer, of_row in zip(pointers, totals, strict=True):
            number = from_memory(f, dtype, f.load(stored, pointer))
            splats = {lanes: f.splat(number, lanes) for lanes in tile.vectors}
            for lanes, vec, total in zip(tile.vectors, vectors, of_row, strict=True):
                sums.append(f.update(loop, total, multiply_add(f, splats[lanes], vec, total)))
        f.update(loop, row, f.gep(row, y_row))
    for i in range(tile.rows):
        for v, chosen in enumerate(masks):
            address = f.gep(out, v * step)
            value = to_memory(f, dtype, sums[i * tile.width + v])
            if chosen is not None:
                masked_store(f, value, address, 1, chosen)
            else:
                f.store(value, address)
        out = f.gep(out, out_row)
    f.ret()


def _starting_totals(
    f: Function,
    tile: Tile,
    masks: list[Value | None],
    out: Value,
    out_row: Value,
    adds: Value,
) -> list[list[Value]]:
    """What is in the result, or zeros, read without a branch."""
    nothing = f.module.data("zeros", f"private constant [{tile.bytes_of_row} x i8] zeroinitializer")
    source, step = f.select(adds, out, nothing), f.select(adds, out_row, index(0))
    found = []
    for _ in range(tile.rows):
        addresses = [f.gep(source, v * tile.lanes * tile.dtype.itemsize) for v in range(tile.width)]
        found.append(
            [
                load_vector(f, tile.dtype, lanes, address, mask)
                for lanes, address, mask in zip(tile.vectors, addresses, masks, strict=True)
            ]
        )
        source = f.gep(source, step)
    return found


def _prefetch(f: Function, loop: Loop, tile: Tile) -> None:
    """Bring a part of what the next tile reads of x at each step of k: of rows side by side, or else of columns."""
    x, x_row, x_column, *_, k = f.arguments[:7]
    size = tile.dtype.itemsize
    with f.at(loop.preheader):
        are_rows = f.icmp("eq", x_column, index(size))
        are_near = f.icmp("eq", x_row, f.op("mul", k, index(size)))
        step = f.select(are_near, index(tile.rows * size), index(0))
        step = f.select(are_rows, step, x_column)
        distance = f.op("mul", x_row, index(tile.rows))
        start = f.gep(x, f.select(are_rows, distance, index(LINE_BYTES)))
    place = f.carry(loop, start)
    to_read, to_keep, data = (constant("i32", flag) for flag in (0, 3, 1))
    f.intrinsic("llvm.prefetch", "void", [place, to_read, to_keep, data], "p0")
    f.update(loop, place, f.gep(place, step))


def _row_pointers(
    f: Function, loop: Loop, x: Value, x_row: Value, x_column: Value, rows: int
) -> list[Value]:
    """Where each row of x is at this step of k, with few pointers that move."""
    pointers = []
    with f.at(loop.preheader):
        stride = f.op("mul", x_row, index(ROWS_PER_POINTER))
        starts = [x]
        for _ in range(ROWS_PER_POINTER, rows, ROWS_PER_POINTER):
            starts.append(f.gep(starts[-1], stride))
    for start in starts:
        base = f.carry(loop, start)
        # The element type of the second is a factor of two for the addressing mode.
        pointers += [base, f.gep(base, x_row), f.gep(base, x_row, "i16")]
        f.update(loop, base, f.gep(base, x_column))
    return pointers[:rows]


# --- vectors along k ---


def _inner(f: Function, tile: Tile) -> None:
    """Rows of x and columns of y, both contiguous, multiplied element by element and summed at the end.

    The elements that fill no whole step come first and start the totals; k is at least one step.
    """
    x, x_row, _, y, _, y_column, k, out, out_row, *_ = f.arguments
    dtype, size = tile.dtype, tile.dtype.itemsize
    type = vector(tile.lanes, register_type(dtype))
    rows, columns = _starts(f, x, x_row, tile.rows), _starts(f, y, y_column, tile.width)
    head = f.op("urem", k, index(tile.step))
    totals: list[Value] = []
    for first in range(0, tile.step, tile.lanes):
        mask = lane_mask(f, tile.lanes, f.op("sub", head, index(first)))
        at = index(first * size)
        xs = [load_vector(f, dtype, tile.lanes, f.gep(row, at), mask) for row in rows]
        ys = [load_vector(f, dtype, tile.lanes, f.gep(column, at), mask) for column in columns]
        totals += [multiply_add(f, a, b, zero(type)) for a in xs for b in ys]
    with f.loop(head, k, tile.step) as loop:
        carried = [f.carry(loop, total) for total in totals]
        totals = []
        for first in range(0, tile.step, tile.lanes):
            at = f.op("mul", f.op("add", loop.index, index(first)), index(size))
            xs = [load_vector(f, dtype, tile.lanes, f.gep(row, at)) for row in rows]
            ys = [load_vector(f, dtype, tile.lanes, f.gep(column, at)) for column in columns]
            for a, b in itertools.product(xs, ys):
                total = carried[len(totals)]
                totals.append(f.update(loop, total, multiply_add(f, a, b, total)))
    count = tile.rows * tile.width
    for i in range(tile.rows):
        for j in range(tile.width):
            total = functools.reduce(
                lambda a, b: f.op(adding(a.type), a, b), totals[i * tile.width + j :: count]
            )
            f.store(to_memory(f, dtype, _sum_lanes(f, total)), f.gep(out, j * size))
        out = f.gep(out, out_row)
    f.ret()


def _starts(f: Function, base: Value, stride: Value, count: int) -> list[Value]:
    starts = [base]
    for _ in range(1, count):
        starts.append(f.gep(starts[-1], stride))
    return starts


def _sum_lanes(f: Function, total: Value) -> Value:
    """Halves added until one lane is left."""
    lanes = lanes_of(total.type)
    while lanes > 1:
        lanes //= 2
        low = f.shuffle(total, total, range(lanes))
        high = f.shuffle(total, total, range(lanes, 2 * lanes))
        total = f.op(adding(total.type), low, high)
    return f.extract(total, 0)


# --- one number at a time: dtypes without vector code ---


def _inner_scalar(f: Function, tile: Tile) -> None:
    """Booleans, and integers narrower than 32 bits."""
    x, _, x_column, y, y_row, _, k, out, *_ = f.arguments
    dtype, stored = tile.dtype, memory_type(tile.dtype)
    start = zero(register_type(dtype))
    with f.loop(index(0), k) as loop:
        total, a, b = f.carry(loop, start), f.carry(loop, x), f.carry(loop, y)
        left = from_memory(f, dtype, f.load(stored, a))
        right = from_memory(f, dtype, f.load(stored, b))
        result = f.update(loop, total, multiply_add(f, left, right, total))
        f.update(loop, a, f.gep(a, x_column))
        f.update(loop, b, f.gep(b, y_row))
    f.store(to_memory(f, dtype, result), out)
    f.ret()


def _inner_complex(f: Function, tile: Tile) -> None:
    """Real and imaginary parts lie side by side."""
    x, _, x_column, y, y_row, _, k, out, *_ = f.arguments
    part = complex_part(tile.dtype)
    size = tile.dtype.itemsize // 2
    with f.loop(index(0), k) as loop:
        totals = [f.carry(loop, zero(part)) for _ in range(2)]
        a, b = f.carry(loop, x), f.carry(loop, y)
        (a_real, a_imag), (b_real, b_imag) = (
            (f.load(part, base), f.load(part, f.gep(base, size))) for base in (a, b)
        )
        real = multiply_add(f, a_real, b_real, totals[0])
        real = f.update(loop, totals[0], multiply_add(f, f.fneg(a_imag), b_imag, real))
        imag = multiply_add(f, a_real, b_imag, totals[1])
        imag = f.update(loop, totals[1], multiply_add(f, a_imag, b_real, imag))
        f.update(loop, a, f.gep(a, x_column))
        f.update(loop, b, f.gep(b, y_row))
    f.store(real, out)
    f.store(imag, f.gep(out, size))
    f.ret()


def complex_part(dtype: np.dtype) -> str:
    return "float" if dtype.itemsize == 8 else "double"
