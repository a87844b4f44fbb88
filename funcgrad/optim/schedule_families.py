"""Schedules made of several parts: warm-up, one cycle, warm restarts, interpolation between points."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from funcgrad.optim.schedules import (
    Schedule,
    check_steps,
    exponential_decay,
    join_schedules,
    linear_schedule,
    warmup_cosine_decay_schedule,
)


def warmup_constant_schedule(init_value: float, peak_value: float, warmup_steps: int) -> Schedule:
    """A straight line up to a value, which then stays.

    Args:
        init_value, peak_value: at the beginning, and after the warm-up.
        warmup_steps: length of the warm-up.

    Example:
        >>> schedule = warmup_constant_schedule(0.0, 1.0, 4)
        >>> [float(schedule(step)) for step in (0, 1, 9)]
        [0.0, 0.25, 1.0]
    """
    return linear_schedule(init_value, peak_value, warmup_steps)


def warmup_exponential_decay_schedule(
    init_value: float,
    peak_value: float,
    warmup_steps: int,
    transition_steps: int,
    decay_rate: float,
    transition_begin: int = 0,
    staircase: bool = False,
    end_value: float | None = None,
) -> Schedule:
    """A straight line up to a peak, then exponential decay.

    Args:
        init_value, peak_value: at the beginning, and after the warm-up.
        warmup_steps: length of the warm-up.
        transition_steps, decay_rate, transition_begin, staircase, end_value: as for `exponential_decay`,
            counted from the end of the warm-up.

    Example:
        >>> schedule = warmup_exponential_decay_schedule(0.0, 1.0, 10, 10, 0.5)
        >>> [float(schedule(step)) for step in (5, 10, 20)]
        [0.5, 1.0, 0.5]
    """
    warmup = linear_schedule(init_value, peak_value, warmup_steps)
    decay = exponential_decay(
        peak_value, transition_steps, decay_rate, transition_begin, staircase, end_value
    )
    return join_schedules([warmup, decay], [warmup_steps])


def piecewise_interpolate_schedule(
    interpolate_type: str,
    init_value: float,
    boundaries_and_scales: Mapping[int, float] | None = None,
) -> Schedule:
    """Between points, along straight lines or cosines.

    Args:
        interpolate_type: "linear" or "cosine".
        init_value: at the beginning.
        boundaries_and_scales: step -> value there, as a factor of the value at the point before.

    Example:
        >>> schedule = piecewise_interpolate_schedule("linear", 1.0, {10: 3.0})
        >>> [float(schedule(step)) for step in (0, 5, 10, 20)]
        [1.0, 2.0, 3.0, 3.0]
    """
    rises: dict[str, Callable[[Any], Any]] = {
        "linear": lambda part: part,
        "cosine": lambda part: 0.5 - 0.5 * np.cos(math.pi * part),
    }
    if interpolate_type not in rises:
        raise ValueError(
            f"[piecewise_interpolate_schedule] interpolate_type must be 'linear' or 'cosine', but got "
            f"{interpolate_type!r}."
        )
    points = sorted((boundaries_and_scales or {}).items())
    if any(factor < 0 for _, factor in points):
        raise ValueError(
            "[piecewise_interpolate_schedule] the factors must not be negative, but got "
            f"{dict(points)}."
        )

    def schedule(count: Any) -> Any:
        begin, value = 0, init_value
        total = value
        for end, factor in points:
            part = np.clip((count - begin) / max(end - begin, 1), 0.0, 1.0)
            total = total + (value * factor - value) * rises[interpolate_type](part)
            begin, value = end, value * factor
        return total

    return schedule


def linear_onecycle_schedule(
    transition_steps: int,
    peak_value: float,
    pct_start: float = 0.3,
    pct_final: float = 0.85,
    div_factor: float = 25.0,
    final_div_factor: float = 1e4,
) -> Schedule:
    """One cycle of straight lines: up to the peak, down again, and far down (Smith and Topin, 2018).

    Args:
        transition_steps: length of the cycle.
        peak_value: at the peak.
        pct_start, pct_final: where the peak is, and where the cycle is back, as shares of the length.
        div_factor: the peak over the first value.
        final_div_factor: the first value over the last.

    Example:
        >>> schedule = linear_onecycle_schedule(100, 1.0)
        >>> [round(float(schedule(step)), 3) for step in (0, 30, 85, 100)]
        [0.04, 1.0, 0.04, 0.0]
    """
    check_steps("linear_onecycle_schedule", "transition_steps", transition_steps)
    points = {
        int(pct_start * transition_steps): div_factor,
        int(pct_final * transition_steps): 1 / div_factor,
        transition_steps: 1 / final_div_factor,
    }
    return piecewise_interpolate_schedule("linear", peak_value / div_factor, points)


def cosine_onecycle_schedule(
    transition_steps: int,
    peak_value: float,
    pct_start: float = 0.3,
    div_factor: float = 25.0,
    final_div_factor: float = 1e4,
) -> Schedule:
    """One cycle of cosines: up to the peak and down (Smith and Topin, 2018).

    PyTorch's OneCycleLR counts the last step as the end: total_steps = transition_steps + 1.

    Args:
        transition_steps, peak_value, pct_start, div_factor, final_div_factor: as for
            `linear_onecycle_schedule`; the last value is the first over `final_div_factor`.

    Example:
        >>> schedule = cosine_onecycle_schedule(100, 1.0)
        >>> [round(float(schedule(step)), 3) for step in (0, 15, 30, 100)]
        [0.04, 0.52, 1.0, 0.0]
    """
    check_steps("cosine_onecycle_schedule", "transition_steps", transition_steps)
    points = {
        int(pct_start * transition_steps): div_factor,
        transition_steps: 1 / (div_factor * final_div_factor),
    }
    return piecewise_interpolate_schedule("cosine", peak_value / div_factor, points)


def sgdr_schedule(cosine_kwargs: Sequence[Mapping[str, Any]]) -> Schedule:
    """Cosine decay with warm restarts (Loshchilov and Hutter, 2017).

    Args:
        cosine_kwargs: for each cycle the arguments of `warmup_cosine_decay_schedule`.

    Example:
        >>> cycle = dict(init_value=0.0, peak_value=1.0, warmup_steps=1, decay_steps=5)
        >>> schedule = sgdr_schedule([cycle, cycle])
        >>> [float(schedule(step)) for step in (1, 6)]
        [1.0, 1.0]
    """
    cycles = [warmup_cosine_decay_schedule(**kwargs) for kwargs in cosine_kwargs]
    ends = np.cumsum([kwargs["decay_steps"] for kwargs in cosine_kwargs])
    return join_schedules(cycles, [int(end) for end in ends[:-1]])
