"""Numbers about whole trees: sums, norms, extrema, sizes."""

from __future__ import annotations

import functools
import math
import operator
from typing import Any

import numpy as np

from funcgrad import tree as pytree
from funcgrad.nn.filters import is_array_like
from funcgrad.optim.averaging import abs_squared
from funcgrad.optim.base import is_trained, moment_dtype
from funcgrad.optim.tree.arithmetic import map_arrays


def arrays_of(tree: Any) -> list[Any]:
    """The arrays of a tree; a tied one once. Half precision as float32, since they will be summed."""
    found = [leaf for leaf in pytree.leaves(tree) if is_array_like(leaf)]
    found = [np.asarray(leaf) if np.isscalar(leaf) else leaf for leaf in found]
    return [leaf.astype(moment_dtype(leaf.dtype)) if is_trained(leaf) else leaf for leaf in found]


def sum(tree: Any) -> Any:
    """The sum of all elements.

    Example:
        >>> float(sum({"a": np.ones(2), "b": 3.0}))
        5.0
    """
    return _joined(operator.add, [np.sum(x) for x in arrays_of(tree)], 0)


def max(tree: Any) -> Any:
    """The largest element, -inf if there is none.

    Example:
        >>> float(max([np.ones(2), np.array([3.0, 1.0])]))
        3.0
    """
    return _joined(np.maximum, [np.max(x) for x in arrays_of(tree) if x.size], -math.inf)


def min(tree: Any) -> Any:
    """The smallest element, inf if there is none.

    Example:
        >>> float(min([np.ones(2), np.array([3.0, -1.0])]))
        -1.0
    """
    return _joined(np.minimum, [np.min(x) for x in arrays_of(tree) if x.size], math.inf)


def size(tree: Any) -> int:
    """How many elements there are.

    Example:
        >>> size({"a": np.ones((2, 3)), "b": 1.0})
        7
    """
    return int(np.sum([math.prod(np.shape(x)) for x in arrays_of(tree)], dtype=np.int64))


def vdot(tree_x: Any, tree_y: Any) -> Any:
    """The inner product: the sum of conj(x) * y over all elements.

    Example:
        >>> float(vdot([np.array([1.0, 2.0])], [np.array([3.0, 4.0])]))
        11.0
    """
    return sum(map_arrays(lambda x, y: np.conj(x) * y, tree_x, tree_y))


def norm(tree: Any, ord: Any = None, squared: bool = False) -> Any:
    """The norm of all elements together.

    Args:
        tree: the tree.
        ord: 2 (None) for the Euclidean norm, 1 for the sum of magnitudes, np.inf for the largest.
        squared: the square of it.

    Example:
        >>> float(norm([np.array([3.0]), np.array([4.0])]))
        5.0
    """
    if ord in (None, 2):
        square = _joined(operator.add, [np.sum(abs_squared(x)) for x in arrays_of(tree)], 0.0)
        return square if squared else np.sqrt(square)
    if ord == 1:
        found = sum(map_arrays(np.abs, tree))
    elif ord in (np.inf, "inf", "infinity"):
        found = max(map_arrays(np.abs, tree))
    else:
        raise ValueError(f"[norm] ord must be 1, 2 or inf, but got {ord!r}.")
    return found * found if squared else found


def allclose(
    a: Any, b: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> Any:
    """Whether all elements of two trees are close to each other.

    Example:
        >>> bool(allclose([np.ones(1)], [np.ones(1) + 1e-9]))
        True
    """
    near = map_arrays(lambda x, y: np.allclose(x, y, rtol, atol, equal_nan), a, b)
    return _joined(np.logical_and, pytree.leaves(near), True)


def dtype(tree: Any, mixed_dtype_handler: str | None = None) -> Any:
    """The dtype of the arrays.

    Args:
        tree: the tree.
        mixed_dtype_handler: for several dtypes: "promote", "lowest" or "highest"; None raises.

    Example:
        >>> dtype([np.ones(1, np.float32), np.ones(1)], "lowest")
        dtype('float32')
    """
    found = {np.result_type(x) for x in pytree.leaves(tree) if is_array_like(x)}
    if not found:
        raise ValueError("[dtype] there is no array in the tree.")
    if mixed_dtype_handler == "promote" or len(found) == 1:
        return np.result_type(*found)
    if mixed_dtype_handler is None:
        raise ValueError(
            f"[dtype] the arrays have the dtypes {sorted(map(str, found))}. Say which one is meant: "
            "mixed_dtype_handler='lowest'."
        )
    ordered = sorted(found, key=lambda one: (one.kind, one.itemsize))
    return ordered[0] if mixed_dtype_handler == "lowest" else ordered[-1]


def _joined(join: Any, values: list, empty: Any) -> Any:
    return functools.reduce(join, values) if values else np.asarray(empty)[()]
