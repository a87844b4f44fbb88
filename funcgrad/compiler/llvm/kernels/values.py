"""Elements of nodes inside a loop nest: loaded, or computed from elements of their operands.

Inside a vector loop a value is a vector if its index moves with the loop, else a scalar.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.compiler.llvm.builder import Function
from funcgrad.compiler.llvm.kernels.elements import apply
from funcgrad.compiler.llvm.kernels.memory import FAR_BYTES
from funcgrad.compiler.llvm.kernels.parts import PartWriter
from funcgrad.compiler.llvm.kernels.scopes import Placed
from funcgrad.compiler.llvm.types import Value, lanes_of
from funcgrad.compiler.lowering.elements import Element
from funcgrad.compiler.lowering.graph import (
    Concatenate,
    Constant,
    Full,
    Gather,
    Iota,
    Map,
    Node,
    Place,
    Reduce,
    View,
    Window,
    operand_dtypes,
)
from funcgrad.compiler.lowering.index import Index, broadcast_index, flat_offset
from funcgrad.compiler.lowering.plan import nbytes
from funcgrad.compiler.lowering.schedule import Schedule


class ValueWriter(PartWriter):
    """Computes elements at the current place of a loop nest.

    Args:
        buffers: addresses of the nodes in memory.
        lanes: elements per vector.
        failure: address of the record that an index out of bounds is written to.
    """

    def __init__(
        self,
        function: Function,
        schedule: Schedule,
        buffers: dict[Any, Value],
        lanes: int,
        failure: Value | None,
    ) -> None:
        super().__init__(function, schedule, buffers, lanes, failure)
        self.kernel = schedule.kernel

    def value(self, node: Node, index: Index) -> Placed:
        """An element of a node."""
        place = tuple([part.key for part in index])
        key = (node, place, tuple([id(gate) for gate in self.gates]))
        keys = [key, (node, place, ())] if self.gates else [key]  # what is known everywhere will do
        for known in keys:
            for scope in reversed(self.scopes):
                if known in scope.memo:
                    return scope.memo[known]
        placed = self.compute(node, index)
        # What holds only in a part of a loop is not known outside of it.
        depth = max(map(self.depth_of, index), default=0) if self.is_narrow else 0
        self.scopes[max(depth, placed.depth)].memo[key] = placed
        return placed

    def define(self, node: Node, index: Index, value: Value) -> None:
        """An element that was computed elsewhere, in the loop that is now innermost."""
        depth = len(self.scopes) - 1
        key = (node, tuple([part.key for part in index]), ())
        self.scopes[depth].memo[key] = Placed(value, depth)

    def compute(self, node: Node, index: Index) -> Placed:
        if isinstance(node, Constant | Full):
            return Placed(self.number(node.dtype, node.value), 0)
        if isinstance(node, Iota):
            return self.converted(
                self.index_value(index[node.axis]), np.dtype(np.int64), node.dtype
            )
        if self.is_loaded(node):
            offset = flat_offset(index, node.shape)
            return self.load(self.buffers[node], offset, node.dtype, self.is_far(node))
        if self.written.get(node, self.phase) < self.phase:
            return self.load(self.buffers[node], flat_offset(index, node.shape), node.dtype)
        if self.is_kept(node):
            return self.load_kept(node)
        if isinstance(node, View):
            return self.view(node, index)
        if isinstance(node, Map):
            return self.map(node, index)
        return self.gated(node, index)

    def is_far(self, node: Node) -> bool:
        """Whether the innermost loop reads a large array for the first time."""
        levels = self.schedule.levels
        is_first = self.phase == 0 and bool(levels) and levels[-1].is_vector
        return is_first and nbytes(node) >= FAR_BYTES

    def is_loaded(self, node: Node) -> bool:
        return node in self.buffers and not self.is_member(node)

    def is_member(self, node: Node) -> bool:
        return node in self.kernel.axes

    def gated(self, node: Node, index: Index) -> Placed:
        if isinstance(node, Place):
            return self.place(node, index)
        if isinstance(node, Concatenate):
            return self.concatenate(node, index)
        if isinstance(node, Gather):
            return self.gather(node, index)
        if isinstance(node, Window):
            return self.window(node, index)
        if isinstance(node, Reduce):
            # An outer gate does not change what a row holds.
            saved, self.gates = self.gates, []
            found = self.value(node, index)
            self.gates = saved
            return found
        raise AssertionError(f"{node} is not in memory")

    def map(self, node: Map, index: Index) -> Placed:
        """One elementwise operation."""
        dtypes = operand_dtypes(node.primitive, node.operands)
        operands, depth = [], 0
        for operand, dtype in zip(node.operands, dtypes, strict=True):
            if isinstance(operand, Constant):
                placed = Placed(self.number(dtype, operand.value), 0)
            else:
                placed = self.value(operand, broadcast_index(index, operand.shape, node.shape))
                placed = self.converted(placed, operand.dtype, dtype)
            operands.append((dtype, placed))
            depth = max(depth, placed.depth)
        lanes = max([lanes_of(placed.value.type) for _, placed in operands], default=0)
        numbers = [o.value if isinstance(o, Constant) else None for o in node.operands]
        elements = [
            Element(dtype, self.wide(placed, lanes), number)
            for (dtype, placed), number in zip(operands, numbers, strict=True)
        ]
        with self.at(depth):
            out = apply(self.f, node.primitive, node.params, elements, node.dtype, lanes)
        placed = Placed(out, depth)
        if node in self.kept:
            self.save(node, placed)
        return placed
