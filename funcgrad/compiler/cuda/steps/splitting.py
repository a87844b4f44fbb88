"""What is left of a kernel when a library computes its sums: a kernel that reads them."""

from __future__ import annotations

from funcgrad.compiler.lowering.graph import Node, Reduce
from funcgrad.compiler.lowering.kernels import Kernel, Store, renamed_axes


def without_sums(
    kernel: Kernel, sums: Reduce, kept: list[Store], in_memory: set[Node]
) -> Kernel | None:
    """A kernel with some of the stores of another, for what needs only the sums.

    Args:
        kernel: it computes the sums.
        sums: will be in memory.
        kept: stores of the kernel.
        in_memory: the other nodes in memory.

    Returns:
        None if the stores also need elements that the sums are made of.
    """
    loops = [loop for loop in range(len(kernel.domain)) if loop not in kernel.reduced[sums]]
    names = {old: new for new, old in enumerate(loops)}
    needed = members_behind([store.node for store in kept], kernel, {*in_memory, sums})
    axes = [a for node in needed for a in kernel.axes[node]]
    axes += [a for store in kept for a in store.axes]
    if not all(a is None or a in names for a in axes) or any(n in kernel.reduced for n in needed):
        return None
    found = Kernel()
    found.domain = [kernel.domain[loop] for loop in loops]
    for node in kernel.members:
        if node in needed:
            found.add(node, renamed_axes(kernel.axes[node], names))
    found.stores = [
        Store(store.node, renamed_axes(store.axes, names), store.owner, store.spec, store.shape)
        for store in kept
    ]
    return found


def members_behind(nodes: list[Node], kernel: Kernel, known: set[Node]) -> set[Node]:
    """The members of a kernel that some nodes are computed from, without looking behind known nodes."""
    found: set[Node] = set()
    seen: set[Node] = set()
    pending = list(nodes)
    while pending:
        node = pending.pop()
        is_stored_here = node in kernel.axes and node not in kernel.reduced
        if node in seen or (node in known and not is_stored_here):
            continue
        seen.add(node)
        if node in kernel.axes:
            found.add(node)
        pending += node.operands
    return found
