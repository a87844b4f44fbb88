"""Schedules: functions from the number of steps made so far to a number, such as a learning rate."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

Schedule = Callable[[Any], Any]


def constant_schedule(value: float) -> Schedule:
    """Always the same value.

    Example:
        >>> constant_schedule(0.1)(7)
        0.1
    """
    return lambda count: value


def polynomial_schedule(
    init_value: float,
    end_value: float,
    power: float,
    transition_steps: int,
    transition_begin: int = 0,
) -> Schedule:
    """From one value to another along a power of the remaining time.

    Args:
        init_value, end_value: before and after the transition.
        power: 1 for a straight line.
        transition_steps: length of the transition.
        transition_begin: steps before it begins.

    Example:
        >>> float(polynomial_schedule(1.0, 0.0, 2, 10)(5))
        0.25
    """
    check_steps("polynomial_schedule", "transition_steps", transition_steps)
    check_steps("polynomial_schedule", "transition_begin", transition_begin, least=0)

    def schedule(count: Any) -> Any:
        done = np.clip(count - transition_begin, 0, transition_steps)
        left = 1 - done / transition_steps
        return (init_value - end_value) * left**power + end_value

    return schedule


def linear_schedule(
    init_value: float, end_value: float, transition_steps: int, transition_begin: int = 0
) -> Schedule:
    """From one value to another along a straight line.

    Example:
        >>> float(linear_schedule(0.0, 1.0, 4)(1))
        0.25
    """
    return polynomial_schedule(init_value, end_value, 1, transition_steps, transition_begin)


def cosine_decay_schedule(
    init_value: float, decay_steps: int, alpha: float = 0.0, exponent: float = 1.0
) -> Schedule:
    """From `init_value` to `alpha * init_value` along half a cosine (Loshchilov and Hutter, 2017).

    Example:
        >>> round(float(cosine_decay_schedule(1.0, 10)(5)), 6)
        0.5
    """
    check_steps("cosine_decay_schedule", "decay_steps", decay_steps)

    def schedule(count: Any) -> Any:
        cosine = 0.5 * (1 + np.cos(math.pi * np.minimum(count, decay_steps) / decay_steps))
        return init_value * ((1 - alpha) * cosine**exponent + alpha)

    return schedule


def exponential_decay(
    init_value: float,
    transition_steps: int,
    decay_rate: float,
    transition_begin: int = 0,
    staircase: bool = False,
    end_value: float | None = None,
) -> Schedule:
    """A factor `decay_rate` for every `transition_steps`.

    Args:
        init_value: value at the beginning.
        transition_steps: how long one factor takes.
        decay_rate: the factor, positive.
        transition_begin: steps before the decay begins.
        staircase: change only after whole factors.
        end_value: where the decay (or growth) stops.

    Example:
        >>> float(exponential_decay(1.0, 2, 0.5)(4))
        0.25
    """
    check_steps("exponential_decay", "transition_steps", transition_steps)
    if not decay_rate > 0:
        raise ValueError(f"[exponential_decay] decay_rate must be positive, but got {decay_rate}.")

    def schedule(count: Any) -> Any:
        factors = np.maximum(count - transition_begin, 0) / transition_steps
        value = init_value * decay_rate ** (np.floor(factors) if staircase else factors)
        if end_value is None:
            return value
        return np.maximum(value, end_value) if decay_rate < 1 else np.minimum(value, end_value)

    return schedule


def warmup_cosine_decay_schedule(
    init_value: float,
    peak_value: float,
    warmup_steps: int,
    decay_steps: int,
    end_value: float = 0.0,
    exponent: float = 1.0,
) -> Schedule:
    """A straight line up to a peak, then half a cosine down.

    Args:
        init_value, peak_value, end_value: at the beginning, after the warm-up, at the end.
        warmup_steps: length of the warm-up.
        decay_steps: length of both parts together.
        exponent: power of the cosine.

    Example:
        >>> schedule = warmup_cosine_decay_schedule(0.0, 1.0, 10, 100)
        >>> [round(float(schedule(step)), 3) for step in (0, 5, 10, 55, 100)]
        [0.0, 0.5, 1.0, 0.5, 0.0]
    """
    check_steps("warmup_cosine_decay_schedule", "decay_steps", decay_steps, warmup_steps + 1)
    alpha = 0.0 if peak_value == 0 else end_value / peak_value
    decay = cosine_decay_schedule(peak_value, decay_steps - warmup_steps, alpha, exponent)
    if warmup_steps == 0:
        return decay
    warmup = linear_schedule(init_value, peak_value, warmup_steps)
    return join_schedules([warmup, decay], [warmup_steps])


def piecewise_constant_schedule(
    init_value: float, boundaries_and_scales: Mapping[int, float] | None = None
) -> Schedule:
    """A value that is multiplied by a factor at given steps.

    Args:
        init_value: value at the beginning.
        boundaries_and_scales: step -> factor from this step on.

    Example:
        >>> schedule = piecewise_constant_schedule(1.0, {10: 0.1})
        >>> [float(schedule(step)) for step in (9, 10)]
        [1.0, 0.1]
    """
    pieces = sorted((boundaries_and_scales or {}).items())

    def schedule(count: Any) -> Any:
        value = init_value
        for boundary, factor in pieces:
            value = value * np.where(count < boundary, 1.0, factor)
        return value

    return schedule


def join_schedules(schedules: Sequence[Schedule], boundaries: Sequence[int]) -> Schedule:
    """One schedule after the other; each counts from its own beginning.

    Args:
        schedules: the parts.
        boundaries: the step at which each part but the first begins.

    Example:
        >>> schedule = join_schedules([constant_schedule(1.0), constant_schedule(2.0)], [5])
        >>> [float(schedule(step)) for step in (4, 5)]
        [1.0, 2.0]
    """
    if len(schedules) != len(boundaries) + 1:
        raise ValueError(
            f"[join_schedules] {len(schedules)} schedules need {len(schedules) - 1} boundaries, but got "
            f"{len(boundaries)}."
        )

    def schedule(count: Any) -> Any:
        value = schedules[0](count)
        for boundary, following in zip(boundaries, schedules[1:], strict=True):
            value = np.where(count < boundary, value, following(count - boundary))
        return value

    return schedule


def check_steps(name: str, parameter: str, value: Any, least: int = 1) -> None:
    if isinstance(value, str) or not value >= least:
        raise ValueError(f"[{name}] {parameter} must be at least {least}, but got {value}.")
