"""A line search that shortens the step until the loss has decreased enough (Armijo, 1966)."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from funcgrad import lax
from funcgrad.optim.base import GradientTransformation, map_updates
from funcgrad.optim.leafwise import widened
from funcgrad.optim.line import (
    add_scale_to_zero,
    bound,
    check_line,
    moved,
    scalar_dtype,
    slope_along,
)
from funcgrad.transforms.grad import value_and_grad


class BacktrackingLinesearchInfo(NamedTuple):
    """What a line search reports: its steps, and by how much the decrease is missed."""

    num_linesearch_steps: Any
    decrease_error: Any


class ScaleByBacktrackingLinesearchState(NamedTuple):
    """The state of `scale_by_backtracking_linesearch`: the last step length, loss and gradient after it."""

    learning_rate: Any
    value: Any
    grad: Any
    info: BacktrackingLinesearchInfo


class Attempt(NamedTuple):
    """A step length that was tried."""

    count: Any
    step: Any
    value: Any
    error: Any


def scale_by_backtracking_linesearch(
    max_backtracking_steps: int,
    slope_rtol: float = 1e-4,
    decrease_factor: float = 0.8,
    increase_factor: float = 1.5,
    max_learning_rate: float = 1.0,
    atol: float = 0.0,
    rtol: float = 0.0,
    store_grad: bool = False,
) -> GradientTransformation:
    """Scale the updates by the first step length that decreases the loss enough (Armijo, 1966).

    `update` needs `value=`, `grad=` and `value_fn=`, the loss, its gradient and the function.

    Args:
        max_backtracking_steps: how often the step is shortened at most.
        slope_rtol: share of the slope by which the loss must fall.
        decrease_factor: how the step is shortened.
        increase_factor: the first step, relative to the last step length.
        max_learning_rate: the longest step.
        atol, rtol: by how much the loss may fall less.
        store_grad: keep the gradient after the step, for `value_and_grad_from_state`.

    Example:
        >>> f = lambda x: np.sum(x**2)
        >>> search = scale_by_backtracking_linesearch(15)
        >>> x = np.array([1.0])
        >>> search.update(-4 * x, search.init(x), x, value=1.0, grad=2 * x, value_fn=f)[0].round(4)
        array([-1.6384])
    """
    name = "scale_by_backtracking_linesearch"

    def init(params: Any) -> ScaleByBacktrackingLinesearchState:
        dtype = scalar_dtype(params)
        one, far = np.ones((), dtype)[()], np.full((), np.inf, dtype)[()]
        grad = map_updates(lambda p: np.zeros_like(widened(p)), params) if store_grad else None
        info = BacktrackingLinesearchInfo(np.int64(0), far)
        return ScaleByBacktrackingLinesearchState(one, far, grad, info)

    def update(
        updates: Any,
        state: Any,
        params: Any = None,
        *,
        value: Any = None,
        grad: Any = None,
        value_fn: Any = None,
        **extra: Any,
    ) -> tuple[Any, Any]:
        check_line(name, params, value, grad, value_fn)
        loss = bound(name, value_fn, extra)
        dtype = scalar_dtype(params)
        slope = slope_along(map_updates(widened, grad), updates)

        def shorten(last: Attempt) -> Attempt:
            factor = np.where(last.count > 0, decrease_factor, 1.0)
            step = (factor * last.step).astype(dtype)
            found = loss(moved(params, step, updates))
            error = found - (1 + rtol) * value - slope_rtol * step * slope
            error = np.where(np.isnan(error), np.inf, np.maximum(error, 0.0))
            return Attempt(
                last.count + 1, step, (found + 0 * step).astype(dtype), error.astype(dtype)
            )

        def goes_on(last: Attempt) -> Any:
            return ~(last.error <= atol) & (last.count <= max_backtracking_steps)

        far = np.full((), np.inf, dtype)[()]
        first = np.minimum(increase_factor * state.learning_rate, max_learning_rate).astype(dtype)
        end = lax.while_loop(goes_on, shorten, Attempt(np.int64(0), first, far, far))
        # Where the loss is infinite or NaN for every step there is none.
        step = np.where(np.isinf(end.error), np.zeros_like(end.step), end.step)
        after = None
        if store_grad:
            after = map_updates(widened, value_and_grad(loss)(moved(params, step, updates))[1])
        info = BacktrackingLinesearchInfo(end.count, end.error)
        new = ScaleByBacktrackingLinesearchState(step, end.value, after, info)
        return add_scale_to_zero(step, updates), new

    return GradientTransformation(init, update)
