"""Kernels after a matrix product that the library can do before it writes the product: a pass over units.

`act(alpha * x @ y + bias + beta * c)` is one call of the library, for activations that it has, if the product itself is
needed nowhere else and the library has an algorithm for it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from funcgrad.compiler.cuda.steps.activations import activation_of, factor_of
from funcgrad.compiler.cuda.steps.blocks import products_of
from funcgrad.compiler.cuda.steps.gradients import with_gradients
from funcgrad.compiler.cuda.steps.products import fused_plan
from funcgrad.compiler.cuda.steps.reading import ProductPass, is_whole
from funcgrad.compiler.lowering.graph import Map, Node, Step, View
from funcgrad.compiler.lowering.kernels import Kernel, Partition, Unit
from funcgrad.compiler.lowering.views import located
from funcgrad.config import config

SUMS = {
    "add": 1.0,
    "subtract": -1.0,
    "quiet_subtract": -1.0,
}  # the sign of the second operand


def with_epilogues(partition: Partition, products: Any, least: int = 0) -> Partition:
    """The same work with fewer units.

    Args:
        partition: kernels and steps.
        products: the library of matrix products; None leaves everything as it is.
        least: multiplications of the products that are left to smaller kernels.
    """
    if products is None:
        return partition
    found = Epilogues(partition, products, least).run()
    return with_gradients(found, products, least)


class Epilogues(ProductPass):
    """The state of one pass."""

    def run(self) -> Partition:
        replaced: dict[Unit, Step | None] = {}
        stored = set(self.partition.stored)
        for unit in self.partition.units:
            if isinstance(unit, Step) and unit.how == "dot":
                found = self.fused(unit)
                if found is not None:
                    kernel, step = found
                    replaced[unit], replaced[kernel] = None, step
                    stored.discard(unit.results[0])
        units = [replaced.get(unit, unit) for unit in self.partition.units]
        kept = [unit for unit in units if unit is not None]
        return Partition(self.partition.graph, kept, stored, self.partition.inlined)

    def fused(self, step: Step) -> tuple[Kernel, Step] | None:
        """The kernel that a product can take over, and the step that does both."""
        product = step.results[0]
        readers = self.readers.get(product, [])
        is_small = products_of(step) <= self.least
        if is_small or step.params["batch"] or product in self.partition.graph.outputs:
            return None
        if len(readers) != 1 or not isinstance(readers[0], Kernel) or not is_one_map(readers[0]):
            return None
        root = readers[0].stores[0].node
        columns = math.prod(step.operands[1].shape[step.params["contract"] :])
        parsed = Parsed(product, columns, self.in_memory)
        if root.dtype != product.dtype or not parsed.parse(root):
            return None
        if parsed.activation == "gelu" and has_many_digits(root):
            return None
        made = parsed.step(step, root)
        plan = None if made is None else fused_plan(made, self.in_memory)
        if made is None or plan is None or not self.products.has_algorithm(plan):
            return None
        return readers[0], made


def has_many_digits(node: Node) -> bool:
    """Whether elements shall have more digits than the tanh of the library, which is a fast one."""
    return node.dtype.itemsize > 2 and config.default_matmul_precision == "highest"


def is_one_map(kernel: Kernel) -> bool:
    """Whether a kernel computes one array, element by element."""
    is_plain = not kernel.is_tiny and not kernel.reduced and len(kernel.stores) == 1
    return is_plain and is_whole(kernel.stores[0])


@dataclass
class Parsed:
    """What a node is in terms of a product.

    Attributes:
        product: the result of the product.
        columns: how many it has.
        in_memory: the nodes that can be operands.
        alpha: the factor of the product; 0 until it was found.
        bias: a number for each column.
        added, beta: an array of the shape of the product, and its factor.
        activation: "relu", "gelu" or "".
        keeps_nan: whether that is NaN for NaN.
    """

    product: Node
    columns: int
    in_memory: set[Node]
    alpha: float = 0.0
    bias: Node | None = None
    added: Node | None = None
    beta: float = 0.0
    activation: str = ""
    keeps_nan: bool = True

    def parse(self, root: Node) -> bool:
        """Whether a node is a sum of the product and what may be added, or its activation."""
        found = activation_of(root)
        if found is not None:
            self.activation, self.keeps_nan = found.name, found.keeps_nan
            return self.is_sum(found.operand, found.factor, root.shape) and self.alpha != 0
        return isinstance(root, Map) and self.is_map(root, 1.0) and self.alpha != 0

    def is_sum(self, node: Node, scale: float, shape: tuple[int, ...]) -> bool:
        """Whether a node is such a sum; notes its terms, times a scale. It is read in this shape."""
        if node is self.product:
            is_first, self.alpha = not self.alpha, scale
            return is_first
        if node in self.in_memory:
            return self.is_term(node, scale, shape)
        if isinstance(node, View):
            source = node.operands[0]
            if node.how == "reshape" and source.type.size == self.product.type.size:
                return self.is_sum(source, scale, source.shape)
            return self.is_term(node, scale, shape)
        return isinstance(node, Map) and self.is_map(node, scale)

    def is_map(self, node: Map, scale: float) -> bool:
        name, operands = node.primitive.name, node.operands
        if node.dtype != self.product.dtype or node.type.size != self.product.type.size:
            return False
        if name in SUMS:
            x, y = operands
            sign = SUMS[name] * scale
            return self.is_sum(x, scale, node.shape) and self.is_sum(y, sign, node.shape)
        if name == "negative":
            return self.is_sum(operands[0], -scale, node.shape)
        if name in ("multiply", "quiet_multiply"):
            for factor, x in (operands, operands[::-1]):
                number = factor_of(factor)
                if number is not None:
                    return self.is_sum(x, scale * number, node.shape)
        return False

    def is_term(self, node: Node, scale: float, shape: tuple[int, ...]) -> bool:
        """Whether a node in memory can be added by the library."""
        while isinstance(node, View) and node.how == "broadcast":
            node = node.operands[0]
        found = located(node)
        if found is None or found.offset or found.base not in self.in_memory:
            return False
        base = found.base
        if base is self.product or base.dtype != self.product.dtype:
            return False
        if base.type.size != node.type.size:
            return False
        if node.type.size == self.product.type.size and self.added is None:
            self.added, self.beta = base, scale
            return True
        if is_last(node.shape, shape, self.columns) and scale == 1:
            is_first, self.bias = self.bias is None, base
            return is_first
        return False

    def step(self, product: Step, root: Node) -> Step | None:
        """The step that computes the node; None if the library cannot be told so."""
        extra = [node for node in (self.bias, self.added) if node is not None]
        if any(node in product.operands for node in extra):
            return None
        parts = [self.activation, "bias" if self.bias is not None else ""]
        name = "_".join(part for part in parts if part) or "default"
        params = {
            **product.params,
            "epilogue": name,
            "alpha": self.alpha,
            "beta": self.beta,
            "keeps_nan": self.keeps_nan,
            "added": None if self.added is None else 1 + len(extra),
        }
        step = Step("dot", (*product.operands, *extra), [root.type], params, product.equation)
        step.number = product.number
        step.results = [root]
        return step


def is_last(shape: tuple[int, ...], whole: tuple[int, ...], columns: int) -> bool:
    """Whether an array of a shape, read in another, has one element for each column: of the last axes, no others."""
    wide = shape[next((i for i, n in enumerate(shape) if n != 1), len(shape)) :]
    return math.prod(shape) == columns and wide == whole[len(whole) - len(wide) :]
