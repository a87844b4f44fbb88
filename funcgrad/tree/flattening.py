"""`flatten` and friends: a cache of generated code in front of the walker."""

from collections.abc import Callable, Iterable
from typing import Any

from funcgrad.tree import flatten_code, unflatten_code
from funcgrad.tree.keys import KeyPath
from funcgrad.tree.nodes import LEAF
from funcgrad.tree.registry import leaf_types
from funcgrad.tree.source import is_compilable
from funcgrad.tree.treedef import PyTreeDef
from funcgrad.tree.walk import IsLeaf, flatten_by_walking

_MAX_BUCKETS = 512
_BUCKET_SIZE = 8
_SIZED = frozenset({tuple, list, dict})
_LEAF_DEF = PyTreeDef(LEAF)


class _Known:
    """Structures met before, found by the class (and length) of the root.

    Buckets are tuples that are replaced and never changed, the most recently used structure
    first, so threads can only lose an update to each other.
    """

    def __init__(self, tie: bool):
        self.tie = tie
        self.compiled: dict[Any, tuple[tuple[flatten_code.Flatten, PyTreeDef], ...]] = {}
        self.seen: dict[Any, tuple[PyTreeDef, ...]] = {}

    def flatten(self, tree: Any) -> tuple[list[Any], PyTreeDef]:
        cls = type(tree)
        if cls in leaf_types:
            return [tree], _LEAF_DEF
        key = (cls, len(tree)) if cls in _SIZED else cls
        bucket = self.compiled.get(key, ())
        for entry in bucket:
            leaves = entry[0](tree)
            if leaves is not None:
                if entry is not bucket[0]:
                    self.compiled[key] = (entry, *[other for other in bucket if other is not entry])
                return leaves, entry[1]
        leaves, root = flatten_by_walking(tree, tie=self.tie)
        return leaves, self.remember(key, PyTreeDef(root))

    def remember(self, key: Any, treedef: PyTreeDef) -> PyTreeDef:
        """Generate code at the second sight of a structure; return the first equal treedef."""
        bucket, seen = self.compiled.get(key, ()), self.seen.get(key, ())
        for _, known in bucket:
            if known == treedef:
                return known
        for known in seen:
            if known == treedef:
                if is_compilable(known.root):
                    function = flatten_code.compile_flatten(known.root, tie=self.tie)
                    self.put(self.compiled, key, ((function, known), *bucket))
                    self.put(self.seen, key, tuple([one for one in seen if one is not known]))
                return known
        self.put(self.seen, key, (treedef, *seen))
        return treedef

    def put(self, table: dict[Any, tuple[Any, ...]], key: Any, bucket: tuple[Any, ...]) -> None:
        if key not in table and len(table) >= _MAX_BUCKETS:
            table.clear()
        table[key] = bucket[:_BUCKET_SIZE]


_known = _Known(tie=True)
_known_untied = _Known(tie=False)
_flatten_known = _known.flatten


def flatten(tree: Any, is_leaf: IsLeaf = None, *, tie: bool = True) -> tuple[list[Any], PyTreeDef]:
    """Take a tree apart.

    Args:
        tree: any nesting of containers.
        is_leaf: called on every part of the tree; where it is true the part is a leaf.
        tie: let an array (or a shared module) that occurs twice count once.

    Returns:
        The list of leaves, and the structure that `unflatten` needs to build the tree again.

    Raises:
        ValueError: the tree contains itself or is nested too deeply.

    >>> flatten({"b": 1, "a": [2, None]})
    ([2, 1], PyTreeDef({'a': [*, None], 'b': *}))
    """
    if is_leaf is None:
        return _flatten_known(tree) if tie else _known_untied.flatten(tree)
    leaves, root = flatten_by_walking(tree, is_leaf, tie=tie)
    return leaves, PyTreeDef(root)


def unflatten(treedef: PyTreeDef, leaves: Iterable[Any]) -> Any:
    """Build the tree with this structure and these leaves.

    Raises:
        ValueError: wrong number of leaves.

    >>> leaves, treedef = flatten({"a": 1, "b": (2, 3)})
    >>> unflatten(treedef, [x * 10 for x in leaves])
    {'a': 10, 'b': (20, 30)}
    """
    return treedef.unflatten(leaves)


def leaves(tree: Any, is_leaf: IsLeaf = None) -> list[Any]:
    """The leaves of a tree, each array once.

    >>> leaves({"b": 1, "a": [2, None]})
    [2, 1]
    """
    return flatten(tree, is_leaf)[0]


def structure(tree: Any, is_leaf: IsLeaf = None) -> PyTreeDef:
    """The structure of a tree.

    >>> structure([1, (2, 3)])
    PyTreeDef([*, (*, *)])
    """
    return flatten(tree, is_leaf)[1]


def flatten_with_path(
    tree: Any, is_leaf: IsLeaf = None
) -> tuple[list[tuple[KeyPath, Any]], PyTreeDef]:
    """Like `flatten`, with the key path of each leaf; a tied leaf has its first path.

    >>> flatten_with_path({"a": [5]})[0]
    [((DictKey(key='a'), SequenceKey(idx=0)), 5)]
    """
    found, treedef = flatten(tree, is_leaf)
    return list(zip(treedef.paths(), found, strict=True)), treedef


def leaves_with_path(tree: Any, is_leaf: IsLeaf = None) -> list[tuple[KeyPath, Any]]:
    """The (key path, leaf) pairs of a tree."""
    return flatten_with_path(tree, is_leaf)[0]


def compile_flatten(treedef: PyTreeDef, *, tie: bool = True) -> Callable[[Any], list[Any] | None]:
    """A fast function tree -> leaves for trees of exactly this structure; None for others.

    >>> read = compile_flatten(structure((1, {"a": 2})))
    >>> read((3, {"a": 4}))
    [3, 4]
    >>> read((3, {"b": 4})) is None
    True
    """
    return flatten_code.compile_flatten(treedef.root, tie=tie)


def compile_unflatten(treedef: PyTreeDef) -> Callable[[list[Any]], Any]:
    """A fast function leaves -> tree; the caller vouches for the number of leaves."""
    return unflatten_code.compile_unflatten(treedef.root)
