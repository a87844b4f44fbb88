"""Parts of a tree: which leaves are arrays, and splitting a tree in two."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from funcgrad import tree
from funcgrad.ir.tracer import Tracer
from funcgrad.ir.types import PYTHON_SCALARS, is_inexact, kind

IsLeaf = Callable[[Any], bool] | None


def is_array(value: Any) -> bool:
    """Whether a value is an array (NumPy or CuPy), a NumPy number or a traced array.

    Example:
        >>> is_array(np.ones(2)), is_array(1.0), is_array(np.array(["text"]))
        (True, False, False)
    """
    if isinstance(value, np.ndarray | np.generic):
        return value.dtype.kind in "biufc" or _is_numeric(value.dtype)
    if isinstance(value, Tracer):
        return True
    cupy = sys.modules.get("cupy")
    return cupy is not None and isinstance(value, cupy.ndarray)


def is_inexact_array(value: Any) -> bool:
    """Whether a value is an array of floating or complex numbers.

    Example:
        >>> is_inexact_array(np.ones(2)), is_inexact_array(np.arange(2))
        (True, False)
    """
    return is_array(value) and is_inexact(value.dtype)


def is_array_like(value: Any) -> bool:
    """Whether a value is an array or a Python number.

    Example:
        >>> is_array_like(1.0), is_array_like("text")
        (True, False)
    """
    return is_array(value) or type(value) in PYTHON_SCALARS


def is_none(value: Any) -> bool:
    """Whether a value is None: for trees where None stands in the place of a leaf."""
    return value is None


def filter(
    pytree: Any,
    filter_spec: Any,
    inverse: bool = False,
    replace: Any = None,
    is_leaf: IsLeaf = None,
) -> Any:
    """Keep the leaves that a filter accepts, and put `replace` in the place of the others.

    Args:
        pytree: the tree.
        filter_spec: a tree prefix of bools and of functions leaf -> bool.
        inverse: keep the leaves that are not accepted.
        replace: stands for the leaves that are left out.
        is_leaf: where true, a part of `pytree` is a leaf.

    Returns:
        A tree like `pytree`.

    Example:
        >>> filter({"w": np.ones(2), "name": "linear"}, is_array)
        {'name': None, 'w': array([1., 1.])}
    """
    leaves, treedef = tree.flatten(pytree, is_leaf)
    mask = _mask(leaves, treedef, filter_spec)
    kept = [leaf if keep != inverse else replace for leaf, keep in zip(leaves, mask, strict=True)]
    return treedef.unflatten(kept)


def partition(
    pytree: Any, filter_spec: Any, replace: Any = None, is_leaf: IsLeaf = None
) -> tuple[Any, Any]:
    """Split a tree into the leaves that a filter accepts and the others; `combine` undoes it.

    Args:
        pytree, filter_spec, replace, is_leaf: as for `filter`.

    Returns:
        (accepted, others), two trees like `pytree` with `replace` at the places of the other's leaves.

    Example:
        >>> trained, frozen = partition({"a": 1.0, "b": 2.0}, {"a": True, "b": False})
        >>> trained, frozen
        ({'a': 1.0, 'b': None}, {'a': None, 'b': 2.0})
    """
    accepted = filter(pytree, filter_spec, False, replace, is_leaf)
    return accepted, filter(pytree, filter_spec, True, replace, is_leaf)


def combine(*pytrees: Any, is_leaf: IsLeaf = None) -> Any:
    """Join trees of one structure: at every place the first leaf that is not None.

    Raises:
        ValueError: the trees differ in structure; names the path.

    Example:
        >>> combine({"a": 1.0, "b": None}, {"a": None, "b": 2.0})
        {'a': 1.0, 'b': 2.0}
    """

    def first(*leaves: Any) -> Any:
        return next((leaf for leaf in leaves if leaf is not None), None)

    def is_end(value: Any) -> bool:
        return value is None or (is_leaf is not None and is_leaf(value))

    return tree.map(first, *pytrees, is_leaf=is_end)


def _mask(leaves: list[Any], treedef: tree.PyTreeDef, filter_spec: Any) -> list[bool]:
    """Whether each leaf is accepted."""
    specs = tree.broadcast_prefix(filter_spec, treedef, what="filter_spec")
    mask = []
    for leaf, spec in zip(leaves, specs, strict=True):
        keep = spec(leaf) if callable(spec) else spec
        if not isinstance(keep, bool | np.bool_):
            raise TypeError(
                f"[filter] filter_spec needs bools and functions that return one, but got {keep!r:.60}. "
                "Write, for example, filter(model, is_array)."
            )
        mask.append(bool(keep))
    return mask


def _is_numeric(dtype: np.dtype) -> bool:
    try:
        return bool(kind(dtype))
    except TypeError:
        return False
