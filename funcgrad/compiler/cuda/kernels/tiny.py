"""Kernels of very small arrays: one thread computes every element on its own, in registers, without loops."""

from __future__ import annotations

import itertools

from funcgrad.compiler.cuda.kernels.choosing import ChoosingWriter
from funcgrad.compiler.cuda.kernels.places import Placed
from funcgrad.compiler.cuda.kernels.scalars import (
    combine,
    is_half,
    register_type,
    rounded,
    start,
)
from funcgrad.compiler.cuda.kernels.text import Block
from funcgrad.compiler.lowering.graph import Node, Reduce, View
from funcgrad.compiler.lowering.index import Affine, Index, constant as constant_index, flat_offset
from funcgrad.compiler.lowering.reductions import accumulator_dtype
from funcgrad.compiler.lowering.views import contiguous_base, view_index


class TinyWriter(ChoosingWriter):
    """Writes the elements of a tiny kernel."""

    def write(self, block: Block) -> None:
        """Compute all elements, then store them."""
        self.used.add("combine")
        with self.scope(block):
            for node in sorted(self.kernel.members, key=lambda n: n.number):
                for index in indices(
                    node.shape
                ):  # in order: by recursion long chains would be too deep
                    self.value(node, index)
            found = [
                (store, index, self.value(store.node, index))
                for store in self.kernel.stores
                for index in indices(store.node.shape)
            ]
            for store, index, placed in found:
                offset = flat_offset(index, store.node.shape)
                self.store(store.owner, offset, store.node.dtype, placed)

    def view(self, node: View, index: Index) -> Placed:
        base = contiguous_base(node)
        is_loaded = base is not None and base[0] in self.in_memory and not self.is_member(base[0])
        if view_index(node, index) is not None or is_loaded:
            return super().view(node, index)
        # A reshape at an index that is only known at run time.
        elements = [self.value(node.operands[0], i) for i in indices(node.operands[0].shape)]
        return self.chosen(
            node, [placed.text for placed in elements], flat_offset(index, node.shape)
        )

    def chosen(self, node: Node, elements: list[str], offset: Affine) -> Placed:
        """One of several registers; chosen one by one if the index is only known at run time."""
        if offset.is_constant:
            return Placed(elements[offset.constant], 0)
        wanted, text = self.index_value(offset).text, elements[0]
        for i, element in enumerate(elements[1:], 1):
            text = f"{wanted} == {i} ? {element} : {text}"
        return self.let(register_type(node.dtype), text, 0)

    def gated(self, node: Node, index: Index) -> Placed:
        if not isinstance(node, Reduce):
            return super().gated(node, index)
        if all(part.is_constant for part in index):
            return self.reduce(node, index)
        elements = [self.value(node, i).text for i in indices(node.shape)]
        return self.chosen(node, elements, flat_offset(index, node.shape))

    def reduce(self, node: Reduce, index: Index) -> Placed:
        """All operands of one element of a reduction, one after the other."""
        operand, dtype = node.operands[0], accumulator_dtype(node)
        lengths = [n if axis in node.axes else 1 for axis, n in enumerate(operand.shape)]
        total = start(node.combine, dtype)
        for offsets in indices(tuple(lengths)):
            kept = iter(index)
            full = [o if axis in node.axes else next(kept) for axis, o in enumerate(offsets)]
            placed = self.value(operand, tuple(full))
            if not is_half(operand.dtype):
                placed = self.converted(placed, operand.dtype, dtype)
            text = combine(node.combine, dtype, total, placed.text)
            total = self.let(register_type(dtype), text, 0).text
        if is_half(node.dtype):
            return self.let("float", rounded(node.dtype, total), 0)
        return Placed(total, 0)


def indices(shape: tuple[int, ...]) -> list[Index]:
    """All indices of a small array."""
    numbers = itertools.product(*[range(n) for n in shape])
    return [tuple([constant_index(i) for i in index]) for index in numbers]
