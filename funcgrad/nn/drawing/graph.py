"""The graph of a recorded Program: its nodes are layers and operations, its edges the arrays between them."""

from __future__ import annotations

import dataclasses
from typing import Any

from funcgrad.ir.program import Equation, Literal, Program, Variable, subprograms
from funcgrad.ir.types import ArrayType
from funcgrad.nn.calls import LayerCall
from funcgrad.nn.show import short_dtype


@dataclasses.dataclass(eq=False)
class Node:
    """A box.

    Attributes:
        lines: its text.
        kind: "input", "parameter", "layer", "operation" or "output".
    """

    lines: list[str]
    kind: str


@dataclasses.dataclass
class Graph:
    """Nodes, and edges (from, to, text) between their numbers, each once."""

    nodes: list[Node] = dataclasses.field(default_factory=list)
    edges: dict[tuple[int, int], str] = dataclasses.field(default_factory=dict)

    def add(self, node: Node) -> int:
        """The number of a new node."""
        self.nodes.append(node)
        return len(self.nodes) - 1

    def connect(self, source: int, target: int, text: str) -> None:
        """An edge, unless it is there or leads from a node to itself."""
        if source != target:
            self.edges.setdefault((source, target), text)


def describe(type: ArrayType) -> str:
    """'f32[2,3]'."""
    return f"{short_dtype(type.dtype)}[{','.join(map(str, type.shape))}]"


def graph_of(
    program: Program,
    inputs: list[str],
    calls: list[LayerCall],
    depth: int | None,
    captured: list[str | None],
) -> Graph:
    """The graph of a Program.

    Args:
        program: what was recorded.
        inputs: a name for each input after the captured ones.
        calls: the layers; one without layers inside, or at the given depth, becomes one node.
        depth: how many layers may lie in one another; None for all.
        captured: a name for each captured array that is drawn, None for those that are not.
    """
    graph, made = Graph(), {}
    names = [*captured, *inputs]
    for number, (variable, name) in enumerate(zip(program.inputs, names, strict=True)):
        if name is not None:
            kind = "input" if number >= len(captured) else "parameter"
            made[variable] = graph.add(Node([name, describe(variable.type)], kind))
    boxes = _boxes(calls, depth)
    of_box: dict[int, int] = {}
    for number, equation in enumerate(program.equations):
        box = next((b for b in boxes if b.start <= number < b.stop), None)
        if box is None:
            node = graph.add(_operation(equation))
        else:
            if id(box) not in of_box:
                of_box[id(box)] = graph.add(_layer(box))
            node = of_box[id(box)]
        for atom in equation.inputs:
            if isinstance(atom, Variable) and atom in made:
                graph.connect(made[atom], node, describe(atom.type))
        made.update((variable, node) for variable in equation.outputs)
    for number, atom in enumerate(program.outputs):
        name = "result" if len(program.outputs) == 1 else f"result {number}"
        node = graph.add(Node([name, describe(atom.type)], "output"))
        if not isinstance(atom, Literal) and atom in made:
            graph.connect(made[atom], node, describe(atom.type))
    return _without_dead_ends(graph)


def _boxes(calls: list[LayerCall], depth: int | None) -> list[LayerCall]:
    """The calls that become nodes."""
    found = []
    for number, call in enumerate(calls):
        following = calls[number + 1 : number + 2]
        is_leaf = not following or following[0].depth <= call.depth
        is_cut = depth is not None and call.depth >= depth
        inside = any(call.depth > c.depth and c.start <= call.start < c.stop for c in found)
        if call.is_top and (is_leaf or is_cut) and not inside and call.stop > call.start:
            found.append(call)
    return found


def _layer(call: LayerCall) -> Node:
    lines = [call.name, *([call.path] if call.path else []), *map(describe, call.outputs[:2])]
    return Node(lines, "layer")


def _operation(equation: Equation) -> Node:
    name = equation.primitive.name
    inner = subprograms(equation)
    if inner:
        name = f"{name} ({', '.join(dict.fromkeys(program.name for program in inner))})"
    literals = [str(a.value) for a in equation.inputs if isinstance(a, Literal)]
    first = f"{name} {', '.join(literals)}" if literals else name
    return Node([first, *[describe(v.type) for v in equation.outputs[:2]]], "operation")


def _without_dead_ends(graph: Graph) -> Graph:
    """Only nodes that lead to a result, and inputs."""
    needed = {i for i, node in enumerate(graph.nodes) if node.kind in ("output", "input")}
    pending = list(needed)
    sources: dict[int, list[int]] = {}
    for source, target in graph.edges:
        sources.setdefault(target, []).append(source)
    while pending:
        for source in sources.get(pending.pop(), []):
            if source not in needed:
                needed.add(source)
                pending.append(source)
    kept = sorted(needed)
    new: dict[int, Any] = {old: number for number, old in enumerate(kept)}
    edges = {(new[a], new[b]): t for (a, b), t in graph.edges.items() if a in new and b in new}
    return Graph([graph.nodes[i] for i in kept], edges)
