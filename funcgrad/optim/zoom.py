"""A line search for the strong Wolfe conditions: widen until an interval holds a good step, then zoom into it.

Source: Nocedal and Wright, Numerical Optimization, 2nd edition, algorithms 3.5 and 3.6, with the approximate
decrease condition of Hager and Zhang, 2006.
"""

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
from funcgrad.optim.tree import where
from funcgrad.transforms.grad import value_and_grad


class ZoomLinesearchInfo(NamedTuple):
    """What a line search reports: its steps, and by how much the Wolfe conditions are missed."""

    num_linesearch_steps: Any
    decrease_error: Any
    curvature_error: Any


class ScaleByZoomLinesearchState(NamedTuple):
    """The state of `scale_by_zoom_linesearch`: the last step length, and loss and gradient after it."""

    learning_rate: Any
    value: Any
    grad: Any
    info: ZoomLinesearchInfo


class Trial(NamedTuple):
    """A step length that was tried: the loss there, and its derivative along the line."""

    step: Any
    value: Any
    slope: Any


class Search(NamedTuple):
    """A search under way. `safe` is the best step so far with enough decrease."""

    count: Any
    last: Trial
    grad: Any
    low: Trial
    high: Trial
    reference: Trial
    safe: Trial
    safe_grad: Any
    decrease_error: Any
    curvature_error: Any
    has_interval: Any
    is_done: Any
    has_failed: Any


def scale_by_zoom_linesearch(
    max_linesearch_steps: int,
    max_learning_rate: float | None = None,
    tol: float = 0.0,
    increase_factor: float = 2.0,
    slope_rtol: float = 1e-4,
    curv_rtol: float = 0.9,
    approx_dec_rtol: float | None = 1e-6,
    stepsize_precision: float = 1e-5,
    initial_guess_strategy: str = "keep",
) -> GradientTransformation:
    """Scale the updates by a step length that fulfils the strong Wolfe conditions.

    `update` needs `value=`, `grad=` and `value_fn=`, the loss, its gradient and the function.

    Args:
        max_linesearch_steps: evaluations of the function at most.
        max_learning_rate: the longest step.
        tol: by how much the conditions may be missed.
        increase_factor: growth of the step while no interval is found.
        slope_rtol: share of the first slope by which the loss must fall.
        curv_rtol: share of the first slope that may be left.
        approx_dec_rtol: relative tolerance of the approximate decrease condition, or None.
        stepsize_precision: the shortest interval.
        initial_guess_strategy: "keep" to begin with the last step length, "one" for 1.

    Example:
        >>> f = lambda x: np.sum(x**2)
        >>> search = scale_by_zoom_linesearch(15)
        >>> x = np.array([1.0])
        >>> search.update(-2 * x, search.init(x), x, value=1.0, grad=2 * x, value_fn=f)[0]
        array([-1.])
    """
    if initial_guess_strategy not in ("keep", "one"):
        raise ValueError(
            f"[scale_by_zoom_linesearch] initial_guess_strategy must be 'keep' or 'one', but got "
            f"{initial_guess_strategy!r}."
        )
    rules = _Rules(
        max_linesearch_steps, max_learning_rate, tol, increase_factor, slope_rtol, curv_rtol,
        approx_dec_rtol, stepsize_precision,
    )  # fmt: skip

    def init(params: Any) -> ScaleByZoomLinesearchState:
        dtype = scalar_dtype(params)
        one, far = np.ones((), dtype)[()], np.full((), np.inf, dtype)[()]
        grad = map_updates(lambda p: np.zeros_like(widened(p)), params)
        return ScaleByZoomLinesearchState(one, far, grad, ZoomLinesearchInfo(np.int64(0), far, far))

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
        name = "scale_by_zoom_linesearch"
        check_line(name, params, value, grad, value_fn)
        evaluate = value_and_grad(bound(name, value_fn, extra))
        guess = state.learning_rate if initial_guess_strategy == "keep" else 1.0
        end = _search(rules, evaluate, params, updates, value, map_updates(widened, grad), guess)
        info = ZoomLinesearchInfo(end.count, end.decrease_error, end.curvature_error)
        new = ScaleByZoomLinesearchState(end.last.step, end.last.value, end.grad, info)
        return add_scale_to_zero(end.last.step, updates), new

    return GradientTransformation(init, update)


class _Rules(NamedTuple):
    """The settings of a search."""

    most: int
    longest: float | None
    tolerance: float
    growth: float
    slope_share: float
    curvature_share: float
    decrease_share: float | None
    precision: float

    def decrease_error(self, trial: Trial, start: Trial) -> Any:
        """By how much the loss fell less than it should."""
        error = trial.value - start.value - self.slope_share * trial.step * start.slope
        if self.decrease_share is not None:
            slack = trial.value - start.value - self.decrease_share * np.abs(start.value)
            steepness = trial.slope - (2 * self.slope_share - 1) * start.slope
            error = np.minimum(np.maximum(steepness, slack), error)
        return _positive_part(error)

    def curvature_error(self, trial: Trial, start: Trial) -> Any:
        """How much more slope is left than there should be."""
        return _positive_part(np.abs(trial.slope) - self.curvature_share * np.abs(start.slope))


def _positive_part(error: Any) -> Any:
    return np.where(np.isnan(error), np.inf, np.maximum(error, 0.0)).astype(error.dtype)


def _search(
    rules: _Rules, evaluate: Any, params: Any, updates: Any, value: Any, grad: Any, guess: Any
) -> Search:
    dtype = scalar_dtype(params)
    zero, far, no = (np.asarray(x, dtype)[()] for x in (0, np.inf, 0))

    def number(x: Any) -> Any:
        return np.asarray(x, dtype)[()] if np.isscalar(x) else x.astype(dtype)

    start = Trial(zero, number(value), number(slope_along(grad, updates)))
    is_not = np.bool_(False)
    begin = Search(
        np.int64(0), start, grad, start, start, start, start, grad, far, far, is_not, is_not, is_not
    )

    def try_one(search: Search) -> Search:
        longer = np.where(np.equal(search.count, 0), guess, rules.growth * search.last.step)
        at_most = np.inf if rules.longest is None else rules.longest
        is_longest = longer >= at_most
        step = np.where(search.has_interval, _middle(search), np.minimum(longer, at_most))
        step = step.astype(dtype)
        found, slope = evaluate(moved(params, step, updates))
        slope = map_updates(widened, slope)
        trial = Trial(step, number(found), number(slope_along(slope, updates)))
        return _advanced(rules, search, start, trial, slope, is_longest)

    end = lax.while_loop(lambda s: ~(s.is_done | s.has_failed), try_one, begin)
    # A step that at least decreases the loss is better than the last one tried.
    falls_back = end.has_failed & ((end.safe.step > 0) | np.isinf(end.decrease_error))
    return end._replace(
        last=where(falls_back, end.safe, end.last), grad=where(falls_back, end.safe_grad, end.grad)
    )


def _advanced(
    rules: _Rules, search: Search, start: Trial, trial: Trial, grad: Any, is_longest: Any
) -> Search:
    """The search after one more trial."""
    decrease, curvature = rules.decrease_error(trial, start), rules.curvature_error(trial, start)
    good = np.maximum(decrease, curvature) <= rules.tolerance
    zooms, tried = search.has_interval, search.count + 1
    low, high, reference, holds = _interval(search, trial, decrease, good)
    is_safe = (decrease <= rules.tolerance) & (~zooms | (trial.value < search.safe.value))
    safe = where(is_safe, trial, search.safe)
    is_done = good | (~zooms & is_longest & ~holds)
    is_short = np.abs(search.high.step - search.low.step) <= rules.precision
    gives_up = (tried >= rules.most) | (zooms & is_short & (safe.step > 0))
    return Search(
        tried, trial, grad, low, high, reference, safe, where(is_safe, grad, search.safe_grad),
        decrease, curvature, zooms | holds, is_done, gives_up & ~is_done,
    )  # fmt: skip


def _interval(search: Search, trial: Trial, decrease: Any, good: Any) -> tuple[Any, ...]:
    """Low end, high end, a third point for interpolation, and whether the interval holds a good step."""
    zooms, last, low, high = search.has_interval, search.last, search.low, search.high
    # Widening: too far, or already rising.
    beyond = (decrease > 0) | ((trial.value >= last.value) & (search.count > 0))
    rising = (trial.slope >= 0) & ~beyond
    wide_low, wide_high = where(rising, trial, last), where(rising, last, trial)
    # Zooming: the trial replaces the end that keeps a good step between them.
    too_high = (decrease > 0) | (trial.value >= low.value)
    flips = (trial.slope * (high.step - low.step) >= 0) & ~too_high
    zoomed_low = where(too_high, low, trial)
    zoomed_high = where(too_high, trial, where(flips, low, high))
    zoomed_reference = where(too_high | flips, high, low)
    return (
        where(zooms, zoomed_low, wide_low),
        where(zooms, zoomed_high, wide_high),
        where(zooms, zoomed_reference, wide_low),
        beyond | rising | good,
    )


def _middle(search: Search) -> Any:
    """A point of the interval: by cubic interpolation, else by quadratic, else its middle."""
    low, high = search.low, search.high
    length = np.abs(high.step - low.step)
    left, right = np.minimum(low.step, high.step), np.maximum(low.step, high.step)
    cubic, square = _cubic_minimum(low, high, search.reference), _quadratic_minimum(low, high)
    cubic_fits = (cubic > left + 0.2 * length) & (cubic < right - 0.2 * length)
    square_fits = (square > left + 0.1 * length) & (square < right - 0.1 * length)
    halfway = (low.step + high.step) / 2
    return np.where(cubic_fits, cubic, np.where(square_fits, square, halfway))


def _cubic_minimum(a: Trial, b: Trial, c: Trial) -> Any:
    """The minimum of the cubic through three values and the slope at the first; NaN if there is none."""
    db, dc = b.step - a.step, c.step - a.step
    rise_b = b.value - a.value - a.slope * db
    rise_c = c.value - a.value - a.slope * dc
    divisor = _unless_zero((db * dc) ** 2 * (db - dc))
    cubed = (dc**2 * rise_b - db**2 * rise_c) / divisor
    squared = (db**3 * rise_c - dc**3 * rise_b) / divisor
    radical = squared**2 - 3 * cubed * a.slope
    root = np.sqrt(np.where(radical >= 0, radical, np.nan))
    return a.step + (root - squared) / _unless_zero(3 * cubed)


def _quadratic_minimum(a: Trial, b: Trial) -> Any:
    """The minimum of the parabola through two values and the slope at the first; NaN if there is none."""
    d = b.step - a.step
    curve = (b.value - a.value - a.slope * d) / _unless_zero(d**2)
    return a.step - a.slope / _unless_zero(2 * curve)


def _unless_zero(x: Any) -> Any:
    return np.where(np.equal(x, 0), np.nan, x)
