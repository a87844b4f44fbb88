"""Chains of views: the index they map to, and the memory that lies behind them."""

from __future__ import annotations

from funcgrad.compiler.graph import Node, View
from funcgrad.compiler.index import (
    ZERO,
    Index,
    broadcast_index,
    combine,
    flat_offset,
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
            if found is None and not _is_plain(index, shape):
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


def _is_plain(index: Index | None, shape: tuple[int, ...]) -> bool:
    """Whether an index names the elements of an array in their own order."""
    return index is not None and all(
        n == 1 or i.key == variable(k).key
        for k, (i, n) in enumerate(zip(index, shape, strict=True))
    )


def strided_base(node: Node) -> tuple[Node, Index] | None:
    """The node in memory behind a chain of affine views, and its index in terms of the axes of the view."""
    index: Index = tuple([ZERO if n == 1 else variable(i) for i, n in enumerate(node.shape)])
    while isinstance(node, View):
        found = view_index(node, index)
        if found is None:
            return None
        node, index = node.operands[0], found
    return node, index
