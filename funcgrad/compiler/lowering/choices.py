"""Arrays that are put together from parts: from which part an element may come, as far as ranges of loops decide it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from funcgrad.compiler.lowering.graph import Concatenate, Node, Place
from funcgrad.compiler.lowering.index import Affine, Index, combine

Ranges = Sequence[range]  # what each loop variable runs through


def whole_ranges(domain: Sequence[int]) -> list[range]:
    """The ranges of loops of these lengths."""
    return [range(max(length, 1)) for length in domain]


def is_inside(part: Affine, length: int, ranges: Ranges) -> bool | None:
    """Whether an index lies in `range(length)`; None if that depends on the loop variables, or on values."""
    if part.dynamic:
        return None
    low = high = part.constant
    for name, factor in part.terms:
        ends = factor * ranges[name][0], factor * ranges[name][-1]
        low, high = low + min(ends), high + max(ends)
    if high < 0 or low >= length:
        return False
    return True if low >= 0 and high < length else None


class Part(NamedTuple):
    """An operand that may hold an element: the index in it, that along the axis, and whether it does in any case."""

    operand: Node
    index: Index
    place: Affine
    is_certain: bool


def parts_at(node: Concatenate, index: Index, ranges: Ranges) -> list[Part]:
    """The operands that may hold an element of a concatenation; only one if that is certain."""
    found, start = [], 0
    for operand in node.operands:
        length = operand.shape[node.axis]
        place = combine([(index[node.axis], 1)], -start)
        start += length
        known = is_inside(place, length, ranges)
        if known is not False:
            inner = (*index[: node.axis], place, *index[node.axis + 1 :])
            found.append(Part(operand, inner, place, known is True))
    return found


class Entry(NamedTuple):
    """One axis of a slice that a part fills: the index counted from its first element, over steps, and their number.

    Attributes:
        place: where an element lies, counted from the first one of the slice in memory.
        step: the distance of elements of the slice there.
        count: how many there are.
        is_backward: whether the part fills them from the last to the first.
        is_axis: whether the part has this axis.
    """

    place: Affine
    step: int
    count: int
    is_backward: bool
    is_axis: bool


def entries_at(node: Place, index: Index) -> list[Entry]:
    """Where an element of an array lies in the slice that its part fills, axis by axis."""
    found = []
    for part, entry, length in zip(index, node.spec, node.shape, strict=True):
        if isinstance(entry, int):
            found.append(Entry(combine([(part, 1)], -(entry % length)), 1, 1, False, False))
            continue
        span = range(*slice(*entry).indices(length))
        backward = span.step < 0 and len(span) > 0
        first = 0 if not span else span[-1] if backward else span.start
        place = combine([(part, 1)], -first)
        found.append(Entry(place, abs(span.step), len(span), backward, True))
    return found


def is_in_slice(entries: Sequence[Entry], ranges: Ranges) -> bool | None:
    """Whether an element lies in the slice that a part fills; None if the loop variables decide that."""
    known = [is_inside(e.place, (e.count - 1) * e.step + 1, ranges) for e in entries]
    if False in known:
        return False
    certain = all(test and entry.step == 1 for test, entry in zip(known, entries, strict=True))
    return True if certain else None


def borders_of(part: Affine, length: int) -> dict[int, set[int]]:
    """The counts of a loop variable at which an index enters or leaves `range(length)`, if there is only one."""
    if part.dynamic or len(part.terms) != 1 or abs(part.terms[0][1]) != 1:
        return {}
    name, factor = part.terms[0]
    if factor == 1:
        return {name: {-part.constant, length - part.constant}}
    return {name: {part.constant - length + 1, part.constant + 1}}
