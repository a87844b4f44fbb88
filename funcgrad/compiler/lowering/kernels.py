"""Kernels: loop nests with the nodes that they compute, the loop of each axis, and what they store."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

from funcgrad.compiler.lowering.graph import Graph, Node, Reduce, Step
from funcgrad.compiler.lowering.index import ZERO, Affine, Index, variable
from funcgrad.compiler.lowering.reductions import POSITIONS

MAX_ROW = 1 << 15  # elements of a row that is read more than once: it should stay in cache
MAX_WHOLE_ROW = 1 << 12  # the same for a single row, whose work threads cannot share

Axes = tuple[int | None, ...]


class Store:
    """A node whose elements a kernel writes: to its own memory, or to a slice of another node's.

    Attributes:
        axes: the loop of each axis of the node, None where the length is 1.
        owner: the node in whose memory the elements go.
        spec: the slice of the owner, None for all of it.
        shape: the shape in which the owner is seen for that.
    """

    __slots__ = ("axes", "node", "owner", "shape", "spec")

    def __init__(
        self,
        node: Node,
        axes: Axes,
        owner: Node | None = None,
        spec: Any = None,
        shape: tuple[int, ...] | None = None,
    ) -> None:
        self.node = node
        self.axes = axes
        self.owner = node if owner is None else owner
        self.spec = spec
        self.shape = self.owner.shape if shape is None else shape


class Kernel:
    """A loop nest.

    Attributes:
        domain: lengths of the loops, in no particular order.
        axes: per member, the loop that belongs to each of its axes (None where the length is 1).
        members: nodes computed for every point of (their part of) the domain.
        reduced: per member that is a reduction, the loops that it runs over.
        row: the loops of the reductions that are finished within a row, because this very kernel uses their
            results; None if there are none.
        stores: what is written to memory.
        is_tiny: computed element by element without loops; members have no axes then.
        readers: the kernels and steps that read what this one stores.
        merged: the kernel into which this one was merged, and the names of its loops there.
    """

    def __init__(self, is_tiny: bool = False) -> None:
        self.domain: list[int] = []
        self.axes: dict[Node, Axes] = {}
        self.members: list[Node] = []
        self.reduced: dict[Reduce, list[int]] = {}
        self.row: frozenset[int] | None = None
        self.stores: list[Store] = []
        self.is_tiny = is_tiny
        self.readers: set[Unit] = set()
        self.merged: tuple[Kernel, dict[int, int]] | None = None
        self.first = self.last = -1

    def add(self, node: Node, axes: Axes) -> None:
        self.axes[node] = axes
        self.members.append(node)
        self.span(node.number)

    def span(self, number: int) -> None:
        """Note that something with this number belongs here: bounds the search for cycles."""
        self.first = number if self.first < 0 else min(self.first, number)
        self.last = max(self.last, number)

    def index(self, node: Node) -> Index:
        """The index of a member in terms of the loop variables."""
        return loops_index(self.axes[node])

    def members_for(self, roots: Iterable[Node], is_kept: Callable[[Node], bool]) -> list[Node]:
        """What must be computed for these nodes, operands first: by recursion long chains would be too deep.

        Args:
            is_kept: whether a node is remembered, so that it does not need its operands.
        """
        pending, needed = list(roots), set()
        while pending:
            node = pending.pop()
            if node in needed or node not in self.axes or isinstance(node, Reduce):
                continue
            needed.add(node)
            if not is_kept(node):
                pending += node.operands
        return sorted(needed, key=lambda node: node.number)

    def __repr__(self) -> str:
        stores = ", ".join(f"n{s.owner.number}" for s in self.stores)
        members = " ".join(f"n{node.number}" for node in self.members)
        row = "" if self.row is None else f" row={sorted(self.row)}"
        name = "tiny kernel" if self.is_tiny else f"kernel {tuple(self.domain)}"
        return f"{name}{row} [{members}] -> {stores}"


Unit = Kernel | Step


class Partition:
    """The result: kernels and steps in execution order, the nodes that live in memory, and those computed again."""

    def __init__(
        self, graph: Graph, units: list[Unit], stored: set[Node], inlined: set[Node]
    ) -> None:
        self.graph = graph
        self.units = units
        self.stored = stored
        self.inlined = inlined

    def __str__(self) -> str:
        return "\n".join(
            repr(unit) if isinstance(unit, Kernel) else f"step {unit!r}" for unit in self.units
        )


def resolved(unit: Unit) -> Unit:
    while isinstance(unit, Kernel) and unit.merged is not None:
        unit = unit.merged[0]
    return unit


def loops_index(axes: Axes) -> Index:
    return tuple([ZERO if a is None else variable(a) for a in axes])


def renamed_axes(axes: Axes, names: dict[int, int]) -> Axes:
    return tuple([None if a is None else names[a] for a in axes])


def renamed(part: Affine, names: dict[int, int]) -> Affine:
    if not part.terms:
        return part
    terms = tuple(sorted([(names[n], f) for n, f in part.terms]))
    return Affine(terms, part.constant, part.dynamic)


def loop_axes(shape: tuple[int, ...], index: Index | None) -> Axes | None:
    """The loop variable of each axis, if the index names distinct ones and nothing else."""
    if index is None:
        return None
    axes: list[int | None] = []
    for part, length in zip(index, shape, strict=True):
        if length == 1:
            axes.append(None)
        elif part.constant or part.dynamic or len(part.terms) != 1 or part.terms[0][1] != 1:
            return None
        else:
            axes.append(part.terms[0][0])
    named = [a for a in axes if a is not None]
    return tuple(axes) if len(set(named)) == len(named) else None


def open_loops(kernel: Kernel, shape: tuple[int, ...]) -> Axes:
    """New loops for the axes of a shape."""
    axes: list[int | None] = []
    for length in shape:
        if length == 1:
            axes.append(None)
        else:
            kernel.domain.append(length)
            axes.append(len(kernel.domain) - 1)
    return tuple(axes)


def open_reduction(kernel: Kernel, node: Reduce) -> Axes:
    """Loops over the operand of a reduction; those of the axes that it keeps."""
    loops = open_loops(kernel, node.operands[0].shape)
    kernel.reduced[node] = [a for i, a in enumerate(loops) if i in node.axes and a is not None]
    if node.combine in POSITIONS:  # values and positions are carried in registers: a row at a time
        kernel.row = frozenset(kernel.reduced[node])
    return tuple([a for i, a in enumerate(loops) if i not in node.axes])


def reduced_loops(node: Reduce, kernel: Kernel, axes: Axes) -> tuple[list[int], list[int]] | None:
    """The loops of a kernel over which a reduction runs, and the lengths of those that it lacks."""
    free = [i for i in range(len(kernel.domain)) if i not in axes]
    lengths = [n for n in (node.operands[0].shape[a] for a in node.axes) if n != 1]
    if not free:
        return [], lengths
    return (free, []) if [kernel.domain[i] for i in free] == lengths else None


def reduced_index(kernel: Kernel, node: Reduce) -> Index:
    """The index of the operand of a reduction: its own axes, and the loops it runs over."""
    kept, loops = iter(kernel.axes[node]), iter(kernel.reduced[node])
    index: list[int | None] = []
    for axis, length in enumerate(node.operands[0].shape):
        index.append(next(kept) if axis not in node.axes else None if length == 1 else next(loops))
    return loops_index(tuple(index))


def may_reduce_in(node: Reduce, kernel: Kernel, axes: Axes) -> bool:
    """Whether a reduction can be finished within each row of a kernel that uses its result."""
    found = reduced_loops(node, kernel, axes)
    if found is None:
        return False
    loops, missing = found
    if kernel.row is not None and (missing or kernel.row != frozenset(loops)):
        return False
    if missing and kernel.reduced:
        return False
    if not all(set(loops) <= set(r) or not set(loops) & set(r) for r in kernel.reduced.values()):
        return False
    if node.combine in POSITIONS and len(loops) + len(missing) != 1:
        return False
    length = math.prod(node.operands[0].shape[a] for a in node.axes)
    return 0 < length <= (MAX_ROW if node.type.size > 1 else MAX_WHOLE_ROW)
