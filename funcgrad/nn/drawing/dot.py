"""A graph as DOT text, for Graphviz and its like."""

from __future__ import annotations

from funcgrad.nn.drawing.graph import Graph
from funcgrad.nn.drawing.svg import COLORS


def dot_text(graph: Graph) -> str:
    """The graph in the language of Graphviz."""
    lines = [
        "digraph {",
        '  node [shape=box, style="filled,rounded", fontname=monospace, fontsize=10];',
    ]
    for number, node in enumerate(graph.nodes):
        fill, stroke = COLORS[node.kind]
        label = "\\n".join(map(_escaped, node.lines))
        lines.append(f'  n{number} [label="{label}", fillcolor="{fill}", color="{stroke}"];')
    for (source, target), text in graph.edges.items():
        lines.append(f'  n{source} -> n{target} [tooltip="{_escaped(text)}"];')
    return "\n".join([*lines, "}"]) + "\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
