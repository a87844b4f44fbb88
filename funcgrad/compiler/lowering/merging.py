"""Kernels under construction: which elements they read, who waits for whom, and how several become one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from funcgrad.compiler.lowering.graph import (
    Node,
    Reduce,
    Step,
)
from funcgrad.compiler.lowering.index import Index
from funcgrad.compiler.lowering.kernels import (
    Axes,
    Kernel,
    Unit,
    loop_axes,
    renamed,
    renamed_axes,
    resolved,
)
from funcgrad.compiler.lowering.reachability import Reachability

MAX_MEMBERS = 256  # nodes of one kernel: bounds registers and compile time

Record = tuple[Kernel, Index | None]


class Merging:
    """The kernels of a partition that is being made.

    Attributes:
        records: per node, the kernels that read it, and which element.
        readers_of_step: the units that read results of a step.
        order: which units wait for which.
    """

    def __init__(self) -> None:
        self.records: dict[Node, list[Record]] = {}
        self.readers_of_step: dict[Step, set[Unit]] = {}
        self.order = Reachability()

    def read(self, kernel: Kernel, operand: Node, index: Index | None) -> None:
        """A kernel reads this element of a node (None: an element only known at run time)."""
        self.records.setdefault(operand, []).append((kernel, index))

    def readers(self, node: Node) -> list[Record]:
        """The records of a node, in terms of kernels that still exist."""
        found: list[Record] = []
        for kernel, index in self.records.get(node, ()):
            while kernel.merged is not None:
                kernel, names = kernel.merged
                index = None if index is None else tuple([renamed(part, names) for part in index])
            found.append((kernel, index))
        return found

    def alignment(self, node: Node, kernel: Kernel, readers: list[Record]) -> Axes | None:
        """The loops of the axes of a node, if all reads in this kernel are of the element at hand."""
        if kernel.is_tiny:
            return None
        found = None
        for owner, index in readers:
            if owner is not kernel:
                continue
            axes = loop_axes(node.shape, index)
            if axes is None or (found is not None and axes != found):
                return None
            if any(
                a is not None and kernel.domain[a] != n
                for a, n in zip(axes, node.shape, strict=True)
            ):
                return None
            found = axes
        return found

    def merge_readers(self, node: Node, readers: list[Record]) -> list[Kernel]:
        """The kernels that read a node, after merging those that run over the same domain."""
        kernels = unique([kernel for kernel, _ in readers])
        if len(kernels) < 2 or len(kernels) > 8:
            return kernels
        if isinstance(node, Reduce):
            return kernels
        aligned = {k: self.alignment(node, k, readers) for k in kernels}
        rest = [k for k in kernels if aligned[k] is None]
        merged: list[Kernel] = []
        for kernel in kernels:
            if aligned[kernel] is None:
                continue
            for target in merged:
                names = self.matching_loops(target, aligned[target], kernel, aligned[kernel])
                if names is not None and self.independent(target, kernel):
                    self.merge(target, kernel, names)
                    break
            else:
                merged.append(kernel)
        return merged + rest

    def matching_loops(
        self, a: Kernel, axes_a: Axes | None, b: Kernel, axes_b: Axes | None
    ) -> dict[int, int] | None:
        """Loops of `b` under the names of `a`, if one node spans both domains and their rows agree."""
        if axes_a is None or axes_b is None or len(a.members) + len(b.members) > MAX_MEMBERS:
            return None
        names = {
            j: i for i, j in zip(axes_a, axes_b, strict=True) if i is not None and j is not None
        }
        if len(names) != len(a.domain) or len(names) != len(b.domain):
            return None
        rows = [k for k in (a.row, b.row and frozenset(names[j] for j in b.row)) if k is not None]
        if len(set(rows)) > 1:
            return None
        if rows:
            reductions = [*a.reduced.values(), *[[names[j] for j in r] for r in b.reduced.values()]]
            if not all(rows[0] <= set(r) or not rows[0] & set(r) for r in reductions):
                return None
        return names

    def merge_tiny(self, kernels: list[Kernel]) -> Kernel:
        """Merge tiny kernels into the first where that makes no cycle."""
        target = kernels[0]
        for other in kernels[1:]:
            small = len(target.members) + len(other.members) < MAX_MEMBERS
            if small and self.independent(target, other):
                self.merge(target, other, {})
        return target

    def merge(self, target: Kernel, kernel: Kernel, names: dict[int, int]) -> None:
        """Move everything of `kernel` into `target`."""
        for node in kernel.members:
            target.axes[node] = renamed_axes(kernel.axes[node], names)
        target.members += kernel.members
        for store in kernel.stores:
            store.axes = renamed_axes(store.axes, names)
        target.stores += kernel.stores
        for node, loops in kernel.reduced.items():
            target.reduced[node] = [names[a] for a in loops]
        if kernel.row is not None:
            target.row = frozenset(names[a] for a in kernel.row)
        target.readers |= kernel.readers
        target.span(kernel.first)
        target.span(kernel.last)
        kernel.merged = (target, names)
        self.order.merge(target, kernel)

    # --- order ---

    def independent(self, a: Kernel, b: Kernel) -> bool:
        return not self.reaches(a, b) and not self.reaches(b, a)

    def readers_of(self, unit: Unit) -> set[Unit]:
        readers = unit.readers if isinstance(unit, Kernel) else self.readers_of_step[unit]
        return {resolved(reader) for reader in readers}

    def reaches(self, start: Unit, goal: Kernel) -> bool:
        """Whether `goal` needs, directly or not, a result of `start`."""
        return self.order.reaches(resolved(start), goal)

    def add_readers(self, unit: Unit, readers: Iterable[Unit]) -> None:
        """Note which kernels and steps read results of a unit."""
        found = [resolved(reader) for reader in readers]
        known = (
            unit.readers
            if isinstance(unit, Kernel)
            else self.readers_of_step.setdefault(unit, set())
        )
        known.update(found)
        self.order.add(unit, found)


def unique(kernels: Sequence[Kernel]) -> list[Kernel]:
    return list(dict.fromkeys(kernels))
