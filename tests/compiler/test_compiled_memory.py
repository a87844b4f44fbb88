"""Compiled functions keep no memory: over many calls, after their end, and when a step inside a loop fails."""

import gc
import os
import tracemalloc
import weakref
from pathlib import Path

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import lax
from funcgrad.config import config

pytestmark = pytest.mark.filterwarnings("ignore:.*was compiled .* times")

CALLS = 10_000
STATUS = Path("/proc/self/statm")
STEPS = {
    "elementwise": (lambda x: {"y": np.sin(x) * 2, "z": [x + 1, np.sum(x)]}, np.ones(7)),
    "loop": (lambda x: lax.scan(lambda c, y: (c * y + 1, c), 0.0, x), np.ones(7)),
    "product": (lambda x: np.tanh(x @ x), np.eye(5)),
    "library step": (lambda x: np.linalg.inv(x) @ x, np.eye(3) * 2),
    "gradient": (fg.value_and_grad(lambda x: np.sum(np.exp(x) * x)), np.ones(9)),
    "large": (lambda x: x * 2 + np.sum(x), np.ones(20_000)),
}


def resident():
    """Bytes that this process holds in memory."""
    gc.collect()
    return int(STATUS.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize("name", STEPS)
def test_many_calls_keep_no_python_object(name):
    f, x = STEPS[name]
    jitted = fg.jit(lambda x: f(x))
    for _ in range(100):
        jitted(x)
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(CALLS // 10):
            jitted(x)
        gc.collect()
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert grown < 20_000, grown


@pytest.mark.skipif(not STATUS.exists(), reason="needs /proc")
@pytest.mark.parametrize("name", STEPS)
def test_many_calls_keep_no_memory(name):
    f, x = STEPS[name]
    jitted = fg.jit(lambda x: f(x))
    for _ in range(CALLS // 10):
        jitted(x)
    before = resident()
    for _ in range(CALLS):
        jitted(x)
    assert resident() - before < 3 << 20


@pytest.mark.skipif(not STATUS.exists(), reason="needs /proc")
def test_functions_that_nobody_keeps_free_their_code():
    def make(i):
        f = fg.jit(lambda x: lax.fori_loop(0, 3, lambda k, c: np.sin(c * i) + c, x) @ x)
        f(np.ones(8))
        return weakref.ref(f)

    with config.override(cache=False):
        for i in range(20):
            make(i)
        before = resident()
        found = [make(i) for i in range(20, 60)]
        gc.collect()
        assert all(reference() is None for reference in found)
        assert resident() - before < 20 << 20


class Failure(Exception):
    pass


def failing(x):
    """A callback that fails in the third iteration."""

    def call(value):
        if value > 2:
            raise Failure(f"at {value}")
        return np.asarray(value)

    def step(c, _):
        shape = fg.ShapeDtypeStruct((), np.float64)
        return fg.pure_callback(call, shape, c) + 1, np.ones(1000) * c  # the failing line

    return lax.scan(step, x, None, 10)


def test_errors_of_callbacks_in_loops_leave_nothing_behind():
    jitted = fg.jit(failing)

    def attempt():
        with pytest.raises(Failure, match="at 3") as caught:
            jitted(0.0)
        return str(caught.value) + "".join(getattr(caught.value, "__notes__", []))

    for _ in range(20):
        attempt()
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(200):
            attempt()
        gc.collect()
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert grown < 50_000, grown
    assert "test_compiled_memory.py" in attempt()
    assert fg.jit(np.sum)(np.ones(3)) == 3.0


def test_errors_of_library_steps_in_loops_name_the_line_of_the_user():
    def f(x):
        step = lambda i, c: c - np.linalg.cholesky(c)  # the line that fails
        return lax.fori_loop(0, 5, step, x)

    jitted = fg.jit(f)
    for _ in range(5):
        with pytest.raises(np.linalg.LinAlgError) as caught:
            jitted(np.eye(3))
        assert "the line that fails" in "".join(getattr(caught.value, "__notes__", []))
