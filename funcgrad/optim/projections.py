"""Projections: the nearest point of a convex set, for parameters with constraints."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.flatten_util import ravel_pytree
from funcgrad.optim.tree import add_scale, full_like, norm, scale as tree_scale, vdot
from funcgrad.optim.tree.arithmetic import map_arrays, mul


def projection_non_negative(tree: Any) -> Any:
    """The nearest tree without negative elements.

    Example:
        >>> projection_non_negative(np.array([-1.0, 2.0]))
        array([0., 2.])
    """
    return map_arrays(lambda x: np.maximum(x, 0.0), tree)


def projection_box(tree: Any, lower: Any, upper: Any) -> Any:
    """The nearest tree with elements between bounds.

    Args:
        tree: the tree.
        lower, upper: trees of bounds, or numbers for all elements.

    Example:
        >>> projection_box(np.array([-1.0, 2.0]), 0.0, 1.0)
        array([0., 1.])
    """
    lower, upper = (b if _is_like(b, tree) else full_like(tree, b) for b in (lower, upper))
    return map_arrays(np.clip, tree, lower, upper)


def projection_hypercube(tree: Any, scale: Any = 1) -> Any:
    """The nearest tree with elements from 0 to `scale`.

    Example:
        >>> projection_hypercube(np.array([-1.0, 2.0]))
        array([0., 1.])
    """
    return projection_box(tree, 0, scale)


def projection_simplex(tree: Any, scale: Any = 1) -> Any:
    """The nearest tree whose elements are not negative and have the sum `scale` (Duchi et al., 2008).

    Example:
        >>> projection_simplex(np.array([0.5, 2.0]))
        array([0., 1.])
    """
    values, unravel = ravel_pytree(tree)
    return unravel(scale * unit_simplex(values / scale))


def unit_simplex(values: Any) -> Any:
    """A vector projected onto the probability simplex."""
    falling = np.sort(values)[::-1]
    places = np.arange(1, values.shape[0] + 1)
    shares = (1 - np.cumsum(falling)) / places.astype(values.dtype)
    # The support is as large as the shift keeps its smallest element positive.
    count = np.sum(falling + shares > 0)
    shift = np.sum(np.where(places == count, shares, np.zeros_like(shares)))
    return np.maximum(values + shift, 0.0)


def projection_l1_sphere(tree: Any, scale: Any = 1) -> Any:
    """The nearest tree whose magnitudes have the sum `scale`.

    Example:
        >>> projection_l1_sphere(np.array([-0.5, 2.0]))
        array([-0.,  1.])
    """
    signs = map_arrays(np.sign, tree)
    return mul(signs, projection_simplex(map_arrays(np.abs, tree), scale))


def projection_l1_ball(tree: Any, scale: Any = 1) -> Any:
    """The nearest tree whose magnitudes have a sum of at most `scale`.

    Example:
        >>> projection_l1_ball(np.array([0.5, 0.25]))
        array([0.5 , 0.25])
    """
    is_inside = norm(tree, ord=1) <= scale
    outside = projection_l1_sphere(tree, scale)
    return map_arrays(lambda x, y: np.where(is_inside, x, y), tree, outside)


def projection_l2_sphere(tree: Any, scale: Any = 1) -> Any:
    """The nearest tree whose norm is `scale`.

    Example:
        >>> projection_l2_sphere(np.array([3.0, 4.0]))
        array([0.6, 0.8])
    """
    return tree_scale(scale / norm(tree), tree)


def projection_l2_ball(tree: Any, scale: Any = 1) -> Any:
    """The nearest tree whose norm is at most `scale`.

    Example:
        >>> projection_l2_ball(np.array([3.0, 4.0]))
        array([0.6, 0.8])
    """
    square = np.maximum(norm(tree, squared=True), scale**2)
    return tree_scale(scale / np.sqrt(square), tree)


def projection_linf_ball(tree: Any, scale: Any = 1) -> Any:
    """The nearest tree whose elements have magnitudes of at most `scale`.

    Example:
        >>> projection_linf_ball(np.array([-3.0, 0.5]))
        array([-1. ,  0.5])
    """
    return projection_box(tree, -scale, scale)


def projection_vector(x: Any, a: Any) -> Any:
    """The nearest point to `x` on the line through 0 and `a`.

    Example:
        >>> projection_vector(np.array([1.0, 1.0]), np.array([2.0, 0.0]))
        array([1., 0.])
    """
    return tree_scale(vdot(x, a) / vdot(a, a), a)


def projection_hyperplane(x: Any, a: Any, b: Any) -> Any:
    """The nearest point to `x` whose inner product with `a` is `b`.

    Example:
        >>> projection_hyperplane(np.array([1.0, 1.0]), np.array([2.0, 0.0]), 0.0)
        array([0., 1.])
    """
    return add_scale(x, (b - vdot(x, a)) / vdot(a, a), a)


def projection_halfspace(x: Any, a: Any, b: Any) -> Any:
    """The nearest point to `x` whose inner product with `a` is at most `b`.

    Example:
        >>> projection_halfspace(np.array([-1.0, 1.0]), np.array([2.0, 0.0]), 0.0)
        array([-1.,  1.])
    """
    return add_scale(x, np.minimum((b - vdot(x, a)) / vdot(a, a), 0.0), a)


def _is_like(bound: Any, tree: Any) -> bool:
    return not np.isscalar(bound) and type(bound) is type(tree)
