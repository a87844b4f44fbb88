"""Schedules: values at and between their corners, in Python and under jit."""

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import optim

# The same lines are compiled for many cases.
pytestmark = pytest.mark.filterwarnings("ignore:.*was compiled:UserWarning")

# (schedule, {step: value})
CASES = {
    "constant": (optim.constant_schedule(0.5), {0: 0.5, 1000: 0.5}),
    "linear": (optim.linear_schedule(1.0, 0.0, 10, 5), {0: 1, 5: 1, 10: 0.5, 15: 0, 99: 0}),
    "polynomial": (optim.polynomial_schedule(1.0, 0.5, 2, 10), {0: 1, 5: 0.625, 10: 0.5, 20: 0.5}),
    "cosine": (optim.cosine_decay_schedule(2.0, 10, 0.1), {0: 2, 5: 1.1, 10: 0.2, 50: 0.2}),
    "cosine squared": (optim.cosine_decay_schedule(1.0, 10, 0.0, 2.0), {0: 1, 5: 0.25, 10: 0}),
    "exponential": (optim.exponential_decay(1.0, 2, 0.25), {0: 1, 1: 0.5, 2: 0.25, 4: 0.0625}),
    "staircase": (
        optim.exponential_decay(1.0, 2, 0.25, 1, True, 0.1),
        {0: 1, 1: 1, 2: 1, 3: 0.25, 4: 0.25, 5: 0.1},
    ),
    "growth": (optim.exponential_decay(1.0, 1, 2.0, end_value=5.0), {0: 1, 2: 4, 3: 5, 9: 5}),
    "warm-up": (
        optim.warmup_cosine_decay_schedule(0.0, 1.0, 4, 14, 0.5),
        {0: 0, 2: 0.5, 4: 1, 9: 0.75, 14: 0.5, 20: 0.5},
    ),
    "no warm-up": (optim.warmup_cosine_decay_schedule(0.0, 1.0, 0, 10), {0: 1, 5: 0.5, 10: 0}),
    "peak 0": (optim.warmup_cosine_decay_schedule(1.0, 0.0, 2, 10), {0: 1, 1: 0.5, 2: 0, 5: 0}),
    "piecewise": (
        optim.piecewise_constant_schedule(1.0, {4: 0.5, 2: 0.1}),
        {0: 1, 1: 1, 2: 0.1, 3: 0.1, 4: 0.05},
    ),
    "no pieces": (optim.piecewise_constant_schedule(3.0), {0: 3, 10: 3}),
    "joined": (
        optim.join_schedules(
            [optim.constant_schedule(1.0), optim.linear_schedule(0.0, 1.0, 2), lambda count: 7.0],
            [2, 5],
        ),
        {0: 1, 1: 1, 2: 0, 3: 0.5, 4: 1, 5: 7},
    ),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("convert", [int, np.int64, np.float64], ids=["int", "int64", "float64"])
def test_values(name, convert):
    schedule, points = CASES[name]
    for step, value in points.items():
        assert float(schedule(convert(step))) == pytest.approx(value, abs=1e-12), step


@pytest.mark.parametrize("name", CASES)
def test_under_jit(name):
    schedule, points = CASES[name]
    jitted = fg.jit(lambda count: schedule(count) + np.float64(0))
    for step, value in points.items():
        assert float(jitted(np.int64(step))) == pytest.approx(value, abs=1e-12)


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: optim.linear_schedule(1.0, 0.0, 0), "transition_steps must be at least 1"),
        (lambda: optim.linear_schedule(1.0, 0.0, 5, -1), "transition_begin must be at least 0"),
        (lambda: optim.cosine_decay_schedule(1.0, 0), "decay_steps must be at least 1"),
        (lambda: optim.cosine_decay_schedule(1.0, "10"), "decay_steps must be at least 1"),
        (lambda: optim.exponential_decay(1.0, 5, 0.0), "decay_rate must be positive"),
        (
            lambda: optim.warmup_cosine_decay_schedule(0.0, 1.0, 10, 10),
            "decay_steps must be at least 11",
        ),
        (lambda: optim.join_schedules([], []), "0 schedules need -1 boundaries"),
    ],
)
def test_bad_settings(call, match):
    with pytest.raises(ValueError, match=match):
        call()
