"""Fusion for GPUs: what reads the same memory becomes one kernel, as reading and launching are what kernels cost."""

from __future__ import annotations

import math
from typing import Any

from funcgrad.compiler.cuda.lowering import is_reordered
from funcgrad.compiler.lowering.costs import cost_of
from funcgrad.compiler.lowering.fusion import Fuser
from funcgrad.compiler.lowering.graph import (
    Constant,
    Full,
    Graph,
    Input,
    Iota,
    Map,
    Node,
    Reduce,
    Result,
    View,
)
from funcgrad.compiler.lowering.index import matching_blocks
from funcgrad.compiler.lowering.kernels import Axes, Kernel, Partition, Unit, reduced_loops
from funcgrad.compiler.lowering.merging import MAX_MEMBERS
from funcgrad.compiler.lowering.plan import tiny_loads

REPEATED = 24  # operations on one element that cost less than to write and read it
SMALL_SHARE = 8  # what has so many times fewer elements stays in cache
LARGE = 1 << 18  # elements of a reduction that many blocks shall share, however few its results are


class CudaFuser(Fuser):
    """The state of one partition."""

    def run(self) -> Partition:
        found = super().run()
        found.units = self.numbers_with_sums(self.tiny_together(found.units))
        return found

    def tiny_together(self, units: list[Unit]) -> list[Unit]:
        """Tiny kernels that follow each other as one: it reads all that it needs before it waits for any of it."""
        in_memory = {*self.stored, *self.graph.inputs}
        found: list[Unit] = []
        for unit in units:
            last = found[-1] if found else None
            if not (isinstance(unit, Kernel) and isinstance(last, Kernel) and unit.is_tiny):
                found.append(unit)
                continue
            written = {store.owner for store in last.stores}
            is_free = last.is_tiny and written.isdisjoint(tiny_loads(unit, in_memory))
            if is_free and len(last.members) + len(unit.members) <= MAX_MEMBERS:
                self.merge(last, unit, {})
            else:
                found.append(unit)
        return found

    def numbers_with_sums(self, units: list[Unit]) -> list[Unit]:
        """What is made of the sum of a whole array, such as its mean, becomes the end of the kernel in front of it."""
        found: list[Unit] = []
        for unit in units:
            last = found[-1] if found else None
            if isinstance(unit, Kernel) and isinstance(last, Kernel) and is_end(last, unit):
                self.append_numbers(last, unit)
            else:
                found.append(unit)
        return found

    def append_numbers(self, kernel: Kernel, tiny: Kernel) -> None:
        """Add the numbers of a tiny kernel to one that makes sums; sums that nobody else reads are not stored."""
        if self.readers_of(kernel) == {tiny}:
            kept = [store for store in kernel.stores if store.owner in self.required]
            self.stored -= {store.owner for store in kernel.stores} - {s.owner for s in kept}
            kernel.stores = kept
        self.merge(kernel, tiny, {})
        for node in tiny.members:
            kernel.axes[node] = (None,) * len(node.shape)
        for store in tiny.stores:
            store.axes = (None,) * len(store.node.shape)
        kernel.row = frozenset(range(len(kernel.domain)))

    def place(self, node: Node) -> None:
        super().place(node)
        if isinstance(node, Input | Result) and node in self.stored:
            self.merge_readers(node, self.readers(node))

    def new_kernel(self, node: Node) -> None:
        found = unmerged(node, None, node.shape)
        if found is None:
            super().new_kernel(node)
            return
        inner, spec, shape = found
        self.units.append(self.piece_kernel(inner, node, spec, shape))

    def piece_kernel(
        self, operand: Node, owner: Node, spec: Any, shape: tuple[int, ...] | None = None
    ) -> Kernel:
        found = unmerged(operand, spec, owner.shape) if shape is None else None
        if found is not None:
            operand, spec, shape = found
        return super().piece_kernel(operand, owner, spec, shape)

    def is_cheap(self, node: Node) -> bool:
        return super().is_cheap(node) or (isinstance(node, Map) and is_repeated(node))

    def may_join(self, node: Node, kernel: Kernel, axes: Axes) -> bool:
        if isinstance(node, Reduce) and is_large_column(node):
            found = reduced_loops(node, kernel, axes)
            if found is not None and found[1]:
                return False  # rather one pass with what else reads its operand
        return super().may_join(node, kernel, axes)


def unmerged(
    node: Node, spec: Any, shape: tuple[int, ...]
) -> tuple[Node, Any, tuple[int, ...]] | None:
    """For a reshape that merges axes of something with another order in memory: what it reshapes, and the slice of
    an owner of this shape, with the same axes apart; None for anything else, or if the slice is not one of those.
    """
    if not is_reordered(node):
        return None
    source = node.operands[0]
    entries = spec or [(0, n, 1) for n in shape]
    found_spec, found_shape = [], []
    for inner, outer in matching_blocks(source.shape, node.shape) or ():
        lengths, places = [source.shape[i] for i in inner], list(outer)
        wide = [j for j in places if node.shape[j] != 1]
        if lengths == [node.shape[j] for j in places]:
            found_spec += [entries[j] for j in places]
            found_shape += [shape[j] for j in places]
            continue
        step = math.prod(lengths[1:])
        if len(places) != 1 or len(wide) != 1:
            return None
        start, stop, stride = entries[wide[0]]
        if stride != 1 or start % step or stop % step or shape[wide[0]] % step:
            return None
        found_spec += [(start // step, stop // step, 1), *[(0, n, 1) for n in lengths[1:]]]
        found_shape += [shape[wide[0]] // step, *lengths[1:]]
    return source, tuple(found_spec) if spec else None, tuple(found_shape)


def is_repeated(node: Map) -> bool:
    """Whether few operations compute an element again from elements of one large array, and of small ones."""
    cost, large = 0, set()
    pending: list[Node] = [node]
    seen: set[Node] = {node}
    while pending:
        current = pending.pop()
        if isinstance(current, Constant | Full | Iota):
            continue
        if isinstance(current, Input | Result | Reduce):
            if current.type.size * SMALL_SHARE > node.type.size:
                large.add(current)
        elif isinstance(current, Map | View):
            cost += cost_of(current)
            pending += [operand for operand in current.operands if operand not in seen]
            seen.update(current.operands)
        else:
            return False
        if cost > REPEATED or len(large) > 1:
            return False
    return True


def is_end(kernel: Kernel, tiny: Kernel) -> bool:
    """Whether a tiny kernel makes numbers of sums over all that the kernel in front of it runs over."""
    everything = set(range(len(kernel.domain)))
    whole = kernel.row is None and all(
        set(loops) == everything for loops in kernel.reduced.values()
    )
    if not (tiny.is_tiny and kernel.reduced and whole):
        return False
    sums = {store.owner for store in kernel.stores if store.node in kernel.reduced}
    simple = all(isinstance(node, Map | View) and node.type.size == 1 for node in tiny.members)
    return simple and any(operand in sums for node in tiny.members for operand in node.operands)


def is_large_column(node: Reduce) -> bool:
    """Whether a reduction runs across the order of memory, over much of it."""
    shape = node.operands[0].shape
    wide = [axis for axis, n in enumerate(shape) if n != 1]
    return node.operands[0].type.size >= LARGE and wide[-1] not in node.axes


def partition(graph: Graph) -> Partition:
    """Kernels and steps for a graph."""
    return CudaFuser(graph).run()
