"""Which tile, orientation and division of work suit a matrix product: the cheapest by a model of cycles."""

from __future__ import annotations

import functools
import itertools
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from funcgrad.compiler.llvm.kernels.registers import is_half
from funcgrad.compiler.llvm.products.dot_blas import prefers_blas
from funcgrad.compiler.llvm.products.microkernel import Tile
from funcgrad.compiler.llvm.target import Target
from funcgrad.compiler.lowering.dot_spec import DotSpec

VECTOR_DTYPES = ("float32", "float64", "int32", "int64", "uint32", "uint64", "float16", "bfloat16")

# The model, in cycles: a call of a tile function and the loops around it, one vector of a tile stored, one sum of
# lanes, and per element: stored to a column stride, copied as part of a row, of a square, or alone.
CALL_CYCLES = 25
STORE_CYCLES = 1.5
SUM_CYCLES = 6
SCATTER_CYCLES = 5.0
COPY_CYCLES = {"rows": 0.15, "squares": 0.7, "elements": 2.0}
LATENCY_CYCLES = 4

# Vectors that take two turns of a unit, or more units at once: shorter ones take half of that.
WIDE_BYTES = 64

# Most products share one tile, so that little is compiled; others must be better by this factor.
COMMON_TILES = {32: (6, 4), 16: (6, 2)}  # by the number of registers
COMMON_FACTOR = 0.96
ROWS = (1, 2, 3, 4, 5, 6, 8, 12)

# A panel of y under a row of tiles stays in the second cache, or even in the first: there if tiles can be added to the
# result again and again because it is in the second one, or if the columns of x take much of that.
PANEL_BYTES, NEAR_PANEL = 1 << 17, 3 << 14
SMALL_RESULT = 1 << 19
NEAR_BYTES = 1 << 14
# Rows of y this far apart fall into few sets of the caches, and from the second on there are more pages than addresses
# are remembered of: panels that many tiles use are copied.
FAR_BYTES = 8192
FAR_ROWS = 1024
FAR_PANEL = 1 << 17
COPY_TILES = 8
# The same for columns of x, which are copied for so many panels of y, all at once unless they are too many bytes.
FAR_COLUMNS = 2048
MANY_PANELS = 4
MOST_COPIED = 1 << 25

# Rows or columns of the smallest part of a product that is given to BLAS.
BLAS_UNIT = 48

# Products of fewer tiles than this with long sums are cut along k, into at most so many parts.
FEW_TILES = 4
MOST_PARTS = 16

# One chunk of work for a thread is at least this long; Ctrl-C is looked for in products longer than the second.
CHUNK_CYCLES = 40_000
POLL_CYCLES = 5_000_000


class Panels(NamedTuple):
    """Which operands of a product are copied to panels before."""

    x: bool = False
    y: bool = False


NO_PANELS = Panels()


@dataclass(frozen=True)
class Plan:
    """How a product is computed.

    Attributes:
        spec: the product, after an exchange of the operands if `is_swapped`.
        is_swapped: whether the result is computed as the transpose of y.T @ x.T.
        tile: the register tile.
        packs: whether panels of y are copied to scratch.
        packs_x: whether all of x is copied to panels before, if the product is done as a whole.
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
    packs_x: bool = False

    @property
    def columns(self) -> int:
        """How many columns of the result a tile covers."""
        return self.spec.n if self.tile.masked else self.tile.columns

    @property
    def extent(self) -> int:
        """Rows, or columns, that threads divide."""
        return self.spec.n if self.by_columns else self.spec.m

    @property
    def unit(self) -> int:
        """How many of them belong to one tile."""
        return self.columns if self.by_columns else self.tile.rows

    @property
    def is_direct(self) -> bool:
        """Whether tiles can be stored where they belong in the result, or added to what is there."""
        side_by_side = self.spec.out_strides[1] == 1 or self.tile.columns == 1
        return side_by_side and (self.tile.kind == "outer" or not self.spec.accumulate)

    @property
    def is_single(self) -> bool:
        """Whether a matrix is exactly one tile, computed in place."""
        fits = (self.spec.m, self.spec.n, self.spec.k) == (
            self.tile.rows,
            self.columns,
            self.k_block,
        )
        return fits and self.is_direct and not self.packs and self.tile.kind != "blas"


def lanes_of_dtype(dtype: np.dtype, target: Target) -> int:
    """Lanes of a vector register; half precision is held there as float32."""
    return target.vector_bytes // max(4, dtype.itemsize) if dtype.name in VECTOR_DTYPES else 0


@functools.cache
def plan_dot(spec: DotSpec, target: Target) -> Plan:
    """The cheapest plan for a product that has elements and terms."""
    if prefers_blas(spec, target):
        return _blas_plan(spec)
    lanes = lanes_of_dtype(spec.dtype, target)
    if not lanes:
        return _scalar_plan(spec)
    candidates = []
    for is_swapped in (False, True):
        turned = spec.swapped() if is_swapped else spec
        candidates += [
            plan
            for plan in (
                _outer_plan(turned, is_swapped, lanes, target),
                _inner_plan(turned, is_swapped, lanes),
            )
            if plan
        ]
    return min(candidates, key=lambda plan: plan.cycles)


def count_parts(plan: Plan) -> int:
    """Into how many parts the sums of a product are cut, because it has too few tiles for threads; mostly 1."""
    spec = plan.spec
    few = spec.batches == 1 and ceil(plan.extent, plan.unit) < FEW_TILES
    if not few or is_half(spec.dtype) or spec.dtype.kind == "b":
        return 1
    return max(1, min(MOST_PARTS, int(plan.cycles / (2 * CHUNK_CYCLES))))


def _scalar_plan(spec: DotSpec) -> Plan:
    tile = Tile(spec.dtype, 0, 1, 1, "inner")
    cycles = spec.batches * spec.m * spec.n * (CALL_CYCLES + LATENCY_CYCLES * spec.k)
    return Plan(spec, False, tile, False, spec.k, False, cycles)


def _blas_plan(spec: DotSpec) -> Plan:
    """Threads get the longer side in pieces of `BLAS_UNIT`."""
    tile = Tile(spec.dtype, 0, min(spec.m, BLAS_UNIT), min(spec.n, BLAS_UNIT), "blas")
    cycles = spec.batches * spec.m * spec.n * spec.k * spec.dtype.itemsize / 64
    return Plan(spec, False, tile, False, spec.k, spec.m < spec.n, cycles)


def ceil(a: int, b: int) -> int:
    return -(-a // b)


# --- tiles with vectors along a row of the result ---


@functools.cache
def outer_shapes(registers: int) -> list[tuple[int, int]]:
    """Rows and vectors of tiles that fit the registers: the sums, a row of y, and one number of x."""
    return [
        (rows, width)
        for rows, width in itertools.product(ROWS, range(1, 9))
        if rows * width + width + 1 < registers
    ]


def _outer_plan(spec: DotSpec, is_swapped: bool, lanes: int, target: Target) -> Plan:
    shapes = [
        shape
        for shape in outer_shapes(target.registers)
        if shape[0] <= spec.m and shape[1] <= ceil(spec.n, lanes)
    ]
    tail = short_tail(spec.n, lanes, target)
    costs = {shape: _outer_cycles(spec, lanes, *shape, tail) for shape in shapes}
    if COMMON_TILES[target.registers] in costs:
        costs[COMMON_TILES[target.registers]] *= COMMON_FACTOR
    rows, width = shape = min(shapes, key=lambda shape: costs[shape])
    cycles = costs[shape]
    packs = spec.y_strides[1] != 1 or _copies_pay(spec, rows, width * lanes)
    is_wide = spec.n < width * lanes
    tail = tail if is_wide else 0
    masked = is_wide and spec.n % (tail or lanes) != 0
    tile = Tile(spec.dtype, lanes, rows, width, "outer", masked, tail)
    by_columns = ceil(spec.m, rows) < ceil(spec.n, tile.columns) or packs
    if by_columns and ceil(spec.n, tile.columns) * spec.batches == 1:
        by_columns = False
    is_small = spec.m * spec.n * spec.dtype.itemsize < SMALL_RESULT
    panel = NEAR_PANEL if is_small or is_turned(spec) else PANEL_BYTES
    k_block = _k_block(spec, panel // (tile.columns * spec.dtype.itemsize))
    if packs:
        cycles += spec.n * spec.k * copy_cycles(spec)
    if spec.out_strides[1] != 1:
        cycles += SCATTER_CYCLES * spec.m * spec.n * ceil(spec.k, k_block)
    plan = Plan(spec, is_swapped, tile, packs, k_block, by_columns, cycles * spec.batches)
    return replace(plan, packs_x=by_columns and is_far(plan))


def fills_panels(plan: Plan) -> bool:
    """Whether operands can be copied to panels before: a product of two matrices in tiles that are whole."""
    return plan.spec.batches == 1 and plan.tile.kind == "outer" and not plan.tile.masked


def is_far(plan: Plan) -> bool:
    """Whether what a step of a tile reads of x lies on another page than for the next, and many tiles read it."""
    spec, size = plan.spec, plan.spec.dtype.itemsize
    lies_apart = is_turned(spec) and abs(spec.x_strides[1]) * size >= FAR_COLUMNS
    is_affordable = spec.m * spec.k * size <= MOST_COPIED
    is_read_often = ceil(spec.n, plan.columns) >= MANY_PANELS
    return lies_apart and is_affordable and is_read_often and fills_panels(plan)


def is_turned(spec: DotSpec) -> bool:
    """Whether the columns of x are contiguous."""
    return spec.x_strides[0] == 1 and spec.x_strides[1] != 1


def short_tail(n: int, lanes: int, target: Target) -> int:
    """Lanes of a shorter vector for the last columns of a row, which takes half the time of one of 64 bytes."""
    rest = n % lanes
    if target.vector_bytes < WIDE_BYTES or not rest or 2 * rest > lanes:
        return 0
    return lanes // 4 if 4 * rest <= lanes else lanes // 2


def _outer_cycles(spec: DotSpec, lanes: int, rows: int, width: int, tail: int) -> float:
    vectors = ceil(spec.n, lanes)
    tiles = ceil(spec.m, rows) * ceil(vectors, width)
    # A vector that is not in the first cache takes two cycles.
    is_near = spec.m > rows and spec.k * width * lanes * spec.dtype.itemsize <= NEAR_BYTES
    load = 1 if is_near else 2
    sums = rows * (width - 0.5 if tail and width == vectors else width)
    step = max(sums, rows + load * width, LATENCY_CYCLES)
    return tiles * (CALL_CYCLES + STORE_CYCLES * rows * width + step * spec.k)


def _copies_pay(spec: DotSpec, rows: int, columns: int) -> bool:
    stride = abs(spec.y_strides[0]) * spec.dtype.itemsize
    is_far = stride >= FAR_BYTES or (stride >= FAR_ROWS and stride * spec.k > FAR_PANEL)
    return is_far and spec.m >= rows * COPY_TILES and spec.n >= columns


def copy_cycles(spec: DotSpec) -> float:
    """Per element of y, to make a panel of it."""
    row, column = spec.y_strides
    return COPY_CYCLES["rows" if column == 1 else "squares" if row == 1 else "elements"]


def _k_block(spec: DotSpec, limit: int) -> int:
    """Equal blocks of at most `limit`; one block where the sum of blocks would be rounded."""
    return spec.k if is_half(spec.dtype) else ceil(spec.k, ceil(spec.k, limit))


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
        cycles += spec.n * spec.k * COPY_CYCLES["elements"]
    by_columns = spec.m < spec.n
    return Plan(spec, is_swapped, tile, packs, spec.k, by_columns, cycles * spec.batches)
