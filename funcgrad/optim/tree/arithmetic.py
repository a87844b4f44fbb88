"""Elementwise arithmetic on trees of arrays."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from funcgrad.nn.filters import is_array_like
from funcgrad.optim.base import as_weak, map_leaves


def map_arrays(f: Callable[..., Any], first: Any, *rest: Any) -> Any:
    """`f` of the arrays at each place; what is no array in the first tree is kept."""

    def visit(leaf: Any, *others: Any) -> Any:
        return f(leaf, *others) if is_array_like(leaf) else leaf

    return map_leaves(visit, "tree", first, *rest)


def add(tree_x: Any, tree_y: Any, *other_trees: Any) -> Any:
    """The sum of two or more trees.

    Example:
        >>> add({"a": np.ones(1)}, {"a": np.ones(1)})
        {'a': array([2.])}
    """
    return map_arrays(lambda *xs: functools.reduce(operator.add, xs), tree_x, tree_y, *other_trees)


def sub(tree_x: Any, tree_y: Any) -> Any:
    """The difference of two trees.

    Example:
        >>> sub([np.ones(1)], [np.ones(1)])
        [array([0.])]
    """
    return map_arrays(operator.sub, tree_x, tree_y)


def mul(tree_x: Any, tree_y: Any) -> Any:
    """The elementwise product of two trees.

    Example:
        >>> mul([np.full(1, 2.0)], [np.full(1, 3.0)])
        [array([6.])]
    """
    return map_arrays(operator.mul, tree_x, tree_y)


def div(tree_x: Any, tree_y: Any) -> Any:
    """The elementwise quotient of two trees.

    Example:
        >>> div([np.full(1, 6.0)], [np.full(1, 3.0)])
        [array([2.])]
    """
    return map_arrays(operator.truediv, tree_x, tree_y)


def scale(scalar: Any, tree: Any) -> Any:
    """A tree times a number; the dtypes stay.

    Example:
        >>> scale(np.float64(2.0), [np.ones(1, np.float32)])
        [array([2.], dtype=float32)]
    """
    factor = as_weak(scalar)
    return map_arrays(lambda x: factor * x, tree)


def add_scale(tree_x: Any, scalar: Any, tree_y: Any) -> Any:
    """`tree_x + scalar * tree_y`.

    Example:
        >>> add_scale([np.ones(1)], 2.0, [np.ones(1)])
        [array([3.])]
    """
    factor = as_weak(scalar)
    return map_arrays(lambda x, y: x + factor * y, tree_x, tree_y)


def where(condition: Any, tree_x: Any, tree_y: Any) -> Any:
    """The arrays of one tree or of the other.

    Args:
        condition: a bool or array of them, the same for all arrays.
        tree_x, tree_y: two trees of one structure; the dtypes are those of `tree_y`.

    Example:
        >>> where(False, [np.ones(1)], [np.zeros(1)])
        [array([0.])]
    """

    def choose(x: Any, y: Any) -> Any:
        chosen = np.where(condition, x, y)
        dtype = getattr(y, "dtype", chosen.dtype)
        return chosen if chosen.dtype == dtype else chosen.astype(dtype)

    return map_arrays(choose, tree_x, tree_y)


def clip(tree: Any, min_value: Any = None, max_value: Any = None) -> Any:
    """Every element limited to min_value ... max_value.

    Example:
        >>> clip([np.array([-3.0, 3.0])], -1.0, 1.0)
        [array([-1.,  1.])]
    """
    return map_arrays(lambda x: np.clip(x, min_value, max_value), tree)


def conj(tree: Any) -> Any:
    """The complex conjugate.

    Example:
        >>> conj([np.array([1j])])
        [array([0.-1.j])]
    """
    return map_arrays(np.conj, tree)


def real(tree: Any) -> Any:
    """The real parts.

    Example:
        >>> real([np.array([2.0 + 1j])])
        [array([2.])]
    """
    return map_arrays(np.real, tree)


def cast(tree: Any, dtype: Any) -> Any:
    """All arrays in a dtype; None for as they are.

    Example:
        >>> cast([np.ones(1)], np.float32)
        [array([1.], dtype=float32)]
    """
    if dtype is None:
        return tree
    return map_arrays(lambda x: np.asarray(x, dtype) if np.isscalar(x) else x.astype(dtype), tree)


def cast_like(tree: Any, other_tree: Any) -> Any:
    """All arrays in the dtypes of those of another tree.

    Example:
        >>> cast_like([np.ones(1)], [np.ones(1, np.float32)])
        [array([1.], dtype=float32)]
    """
    return map_arrays(lambda x, like: x.astype(np.result_type(like)), tree, other_tree)


def zeros_like(tree: Any, dtype: Any = None) -> Any:
    """Zeros in the shapes of a tree.

    Example:
        >>> zeros_like([np.ones(2)])
        [array([0., 0.])]
    """
    return map_arrays(lambda x: np.zeros_like(x, dtype=dtype), tree)


def ones_like(tree: Any, dtype: Any = None) -> Any:
    """Ones in the shapes of a tree.

    Example:
        >>> ones_like([np.zeros(2)])
        [array([1., 1.])]
    """
    return map_arrays(lambda x: np.ones_like(x, dtype=dtype), tree)


def full_like(tree: Any, fill_value: Any, dtype: Any = None) -> Any:
    """One value in the shapes of a tree.

    Example:
        >>> full_like([np.zeros(2)], 3)
        [array([3., 3.])]
    """
    return map_arrays(lambda x: np.full_like(x, fill_value, dtype=dtype), tree)


def batch_shape(tree: Any, shape: tuple[int, ...] = ()) -> Any:
    """Every array repeated along new axes in front.

    Example:
        >>> batch_shape([np.ones(2)], (3,))[0].shape
        (3, 2)
    """
    return map_arrays(lambda x: np.broadcast_to(x, (*shape, *np.shape(x))), tree)
