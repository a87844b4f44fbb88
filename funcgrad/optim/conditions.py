"""Transformations that act on some steps only: when gradients are finite, or when a function says so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from funcgrad import tree
from funcgrad.optim.base import GradientTransformation, is_trained
from funcgrad.optim.tree import where, zeros_like


class ApplyIfFiniteState(NamedTuple):
    """The state of `apply_if_finite`: how many steps in a row and in all were skipped, and why."""

    notfinite_count: Any
    last_finite: Any
    total_notfinite: Any
    inner_state: Any


class ConditionallyTransformState(NamedTuple):
    """The state of `conditionally_transform`: that of the inner transformation, and the number of steps."""

    inner_state: Any
    step: Any


class ConditionallyMaskState(NamedTuple):
    """The state of `conditionally_mask`: the number of steps, and the inner state."""

    step: Any
    inner_state: Any


def apply_if_finite(
    inner: GradientTransformation, max_consecutive_errors: int
) -> GradientTransformation:
    """Skip steps whose gradients have NaN or infinite elements: zero updates, the state stays.

    Args:
        inner: the transformation.
        max_consecutive_errors: after so many bad steps in a row the next is made in any case, so that the
            fault shows.

    Example:
        >>> from funcgrad import optim
        >>> safe = apply_if_finite(optim.sgd(0.1), 5)
        >>> updates, state = safe.update(np.array([np.nan, 1.0]), safe.init(np.zeros(2)))
        >>> updates, int(state.total_notfinite)
        (array([0., 0.]), 1)
    """

    def init(params: Any) -> ApplyIfFiniteState:
        return ApplyIfFiniteState(np.int64(0), np.bool_(True), np.int64(0), inner.init(params))

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
        finite = all_finite(updates)
        in_a_row = np.where(finite, 0, state.notfinite_count + 1)[()]
        applies = np.logical_or(finite, in_a_row > max_consecutive_errors)
        new, inner_state = inner.update(updates, state.inner_state, params, **extra)
        return where(applies, new, zeros_like(new)), ApplyIfFiniteState(
            in_a_row,
            finite,
            np.where(finite, state.total_notfinite, state.total_notfinite + 1)[()],
            where(applies, inner_state, state.inner_state),
        )

    return GradientTransformation(init, update)


def conditionally_transform(
    inner: GradientTransformation,
    should_transform_fn: Callable[..., Any],
    forward_extra_args: bool = False,
) -> GradientTransformation:
    """Transform the updates on some steps; on the others they pass unchanged.

    Args:
        inner: the transformation.
        should_transform_fn: number of steps so far -> bool.
        forward_extra_args: give the function the further arguments of `update` too.

    Example:
        >>> from funcgrad import optim
        >>> late = conditionally_transform(optim.clip(1.0), lambda step: step >= 10)
        >>> late.update(np.array([5.0]), late.init(np.zeros(1)))[0]
        array([5.])
    """
    tried = _on_some_steps(inner, should_transform_fn, forward_extra_args)

    def init(params: Any) -> ConditionallyTransformState:
        return ConditionallyTransformState(inner.init(params), np.int64(0))

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
        applies, new, inner_state = tried(updates, state, params, extra)
        return where(applies, new, updates), ConditionallyTransformState(
            inner_state, state.step + 1
        )

    return GradientTransformation(init, update)


def conditionally_mask(
    inner: GradientTransformation,
    should_transform_fn: Callable[..., Any],
    forward_extra_args: bool = False,
) -> GradientTransformation:
    """Make a step on some steps; on the others the updates are zero.

    Args:
        inner, should_transform_fn, forward_extra_args: as for `conditionally_transform`.

    Example:
        >>> from funcgrad import optim
        >>> late = conditionally_mask(optim.sgd(0.1), lambda step: step >= 10)
        >>> late.update(np.array([5.0]), late.init(np.zeros(1)))[0]
        array([0.])
    """

    tried = _on_some_steps(inner, should_transform_fn, forward_extra_args)

    def init(params: Any) -> ConditionallyMaskState:
        return ConditionallyMaskState(np.int64(0), inner.init(params))

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
        applies, new, inner_state = tried(updates, state, params, extra)
        return where(applies, new, zeros_like(new)), ConditionallyMaskState(
            state.step + 1, inner_state
        )

    return GradientTransformation(init, update)


def _on_some_steps(
    inner: GradientTransformation, chooses: Callable[..., Any], with_extra: bool
) -> Callable[..., tuple[Any, Any, Any]]:
    """Function of the arguments of `update`: whether this step counts, the new updates, and the next inner state."""

    def tried(updates: Any, state: Any, params: Any, extra: dict[str, Any]) -> tuple[Any, Any, Any]:
        applies = chooses(state.step, **(extra if with_extra else {}))
        new, inner_state = inner.update(updates, state.inner_state, params, **extra)
        return applies, new, where(applies, inner_state, state.inner_state)

    return tried


def all_finite(updates: Any) -> Any:
    """Whether no element is NaN or infinite."""
    found = [np.all(np.isfinite(leaf)) for leaf in tree.leaves(updates) if is_trained(leaf)]
    result: Any = np.bool_(True)
    for one in found:
        result = np.logical_and(result, one)
    return result
