"""Which tile, orientation and division of work suit a matrix product: the cheapest by a model of cycles."""

from __future__ import annotations

import functools
import itertools
from dataclasses import dataclass

import numpy as np

from funcgrad.compiler.llvm.dot_spec import DotSpec
from funcgrad.compiler.llvm.microkernel import Tile
from funcgrad.compiler.llvm.target import Target

VECTOR_DTYPES = ("float32", "float64", "int32", "int64", "uint32", "uint64")

# The model, in cycles: a call of a tile function and the loops around it, one vector of a tile stored, one sum of lanes.
CALL_CYCLES = 25
STORE_CYCLES = 1.5
SUM_CYCLES = 6
# Per element: stored to a column stride, copied as a row, by squares, one by one.
SCATTER_CYCLES = 2.0
COPY_CYCLES = {"rows": 0.15, "squares": 0.7, "elements": 2.0}
LATENCY_CYCLES = 4

# Scratch for one panel of y, and what a panel of k may take of the first cache.
PANEL_BYTES = 1 << 17
# Rows of y this far apart fall into few sets of the caches and on many pages: panels are copied if used often.
FAR_BYTES = 2048
# Tiles below each other that make a copy of a contiguous panel pay.
COPY_TILES = 4

# One chunk of work for a thread is at least this long; Ctrl-C is looked for in products longer than the second.
CHUNK_CYCLES = 40_000
POLL_CYCLES = 5_000_000
CHUNKS_PER_THREAD = 4


@dataclass(frozen=True)
class Plan:
    """How a product is computed.

    Attributes:
        spec: the product, after an exchange of the operands if `is_swapped`.
        is_swapped: whether the result is computed as the transpose of y.T @ x.T.
        tile: the register tile.
        packs: whether panels of y are copied to scratch.
        k_block: the part of k done at once.
        by_columns: whether threads divide the columns of the result, not the rows.
        cycles: the estimate.
    """

    spec: DotSpec
    is_swapped: bool
    tile: Tile
    packs: bool
    k_block: int
    by_columns: bool
    cycles: float

    @property
    def columns(self) -> int:
        """How many columns of the result a tile covers."""
        return self.tile.columns if self.packs else min(self.tile.columns, self.spec.n)


def lanes_of_dtype(dtype: np.dtype, target: Target) -> int:
    return target.vector_bytes // dtype.itemsize if dtype.name in VECTOR_DTYPES else 0


@functools.cache
def plan_dot(spec: DotSpec, target: Target) -> Plan:
    """The cheapest plan for a product that has elements and terms."""
    lanes = lanes_of_dtype(spec.dtype, target)
    if not lanes:
        return _scalar_plan(spec)
    candidates = []
    for is_swapped in (False, True):
        turned = spec.swapped() if is_swapped else spec
        candidates += [
            plan
            for plan in (
                _outer_plan(turned, is_swapped, lanes, target.registers),
                _inner_plan(turned, is_swapped, lanes),
            )
            if plan
        ]
    return min(candidates, key=lambda plan: plan.cycles)


def _scalar_plan(spec: DotSpec) -> Plan:
    tile = Tile(spec.dtype, 0, 1, 1, "inner")
    cycles = spec.batches * spec.m * spec.n * (CALL_CYCLES + LATENCY_CYCLES * spec.k)
    return Plan(spec, False, tile, False, spec.k, False, cycles)


def ceil(a: int, b: int) -> int:
    return -(-a // b)


# --- tiles with vectors along a row of the result ---


@functools.cache
def outer_shapes(registers: int) -> list[tuple[int, int]]:
    """Rows and vectors of tiles that fit the registers: the sums, a row of y, and one number of x."""
    return [
        (rows, width)
        for rows, width in itertools.product(range(1, 13), range(1, 9))
        if rows * width + width + 1 <= registers - 2
    ]


def _outer_plan(spec: DotSpec, is_swapped: bool, lanes: int, registers: int) -> Plan:
    shapes = [
        shape
        for shape in outer_shapes(registers)
        if shape[0] <= spec.m and shape[1] <= ceil(spec.n, lanes)
    ]
    cycles, (rows, width) = min((_outer_cycles(spec, lanes, *shape), shape) for shape in shapes)
    packs = spec.y_strides[1] != 1 or _copies_pay(spec, rows, width * lanes)
    masked = not packs and spec.n % lanes != 0 and spec.n < width * lanes
    tile = Tile(spec.dtype, lanes, rows, width, "outer", masked)
    by_columns = ceil(spec.m, rows) < ceil(spec.n, tile.columns) or packs
    if by_columns and ceil(spec.n, tile.columns) * spec.batches == 1:
        by_columns = False
    k_block = _k_block(spec.k, PANEL_BYTES // (tile.columns * spec.dtype.itemsize))
    if packs:
        cycles += spec.n * spec.k * copy_cycles(spec)
    scatters = spec.out_strides[1] != 1
    cycles += SCATTER_CYCLES * spec.m * spec.n * scatters
    return Plan(spec, is_swapped, tile, packs, k_block, by_columns, cycles * spec.batches)


def _outer_cycles(spec: DotSpec, lanes: int, rows: int, width: int) -> float:
    vectors = ceil(spec.n, lanes)
    tiles = ceil(spec.m, rows) * ceil(vectors, width)
    step = max(rows * width, rows + width, LATENCY_CYCLES)
    return tiles * (CALL_CYCLES + STORE_CYCLES * rows * width + step * spec.k)


def _copies_pay(spec: DotSpec, rows: int, columns: int) -> bool:
    is_far = abs(spec.y_strides[0]) * spec.dtype.itemsize >= FAR_BYTES
    return is_far and spec.m >= rows * COPY_TILES and spec.k >= 64 and spec.n >= columns


def copy_cycles(spec: DotSpec) -> float:
    """Per element of y, to make a panel of it."""
    row, column = spec.y_strides
    return COPY_CYCLES["rows" if column == 1 else "squares" if row == 1 else "elements"]


def _k_block(k: int, limit: int) -> int:
    """Equal blocks of at most `limit`."""
    return ceil(k, ceil(k, limit))


# --- tiles with vectors along k ---


def _inner_plan(spec: DotSpec, is_swapped: bool, lanes: int) -> Plan | None:
    if spec.x_strides[1] != 1 or spec.k < lanes:
        return None
    best = None
    for rows, width in itertools.product((1, 2, 4, 8), (1, 2, 3, 4)):
        tile = Tile(spec.dtype, lanes, rows, width, "inner")
        if rows * width > 12 or rows > spec.m or width > spec.n or spec.k < tile.step:
            continue
        tiles = ceil(spec.m, rows) * ceil(spec.n, width)
        count = rows * width
        steps = spec.k // lanes * max(count, rows + width) + tile.step // lanes * 2 * count
        cycles = tiles * (2 * CALL_CYCLES + SUM_CYCLES * count + steps)
        if best is None or cycles < best[0]:
            best = cycles, tile
    if best is None:
        return None
    cycles, tile = best
    packs = spec.y_strides[0] != 1
    if packs:
        cycles += (
            spec.n * spec.k * (COPY_CYCLES["squares" if spec.y_strides[1] == 1 else "elements"])
        )
    by_columns = spec.m < spec.n
    return Plan(spec, is_swapped, tile, packs, spec.k, by_columns, cycles * spec.batches)
