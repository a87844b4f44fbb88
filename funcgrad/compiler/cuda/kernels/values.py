"""Elements of nodes inside the loops of a kernel, as C text: loaded, or computed from elements of their operands.

Every value is computed in the outermost scope that knows its index, and once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.compiler.cuda.kernels.elements import Elements, apply
from funcgrad.compiler.cuda.kernels.memory import MemoryWriter
from funcgrad.compiler.cuda.kernels.places import Placed
from funcgrad.compiler.cuda.kernels.scalars import convert, number, register_type, sections
from funcgrad.compiler.lowering.elements import Element
from funcgrad.compiler.lowering.graph import (
    Constant,
    Full,
    Iota,
    Map,
    Node,
    View,
    operand_dtypes,
)
from funcgrad.compiler.lowering.index import Index, broadcast_index, combine, flat_offset
from funcgrad.compiler.lowering.views import contiguous_base, view_index


class ValueWriter(MemoryWriter):
    """Computes elements at the current place."""

    def value(self, node: Node, index: Index) -> Placed:
        """An element of a node."""
        key = (node, tuple([part.key for part in index]), tuple([id(gate) for gate in self.gates]))
        for scope in reversed(self.scopes):
            if key in scope.memo:
                return scope.memo[key]
        placed = self.remembered(key, node) or self.compute(node, index)
        self.scopes[placed.depth].memo[key] = placed
        return placed

    def remembered(self, key: Any, node: Node) -> Placed | None:
        """A value that an earlier pass over the row has kept; rows override this."""
        del key, node
        return None

    def define(self, node: Node, index: Index, placed: Placed) -> None:
        """An element that was computed elsewhere."""
        key = (node, tuple([part.key for part in index]), ())
        self.scopes[placed.depth].memo[key] = placed

    def compute(self, node: Node, index: Index) -> Placed:
        if isinstance(node, Constant | Full):
            return Placed(self.number(node.dtype, node.value), 0)
        if isinstance(node, Iota):
            return self.converted(self.index_value(index[node.axis]), self.index_dtype, node.dtype)
        if node in self.in_memory and not self.is_member(node):
            return self.load(node, flat_offset(index, node.shape), node.dtype)
        if isinstance(node, View):
            return self.view(node, index)
        if isinstance(node, Map):
            return self.map(node, index)
        return self.gated(node, index)

    def is_member(self, node: Node) -> bool:
        return node in self.kernel.axes

    def gated(self, node: Node, index: Index) -> Placed:
        """A part of an array chosen by where or by what an index is; see `ChoosingWriter`."""
        raise AssertionError(f"{node} is not in memory")

    def number(self, dtype: np.dtype, value: Any) -> str:
        self.used |= sections(dtype)
        return number(dtype, value)

    def map(self, node: Map, index: Index) -> Placed:
        """One elementwise operation."""
        dtypes = operand_dtypes(node.primitive, node.operands)
        operands, depth = [], 0
        for operand, dtype in zip(node.operands, dtypes, strict=True):
            if isinstance(operand, Constant):
                operands.append(Element(dtype, self.number(dtype, operand.value), operand.value))
                continue
            placed = self.value(operand, broadcast_index(index, operand.shape, node.shape))
            placed = self.converted(placed, operand.dtype, dtype)
            operands.append(Element(dtype, placed.text))
            depth = max(depth, placed.depth)
        elements = Elements(self.scopes[depth].block, self.names, self.used, node.dtype)
        return Placed(
            apply(elements, node.primitive, node.params, operands, node.dtype).value, depth
        )

    def converted(self, placed: Placed, source: np.dtype, target: np.dtype) -> Placed:
        if source == target:
            return placed
        self.used |= sections(source, target)
        return self.let(register_type(target), convert(placed.text, source, target), placed.depth)

    def view(self, node: View, index: Index) -> Placed:
        found = view_index(node, index)
        if found is not None:
            return self.value(node.operands[0], found)
        owner, start = contiguous_base(node) or (node.operands[0], 0)
        offset = combine([(flat_offset(index, node.shape), 1)], start)
        return self.load(owner, offset, node.dtype)

    # --- values in order ---

    def compute_members(self, roots: Sequence[Node]) -> None:
        """Compute what these need in the order of the graph."""
        for node in self.kernel.members_for(roots, self.is_handed_on):
            if self.schedule.is_computed(node):
                self.value(node, self.kernel.index(node))

    def is_handed_on(self, node: Node) -> bool:
        """Whether a node is remembered from a pass before, rather than computed from its operands."""
        del node
        return False
