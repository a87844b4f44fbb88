"""Which elements of its operands a lazy node needs, and of which parts an array is put together."""

from __future__ import annotations

from collections.abc import Iterator

from funcgrad.compiler.lowering.graph import (
    Concatenate,
    Full,
    Gather,
    Map,
    Node,
    Place,
    View,
    Window,
)
from funcgrad.compiler.lowering.index import Index, broadcast_index


def operand_reads(node: Node, index: Index | None) -> Iterator[tuple[Node, Index | None]]:
    """The elements of its operands from which an element of a lazy node is computed."""
    if index is None or not isinstance(node, Map | Gather | Window):
        for operand in node.operands:
            yield operand, None
    elif isinstance(node, Map):
        for operand in node.operands:
            yield operand, broadcast_index(index, operand.shape, node.shape)
    elif isinstance(node, Gather):
        yield node.operands[0], None
        rank = max((len(i.shape) for i in node.operands[1:]), default=0)
        for operand in node.operands[1:]:
            yield operand, broadcast_index(index[:rank], operand.shape, node.shape[:rank])
    else:
        yield node.operands[0], None
        for operand in node.operands[1:]:
            yield operand, index[: node.lead]


def behind_views(node: Node) -> Node:
    while isinstance(node, View):
        node = node.operands[0]
    return node


def pieces_of(node: Concatenate | Place) -> list[tuple[Node, tuple]]:
    """The parts of an array that is put together in memory, in the order in which they are written."""
    whole = tuple([(0, n, 1) for n in node.shape])
    if isinstance(node, Place):
        inner, *rest = node.operands
        base = rest[0] if rest else Full(node.type, 0)
        return [(base, whole), (inner, node.spec)]
    pieces, start = [], 0
    for operand in node.operands:
        stop = start + operand.shape[node.axis]
        spec = (*whole[: node.axis], (start, stop, 1), *whole[node.axis + 1 :])
        pieces.append((operand, spec))
        start = stop
    return pieces
