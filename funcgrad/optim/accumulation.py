"""One step from the gradients of several batches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from funcgrad import tree
from funcgrad.optim.averaging import abs_squared
from funcgrad.optim.base import (
    GradientTransformation,
    as_weak,
    is_trained,
    map_leaves,
    map_moments,
    moment_dtype,
    without_constants,
    zeros_like_params,
)
from funcgrad.optim.conditions import all_finite
from funcgrad.optim.leafwise import leafwise, widened, zeros
from funcgrad.optim.tree import where, zeros_like


class MultiStepsState(NamedTuple):
    """The state of `MultiSteps`: batches since the last step, steps, inner state, gradients so far."""

    mini_step: Any
    gradient_step: Any
    inner_opt_state: Any
    acc_grads: Any
    skip_state: Any = ()


class ApplyEvery(NamedTuple):
    """The state of `apply_every`: updates since the last that was let through, and their sum."""

    count: Any
    grad_acc: Any


class MultiSteps:
    """One step of an optimizer for every k batches, from the mean of their gradients.

    On the other batches the updates are zero. `init` and `update` are those of a transformation.

    Args:
        opt: the optimizer.
        every_k_schedule: k, or a function number of steps -> k.
        use_grad_mean: the mean of the gradients; False for the sum.
        should_skip_update_fn: (updates, gradient_step, params) -> (whether to leave this batch out, state),
            such as `skip_not_finite`.
        accumulator_dtype: of the sum; by default float32, and float64 for float64 gradients.

    Example:
        >>> from funcgrad import optim
        >>> optimizer = MultiSteps(optim.sgd(1.0), 2)
        >>> updates, state = optimizer.update(np.array([1.0]), optimizer.init(np.zeros(1)))
        >>> optimizer.update(np.array([3.0]), state)[0]
        array([-2.])
    """

    def __init__(
        self,
        opt: GradientTransformation,
        every_k_schedule: int | Callable[[Any], Any],
        use_grad_mean: bool = True,
        should_skip_update_fn: Callable[..., tuple[Any, Any]] | None = None,
        accumulator_dtype: Any = None,
    ) -> None:
        self.inner_opt = opt
        self.every_k = every_k_schedule if callable(every_k_schedule) else _always(every_k_schedule)
        self.use_grad_mean = use_grad_mean
        self.should_skip = should_skip_update_fn or (lambda *_: (np.bool_(False), ()))
        self.accumulator_dtype = accumulator_dtype

    def init(self, params: Any) -> MultiStepsState:
        """The state before the first batch."""
        sums = zeros_like_params(params, lambda d: self.accumulator_dtype or moment_dtype(d))
        _, skip_state = self.should_skip(sums, np.int64(0), params)
        inner = self.inner_opt.init(params)
        return MultiStepsState(np.int64(0), np.int64(0), inner, sums, skip_state)

    def update(
        self, updates: Any, state: MultiStepsState, params: Any = None, **extra: Any
    ) -> tuple[Any, MultiStepsState]:
        """Add the gradients of one batch, and make a step if they are the k-th."""
        skips, skip_state = self.should_skip(updates, state.gradient_step, params)
        done = as_weak(state.mini_step)

        def add(total: Any, gradient: Any) -> Any:
            gradient = widened(gradient)
            if not self.use_grad_mean:
                return total + gradient
            return total + (gradient - total) / (done + 1)

        sums = map_moments(add, "MultiSteps", state.acc_grads, updates)
        gradients = map_leaves(
            lambda m, u: m if is_trained(u) else None,
            "MultiSteps",
            sums,
            without_constants(updates),
        )
        new, inner = self.inner_opt.update(gradients, state.inner_opt_state, params, **extra)
        counts = np.logical_not(skips)
        k = self.every_k(state.gradient_step)
        emits = np.logical_and(counts, np.equal(state.mini_step, k - 1))
        after = np.where(emits, 0, state.mini_step + counts)[()]
        sums = where(counts, where(emits, zeros_like(sums), sums), state.acc_grads)
        inner = where(emits, inner, state.inner_opt_state)
        return where(emits, new, zeros_like(new)), MultiStepsState(
            after, state.gradient_step + emits, inner, sums, skip_state
        )

    def has_updated(self, state: MultiStepsState) -> Any:
        """Whether the last batch led to a step."""
        return np.logical_and(np.equal(state.mini_step, 0), state.gradient_step > 0)

    def gradient_transformation(self) -> GradientTransformation:
        """The same as a `GradientTransformation`."""
        return GradientTransformation(self.init, self.update)


def _always(k: int) -> Callable[[Any], int]:
    return lambda _: k


def skip_not_finite(updates: Any, gradient_step: Any, params: Any) -> tuple[Any, Any]:
    """For `MultiSteps`: leave out batches whose gradients are not finite.

    Example:
        >>> bool(skip_not_finite([np.array([np.nan])], 0, None)[0])
        True
    """
    del gradient_step, params
    counts = [np.sum(~np.isfinite(leaf)) for leaf in tree.leaves(updates) if is_trained(leaf)]
    total = sum(counts[1:], counts[0]) if counts else np.int64(0)
    skips = np.logical_not(all_finite(updates))
    return skips, {"should_skip": skips, "num_not_finite": total}


def skip_large_updates(
    updates: Any, gradient_step: Any, params: Any, max_squared_norm: float
) -> tuple[Any, Any]:
    """For `MultiSteps`, with `functools.partial`: leave out batches with large gradients.

    Args:
        updates, gradient_step, params: from `MultiSteps`.
        max_squared_norm: squared norm from which a batch is left out.

    Example:
        >>> bool(skip_large_updates([np.array([3.0])], 0, None, 1.0)[0])
        True
    """
    del gradient_step, params
    squares = [np.sum(abs_squared(leaf)) for leaf in tree.leaves(updates) if is_trained(leaf)]
    total = sum(squares[1:], squares[0])
    skips = np.logical_not(total < max_squared_norm)
    return skips, {"should_skip": skips, "norm_squared": total}


def apply_every(k: int = 1) -> GradientTransformation:
    """Let the sum of every k updates through; zero updates in between. Part of a chain.

    Example:
        >>> every = apply_every(2)
        >>> first, state = every.update(np.ones(1), every.init(np.zeros(1)))
        >>> first, every.update(np.ones(1), state)[0]
        (array([0.]), array([2.]))
    """

    def step(g: Any, moments: tuple, n: Any, p: Any) -> tuple[Any, tuple]:
        del p
        place = (n - 1) % k
        total = np.where(np.equal(place, 0), g, moments[0] + g)
        return np.where(np.equal(place, k - 1), total, np.zeros_like(total)), (total,)

    return leafwise("apply_every", ApplyEvery, step, grad_acc=zeros)
