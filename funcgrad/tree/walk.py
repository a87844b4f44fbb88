"""Flattening by walking: the reference meaning, and the way for structures not met before."""

import sys
from collections.abc import Callable
from typing import Any

from funcgrad.tree.keys import KeyPath, path_string
from funcgrad.tree.node_types import LeafType, NodeType
from funcgrad.tree.nodes import LEAF, Node, Repeat, Structure, Tie
from funcgrad.tree.registry import kind_of, kinds

MAX_DEPTH = 400

IsLeaf = Callable[[Any], bool] | None


def flatten_by_walking(
    tree: Any, is_leaf: IsLeaf = None, *, tie: bool = True
) -> tuple[list[Any], Structure]:
    """The leaves and the structure of a tree."""
    walker = _Walker(is_leaf, tie)
    try:
        root = walker.visit(tree, 0)
    except RecursionError:
        raise ValueError(_explain_depth(tree, is_leaf)) from None
    return walker.leaves, root


class _Walker:
    """One walk through one tree."""

    def __init__(self, is_leaf: IsLeaf, tie: bool):
        self.is_leaf = is_leaf
        self.tie = tie
        self.leaves: list[Any] = []
        self.places: dict[int, int] = {}
        # id -> (instance, its number, its first leaf, its structure or None during the visit).
        # Holding the instance keeps its id from being used again.
        self.instances: dict[int, tuple[Any, int, int, Structure | None]] = {}

    def visit(self, value: Any, depth: int) -> Structure:
        kind = kinds.get(type(value)) or kind_of(type(value))
        if (self.is_leaf is not None and self.is_leaf(value)) or isinstance(kind, LeafType):
            return self.leaf(value, kind)
        if depth >= MAX_DEPTH:
            raise RecursionError
        if kind.identity and self.tie:
            return self.instance(value, kind, depth)
        return self.node(value, kind, depth)

    def leaf(self, value: Any, kind: NodeType | LeafType) -> Structure:
        if kind.identity and self.tie:
            number = self.places.setdefault(id(value), len(self.leaves))
            if number < len(self.leaves):
                return Tie(number)
        self.leaves.append(value)
        return LEAF

    def node(self, value: Any, kind: NodeType, depth: int) -> Node:
        children, aux, keys = kind.split(value)
        parts = []
        for child in children:
            parts.append(self.visit(child, depth + 1))
        return Node(kind, aux, tuple(parts), None, keys)

    def instance(self, value: Any, kind: NodeType, depth: int) -> Structure:
        known = self.instances.get(id(value))
        if known is not None:
            _, number, first_leaf, structure = known
            if structure is None:
                raise RecursionError
            return Repeat(first_leaf, number)(structure)
        number, first_leaf = len(self.instances), len(self.leaves)
        self.instances[id(value)] = (value, number, first_leaf, None)
        structure = self.node(value, kind, depth)
        self.instances[id(value)] = (value, number, first_leaf, structure)
        return structure


def _explain_depth(tree: Any, is_leaf: IsLeaf) -> str:
    """Say whether the tree contains itself or is only deep, and where."""
    parents: list[Any] = []
    pending: list[tuple[Any, KeyPath]] = [(tree, ())]
    limit = min(MAX_DEPTH, sys.getrecursionlimit())
    while pending:
        value, path = pending.pop()
        del parents[len(path) :]
        kind = kind_of(type(value))
        if isinstance(kind, LeafType) or (is_leaf is not None and is_leaf(value)):
            continue
        levels = [level for level, parent in enumerate(parents) if parent is value]
        if levels:
            start = path_string(path[: levels[0]]) or "the root"
            return (
                f"[tree] the tree contains itself: {path_string(path)} is the same object as "
                f"{start}. A tree must be finite; break the cycle."
            )
        if len(path) >= limit:
            break
        parents.append(value)
        children, aux, keys = kind.split(value)
        keys = kind.keys(aux, len(children)) if keys is None else keys
        steps = list(zip(children, keys, strict=True))
        pending.extend([(child, (*path, key)) for child, key in reversed(steps)])
    return (
        f"[tree] the tree is nested deeper than {MAX_DEPTH} levels or than Python's recursion "
        "limit allows. Use a list instead of nesting, or stack the layers into arrays."
    )
