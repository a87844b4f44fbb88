"""Compiled code under threads, forks and Ctrl-C: the same bits, no deadlock, a library that goes on working."""

import multiprocessing
import os
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import lax
from funcgrad.config import config
from tests.compiler.programs import bits

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*was compiled .* times"),
    pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning"),
]
RNG = np.random.default_rng(0)
WIDE = RNG.standard_normal((1003, 1001)).astype(np.float32)
LONG = RNG.standard_normal(1_000_003).astype(np.float32)
SQUARE = RNG.standard_normal((331, 331)).astype(np.float32)


def softmax(x):
    e = np.exp(x - np.max(x, axis=-1, keepdims=True))
    return e / np.sum(e, axis=-1, keepdims=True)


WORK = {
    "elementwise": (lambda x: np.tanh(x) * x + np.exp(-x * x), LONG),
    "rows": (softmax, WIDE),
    "columns": (lambda x: np.sum(x * x, axis=0), WIDE),
    "sum": (np.sum, LONG),
    "extremum": (lambda x: (np.max(x), np.argmin(x)), LONG),
    "product": (lambda x: x @ x.T, SQUARE),
    "gradient": (fg.grad(lambda x: np.sum(softmax(x) * x)), WIDE),
    "running": (lambda x: np.cumsum(x), LONG),
}


def result_bits(out):
    return [bits(x) for x in fg.tree.leaves(out)]


@pytest.mark.parametrize("name", WORK)
def test_results_do_not_depend_on_the_number_of_threads(name):
    f, x = WORK[name]
    jitted = fg.jit(lambda x: f(x))
    found = []
    for count in (1, 2, 3, 7):
        with config.override(num_threads=count):
            found += [result_bits(jitted(x)) for _ in range(3)]
    assert all(one == found[0] for one in found)


def in_threads(function, count=8):
    barrier = threading.Barrier(count)

    def start(i):
        barrier.wait(30)
        return function(i)

    with ThreadPoolExecutor(count) as pool:
        return [future.result(60) for future in [pool.submit(start, i) for i in range(count)]]


@pytest.mark.parametrize("name", ["elementwise", "rows", "product", "gradient"])
def test_first_calls_of_one_function_in_many_threads(name):
    f, x = WORK[name]
    expected = result_bits(fg.jit(lambda x: f(x))(x))
    shared = fg.jit(lambda x: f(x))
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for found in in_threads(lambda i: [result_bits(shared(x)) for _ in range(3)]):
            assert found == [expected] * 3
    finally:
        sys.setswitchinterval(before)


def test_different_functions_in_many_threads():
    def work(i):
        f = fg.jit(lambda x: lax.scan(lambda c, y: (c * 0.5 + y + i, np.sin(c)), x[0], x))
        return [result_bits(f(WIDE[: 20 + i])) for _ in range(3)]

    for i, found in enumerate(in_threads(work)):
        again = fg.jit(lambda x: lax.scan(lambda c, y: (c * 0.5 + y + i, np.sin(c)), x[0], x))
        assert found == [result_bits(again(WIDE[: 20 + i]))] * 3


# --- fork ---

forking = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
STEP = fg.jit(lambda x: np.sum(softmax(x) @ x.T))


def in_child(seed):
    """Known code, and new code, in a forked process."""
    fresh = fg.jit(lambda x: np.sum(np.tanh(x) * seed))
    return float(STEP(SQUARE)), float(fresh(LONG))


@forking
def test_pools_of_forked_processes():
    expected = float(STEP(SQUARE))
    with multiprocessing.get_context("fork").Pool(2) as pool:
        found = pool.map_async(in_child, range(4)).get(60)
    assert [first for first, _ in found] == [expected] * 4
    assert float(STEP(SQUARE)) == expected


@forking
def test_fork_while_compiled_code_runs_in_another_thread():
    expected, stop = float(STEP(SQUARE)), threading.Event()

    def work():
        while not stop.is_set():
            STEP(SQUARE)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        for _ in range(3):
            with multiprocessing.get_context("fork").Pool(1) as pool:
                assert pool.map_async(in_child, [1]).get(60)[0][0] == expected
    finally:
        stop.set()
        thread.join()


# --- Ctrl-C ---


def long_chain(x):
    return lax.fori_loop(0, 100_000, lambda i, c: np.tanh(c) * 1.01 + np.sin(c), x)


ENDLESS = {
    "while": (lambda x: lax.while_loop(lambda c: c[0] > -1, lambda c: c * 0.5 + 1, x), np.ones(3)),
    "scan": (lambda x: lax.scan(lambda c, _: (np.sin(c) + 1, None), x, None, 10**9)[0], np.ones(3)),
    "elementwise": (long_chain, LONG),
    "products": (lambda x: lax.fori_loop(0, 10**6, lambda i, c: np.tanh(c @ x), x), SQUARE),
}


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs interval timers")
@pytest.mark.parametrize("name", ["while", "scan", "elementwise", "products"])
def test_ctrl_c_again_and_again(name):
    f, x = ENDLESS[name]
    jitted = fg.jit(lambda x: f(x))
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    delays = []
    try:
        for number in range(6):
            # The first call compiles as well.
            wait = 1.5 if number == 0 else 0.1
            signal.setitimer(signal.ITIMER_REAL, wait)
            start = time.monotonic()
            with pytest.raises(KeyboardInterrupt):
                jitted(x)
            delays.append(time.monotonic() - start - wait)
            assert float(fg.jit(np.sum)(np.ones(3))) == 3.0
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert sorted(delays[1:])[2] < 0.1, delays
