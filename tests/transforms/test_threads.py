"""Threads: jitted functions are shared safely, traces belong to their thread (R61, L7)."""

import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import funcgrad as fg
from funcgrad.config import config

X = np.arange(5.0)


@pytest.fixture(autouse=True)
def eager_switching():
    """Switch between threads as often as possible."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def run_in_threads(function, count=8):
    barrier = threading.Barrier(count)

    def start(i):
        barrier.wait()
        return function(i)

    with ThreadPoolExecutor(count) as pool:
        return [future.result() for future in [pool.submit(start, i) for i in range(count)]]


def test_one_function_is_traced_once():
    traces = []

    @fg.jit
    def f(x):
        traces.append(1)
        return np.sin(x) * 2

    for out in run_in_threads(lambda i: f(X + i)):
        assert out.shape == (5,)
    assert len(traces) == 1
    for i, out in enumerate(run_in_threads(lambda i: f(X + i))):
        np.testing.assert_allclose(out, np.sin(X + i) * 2)


def test_different_signatures_at_once():
    f = fg.jit(lambda x: np.sum(x**2))
    for _ in range(5):
        for i, out in enumerate(run_in_threads(lambda i: f(np.ones(i + 1)))):
            assert out == i + 1
    assert f.trace_count() == 8


def test_every_transformation_at_once():
    def f(x):
        return np.sum(np.sin(x) * fg.lax.fori_loop(0, 3, lambda i, c: c * x, x))

    expected = fg.grad(f)(X)
    jitted = fg.jit(f)

    def work(i):
        choices = (
            lambda: fg.grad(f)(X),
            lambda: fg.grad(jitted)(X),
            lambda: fg.jacfwd(f)(X),
            lambda: fg.vmap(fg.grad(jitted))(np.stack([X, X]))[1],
        )
        return choices[i % 4]()

    for found in run_in_threads(work):
        np.testing.assert_allclose(found, expected)


def test_trace_in_one_thread_does_not_see_work_in_another():
    """A jit trace records what happens in its own thread only."""
    traced, done = threading.Event(), threading.Event()
    found = []

    def f(x):
        traced.set()
        done.wait(10)
        return x * 2

    def other():
        traced.wait(10)
        found.append(fg.jit(lambda x: x + 1)(1.0) + fg.grad(np.sin)(0.0) + np.zeros(1)[0])
        done.set()

    thread = threading.Thread(target=other)
    thread.start()
    assert fg.jit(f)(3.0) == 6.0
    thread.join()
    assert found == [3.0]


@pytest.mark.parametrize(
    "transform", [fg.jit, fg.grad, lambda f: lambda x: fg.jvp(f, (x,), (1.0,))]
)
def test_tracer_used_in_another_thread(transform):
    caught = []

    def f(x):
        def use():
            try:
                np.sin(x)
            except fg.UnexpectedTracerError as error:
                caught.append(str(error))

        thread = threading.Thread(target=use)
        thread.start()
        thread.join()
        return x

    transform(f)(1.0)
    assert len(caught) == 1 and "belongs to thread 'MainThread'" in caught[0]


def test_settings_belong_to_their_thread():
    with config.override(disable_jit=True):
        assert run_in_threads(lambda i: config.disable_jit, 2) == [False, False]
