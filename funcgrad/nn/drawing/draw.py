"""`draw`: a network or any traced function as a picture."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

from funcgrad import tree
from funcgrad.nn.calls import record_calls
from funcgrad.nn.drawing.dot import dot_text
from funcgrad.nn.drawing.graph import Graph, graph_of
from funcgrad.nn.drawing.layered import lay_out
from funcgrad.nn.drawing.svg import svg_text
from funcgrad.nn.paths import places
from funcgrad.nn.structures import as_structures
from funcgrad.nn.walk import is_module
from funcgrad.transforms.arguments import argument_name
from funcgrad.transforms.staging import is_typed_leaf, trace_tree


class Drawing:
    """A picture that `draw` returns; notebooks show it.

    Attributes:
        graph: its nodes and edges.
        dot: text for Graphviz.
        svg: text of an SVG file.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph

    @cached_property
    def dot(self) -> str:
        """Text for Graphviz."""
        return dot_text(self.graph)

    @cached_property
    def svg(self) -> str:
        """Text of an SVG file."""
        return svg_text(self.graph, lay_out(self.graph))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a file; its name ends in .svg, .dot or .gv."""
        kinds = {".svg": "svg", ".dot": "dot", ".gv": "dot"}
        ending = Path(path).suffix.lower()
        if ending not in kinds:
            raise ValueError(
                f"[draw] cannot write {os.fspath(path)!r}: use a name that ends in .svg or .dot."
            )
        Path(path).write_text(getattr(self, kinds[ending]), encoding="utf-8")

    def _repr_svg_(self) -> str:
        return self.svg

    def __repr__(self) -> str:
        return f"<drawing of {len(self.graph.nodes)} nodes and {len(self.graph.edges)} edges>"


def draw(
    function: Callable[..., Any],
    *inputs: Any,
    depth: int | None = None,
    train: bool = False,
    key: Any = None,
    method: Any = "__call__",
) -> Drawing:
    """A drawing of a network, or of the operations of any function that can be traced.

    Nothing is computed: the call is recorded for the shapes of its inputs.

    Args:
        function: a module, drawn with one box for each layer without layers inside, or a function of arrays, drawn with
            one box for each operation.
        *inputs: arrays, or shapes as tuples of ints, which are those of float32 arrays.
        depth: layers inside so many others are not shown; 1 shows only the layers directly inside the model.
        train, key, method: as for `model.apply`.

    Returns:
        A `Drawing`, which notebooks show; it has `.svg` and `.dot` as text, and `save("net.svg")`.

    Example:
        >>> from funcgrad import nn
        >>> model = nn.Sequential([nn.Linear(4, 8, key=0), nn.relu, nn.Linear(8, 2, key=1)])
        >>> draw(model, (32, 4))
        <drawing of 5 nodes and 4 edges>
        >>> draw(lambda x: (x * x).sum(), (3,)).dot.splitlines()[3]
        '  n1 [label="multiply\\\\nf32[3]", fillcolor="#ffffff", color="#616161"];'
    """
    if is_module(function):
        options = {"train": train, "key": key, "method": method}
        found = record_calls(function, inputs, options)
        known = {id(place.array) for place in places(function)}
        captured = [None if id(array) in known else "array" for array in found.captured]
        names = _input_names(None, inputs)
        return Drawing(graph_of(found.program, names, found.calls, depth, captured))
    program, arrays, _ = trace_tree(function, as_structures(inputs))
    names = _input_names(function, inputs)
    return Drawing(graph_of(program, names, [], None, ["array"] * len(arrays)))


def _input_names(function: Any, inputs: tuple) -> list[str]:
    """A name for each array among the inputs."""
    names = []
    for number, one in enumerate(as_structures(inputs)):
        name = f"input {number}" if len(inputs) > 1 else "input"
        if function is not None:
            name = argument_name(function, number).strip("'")
            name = f"argument {name}" if name.isdigit() else name
        leaves, treedef = tree.flatten(one, tie=False)
        for path, leaf in zip(treedef.paths(), leaves, strict=True):
            if is_typed_leaf(leaf):
                step = tree.path_string(path)
                names.append(f"{name}.{step}" if step else name)
    return names
