"""Values kept for the next pass over a row: in memory of one row on the stack, or where results were stored."""

from __future__ import annotations

import numpy as np

from funcgrad.compiler.llvm.builder import Function
from funcgrad.compiler.llvm.kernels.memory import Address, MemoryWriter
from funcgrad.compiler.llvm.kernels.registers import is_half, memory_type
from funcgrad.compiler.llvm.kernels.scopes import Placed
from funcgrad.compiler.llvm.types import Value, vector
from funcgrad.compiler.lowering.graph import Node
from funcgrad.compiler.lowering.index import Affine, combine
from funcgrad.compiler.lowering.schedule import Schedule


class RowMemory(MemoryWriter):
    """Keeps elements from one pass over a row to the next.

    Attributes:
        phase: the number of the pass that is being written.
        kept: the memory of a row of each node that has one.
        saved: nodes whose row is in that memory, and since which pass.
        written: results, and the pass that stored them.
        is_divided: whether the code for the innermost loop is written in parts.
    """

    def __init__(self, function: Function, schedule: Schedule, lanes: int) -> None:
        super().__init__(function, schedule, lanes)
        self.phase = 0
        self.kept: dict[Node, Value] = {}
        self.saved: dict[Node, int] = {}
        self.written: dict[Node, int] = {}
        self.is_divided = False

    def is_kept(self, node: Node) -> bool:
        """Whether an earlier pass over the row has kept a value."""
        return (
            self.written.get(node, self.phase) < self.phase
            or self.saved.get(node, self.phase) < self.phase
        )

    def keep(self, nodes: set[Node], length: int) -> None:
        """Give these nodes memory for one row."""
        for node in sorted(nodes, key=lambda n: n.number):
            count = length * (1 if self.row_is_vector() else self.lanes)
            element = (
                memory_type(np.dtype(np.float32))
                if is_half(node.dtype)
                else memory_type(node.dtype)
            )
            self.kept[node] = self.f.alloca(element, count)

    def row_is_vector(self) -> bool:
        return any(level.is_vector for level in self.schedule.levels if level.is_row)

    def kept_offset(self) -> Affine:
        """The place of the current point in the memory of a row."""
        rows = self.schedule.levels[self.schedule.outer :]
        parts, stride = [], 1
        for level in reversed(rows):
            parts.append((Affine(((level.variables[-1], 1),)), stride))
            stride *= level.extent
        return combine(parts)

    def kept_address(self, node: Node, dtype: np.dtype) -> Address:
        element = memory_type(dtype)
        offset = self.kept_offset()
        if self.row_is_vector():
            return self.address(self.kept[node], offset, element)
        index = self.scalar_index(offset)
        return Address(
            self.f.gep(self.kept[node], index, vector(self.lanes, element)),
            len(self.scopes) - 1,
            self.lanes,
        )

    def kept_dtype(self, node: Node) -> np.dtype:
        return np.dtype(np.float32) if is_half(node.dtype) else node.dtype

    def save(self, node: Node, placed: Placed) -> None:
        """Store a value of the innermost loop, so that later passes read it."""
        # In one part of a divided loop a value may be the same for all vectors, and in another not.
        is_inside = placed.depth + 1 == len(self.scopes) or self.is_divided
        if not is_inside or self.gates:
            return
        if self.saved.setdefault(node, self.phase) != self.phase:
            return
        dtype = self.kept_dtype(node)
        address = self.kept_address(node, dtype)
        self.store_to(address, dtype, self.wide(placed, abs(address.lanes)))

    def load_kept(self, node: Node) -> Placed:
        dtype = self.kept_dtype(node)
        address = self.kept_address(node, dtype)
        depth = len(self.scopes) - 1
        return Placed(self.load_from(address, dtype, self.load_mask(address, depth)), depth)
