"""From a direction to an optimizer: the sign, the learning rate, and complex gradients conjugated."""

from __future__ import annotations

from typing import Any

from funcgrad.optim.base import GradientTransformation, chain
from funcgrad.optim.scaling import add_decayed_weights, conjugated, scale_by_learning_rate


def descent(*transformations: GradientTransformation) -> GradientTransformation:
    """A chain that conjugates complex gradients first, so that a step goes downhill."""
    inner = chain(*transformations)

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
        return inner.update(conjugated(updates), state, params, **extra)

    return GradientTransformation(inner.init, update)


def descent_along(direction: GradientTransformation, learning_rate: Any) -> GradientTransformation:
    """An optimizer that steps along minus a direction."""
    return descent(direction, scale_by_learning_rate(learning_rate))


def decayed_descent(
    direction: GradientTransformation, learning_rate: Any, weight_decay: Any, mask: Any
) -> GradientTransformation:
    """The same, with decoupled weight decay (Loshchilov and Hutter, 2019)."""
    decay = add_decayed_weights(weight_decay, mask)
    return descent(direction, decay, scale_by_learning_rate(learning_rate))
