"""Keeping gradients small or finite, array by array, unit by unit, or example by example."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from funcgrad import tree
from funcgrad.optim.averaging import abs_squared
from funcgrad.optim.base import (
    GradientTransformation,
    as_array,
    is_trained,
    map_updates,
)
from funcgrad.optim.leafwise import leafwise_stateless


class ZeroNansState(NamedTuple):
    """The state of `zero_nans`: for each array whether its last gradient had a NaN."""

    found_nan: Any


def clip_by_block_rms(threshold: float) -> GradientTransformation:
    """Scale each array so that its root mean square is at most `threshold`.

    Example:
        >>> clip_by_block_rms(1.0).update(np.array([3.0, -3.0]), ())[0]
        array([ 1., -1.])
    """

    def step(g: Any) -> Any:
        return g / np.maximum(np.sqrt(np.mean(abs_squared(g))) / threshold, 1.0)

    return leafwise_stateless("clip_by_block_rms", step)


def adaptive_grad_clip(
    clipping: float, eps: float = 1e-3, axis: int | tuple[int, ...] | None = None
) -> GradientTransformation:
    """Clip each unit's gradient to a share of the norm of its weights (Brock et al., 2021).

    Args:
        clipping: the largest ratio of the norms of gradient and weights.
        eps: the least norm of the weights.
        axis: the axes that one unit's weights lie along. By default, as in Optax: all for vectors, the
            first for arrays of 2 or 3 axes, all but the last for 4 or 5. For weights of shape (out, in, ...)
            give the axes from 1 on.

    Example:
        >>> limit = adaptive_grad_clip(0.5)
        >>> limit.update(np.array([3.0, 4.0]), limit.init(None), np.array([0.0, 1.0]))[0].round(4)
        array([0.3, 0.4])
    """

    def step(g: Any, p: Any) -> Any:
        length, size = unit_norm(g, axis), unit_norm(as_array(p), axis)
        limit = clipping * np.maximum(size, eps)
        return np.where(length < limit, g, g * (limit / np.maximum(length, 1e-6)))

    return leafwise_stateless("adaptive_grad_clip", step, needs_params=True)


def unit_norm(x: Any, axis: int | tuple[int, ...] | None) -> Any:
    """The norms of the units of an array, to be broadcast against it."""
    if axis is None:
        wide = sum(length > 1 for length in x.shape)
        axis = _default_axes(x.ndim) if wide > 1 else tuple(range(x.ndim))
    return np.sqrt(np.sum(abs_squared(x), axis=axis, keepdims=True))


def _default_axes(ndim: int) -> tuple[int, ...]:
    if ndim > 5:
        raise ValueError(
            f"[adaptive_grad_clip] an array of {ndim} axes: say along which of them one unit's weights lie, "
            "axis=(1, 2, ...)."
        )
    return (0,) if ndim < 4 else tuple(range(ndim - 1))


def zero_nans() -> GradientTransformation:
    """Put 0 in the place of NaN.

    Example:
        >>> zeroing = zero_nans()
        >>> zeroing.update(np.array([np.nan, 2.0]), zeroing.init(np.zeros(2)))[0]
        array([0., 2.])
    """

    def init(params: Any) -> ZeroNansState:
        return ZeroNansState(map_updates(lambda p: np.bool_(False), params, "init"))

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
        del state, params, extra
        found = map_updates(lambda u: np.any(np.isnan(u)), updates)
        return map_updates(lambda u: np.where(np.isnan(u), np.zeros_like(u), u), updates), (
            ZeroNansState(found)
        )

    return GradientTransformation(init, update)


def keep_params_nonnegative() -> GradientTransformation:
    """Change updates so that no parameter falls below 0: the last part of a chain.

    Example:
        >>> keep = keep_params_nonnegative()
        >>> keep.update(np.array([-3.0, -1.0]), keep.init(None), np.array([2.0, 2.0]))[0]
        array([-2., -1.])
    """

    def step(u: Any, p: Any) -> Any:
        return np.where(p + u < 0.0, -p, u)

    return leafwise_stateless("keep_params_nonnegative", step, needs_params=True)


def per_example_global_norm_clip(grads: Any, l2_norm_clip: float) -> tuple[Any, Any]:
    """Clip the gradient of each example by its norm, then sum over the examples (Abadi et al., 2016).

    Args:
        grads: tree of arrays whose first axis is that of the examples.
        l2_norm_clip: the largest norm of the gradient of one example.

    Returns:
        (sum of the clipped gradients, how many were clipped).

    Example:
        >>> per_example_global_norm_clip(np.array([[3.0, 4.0], [0.3, 0.4]]), 1.0)
        (array([0.9, 1.2]), np.int64(1))
    """
    arrays = [as_array(leaf) for leaf in tree.leaves(grads) if is_trained(leaf)]
    _check_examples("per_example_global_norm_clip", arrays)
    squares = [np.sum(abs_squared(x).reshape(x.shape[0], -1), axis=1) for x in arrays]
    norms = np.sqrt(sum(squares[1:], squares[0]))
    factors = np.minimum(l2_norm_clip / np.where(np.equal(norms, 0), 1.0, norms), 1.0)
    summed = map_updates(lambda x: np.tensordot(factors.astype(x.dtype), x, axes=1), grads)
    return summed, np.sum(factors < 1.0)


def per_example_layer_norm_clip(
    grads: Any, global_l2_norm_clip: float, uniform: bool = True
) -> tuple[Any, Any]:
    """Clip each array of each example's gradient by its own norm, then sum over the examples.

    Args:
        grads: tree of arrays whose first axis is that of the examples.
        global_l2_norm_clip: bound of the norm of the whole gradient of one example.
        uniform: the same bound for all arrays; otherwise by the number of their elements.

    Returns:
        (sum of the clipped gradients, tree with how many were clipped).

    Example:
        >>> per_example_layer_norm_clip({"w": np.array([[3.0, 4.0]])}, 1.0)
        ({'w': array([0.6, 0.8])}, {'w': np.int64(1)})
    """
    arrays = [leaf for leaf in tree.leaves(grads) if is_trained(leaf)]
    _check_examples("per_example_layer_norm_clip", arrays)
    total = sum(x[0].size for x in arrays)

    def clipped(x: Any) -> Any:
        share = 1 / len(arrays) if uniform else x[0].size / total
        return per_example_global_norm_clip(x, global_l2_norm_clip * share**0.5)

    summed = map_updates(lambda x: clipped(x)[0], grads)
    return summed, map_updates(lambda x: clipped(x)[1], grads)


def _check_examples(name: str, arrays: list) -> None:
    lengths = {x.shape[0] if x.ndim else 0 for x in arrays}
    if len(lengths) != 1 or 0 in lengths:
        raise ValueError(
            f"[{name}] every gradient must have one axis of examples in front, of one length, but got the "
            f"shapes {[x.shape for x in arrays]}. Make them with vmap(grad(loss), in_axes=(None, 0))."
        )
