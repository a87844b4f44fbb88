"""Flatten functions generated for one structure.

Such a function returns the leaves of a tree of exactly its structure and None for every other
tree, so that the walker stays the truth.  It checks exact types, lengths, keys, static data, that
no container sits at a leaf position, and ties.
"""

import keyword
import re
from collections.abc import Callable
from itertools import combinations
from typing import Any

from funcgrad.tree.node_types import AttributeNode
from funcgrad.tree.nodes import Node, Structure, Tie, count_leaves, equality_key, parts, untied
from funcgrad.tree.registry import leaf_types, shared_types
from funcgrad.tree.source import Writer, is_compilable
from funcgrad.tree.static import same
from funcgrad.tree.walk import flatten_by_walking

_FEW = 4
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

Flatten = Callable[[Any], list[Any] | None]


def compile_flatten(root: Structure, *, tie: bool = True) -> Flatten:
    """A function tree -> leaves, or None where the tree is of another structure."""
    if not is_compilable(root):
        return _flatten_by_comparing(root, tie)
    return _FlattenWriter(root, tie).compile()


def _flatten_by_comparing(root: Structure, tie: bool) -> Flatten:
    key = equality_key(root)

    def flatten(tree: Any) -> list[Any] | None:
        leaves, found = flatten_by_walking(tree, tie=tie)
        return leaves if equality_key(found) == key else None

    return flatten


class _FlattenWriter(Writer):
    """Writes the flatten function of one structure."""

    def __init__(self, root: Structure, tie: bool):
        super().__init__(
            {
                "leaf_types": leaf_types,
                "shared_types": shared_types,
                "same": same,
                "repeats": _repeats,
            }
        )
        self.root = root if tie else untied(root)
        self.tie = tie
        self.variables = 0
        self.leaves: list[str] = []
        self.instances: list[str] = []
        self.count = count_leaves(self.root)
        self.tied = {part.index for part in parts(self.root) if isinstance(part, Tie)}
        self.met_again: set[str] = set()

    def compile(self) -> Flatten:
        self.lines.append("try:")
        self.visit(self.root, "tree")
        self.lines.append(f" leaves = [{', '.join(self.leaves)}]")
        self.lines.append("except (KeyError, AttributeError):")
        self.lines.append(" return None")
        self.check_types()
        if self.tie:
            self.check_ties()
        self.lines.append("return leaves")
        return self.run("def function(tree):")

    def require(self, condition: str) -> None:
        self.lines.append(f" if not ({condition}): return None")

    def variable(self) -> str:
        self.variables += 1
        return f"v{self.variables}"

    def named(self, expression: str) -> str:
        if expression.isidentifier():
            return expression
        name = self.variable()
        self.lines.append(f" {name} = {expression}")
        return name

    def visit(self, part: Structure, expression: str) -> None:
        if isinstance(part, Node):
            if part.same_as is not None:
                self.require(f"{expression} is {self.instances[part.same_as]}")
            else:
                self.node(part, self.named(expression))
        elif isinstance(part, Tie):
            self.met_again.add(self.leaves[part.index])
            self.require(f"{expression} is {self.leaves[part.index]}")
        else:
            # Only leaves that are looked at again need a variable.
            is_again = self.count <= _FEW or len(self.leaves) in self.tied
            self.leaves.append(self.named(expression) if is_again else expression)

    def node(self, node: Node, value: str) -> None:
        if node.kind.access == "none":
            self.require(f"{value} is None")
            return
        self.require(f"type({value}) is {self.constant(node.kind.cls)}")
        if self.tie and node.kind.identity:
            self.instances.append(value)
        for child, expression in zip(node.children, self.children(node, value), strict=True):
            self.visit(child, expression)

    def children(self, node: Node, value: str) -> list[str]:
        """Check length, keys and static data; return an expression for each child."""
        count = len(node.children)
        if node.kind.access == "sequence":
            self.require(f"len({value}) == {count}")
            return self.unpack(value, count)
        if is_dict_with_text_keys(node):
            self.require(f"len({value}) == {count}")
            return [f"{value}[{self.constant(key)}]" for key in node.aux]
        if isinstance(node.kind, AttributeNode):
            found, aux = self.named(f"{self.constant(node.kind.aux_of)}({value})"), node.aux
            self.require(f"{found} is {self.constant(aux)} or same({found}, {self.constant(aux)})")
            return [self.attribute(value, name) for name in node.kind.names_of(aux)]
        found = self.named(f"{self.constant(checked_split(node))}({value})")
        self.require(f"{found} is not None")
        return self.unpack(found, count)

    def unpack(self, value: str, count: int) -> list[str]:
        names = [self.variable() for _ in range(count)]
        if names:
            self.lines.append(f" {', '.join(names)}, = {value}")
        return names

    def attribute(self, value: str, name: str) -> str:
        # A checked ASCII identifier is the only user text that may become source.
        if _IDENTIFIER.fullmatch(name) and not keyword.iskeyword(name):
            return f"{value}.{name}"
        return f"getattr({value}, {self.constant(name)})"

    def check_types(self) -> None:
        if self.count > _FEW:
            self.lines.append("types = {*map(type, leaves)}")
            self.lines.append("if not types <= leaf_types: return None")
        elif self.count:
            known = " and ".join([f"type({leaf}) in leaf_types" for leaf in self.leaves])
            self.lines.append(f"if not ({known}): return None")

    def check_ties(self) -> None:
        """Other objects must not be equal by identity; values such as small ints may be."""
        for leaf in sorted(self.met_again):
            self.lines.append(f"if type({leaf}) not in shared_types: return None")
        if len(self.instances) > 1:
            identities = ", ".join([f"id({name})" for name in self.instances])
            self.lines.append(f"if len({{{identities}}}) != {len(self.instances)}: return None")
        if self.count > _FEW:
            self.lines.append(
                "if not types.isdisjoint(shared_types) and "
                f"len({{*map(id, leaves)}}) != {self.count} and repeats(leaves): return None"
            )
        elif self.count > 1:
            pairs = " or ".join([f"{a} is {b}" for a, b in combinations(self.leaves, 2)])
            self.lines.append(f"if ({pairs}) and repeats(leaves): return None")


def is_dict_with_text_keys(node: Node) -> bool:
    """Whether the children can be looked up one by one."""
    return node.kind.cls is dict and all([type(key) is str for key in node.aux])


def checked_split(node: Node) -> Callable[[Any], tuple[Any, ...] | None]:
    """Ask the class for its children; None when their number or the static data differ."""
    split, aux, count = node.kind.split_without_keys, node.aux, len(node.children)

    def checked_split(value: Any) -> tuple[Any, ...] | None:
        children, found = split(value)
        return children if len(children) == count and same(found, aux) else None

    return checked_split


def _repeats(leaves: list[Any]) -> bool:
    """Whether an array or tracer occurs twice."""
    shared = [id(leaf) for leaf in leaves if type(leaf) in shared_types]
    return len(set(shared)) != len(shared)
