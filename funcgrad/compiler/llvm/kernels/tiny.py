"""Kernels of very small arrays: every element is computed on its own, in registers, without loops."""

from __future__ import annotations

import itertools
from typing import Any

from funcgrad.compiler.llvm.builder import Function
from funcgrad.compiler.llvm.kernels import combine as combining
from funcgrad.compiler.llvm.kernels.registers import register_type
from funcgrad.compiler.llvm.kernels.scopes import Placed
from funcgrad.compiler.llvm.kernels.values import ValueWriter
from funcgrad.compiler.llvm.types import Value, constant
from funcgrad.compiler.lowering.graph import Node, Reduce, View
from funcgrad.compiler.lowering.index import Affine, Index, constant as constant_index, flat_offset
from funcgrad.compiler.lowering.kernels import Kernel
from funcgrad.compiler.lowering.reductions import accumulator_dtype
from funcgrad.compiler.lowering.schedule import Schedule
from funcgrad.compiler.lowering.views import contiguous_base, view_index


class TinyWriter(ValueWriter):
    """Writes the elements of a tiny kernel."""

    def __init__(
        self,
        function: Function,
        kernel: Kernel,
        buffers: dict[Any, Value],
        failure: Value | None,
        registers: dict[Node, list[Value]],
    ) -> None:
        super().__init__(function, Schedule.of_nothing(kernel), buffers, 0, failure)
        self.registers = registers

    def write(self, unstored: set[Node]) -> dict[Node, list[Value]]:
        """The elements of all results; those not in `unstored` go to memory as well."""
        found: dict[Node, list[Value]] = {}
        with self.scope(None, None):
            for node in sorted(self.kernel.members, key=lambda n: n.number):
                for index in indices(
                    node.shape
                ):  # in order: by recursion long chains would be too deep
                    self.value(node, index)
            for store in self.kernel.stores:
                elements = [(i, self.value(store.node, i)) for i in indices(store.node.shape)]
                found[store.owner] = [placed.value for _, placed in elements]
                if store.owner in unstored:
                    continue
                for index, placed in elements:
                    offset = flat_offset(index, store.node.shape)
                    self.store(self.buffers[store.owner], offset, store.node.dtype, placed)
        return found

    def compute(self, node: Node, index: Index) -> Placed:
        if node in self.registers and not self.is_member(node):
            return self.register(self.registers[node], flat_offset(index, node.shape))
        return super().compute(node, index)

    def view(self, node: View, index: Index) -> Placed:
        base = contiguous_base(node)
        if view_index(node, index) is not None or (base is not None and self.is_loaded(base[0])):
            return super().view(node, index)
        # A reshape at an index that is only known at run time.
        operand = node.operands[0]
        elements = [self.value(operand, i).value for i in indices(operand.shape)]
        return self.register(elements, flat_offset(index, node.shape))

    def is_loaded(self, node: Node) -> bool:
        """Whether the elements of a node come from memory."""
        return node in self.buffers and node not in self.registers and not self.is_member(node)

    def register(self, elements: list[Value], offset: Affine) -> Placed:
        """One of several registers; chosen one by one if the index is only known at run time."""
        if offset.is_constant:
            return Placed(elements[offset.constant], 0)
        wanted, found = self.index_value(offset).value, elements[0]
        for i, element in enumerate(elements[1:], 1):
            found = self.f.select(self.f.icmp("eq", wanted, constant("i64", i)), element, found)
        return Placed(found, 0)

    def gated(self, node: Node, index: Index) -> Placed:
        return self.reduce(node, index) if isinstance(node, Reduce) else super().gated(node, index)

    def reduce(self, node: Reduce, index: Index) -> Placed:
        """All operands of one element of a reduction, one after the other."""
        operand, dtype = node.operands[0], accumulator_dtype(node)
        lengths = [n if axis in node.axes else 1 for axis, n in enumerate(operand.shape)]
        total: Value | None = None
        if node.combine == "add" and dtype.kind not in "iu":
            total = combining.start(node.combine, dtype, register_type(dtype))
        for offsets in indices(tuple(lengths)):
            kept = iter(index)
            full = [o if axis in node.axes else next(kept) for axis, o in enumerate(offsets)]
            placed = self.widened(self.value(operand, tuple(full)), operand.dtype, dtype)
            if total is None:
                total = placed.value
            else:
                total = combining.combine(self.f, node.combine, dtype, total, placed.value)
        if total is None:
            total = combining.start(node.combine, dtype, register_type(dtype))
        return Placed(self.narrowed(total, dtype, node.dtype), 0)


def indices(shape: tuple[int, ...]) -> list[Index]:
    """All indices of a small array."""
    numbers = itertools.product(*[range(n) for n in shape])
    return [tuple([constant_index(i) for i in index]) for index in numbers]
