"""Steps that change some elements of an array, and what still reads the array when they have run."""

from __future__ import annotations

from collections.abc import Iterable

from funcgrad.compiler.lowering.graph import Gather, Graph, Node, Result, Step, Window
from funcgrad.compiler.lowering.kernels import Kernel
from funcgrad.compiler.lowering.reads import behind_views

WRITES_INTO = frozenset({"dynamic_update", "scatter"})
FEW = 4  # what is read is at most this part of the array: rather kept than the whole array copied


def writing_step(node: Node) -> Step | None:
    """The step that makes a node from a copy of an array by changing some of its elements, if one does."""
    step = node.operands[0] if isinstance(node, Result) else None
    return step if isinstance(step, Step) and step.how in WRITES_INTO else None


class Changes:
    """The steps of a graph that change elements of arrays of which windows or single elements are read, too."""

    def __init__(self, graph: Graph) -> None:
        reads = [node for node in graph.nodes if isinstance(node, Gather | Window)]
        read = {behind_views(node.operands[0]) for node in reads}
        steps = [node for node in graph.nodes if isinstance(node, Step) and node.how in WRITES_INTO]
        # By the array that is changed: all that is computed from what each step makes of it.
        self.after: dict[Node, list[set[Node]]] = {}
        for step in steps:
            if step.operands[0] in read:
                self.after.setdefault(step.operands[0], []).append(computed_from(step, graph.nodes))

    def come_first(self, node: Node, kernels: Iterable[Kernel]) -> bool:
        """Whether one of the kernels would read an element or a window of an array after it was changed."""
        if not self.after or not isinstance(node, Gather | Window):
            return False
        source = behind_views(node.operands[0])
        if node.type.size * FEW > source.type.size:
            return False
        late = self.after.get(source, ())
        return any(not nodes.isdisjoint(kernel.members) for kernel in kernels for nodes in late)


def computed_from(step: Step, nodes: Iterable[Node]) -> set[Node]:
    """All nodes that need a step."""
    found: set[Node] = {step}
    for node in nodes:
        if not found.isdisjoint(node.operands):
            found.add(node)
    return found
