"""Tiny kernels whose arrays all have one shape: element by element, without a thought about indices."""

from __future__ import annotations

from collections.abc import Container

import numpy as np

from funcgrad.compiler.llvm.builder import Function
from funcgrad.compiler.llvm.kernels.elements import apply
from funcgrad.compiler.llvm.kernels.registers import (
    as_python,
    convert_value,
    is_native,
    register_type,
)
from funcgrad.compiler.llvm.kernels.small_arrays import load_elements, store_elements
from funcgrad.compiler.llvm.types import Value, constant
from funcgrad.compiler.lowering.elements import Element
from funcgrad.compiler.lowering.graph import Constant, Full, Map, Node, operand_dtypes
from funcgrad.compiler.lowering.kernels import Kernel


def is_flat(kernel: Kernel, known: Container[Node]) -> bool:
    """Whether a tiny kernel is elementwise work on whole arrays of one shape, on single numbers and on constants.

    Args:
        kernel: a tiny kernel.
        known: nodes whose elements are in registers or in memory.
    """
    shape = kernel.stores[0].node.shape

    def is_operand(node: Node) -> bool:
        if isinstance(node, Constant | Full):
            return True
        is_fitting = node.shape == shape or node.type.size == 1
        return is_fitting and (node in kernel.axes or node in known) and is_native(node.dtype)

    return all(
        store.spec is None and store.owner is store.node and store.node in kernel.axes
        for store in kernel.stores
    ) and all(
        isinstance(node, Map) and node.shape == shape and all(map(is_operand, node.operands))
        for node in kernel.members
    )


class FlatWriter:
    """Writes a flat kernel at the current place of a function.

    Args:
        buffers: addresses of the nodes in memory.
        registers: elements of nodes that are at hand.
    """

    def __init__(
        self,
        function: Function,
        kernel: Kernel,
        buffers: dict[Node, Value],
        registers: dict[Node, list[Value]],
    ) -> None:
        self.f = function
        self.kernel = kernel
        self.buffers = buffers
        self.registers = registers
        self.values: dict[Node, list[Value]] = {}

    def write(self, unstored: set[Node]) -> dict[Node, list[Value]]:
        """The elements of all results; those not in `unstored` go to memory as well."""
        for node in sorted(self.kernel.members, key=lambda n: n.number):
            assert isinstance(node, Map)
            self.values[node] = self.map(node)
        found = {store.owner: self.values[store.owner] for store in self.kernel.stores}
        for node, elements in found.items():
            if node not in unstored:
                store_elements(self.f, elements, self.buffers[node], node.type)
        return found

    def map(self, node: Map) -> list[Value]:
        dtypes = operand_dtypes(node.primitive, node.operands)
        operands = [self.operand(x, d) for x, d in zip(node.operands, dtypes, strict=True)]
        return [
            apply(
                self.f,
                node.primitive,
                node.params,
                [elements[i if len(elements) > 1 else 0] for elements in operands],
                node.dtype,
                0,
            )
            for i in range(node.type.size)
        ]

    def operand(self, node: Node, dtype: np.dtype) -> list[Element]:
        """The elements of an operand in the dtype in which it is read; one if all are equal."""
        if isinstance(node, Constant):
            value = constant(register_type(dtype), as_python(dtype, node.value))
            return [Element(dtype, value, node.value)]
        if isinstance(node, Full):
            number = as_python(node.dtype, node.value)
            values = [constant(register_type(node.dtype), number)]
        else:
            values = self.elements(node)
        if node.dtype != dtype:
            values = [convert_value(self.f, value, node.dtype, dtype) for value in values]
        return [Element(dtype, value) for value in values]

    def elements(self, node: Node) -> list[Value]:
        """The elements of a node, computed or loaded once."""
        if node not in self.values:
            known = self.registers.get(node)
            self.values[node] = known or load_elements(self.f, self.buffers[node], node.type)
        return self.values[node]
