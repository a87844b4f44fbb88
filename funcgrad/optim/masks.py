"""Applying a transformation to some of the parameters."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from funcgrad import tree
from funcgrad.nn.filters import is_none
from funcgrad.nn.module import is_module
from funcgrad.optim.base import GradientTransformation, map_updates, stateless


class MaskedState(NamedTuple):
    """The state of `masked`: that of the inner transformation."""

    inner_state: Any


def identity() -> GradientTransformation:
    """Leave the updates as they are.

    Example:
        >>> identity().update(np.ones(2), ())[0]
        array([1., 1.])
    """
    return stateless(lambda updates, _: updates)


def set_to_zero() -> GradientTransformation:
    """Make all updates zero: the parameters stay as they are.

    Example:
        >>> set_to_zero().update(np.ones(2), ())[0]
        array([0., 0.])
    """
    return stateless(lambda updates, _: map_updates(np.zeros_like, updates))


def masked(inner: GradientTransformation, mask: Any) -> GradientTransformation:
    """Apply a transformation to some parameters; the updates of the others pass unchanged.

    Args:
        inner: the transformation; it sees None in the place of the others.
        mask: tree prefix of bools, or a function params -> such a tree.

    Example:
        >>> from funcgrad import optim
        >>> half = masked(optim.scale(0.5), {"a": True, "b": False})
        >>> half.update({"a": np.ones(1), "b": np.ones(1)}, half.init({"a": 0.0, "b": 0.0}))[0]
        {'a': array([0.5]), 'b': array([1.])}
    """

    def mask_of(params: Any) -> Any:
        return mask(params) if callable(mask) and not is_module(mask) else mask

    def init(params: Any) -> MaskedState:
        return MaskedState(inner.init(_split(params, mask_of(params))[0]))

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
        flags = mask_of(updates if params is None else params)
        chosen, others = _split(updates, flags)
        chosen_params = None if params is None else _split(params, flags)[0]
        new, inner_state = inner.update(chosen, state.inner_state, chosen_params, **extra)
        merged = tree.map(_first, new, others, is_leaf=is_none)
        return merged, MaskedState(inner_state)

    return GradientTransformation(init, update)


def _split(pytree: Any, mask: Any) -> tuple[Any, Any]:
    """The leaves that a mask chooses and the others, with None in place of what is missing."""
    leaves, treedef = tree.flatten(pytree)
    flags = tree.broadcast_prefix(mask, treedef, what="[masked] mask")
    for flag in flags:
        if not isinstance(flag, bool | np.bool_):
            raise TypeError(
                f"[masked] the mask must have bools at its leaves, but got {flag!r:.60}."
            )
    pairs = list(zip(leaves, flags, strict=True))
    chosen = treedef.unflatten([leaf if flag else None for leaf, flag in pairs])
    return chosen, treedef.unflatten([None if flag else leaf for leaf, flag in pairs])


def _first(new: Any, other: Any) -> Any:
    return other if new is None else new
