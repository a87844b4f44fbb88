"""A loop nest as one or more launches, each with reductions over one set of loops, which are its rows.

Results of reductions over rows that a later launch needs go through scratch memory. A launch that writes what another
one may still have to read (results may take the place of donated inputs) comes last.
"""

from __future__ import annotations

from typing import NamedTuple

from funcgrad.compiler.lowering.graph import Input, Node, Reduce
from funcgrad.compiler.lowering.kernels import Kernel, Store
from funcgrad.compiler.lowering.schedule import Schedule


class Piece(NamedTuple):
    """One launch.

    Attributes:
        kernel: its loops; all reductions run over the loops of the row.
        in_memory: the nodes that it reads.
        scratch: those that it writes to scratch memory.
    """

    kernel: Kernel
    in_memory: set[Node]
    scratch: tuple[Reduce, ...] = ()


def reduction_groups(kernel: Kernel) -> dict[frozenset[int], list[Reduce]]:
    """The reductions by the loops that they run over."""
    groups: dict[frozenset[int], list[Reduce]] = {}
    for node, loops in kernel.reduced.items():
        groups.setdefault(frozenset(loops), []).append(node)
    return groups


def without_empty(kernel: Kernel) -> Kernel:
    """A kernel without loops of no iterations and what they would store; the rest does not depend on them."""
    if 0 not in kernel.domain:
        return kernel
    stores = [store for store in kernel.stores if store.node.type.size]
    left = part_of(kernel, list(kernel.reduced), stores)
    left.domain = [max(1, n) for n in kernel.domain]
    left.row = kernel.row
    return left


def pieces(kernel: Kernel, in_memory: set[Node]) -> list[Piece]:
    """The launches of a kernel, in order."""
    groups = reduction_groups(kernel)
    if len(groups) <= 1:
        found = part_of(kernel, list(kernel.reduced), kernel.stores)
        return [Piece(found, in_memory)]
    elements = [store for store in kernel.stores if store.node not in kernel.reduced]
    rows = groups.pop(kernel.row, []) if kernel.row is not None else []
    others = list(groups.values())
    if not rows:
        *first, last = [(nodes, stores_of(kernel, nodes)) for nodes in others]
        both = [*first, (last[0], last[1] + elements)]
        return [Piece(part_of(kernel, nodes, stores), in_memory) for nodes, stores in both]
    return row_pieces(kernel, in_memory, rows, others, elements)


def row_pieces(
    kernel: Kernel,
    in_memory: set[Node],
    rows: list[Reduce],
    others: list[list[Reduce]],
    elements: list[Store],
) -> list[Piece]:
    """First the rows, with scratch memory for their results; then the other reductions."""
    own = stores_of(kernel, rows)
    scratch = tuple([node for node in rows if all(store.node is not node for store in own)])
    own += [Store(node, kernel.axes[node]) for node in scratch]
    later = in_memory | set(rows)
    is_late = may_overwrite_input(kernel, in_memory, elements)
    found = [Piece(part_of(kernel, rows, own if is_late else own + elements), in_memory, scratch)]
    for nodes in others:
        found.append(Piece(part_of(kernel, nodes, stores_of(kernel, nodes), rows), later))
    if is_late and elements:
        found.append(Piece(part_of(kernel, [], elements, rows), later))
    return found


def stores_of(kernel: Kernel, nodes: list[Reduce]) -> list[Store]:
    return [store for store in kernel.stores if store.node in nodes]


def part_of(
    kernel: Kernel, nodes: list[Reduce], stores: list[Store], done: list[Reduce] | None = None
) -> Kernel:
    """The same loops with some of the reductions and stores; those `done` are read from memory."""
    part = Kernel(kernel.is_tiny)
    part.domain = kernel.domain
    left_out = {node for node in kernel.reduced if node not in nodes}
    part.members = [node for node in kernel.members if node not in left_out]
    part.axes = {node: axes for node, axes in kernel.axes.items() if node not in (done or ())}
    part.members = [node for node in part.members if node in part.axes]
    part.reduced = {node: kernel.reduced[node] for node in nodes}
    part.row = frozenset(kernel.reduced[nodes[0]]) if nodes else None
    part.stores = list(stores)
    return part


def may_overwrite_input(kernel: Kernel, in_memory: set[Node], stores: list[Store]) -> bool:
    """Whether a result may take the place of an input that the kernel reads."""
    kinds = {(store.owner.shape, store.owner.dtype) for store in stores}
    loads = Schedule(kernel, in_memory).loads
    return any(isinstance(node, Input) and (node.shape, node.dtype) in kinds for node in loads)
