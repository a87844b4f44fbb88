"""Chains of views: the index they map to, and the memory that lies behind them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

from funcgrad.compiler.lowering.graph import Node, Step, View
from funcgrad.compiler.lowering.index import (
    ZERO,
    Affine,
    Index,
    broadcast_index,
    combine,
    flat_offset,
    is_affine_reshape,
    reshape_index,
    slice_index,
    strides_of,
    transpose_index,
    variable,
)


def view_index(node: View, index: Index) -> Index | None:
    """The index into the operand of a view; None if it is not affine."""
    source = node.operands[0].shape
    if node.how == "reshape":
        return reshape_index(index, source, node.shape)
    if node.how == "transpose":
        return transpose_index(index, node.argument)
    if node.how == "slice":
        return slice_index(index, node.argument, source)
    return broadcast_index(index, source, node.shape)


def is_affine(node: View) -> bool:
    """Whether every index has an affine index into the operand."""
    return node.how != "reshape" or is_affine_reshape(node.operands[0].shape, node.shape)


def contiguous_base(node: Node) -> tuple[Node, int] | None:
    """The node whose memory holds the elements of a chain of views in C order, and where they begin."""
    index: Index | None = tuple([variable(i) for i in range(len(node.shape))])
    wanted = combine(
        [
            (variable(i), stride)
            for i, (stride, n) in enumerate(zip(strides_of(node.shape), node.shape, strict=True))
            if n != 1
        ]
    )
    index = tuple([ZERO if n == 1 else i for i, n in zip(index, node.shape, strict=True)])
    shape = node.shape
    while isinstance(node, View):
        operand = node.operands[0]
        if node.how == "reshape":
            # In memory a reshape changes nothing, whatever the index of its axes would be.
            found = reshape_index(index, operand.shape, shape) if index is not None else None
            if found is None and not _is_plain(index, shape, wanted):
                return None
            index = found or tuple(
                [ZERO if n == 1 else variable(i) for i, n in enumerate(operand.shape)]
            )
            if found is None:
                wanted = flat_offset(index, operand.shape)
        else:
            index = view_index(node, index) if index is not None else None
        if index is None:
            return None
        node, shape = operand, operand.shape
    offset = flat_offset(index, shape)
    if offset.terms != wanted.terms or offset.dynamic:
        return None
    return node, offset.constant


def _is_plain(index: Index | None, shape: tuple[int, ...], wanted: Affine) -> bool:
    """Whether an index names the elements of an array in their own order, and all of them."""
    return (
        index is not None
        and all(
            n == 1 or i.key == variable(k).key
            for k, (i, n) in enumerate(zip(index, shape, strict=True))
        )
        and flat_offset(index, shape).key == wanted.key
    )


class Located(NamedTuple):
    """Where the elements of a node lie in the memory of another: offset and strides in elements."""

    base: Node
    offset: int
    strides: tuple[int, ...]


def located(node: Node) -> Located | None:
    """The memory behind a chain of views that holds its elements in C order; None if none does."""
    base = contiguous_base(node)
    return None if base is None else Located(*base, strides_of(node.shape))


def located_anyhow(node: Node) -> Located:
    """The memory behind a chain of views, in any order: down to a view whose positions are not affine."""
    found = located(node)
    if found is not None:
        return found
    axes = range(len(node.shape))
    index: Index = tuple([ZERO if node.shape[i] == 1 else variable(i) for i in axes])
    start = 0
    while isinstance(node, View):
        inner = view_index(node, index)
        if inner is None:
            break
        node, index = node.operands[0], inner
    offset = flat_offset(index, node.shape)
    behind = contiguous_base(node)
    if behind is not None:
        node, start = behind
    return Located(node, start + offset.constant, tuple([offset.factor(i) for i in axes]))


def merged_axes(
    shape: Sequence[int], strides: Sequence[int], axes: Sequence[int]
) -> tuple[int, int] | None:
    """The length and stride of neighbouring axes counted as one; None if they do not lie so."""
    wide = [a for a in axes if shape[a] != 1]
    for outer, inner in itertools.pairwise(wide):
        if strides[outer] != strides[inner] * shape[inner]:
            return None
    return math.prod(shape[a] for a in axes), strides[wide[-1]] if wide else 1


def rows_in_memory(node: Node) -> Located | None:
    """Where the rows along the last axis lie, if each is contiguous and begins at a multiple of 16 bytes."""
    found, unit = located_anyhow(node), 16 // node.dtype.itemsize
    *outer, inner = found.strides
    steps = [step for n, step in zip(node.shape, outer, strict=False) if n != 1]
    is_aligned = all(step > 0 and step % unit == 0 for step in steps) and found.offset % unit == 0
    return found if inner == 1 and is_aligned else None


def step_strides(step: Step, operand: Node) -> Located | None:
    """Where a matrix product finds an operand; None if it must be copied first: its axes must merge into those of
    a matrix, none of which runs backward or stands still. Attention takes any rows of queries, keys and values."""
    if step.how == "attention":
        return rows_in_memory(operand) if operand in step.operands[:3] else located(operand)
    found = located_anyhow(operand)
    # A product of an array with itself reads it in two ways.
    places = [place for place, known in enumerate(step.operands) if known is operand]
    for axes in [axes for place in places for axes in matrix_axes(step, place)]:
        merged = merged_axes(operand.shape, found.strides, axes)
        if merged is None or (merged[0] > 1 and merged[1] <= 0):
            return None
    return found


def matrix_axes(step: Step, place: int) -> tuple[range, range]:
    """The axes of the first (0) or second operand of a product that are the rows and the columns of its matrices."""
    rank, batch = len(step.operands[place].shape), step.params["batch"]
    contract = step.params["contract"]
    middle = batch + contract if place else rank - contract
    return range(batch, middle), range(middle, rank)
