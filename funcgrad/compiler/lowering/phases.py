"""Passes over the rows of a kernel: which of them computes what, and which values are kept for later ones."""

from __future__ import annotations

from funcgrad.compiler.lowering.accesses import Accesses
from funcgrad.compiler.lowering.costs import cost_of
from funcgrad.compiler.lowering.graph import Map, Node, Reduce
from funcgrad.compiler.lowering.kernels import Kernel

DEAR_STEP = 4  # operations from which on a value is kept for the next phase of its row


class Phases(Accesses):
    """The passes over each row of one kernel: reductions that are finished within a row end them."""

    def __init__(self, kernel: Kernel, in_memory: set[Node]) -> None:
        super().__init__(kernel, in_memory)
        self.phase_memo: dict[Node, int] = {}

    def phase(self, node: Node) -> int:
        """The first pass over the row in which a node can be computed."""
        if node not in self.phase_memo:
            for needed in self.in_order(node):
                self.phase_memo[needed] = max([0, *map(self.phase_after, needed.operands)])
        return self.phase_memo[node]

    def phase_after(self, operand: Node) -> int:
        """The first pass that can use an operand."""
        is_row_sum = isinstance(operand, Reduce) and operand in self.kernel.axes
        return self.phase_memo.get(operand, 0) + is_row_sum

    def in_order(self, root: Node) -> list[Node]:
        """What is computed for a node in this kernel and has no phase yet, operands first."""
        found, pending, seen = [], [root], set()
        while pending:
            node = pending[-1]
            waiting = (
                []
                if node in seen
                else [o for o in self.computed_here(node) if o not in self.phase_memo]
            )
            seen.add(node)
            if waiting:
                pending += waiting
                continue
            pending.pop()
            if node not in self.phase_memo:
                self.phase_memo[node] = 0
                found.append(node)
        return found

    # --- values kept between passes over the row ---

    def kept_values(self) -> set[Node]:
        """Nodes that are dear to compute and needed in several passes over the row."""
        if self.kernel.row is None:
            return set()
        first: dict[Node, int] = {}
        kept: set[Node] = set()
        nodes = [*self.kernel.members, *[store.node for store in self.kernel.stores]]
        for phase in range(max(map(self.phase, nodes)) + 1):
            roots = [n.operands[0] for n in self.kernel.reduced if self.phase(n) == phase]
            roots += [s.node for s in self.kernel.stores if self.phase(s.node) == phase]
            seen: set[Node] = set()
            for root in roots:
                self.find_kept(root, phase, first, kept, seen)
        return kept

    def find_kept(
        self, root: Node, phase: int, first: dict[Node, int], kept: set[Node], seen: set[Node]
    ) -> None:
        """Walk what one pass computes, as far as earlier passes have not kept it."""
        pending = [root]
        while pending:
            node = pending.pop()
            if node in seen or node not in self.kernel.axes or isinstance(node, Reduce):
                continue
            seen.add(node)
            if self.is_dear_in_row(node) and first.setdefault(node, phase) < phase:
                kept.add(node)
            else:
                pending += node.operands

    def is_dear_in_row(self, node: Node) -> bool:
        row = self.kernel.row or frozenset()
        inside = any(axis in row for axis in self.kernel.axes[node])
        return inside and isinstance(node, Map) and cost_of(node) >= DEAR_STEP
