"""Functions over trees: map, reduce, transpose and their kin."""

import builtins
import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from funcgrad.tree.flattening import flatten, leaves, structure
from funcgrad.tree.keys import path_string
from funcgrad.tree.match import prefix_values, values_at_positions
from funcgrad.tree.static import same
from funcgrad.tree.treedef import PyTreeDef
from funcgrad.tree.walk import IsLeaf

_MISSING = object()
_VALUES = (bool, int, float, complex, str, bytes, np.generic)


def map(f: Callable[..., Any], tree: Any, *rest: Any, is_leaf: IsLeaf = None) -> Any:
    """Apply a function to the leaves of one tree, or of several side by side.

    Where all trees have the same ties `f` runs once per tied leaf and the result is tied;
    otherwise it runs once per position.

    Args:
        f: called with a leaf of `tree` and the parts of `rest` at the same place.
        tree: gives the structure of the result.
        rest: trees that have the structure of `tree` as a prefix.
        is_leaf: where true, a part of `tree` is a leaf.

    Returns:
        The tree of results.

    Raises:
        ValueError: a tree in `rest` differs; names the path of the first difference.

    >>> map(lambda x, y: x + y, {"a": 1, "b": (2,)}, {"a": 10, "b": (20,)})
    {'a': 11, 'b': (22,)}
    """
    found, treedef = flatten(tree, is_leaf)
    if not rest:
        return treedef.unflatten([f(leaf) for leaf in found])
    columns, treedef = _align(found, treedef, rest, is_leaf, "tree.map")
    return treedef.unflatten([f(*items) for items in zip(*columns, strict=True)])


def map_with_path(f: Callable[..., Any], tree: Any, *rest: Any, is_leaf: IsLeaf = None) -> Any:
    """Like `map`, with the key path as first argument of `f`.

    >>> from funcgrad.tree import path_string
    >>> map_with_path(lambda path, x: path_string(path), {"a": [5, 6]})
    {'a': ['a.0', 'a.1']}
    """
    found, treedef = flatten(tree, is_leaf)
    columns, treedef = _align(found, treedef, rest, is_leaf, "tree.map_with_path")
    rows = zip(treedef.paths(), *columns, strict=True)
    return treedef.unflatten([f(*items) for items in rows])


def _align(
    found: list[Any], treedef: PyTreeDef, rest: tuple[Any, ...], is_leaf: IsLeaf, what: str
) -> tuple[list[list[Any]], PyTreeDef]:
    """One column of values per tree, and the treedef (tied or not) that the columns follow."""
    by_position = [_values_of(treedef, tree, is_leaf, what) for tree in rest]
    if builtins.all([_has_ties_of(treedef, values) for values in by_position]):
        return [found, *builtins.map(treedef.first_values, by_position)], treedef
    return [[found[index] for index in treedef.positions], *by_position], treedef.untied()


def _values_of(treedef: PyTreeDef, tree: Any, is_leaf: IsLeaf, what: str) -> list[Any]:
    """The values of a tree at the positions of a structure that it should have."""
    if is_leaf is None:
        found, other = flatten(tree)
        if other is treedef:  # the usual case: known structures are the same object
            return [found[index] for index in treedef.positions] if treedef.has_ties else found
    return values_at_positions(treedef.root, tree, what)


def _has_ties_of(treedef: PyTreeDef, values: list[Any]) -> bool:
    """Whether values at tied positions are one value."""
    if len(values) == treedef.num_leaves:
        return True
    first: dict[int, Any] = {}
    pairs = zip(treedef.positions, values, strict=True)
    return builtins.all([_is_one(first.setdefault(index, value), value) for index, value in pairs])


def _is_one(first: Any, second: Any) -> bool:
    """The same object, equal plain values, or equal containers of such."""
    if first is second:
        return True
    found, treedef = flatten(first)
    others, other = flatten(second)
    if treedef != other:
        return False
    return builtins.all(
        [
            a is b or (isinstance(a, _VALUES) and same(a, b))
            for a, b in zip(found, others, strict=True)
        ]
    )


def reduce(
    function: Callable[[Any, Any], Any],
    tree: Any,
    initializer: Any = _MISSING,
    is_leaf: IsLeaf = None,
) -> Any:
    """Combine the leaves of a tree from left to right.

    >>> reduce(lambda x, y: x + y, {"a": 1, "b": [2, 3]})
    6
    """
    found = leaves(tree, is_leaf)
    if initializer is _MISSING:
        return functools.reduce(function, found)
    return functools.reduce(function, found, initializer)


def all(tree: Any, *, is_leaf: IsLeaf = None) -> bool:
    """Whether all leaves are true.

    >>> all({"a": True, "b": [1, 0]})
    False
    """
    return builtins.all(leaves(tree, is_leaf))


def transpose(outer: PyTreeDef, inner: PyTreeDef | None, tree: Any) -> Any:
    """Turn a tree of trees inside out.

    Args:
        outer: structure of the outer levels.
        inner: structure of the inner levels; None takes it from the first inner tree.
        tree: has the structure `outer` with `inner` at each leaf.

    Raises:
        ValueError: the tree is of another structure.

    >>> transpose(structure((0, 0)), None, ({"a": 1, "b": 2}, {"a": 3, "b": 4}))
    {'a': (1, 3), 'b': (2, 4)}
    """
    rows = outer.first_values(values_at_positions(outer.root, tree, "tree.transpose"))
    if inner is None:
        if not rows:
            raise ValueError("tree.transpose: inner must be given when outer has no leaves")
        inner = structure(rows[0])
    columns = [
        inner.first_values(values_at_positions(inner.root, row, "tree.transpose")) for row in rows
    ]
    if not columns:
        return inner.unflatten([outer.unflatten([])] * inner.num_leaves)
    return inner.unflatten([outer.unflatten(items) for items in zip(*columns, strict=True)])


def broadcast(prefix: Any, full: Any, is_leaf: IsLeaf = None) -> Any:
    """The structure of `full` with the leaves of `prefix`, each repeated below its place.

    >>> broadcast({"a": 1, "b": 2}, {"a": [0, 0], "b": 0})
    {'a': [1, 1], 'b': 2}
    """
    treedef = structure(full, is_leaf)
    values = broadcast_prefix(prefix, treedef, is_leaf, what="tree.broadcast")
    return treedef.unflatten(values)


def broadcast_prefix(
    prefix: Any, full: Any, is_leaf: IsLeaf = None, what: str = "prefix"
) -> list[Any]:
    """The value of a prefix tree for every leaf of a full tree.

    Args:
        prefix: a tree whose leaves stand for whole parts of `full`.
        full: a tree, or its structure.
        is_leaf: where true, a part of `prefix` is a leaf (for `None` as a value).
        what: the name of the argument, for errors.

    Raises:
        ValueError: `prefix` is not a prefix of `full`; names `what` and the path.

    >>> broadcast_prefix((0, None), ([1, 2], 3), lambda x: x is None, what="in_axes")
    [0, 0, None]
    """
    treedef = full if isinstance(full, PyTreeDef) else structure(full)
    values = prefix_values(treedef.root, prefix, is_leaf, what)
    if not _has_ties_of(treedef, values):
        raise ValueError(_explain_tied_prefix(treedef, values, what))
    return treedef.first_values(values)


def _explain_tied_prefix(treedef: PyTreeDef, values: list[Any], what: str) -> str:
    """Two positions of one array were given two values: say which."""
    first: dict[int, tuple[str, Any]] = {}
    for path, index, value in zip(treedef.untied().paths(), treedef.positions, values, strict=True):
        place, known = first.setdefault(index, (path_string(path), value))
        if not _is_one(known, value):
            return (
                f"{what}: at {path_string(path)}: {value!r}, but the same array at {place} has "
                f"{known!r}. Give both the same value, or pass a copy of the array."
            )
    raise AssertionError("the values agree")
