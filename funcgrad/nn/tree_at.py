"""`tree_at`: a copy of a tree with some parts replaced; `tree_equal`: comparing trees."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from funcgrad import tree
from funcgrad.ir.tracer import Tracer
from funcgrad.nn.filters import IsLeaf, is_array
from funcgrad.nn.walk import is_module
from funcgrad.tree.static import same

_MISSING: Any = object()


class _Place:
    """Stands for one leaf while `where` chooses; every place is a different object."""

    def __init__(self, leaf: Any) -> None:
        self.leaf = leaf


def tree_at(
    where: Callable[[Any], Any],
    pytree: Any,
    replace: Any = _MISSING,
    replace_fn: Callable[[Any], Any] | None = None,
    is_leaf: IsLeaf = None,
) -> Any:
    """A copy of a tree in which some parts are replaced; the way to change a frozen module.

    Args:
        where: tree -> the part to replace, or a tuple or list of parts.
        pytree: the tree; it is not changed.
        replace: the new part, or one for each.
        replace_fn: instead of `replace`: old part -> new part.
        is_leaf: where true, a part of `pytree` is a leaf (for None as a value).

    Raises:
        ValueError: `where` did not return parts of the tree, or `replace` does not match them.

    Example:
        >>> tree_at(lambda t: t["b"][0], {"a": 1, "b": [2, 3]}, 20)
        {'a': 1, 'b': [20, 3]}
    """
    if is_module(where) or not callable(where):
        raise TypeError(
            f"[tree_at] the first argument is a function that chooses a part, but got {type(where).__name__}. "
            "Write tree_at(lambda m: m.weight, model, new_weight)."
        )
    if (replace is _MISSING) == (replace_fn is None):
        raise ValueError("[tree_at] give either replace or replace_fn.")
    leaves, treedef = tree.flatten(pytree, is_leaf)
    marked = treedef.unflatten([_Place(leaf) for leaf in leaves])
    targets, chosen = _chosen_parts(where, marked)
    if replace_fn is None:
        values = chosen.flatten_up_to(replace)
    else:
        values = [replace_fn(_unmarked(target)) for target in targets]
    new = {id(target): value for target, value in zip(targets, values, strict=True)}
    parts, outer = tree.flatten(marked, lambda part: id(part) in new)
    return outer.unflatten(
        [new[id(part)] if id(part) in new else _unmarked(part) for part in parts]
    )


def _chosen_parts(where: Callable[[Any], Any], marked: Any) -> tuple[list[Any], tree.PyTreeDef]:
    """The parts that `where` returns, and how it arranged them."""
    parts = _parts_of(marked)
    targets, chosen = tree.flatten(where(marked), lambda part: id(part) in parts)
    for target in targets:
        if id(target) not in parts:
            raise ValueError(
                f"[tree_at] where returned {target!r:.60}, which is not a part of the tree. It must return "
                "leaves, modules or containers just as it found them. A field that holds no array is static: "
                "use module.replace(name=value), here tree_at(lambda m: m.layer, model, "
                "replace_fn=lambda layer: layer.replace(name=value))."
            )
    if not targets:
        raise ValueError("[tree_at] where returned no part of the tree that holds a leaf.")
    return targets, chosen


def _parts_of(marked: Any) -> dict[int, Any]:
    """Every leaf and container of a tree by its id."""
    parts: dict[int, Any] = {}

    def remember(part: Any) -> bool:
        if part is not None and part != ():
            parts[id(part)] = part
        return False

    tree.flatten(marked, remember)
    return parts


def _unmarked(part: Any) -> Any:
    return tree.map(lambda place: place.leaf, part)


def tree_equal(*pytrees: Any, typematch: bool = False, rtol: float = 0.0, atol: float = 0.0) -> Any:
    """Whether trees have equal structures and equal leaves.

    Args:
        *pytrees: the trees.
        typematch: also ask for equal types of leaves (NumPy scalar and 0-d array differ then).
        rtol, atol: tolerances for floating arrays.

    Returns:
        A bool; a traced bool where leaves are traced.

    Example:
        >>> tree_equal({"a": np.ones(2)}, {"a": np.ones(2)}), tree_equal([1.0], (1.0,))
        (True, False)
    """
    first, treedef = tree.flatten(pytrees[0])
    result: Any = True
    for other in pytrees[1:]:
        leaves, structure = tree.flatten(other)
        if structure != treedef:
            return False
        for left, right in zip(first, leaves, strict=True):
            if typematch and type(left) is not type(right):
                return False
            is_equal = _equal_leaves(left, right, rtol, atol)
            if is_equal is False:
                return False
            result = is_equal if result is True else result & is_equal
    return result


def _equal_leaves(left: Any, right: Any, rtol: float, atol: float) -> Any:
    if not (is_array(left) and is_array(right)):
        return bool(same(left, right))
    if left.shape != right.shape or left.dtype != right.dtype:
        return False
    if left.dtype.kind in "biu" or (rtol == 0 and atol == 0):
        equal = (left == right).all()
    else:
        equal = (np.abs(left - right) <= atol + rtol * np.abs(right)).all()
    return equal if isinstance(equal, Tracer) else bool(equal)
