"""Which units of a partition read which arrays, and where arrays lie as a whole: what passes over units ask."""

from __future__ import annotations

from typing import Any

from funcgrad.compiler.lowering.graph import Node
from funcgrad.compiler.lowering.kernels import Kernel, Partition, Store, Unit
from funcgrad.compiler.lowering.plan import memory_of, tiny_loads
from funcgrad.compiler.lowering.views import located


def in_memory_of(partition: Partition) -> set[Node]:
    """The nodes that lie in memory."""
    return {*partition.stored, *partition.graph.inputs}


def reads(unit: Unit, in_memory: set[Node]) -> set[Node]:
    """The nodes in memory that a unit reads."""
    if isinstance(unit, Kernel):
        return set(tiny_loads(unit, in_memory))
    return {memory_of(unit, operand, in_memory).base for operand in unit.operands}


def readers_of(partition: Partition, in_memory: set[Node]) -> dict[Node, list[Unit]]:
    """The units that read a node in memory, in their order."""
    found: dict[Node, list[Unit]] = {}
    for unit in partition.units:
        for node in reads(unit, in_memory):
            found.setdefault(node, []).append(unit)
    return found


def is_whole(store: Store) -> bool:
    """Whether a kernel writes a node to its own memory."""
    return store.spec is None and store.owner is store.node


def whole_base(node: Node, in_memory: set[Node]) -> Node | None:
    """The node in memory that has the same elements in the same order."""
    found = located(node)
    if found is None or found.offset or found.base not in in_memory:
        return None
    return found.base if found.base.type.size == node.type.size else None


class ProductPass:
    """What a pass knows that lets the library of products do the work of kernels.

    Attributes:
        least: multiplications of the products that are left to smaller kernels.
        readers: per node in memory, the units that read it.
    """

    def __init__(self, partition: Partition, products: Any, least: int) -> None:
        self.partition = partition
        self.products = products
        self.least = least
        self.in_memory = in_memory_of(partition)
        self.readers = readers_of(partition, self.in_memory)
