"""Parts of products: how kernels that read the result, or write an operand, can do so part by part.

A part is some rows of a product, or some columns. A kernel can follow if one of its loops, or some that count like
one, move every access by whole rows, and everything else moves it inside of a row.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from funcgrad.compiler.lowering.graph import Node
from funcgrad.compiler.lowering.index import Affine
from funcgrad.compiler.lowering.kernels import Kernel
from funcgrad.compiler.lowering.schedule import MAX_COLUMN_CHUNKS, Schedule

PART_BYTES = 1 << 19  # of all that a kernel touches in one part: it stays in the second cache


class Division(NamedTuple):
    """One way in which a product falls into parts.

    Attributes:
        by_columns: whether parts are columns of the result, else rows, which are counted on through the batch.
        count: of rows (or columns).
        unit: a part should hold a multiple of so many.
        wanted: parts that are enough for threads.
        most: parts from which on the product becomes slower.
        needs: an array with as many rows, of which a part of the result needs only its own; None if there is none.
    """

    by_columns: bool
    count: int
    unit: int
    wanted: int
    most: int
    needs: Node | None = None


def divided(schedule: Schedule, node: Node, division: Division) -> tuple[Schedule, int] | None:
    """A schedule for a kernel whose chunks read or write an array in the parts of a product, and the size of a part."""
    kernel = schedule.kernel
    if schedule.is_chosen(node):
        return None
    offsets = [access.offset for access in schedule.accesses if access.node is node]
    for counter in counters(kernel, offsets, node.type.size, division):
        names = [name for name, _ in counter.terms]
        tried = schedule
        found = counting_level(tried, names)
        if found is None:
            tried = Schedule(kernel, schedule.in_memory, frozenset(names))
            found = counting_level(tried, names)
        if found is None:
            continue
        level, inside = found
        size = part_size(tried, level, counter.step, division)
        if size < division.count:
            tried.divide(level, size // counter.step * inside)
            return tried, size
    return None


class Counter(NamedTuple):
    """Variables that count like one, outermost first, with their factors; it moves on by `step` rows (or columns)."""

    terms: tuple[tuple[int, int], ...]
    step: int


def counters(
    kernel: Kernel, offsets: Sequence[Affine], size: int, division: Division
) -> Iterator[Counter]:
    """Counters of all rows (or columns) of an array of this size, the same at all these offsets.

    Those of many variables come first: they divide into smaller parts.
    """
    length = division.count if division.by_columns else size // division.count
    width = 1 if division.by_columns else length
    parts = [Position.of(offset, length, division.by_columns) for offset in offsets]
    ordered = sorted(parts[0].terms, key=lambda term: -term[1])
    for count in range(len(ordered), 0, -1):
        terms = tuple(ordered[:count])
        last, factor = terms[-1]
        is_whole = terms[0][1] * kernel.domain[terms[0][0]] == division.count * width
        is_one = all(
            outer[1] == inner[1] * kernel.domain[inner[0]]
            for outer, inner in itertools.pairwise(terms)
        )
        is_same = all(part.is_counted(kernel, terms) for part in parts)
        if is_whole and is_one and is_same and factor > 0 and factor % width == 0:
            yield Counter(terms, factor // width)


class Position(NamedTuple):
    """The part of an offset that says in which row, or in which column, it lies."""

    terms: tuple[tuple[int, int], ...]
    constant: int
    is_known: bool

    @staticmethod
    def of(offset: Affine, length: int, by_columns: bool) -> Position:
        known = not offset.dynamic
        if not by_columns:
            return Position(offset.terms, offset.constant, known)
        inside = tuple([term for term in offset.terms if term[1] % length])
        return Position(inside, offset.constant % length, known)

    def is_counted(self, kernel: Kernel, counter: tuple[tuple[int, int], ...]) -> bool:
        """Whether the counter moves it so, and everything else moves it by less than a step of the counter."""
        rest = [term for term in self.terms if term not in counter]
        low = self.constant + sum(min(0, f * (kernel.domain[v] - 1)) for v, f in rest)
        high = self.constant + sum(max(0, f * (kernel.domain[v] - 1)) for v, f in rest)
        follows = len(rest) == len(self.terms) - len(counter)
        return self.is_known and follows and low >= 0 and high < counter[-1][1]


def counting_level(schedule: Schedule, names: list[int]) -> tuple[int, int] | None:
    """The level of a schedule that these variables begin, and by how much its other variables divide a step."""
    for number, level in enumerate(schedule.levels):
        if level.variables[: len(names)] == names:
            if level.is_row and schedule.kernel.row is not None:
                return None
            others = level.variables[len(names) :]
            return number, math.prod(schedule.kernel.domain[name] for name in others)
    return None


def part_size(schedule: Schedule, level: int, step: int, division: Division) -> int:
    """Rows (or columns) of a part: enough parts for caches and threads, but no more than the product bears."""
    variable = schedule.levels[level].variables[0]
    nodes = {a.node for a in schedule.accesses if a.offset.factor(variable)}
    size = sum(node.type.size * node.dtype.itemsize for node in nodes)
    parts = min(max(division.wanted, size // PART_BYTES), division.most)
    if schedule.needs_partials(level):
        parts = min(parts, MAX_COLUMN_CHUNKS)
    whole = math.lcm(division.unit, step)
    whole = whole if whole < division.count else step
    return -(-division.count // (parts * whole)) * whole
