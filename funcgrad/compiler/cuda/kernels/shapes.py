"""Sizes of launches: how many elements a thread takes at once, how many threads share a row, and who divides it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from funcgrad.compiler.lowering.graph import Node
from funcgrad.compiler.lowering.schedule import Schedule

THREADS = 256  # of a block that has no rows to share
WARP = 32
MAX_LANES = 8
WARP_TURNS = 8  # vectors that each thread of a warp takes of a row; longer rows have a block
BLOCK_TURNS = 4  # the same for the threads of a block, while there are enough of them
MAX_TURNS = 32  # vectors of a thread up to which each has code of its own
ROW_THREADS = 512  # of a row that is kept: two blocks share a multiprocessor, one reads while the other computes
MAX_THREADS = 1024
# Elements from which on the width of accesses counts for more than how many threads there are.
LARGE = 1 << 20
BLOCKS = 1056  # that keep a large GPU busy: eight for each of 132 multiprocessors
GATHERED_WORDS = 24  # registers of a thread for what it gathers from row to row
PART_TURNS = 4  # vectors per thread that make a part of a divided row worth its start


def up_to_power(n: int) -> int:
    """The smallest power of two that is not below `n`."""
    return 1 << max(0, n - 1).bit_length()


def choose_lanes(schedule: Schedule, aligned: frozenset[Node] | None) -> int:
    """How many neighbours along the vector level one thread takes: 16 bytes of the smallest dtype."""
    is_flat = len(schedule.levels) == 1  # then the last vector may be cut short
    sizes = [access.node.dtype.itemsize for access in schedule.accesses]
    smallest = min([size for size in sizes if size > 1], default=1)
    lanes = min(MAX_LANES, max(1, 16 // smallest))
    extent = next(level.extent for level in schedule.levels if level.is_vector)
    while lanes > 1:
        divides = extent % lanes == 0 or (is_flat and extent > lanes)
        if divides and vector_share(schedule, lanes, aligned) >= 0.5:
            return lanes
        lanes //= 2
    return 1


def vector_share(schedule: Schedule, lanes: int, aligned: frozenset[Node] | None) -> float:
    """Which share of the accesses that move with the vector level can be whole vectors."""
    vector = next(level for level in schedule.levels if level.is_vector)
    good = total = 0.0
    for access in schedule.accesses:
        factor = vector.factor(access.offset)
        if not factor:
            continue
        weight = 2.0 if access.is_store else 1.0
        others = [level.factor(access.offset) for level in schedule.levels if level is not vector]
        is_whole = factor == 1 and (aligned is None or access.node in aligned)
        is_whole &= all(n % lanes == 0 for n in (*others, access.offset.constant))
        is_whole &= all(n % lanes == 0 for _, n in access.offset.dynamic)
        good += weight * is_whole
        total += weight
    return good / total if total else 0.0


@dataclass(frozen=True)
class RowShape:
    """How rows are laid out over threads.

    Attributes:
        rows, length: how many rows there are, and elements of each.
        lanes: neighbours that one thread takes at once: of a row, or in columns of as many rows.
        group: threads that share a row.
        is_column: whether the threads of a group are `width` apart, because rows are neighbours in memory.
        width: rows of a block.
        parts: blocks that share a row, each with its part.
        is_unrolled: whether each turn has code of its own, so that values can be kept in registers.
    """

    rows: int
    length: int
    lanes: int
    group: int
    is_column: bool
    width: int
    parts: int
    is_unrolled: bool

    @property
    def threads(self) -> int:
        return self.group * self.width

    @property
    def step(self) -> int:
        """Elements of a row that a group takes at once."""
        return self.group * (1 if self.is_column else self.lanes)

    @property
    def row_groups(self) -> int:
        """How many groups of threads all rows need."""
        return self.rows // self.lanes if self.is_column else self.rows

    @property
    def part_length(self) -> int:
        """Elements of a part of a row."""
        return -(-self.length // (self.parts * self.step)) * self.step

    @property
    def turns(self) -> int:
        return -(-min(self.part_length, self.length) // self.step)

    @property
    def is_exact(self) -> bool:
        """Whether every turn of every thread is inside the row."""
        return self.parts * self.turns * self.step == self.length

    @property
    def blocks(self) -> int:
        return -(-self.row_groups // self.width) * self.parts


def row_shape(schedule: Schedule, passes: int, aligned: frozenset[Node] | None) -> RowShape:
    """The layout of a kernel with rows, for a whole grid."""
    outer, row = schedule.levels[: schedule.outer], schedule.levels[schedule.outer :]
    rows, length = (math.prod(level.extent for level in levels) for levels in (outer, row))
    if outer and outer[-1].is_vector:
        is_alone = passes == 1 and all(
            s.node in schedule.kernel.reduced for s in schedule.kernel.stores
        )
        lanes = choose_lanes(schedule, aligned) if is_alone and rows * length >= LARGE else 1
        return column_shape(rows, length, passes, lanes)
    lanes = choose_lanes(schedule, aligned)
    vectors = -(-length // lanes)
    if vectors <= WARP * WARP_TURNS:
        group = min(WARP, up_to_power(vectors))
        width = max(1, 128 // group)
        return RowShape(rows, length, lanes, group, False, width, 1, True)
    if passes > 1:
        group = min(ROW_THREADS, max(64, up_to_power(-(-vectors // BLOCK_TURNS))))
        group = MAX_THREADS if vectors > ROW_THREADS * MAX_TURNS else group
        is_short = vectors <= group * MAX_TURNS
        return RowShape(rows, length, lanes, group, False, 1, 1, is_short)
    group = THREADS if rows * 8 > BLOCKS or vectors > 4 * MAX_THREADS * PART_TURNS else MAX_THREADS
    group = min(group, up_to_power(vectors))
    parts = max(1, min(-(-BLOCKS // rows), vectors // (group * PART_TURNS)))
    return RowShape(rows, length, lanes, group, False, 1, parts, False)


def gathering_shape(
    schedule: Schedule, columns: int, aligned: frozenset[Node] | None
) -> RowShape | None:
    """The layout of rows whose threads also gather reductions over the rows, each at its place: None if none fits.

    Args:
        columns: how many results each place of a row has.
    """
    outer, row = schedule.levels[: schedule.outer], schedule.levels[schedule.outer :]
    rows, length = (math.prod(level.extent for level in levels) for levels in (outer, row))
    if not row or row[-1].is_vector is False:
        return None
    lanes = choose_lanes(schedule, aligned)
    vectors = -(-length // lanes)
    turns = max(1, GATHERED_WORDS // (lanes * max(1, columns)))
    most = 1 if vectors <= WARP else BLOCK_TURNS if vectors <= ROW_THREADS else BLOCK_TURNS // 2
    group = min(MAX_THREADS, up_to_power(-(-vectors // min(turns, most))))
    if -(-vectors // group) > turns:
        return None
    width = max(1, min(THREADS // group, up_to_power(rows)))
    return RowShape(rows, length, lanes, group, False, width, 1, True)


def gathering_blocks(shape: RowShape) -> int:
    """How many blocks share the rows: few enough that what they write in the end is little of what they read."""
    most = BLOCKS // 2 * THREADS // max(THREADS, shape.threads)
    blocks = min(-(-shape.rows // shape.width), most)
    if shape.rows * shape.length < LARGE:
        return blocks
    return max(1, min(blocks, shape.rows // 8))


def column_shape(rows: int, length: int, passes: int, lanes: int) -> RowShape:
    """The layout where neighbours in memory belong to different rows."""
    blocks = -(-rows // (WARP * lanes))
    group = min(WARP if blocks < BLOCKS // 8 else 8, up_to_power(max(1, length // 4)))
    if passes > 1:
        turns = -(-length // group)
        return RowShape(rows, length, lanes, group, True, WARP, 1, turns <= MAX_TURNS)
    parts = max(1, min(-(-BLOCKS // (2 * blocks)), length // (group * PART_TURNS)))
    return RowShape(rows, length, lanes, group, True, WARP, parts, False)


def block_row_shape(schedule: Schedule) -> RowShape:
    """The layout for one block of any number of warps: groups within warps, which take rows in turn."""
    outer, row = schedule.levels[: schedule.outer], schedule.levels[schedule.outer :]
    rows, length = (math.prod(level.extent for level in levels) for levels in (outer, row))
    is_column = bool(outer) and outer[-1].is_vector and rows >= WARP
    group = 1 if is_column else min(WARP, up_to_power(length))
    turns = -(-length // group)
    return RowShape(rows, length, 1, group, False, 1, 1, turns <= MAX_TURNS)
