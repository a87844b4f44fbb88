"""Building a tree from its leaves: step by step, and by a function generated for one structure."""

from collections.abc import Callable
from typing import Any

from funcgrad.tree.node_types import NamedTupleNode
from funcgrad.tree.nodes import Leaf, Node, Structure, Tie, parts
from funcgrad.tree.source import Writer, is_compilable

Unflatten = Callable[[Any], Any]


def compile_unflatten(root: Structure) -> Unflatten:
    """A function leaves -> tree."""
    if not is_compilable(root):
        return lambda leaves: unflatten_by_walking(root, leaves)
    return _UnflattenWriter(root).compile()


def unflatten_by_walking(root: Structure, leaves: Any) -> Any:
    """Build the tree without generated code."""
    fresh, instances = iter(leaves), []

    def build(part: Structure) -> Any:
        if isinstance(part, Leaf):
            return next(fresh)
        if isinstance(part, Tie):
            return leaves[part.index]
        if part.same_as is not None:
            return instances[part.same_as]
        number = len(instances)
        if part.kind.identity:
            instances.append(None)
        children = []
        for child in part.children:
            children.append(build(child))
        value = part.kind.unflatten(part.aux, tuple(children))
        if part.kind.identity:
            instances[number] = value
        return value

    return build(root)


class _UnflattenWriter(Writer):
    """Writes the unflatten function of one structure: one nested expression."""

    def __init__(self, root: Structure):
        super().__init__({"new_tuple": tuple.__new__})
        self.root = root
        self.used_leaves = 0
        self.used_instances = 0
        nodes = [part for part in parts(root) if isinstance(part, Node)]
        self.repeated = {node.same_as for node in nodes if node.same_as is not None}

    def compile(self) -> Unflatten:
        result = self.expression(self.root)
        names = "".join([f"x{index}, " for index in range(self.used_leaves)])
        if names:
            self.lines.append(f"{names}= leaves")
        self.lines.append(f"return {result}")
        return self.run("def function(leaves):")

    def expression(self, part: Structure) -> str:
        if isinstance(part, Tie):
            return f"x{part.index}"
        if not isinstance(part, Node):
            self.used_leaves += 1
            return f"x{self.used_leaves - 1}"
        if part.same_as is not None:
            return f"n{part.same_as}"
        if not part.kind.identity:
            return self.container(part)
        number = self.used_instances
        self.used_instances += 1
        value = self.container(part)
        return f"(n{number} := {value})" if number in self.repeated else value

    def container(self, node: Node) -> str:
        children = [self.expression(child) for child in node.children]
        items = "".join([child + ", " for child in children])
        cls = node.kind.cls
        if node.kind.access == "none":
            return "None"
        if cls is list:
            return f"[{items}]"
        if cls is tuple:
            return f"({items})"
        if cls is dict:
            pairs = zip(map(self.constant, node.aux), children, strict=True)
            return f"{{{', '.join([f'{key}: {child}' for key, child in pairs])}}}"
        if isinstance(node.kind, NamedTupleNode):
            return f"new_tuple({self.constant(cls)}, ({items}))"
        return f"{self.constant(node.kind.unflatten)}({self.constant(node.aux)}, ({items}))"
